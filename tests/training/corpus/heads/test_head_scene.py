import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.face_basis import load_face_basis
from training.corpus.heads.background import draw_background
from training.corpus.heads.camera import NEAR_FAR, draw_camera, frame_face
from training.corpus.heads.grading import draw_grading, plain_grading
from training.corpus.heads.lighting import draw_light, parallel_view, towards

TEMPLATE = load_face_basis().neutral


@given(st.integers(0, 1000), st.sampled_from([64, 512]))
def test_the_card_sees_what_the_matrix_projects(seed, size):
    rng = np.random.default_rng(seed)
    camera = draw_camera(rng, TEMPLATE, size)
    clip = np.column_stack([TEMPLATE, np.ones(68)]) @ camera.clip_matrix(size).astype(np.float64).T
    place = clip[:, :3] / clip[:, 3:]
    # A card's pixel i spans i to i + 1 from the left and, upside down, from the bottom.
    seen = np.stack([(place[:, 0] + 1) / 2 * size - 0.5, (1 - place[:, 1]) / 2 * size - 0.5], 1)
    assert seen == pytest.approx(camera.project(TEMPLATE), abs=0.02)
    assert (np.abs(place[:, 2]) < 1).all()
    pixels = camera.project(TEMPLATE)
    assert pixels.min() > 0
    assert pixels.max() < size


def test_faces_are_framed_like_portraits():
    pixels = frame_face(TEMPLATE, 512, 12.0, 1.0, (0.0, 0.0)).project(TEMPLATE)
    brow, chin = pixels[[19, 24], 1].mean(), pixels[8, 1]
    assert chin - brow == pytest.approx(0.345 * 512, rel=0.02)
    assert (brow + chin) / 2 == pytest.approx(0.475 * 512, abs=3)


def test_depth_grows_away_from_the_camera():
    camera = frame_face(TEMPLATE, 512, 12.0, 1.0, (0.0, 0.0))
    at = [[0, 0, z - 12, 1] for z in (NEAR_FAR[0], 5, NEAR_FAR[1])]
    clip = np.array(at) @ camera.clip_matrix(512).T
    assert (clip[:, 2] / clip[:, 3])[[0, 2]] == pytest.approx([-1, 1], abs=1e-4)
    assert np.diff(clip[:, 2] / clip[:, 3]).min() > 0


def test_lights_are_where_they_are_said_to_be():
    assert towards(0, 0) == pytest.approx([0, 0, -1])
    assert towards(90, 0) == pytest.approx([1, 0, 0], abs=1e-6)
    assert towards(0, 90) == pytest.approx([0, -1, 0], abs=1e-6)


@given(st.integers(0, 1000))
def test_a_shadow_map_holds_its_surroundings(seed):
    light = draw_light(np.random.default_rng(seed))
    view = parallel_view(light.key_to, np.array([0.1, 0.2, 0.3], np.float32), 2.0)
    near = np.array([0.1, 0.2, 0.3]) + light.key_to
    for point, depth in ((near, -1 / 6), (near - 2 * light.key_to, 1 / 6)):
        assert (view @ [*point, 1])[:3] == pytest.approx([0, 0, depth], abs=1e-5)
    axes = view[:3, :3] * [[2], [2], [6]]
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-5)


def test_an_exposure_is_mended_towards_the_skin():
    grade = plain_grading()
    skin = np.ones((4, 4), bool)
    dark, bright = np.full((4, 4, 3), 70, np.uint8), np.full((4, 4, 3), 240, np.uint8)
    assert grade.expose(dark, skin, 1.0).exposure > 1 > grade.expose(bright, skin, 1.0).exposure
    assert grade.expose(dark, skin, 0.0).exposure < grade.expose(dark, skin, 1.0).exposure
    assert grade.expose(dark, ~skin, 1.0) == grade


def test_drawn_scenes_differ_and_repeat():
    for draw in (draw_grading, draw_light, draw_background):
        first, again, other = (repr(draw(np.random.default_rng(seed))) for seed in (1, 1, 2))
        assert first == again != other


def test_grain_lives_and_keeps_the_mean():
    rng = np.random.default_rng(3)
    grade = draw_grading(rng)
    flat = np.full((64, 64, 3), 120, np.uint8)
    one, two = grade.finish(flat, rng), grade.finish(flat, rng)
    assert (one != two).any()
    assert one.mean() == pytest.approx(120, abs=1)
