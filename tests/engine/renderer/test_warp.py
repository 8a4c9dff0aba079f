from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.renderer.pixels import over
from engine.renderer.warp import WarpRenderer

AHEAD = np.zeros(2, np.float32)
TURNED = (0.08, 0.2, 0.1, 0.05, 0.02, 0.0)


def portrait(person):
    share = person.matte[..., None] / 255
    return np.rint(person.image * share + person.plate * (1 - share)).astype(int)


def colour_count(picture, colour, near):
    return int((np.abs(picture[..., :3].astype(int) - colour).max(-1) < near).sum())


def test_a_frame_at_rest_is_the_portrait(person, renderer, motion):
    frame = renderer.render(*motion(), AHEAD)
    assert frame.shape == (512, 512, 3)
    assert frame.dtype == np.uint8
    assert np.abs(frame.astype(int) - portrait(person)).max() <= 1


def test_the_background_stands_still(person, renderer, motion):
    frame = renderer.render(*motion(jaw=0.2, pose=TURNED), AHEAD)
    far = person.matte == 0
    for axis in (0, 1):
        for step in range(-40, 41, 8):
            far &= np.roll(person.matte, step, axis) == 0
    assert far.sum() > 20_000
    assert np.array_equal(frame[far], person.plate[far])
    assert np.abs(frame.astype(int) - portrait(person)).max() > 100


def test_the_inside_shows_as_far_as_the_lips_part(renderer, motion):
    areas = [
        int((renderer.render_layers(*motion(jaw=jaw), AHEAD).mouth > 127).sum()) for jaw in (0, 0.05, 0.1, 0.2, 0.3)
    ]
    assert areas[0] == 0
    assert all(b > a + 50 for a, b in pairwise(areas))


def test_the_opening_is_the_one_that_was_commanded(renderer, motion):
    mouth = renderer.render_layers(*motion(jaw=0.2), AHEAD).mouth
    column = mouth[:, 256].astype(float) / 255
    assert column.sum() == pytest.approx(0.2 * 120, abs=3)


def test_no_lip_is_smeared_over_the_opening(renderer, motion):
    layers = renderer.render_layers(*motion(jaw=0.25), AHEAD)
    inside = layers.person[layers.mouth == 255][:, :3].astype(int)
    assert len(inside) > 400
    # Gums are as red as lips, but never flat: a smear would be the drawn lip's very colour.
    assert (np.abs(inside - (190, 70, 70)).max(-1) < 12).mean() < 0.01
    assert (np.abs(inside - (210, 165, 135)).max(-1) < 12).mean() < 0.03
    assert (inside.mean(-1) < 70).mean() > 0.2


def test_teeth_hang_on_skull_and_jaw(renderer, motion):
    def bright_rows(jaw):
        layers = renderer.render_layers(*motion(jaw=jaw), AHEAD)
        picture = np.where(layers.mouth[..., None] == 255, layers.person[..., :3], 0)
        return np.flatnonzero((picture[:, 244:268].min(-1) > 80).any(1))

    half, full = bright_rows(0.2), bright_rows(0.4)
    assert abs(half.min() - full.min()) <= 3
    assert full.max() > half.max() + 5


def test_a_blink_shuts_the_eye(person, renderer, motion):
    open_count = colour_count(renderer.render(*motion(), AHEAD), (20, 150, 40), 40)
    counts = [colour_count(renderer.render(*motion(blink=b), AHEAD), (20, 150, 40), 60) for b in (0.5, 0.9, 1.0)]
    assert open_count > 200
    assert open_count > counts[0] > counts[1]
    assert counts[1] == counts[2] == 0
    shut = renderer.render_layers(*motion(blink=1.0), AHEAD)
    assert not shut.eyes.any()
    eye = person.source_points[36:42]
    low, high = eye.min(0).astype(int), eye.max(0).astype(int)
    window = shut.person[low[1] : high[1], low[0] : high[0], :3].astype(int)
    assert np.median(np.abs(window - (210, 165, 135)).max(-1)) < 12


def test_half_a_blink_keeps_the_iris_round(renderer, motion):
    def iris_columns(blink):
        frame = renderer.render(*motion(blink=blink), AHEAD)[:, :256].astype(int)
        return np.flatnonzero((np.abs(frame - (20, 150, 40)).max(-1) < 40).any(0))

    assert abs(len(iris_columns(0.0)) - len(iris_columns(0.4))) <= 2


def test_gaze_moves_the_iris_and_nothing_else(renderer, motion):
    def iris_centre(gaze):
        frame = renderer.render(*motion(), np.array(gaze, np.float32)).astype(int)
        rows, columns = np.nonzero(np.abs(frame - (20, 150, 40)).max(-1) < 40)
        return frame, np.array([columns.mean(), rows.mean()])

    ahead, centre = iris_centre((0, 0))
    aside, moved = iris_centre((0.15, 0))
    # 12 mm of radius times the sine of the angle, at 120 px a face unit.
    assert moved - centre == pytest.approx([0.135 * 120 * np.sin(0.15), 0], abs=0.7)
    assert not (ahead != aside)[230:].any()


def test_the_torso_moves_when_told(person, renderer, motion):
    landmarks, pose = motion()
    still = renderer.render(landmarks, pose, AHEAD)
    aside = renderer.render(landmarks, pose, AHEAD, np.array([0, 0, 0, 0.1, 0, 0], np.float32))
    changed = (np.abs(still.astype(int) - aside) > 20).any(-1)
    assert changed[380:470].any()
    assert not changed[:280, 150:360].any()


def test_two_threads_draw_what_one_draws(renderer, motion):
    calls = [(*motion(jaw=0.01 * k, blink=0.02 * k, pose=(0, 0.01 * k, 0, 0, 0, 0)), AHEAD) for k in range(16)]
    alone = [renderer.render(*call) for call in calls]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda call: renderer.render(*call), calls))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_person_alone_composes_to_the_whole_frame(person, renderer, motion):
    for economy in (False, True):
        call = (*motion(jaw=0.1, pose=TURNED), AHEAD, None, economy)
        used = np.full((512, 512, 4), 77, np.uint8)
        alone = renderer.render(*call, out=used)
        assert alone is used and not alone[:20, :20].any()
        assert (alone[..., :3] <= alone[..., 3:]).all(), "premultiplied"
        composed = over(alone, person.plate)
        assert np.abs(composed.astype(int) - renderer.render(*call)).max() <= 1


def test_transparent_frames_compose_to_opaque_ones(person, renderer, motion):
    call = (*motion(jaw=0.1, pose=TURNED), AHEAD)
    rgba = renderer.render_rgba(*call).astype(float)
    assert rgba.shape == (512, 512, 4)
    assert rgba[5, 5, 3] == 0
    assert rgba[200, 256, 3] == 255
    share = rgba[..., 3:] / 255
    composed = rgba[..., :3] * share + person.plate * (1 - share)
    assert np.abs(composed - renderer.render(*call)).max() <= 3


def test_a_frame_is_drawn_where_it_is_told(renderer, motion):
    call = (*motion(jaw=0.1), AHEAD)
    place = np.full((512, 512, 3), 7, np.uint8)
    assert renderer.render(*call, out=place) is place
    assert np.array_equal(place, renderer.render(*call))


def test_economy_softens_and_moves_nothing(person, renderer, motion):
    landmarks, pose = motion(jaw=0.15, blink=0.3, pose=TURNED)
    gaze = np.array([0.1, 0.0], np.float32)
    full, cheap = (renderer.render(landmarks, pose, gaze, economy=economy).astype(int) for economy in (False, True))
    difference = np.abs(full - cheap).max(-1)
    assert difference.any()
    assert difference.mean() < 1.5
    # Mouth and eyes are drawn as ever; the head's motion there differs by a fraction of a pixel at most.
    layers = renderer.render_layers(landmarks, pose, gaze)
    inside = (layers.mouth == 255) | (layers.eyes == 255)
    assert difference[inside].mean() < 2
    # An edge that had moved by a pixel would differ by as much as the picture does from itself a pixel further.
    moved = np.abs(full[:, 1:] - full[:, :-1]).max(-1)
    edges = moved > 60
    assert difference[:, 1:][edges].mean() < 0.6 * moved[edges].mean()
    far = np.abs(full - person.plate).max(-1) == 0
    assert (difference[far] > 8).mean() < 0.01


def test_an_open_mouth_is_brought_to_rest(make_person, motion):
    person = make_person(gap=0.2)
    renderer = WarpRenderer(person)
    inside = (30, 200, 220)
    assert colour_count(person.image, inside, 60) > 400
    rest = renderer.render_layers(*motion(), AHEAD)
    assert (rest.mouth > 127).sum() < 20
    assert colour_count(rest.person, inside, 60) <= 4
    # Opened again, it shows what the picture shows.
    assert colour_count(renderer.render(*motion(jaw=0.2), AHEAD), inside, 60) > 200


def test_a_turned_heads_mouth_lies_where_its_landmarks_do(person, motion):
    # The measured mesh has the mouth far deeper than the landmarks have it: moved with it alone, it would be off.
    mesh, image = person.mesh.copy(), person.image.copy()
    mesh[mesh[:, 1] > person.source_points[33, 1], 2] += 30
    x, y = np.rint(person.source_points[57]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    bare, marked = (WarpRenderer(replace(person, mesh=mesh, image=one)) for one in (person.image, image))
    landmarks, pose = motion(pose=(0.0, 0.22, 0.0, 0.0, 0.0, 0.0))
    frames = [one.render(landmarks, pose, AHEAD).astype(float).sum(-1) for one in (marked, bare)]
    dot = np.clip(frames[0] - frames[1], 0, None)
    found = np.array([(dot.sum(0) * np.arange(512)).sum(), (dot.sum(1) * np.arange(512)).sum()]) / dot.sum()
    np.testing.assert_allclose(found, bare.frame_points(landmarks)[57], atol=0.6)


@pytest.mark.parametrize("gap", [0.02, 0.04, 0.05, 0.08])
def test_no_portrait_shows_its_teeth_at_rest(make_person, motion, gap):
    rest = WarpRenderer(make_person(gap=gap)).render_layers(*motion(), AHEAD)
    assert (rest.mouth > 127).sum() < 20


def test_small_motion_makes_small_changes(renderer, motion):
    frames = [renderer.render(*motion(jaw=0.002 * k, blink=0.01 * k), AHEAD).astype(int) for k in range(12)]
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(frames)]
    assert max(steps) < 4 * (np.median(steps) + 0.002)


@pytest.mark.parametrize(
    ("index", "wrong"),
    [(0, np.zeros((67, 3))), (0, np.full((68, 3), np.nan)), (1, np.zeros(5)), (2, np.zeros(3)), (3, np.zeros(4))],
)
def test_wrong_arguments_are_refused(renderer, motion, index, wrong):
    call = [*motion(), AHEAD, np.zeros(6)]
    call[index] = wrong
    with pytest.raises(ConfigError, match="renderer needs"):
        renderer.render(*call)


def test_an_opened_upper_lip_turns_its_underside(person, renderer, motion):
    flat = WarpRenderer(person, turn_lips=False)
    assert np.array_equal(flat.render(*motion(), AHEAD), renderer.render(*motion(), AHEAD))
    call = (*motion(jaw=0.2), AHEAD)
    lit, turned = (each.render(*call).astype(int) for each in (flat, renderer))
    darker = (lit - turned).max(-1)
    assert darker.max() > 10
    assert (turned - lit).max() <= 1
    rows, columns = np.nonzero(darker > 2)
    points = renderer.frame_points(call[0])
    assert rows.max() <= points[60, 1] + 6
    assert points[48, 0] <= columns.min()
    assert columns.max() <= points[54, 0]
