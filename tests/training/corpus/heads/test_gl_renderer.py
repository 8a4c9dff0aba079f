from types import SimpleNamespace

import numpy as np
import pytest

from training.corpus.face_basis import load_face_basis
from training.corpus.heads.camera import frame_face
from training.corpus.heads.grading import plain_grading
from training.corpus.heads.lighting import studio_light
from training.corpus.heads.mask_classes import MaskClass

SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
HEAD = np.tile(np.array([0, 0, 0, 1], np.float32), (4, 1))
TOWARDS = np.tile(np.array([0, 0, -1], np.float32), (4, 1))
STILL = [np.eye(4, dtype=np.float32)] * 5


@pytest.fixture
def scene(renderer):
    renderer.clear()
    camera = frame_face(load_face_basis().neutral, renderer.size, 12.0, 1.0, (0.0, 0.0))
    backdrop = renderer.texture(np.full((4, 4, 4), (0, 0, 255, 255), np.uint8))
    yield SimpleNamespace(gl=renderer, camera=camera, backdrop=backdrop)
    renderer.clear()
    backdrop.release()


def square(scene, depth, half=0.4, **options):
    """A square (counter-clockwise from the camera) about the origin of the face coordinates."""
    plain = {"tint": np.ones(3), "finish": np.array([1.0, 0.0, 0.0, 0.5])}
    part = scene.gl.add("cloth", SQUARE, UV, HEAD, **{"kind": MaskClass.CLOTH, "uniforms": plain, **options})
    corners = [[-half, half, depth], [half, half, depth], [half, -half, depth], [-half, -half, depth]]
    points = np.array(corners, np.float32)
    scene.gl.place(part, points, TOWARDS)
    return part, points


def test_what_is_drawn_lies_where_the_camera_projects_it(scene):
    _, points = square(scene, 0.0)
    mask = scene.gl.mask(STILL, scene.camera)
    rows, columns = np.nonzero(mask == MaskClass.CLOTH)
    corners = scene.camera.project(points)
    assert [columns.min(), rows.min()] == pytest.approx(np.ceil(corners.min(0)), abs=1)
    assert [columns.max(), rows.max()] == pytest.approx(np.floor(corners.max(0)), abs=1)
    picture = scene.gl.render(STILL, scene.camera, studio_light(), plain_grading(), scene.backdrop)
    inside = mask == MaskClass.CLOTH
    assert picture[inside][:, 0].mean() > 90
    assert picture[~inside][:, 0].mean() < 20
    assert picture[0, 0, 2] > 150


def test_a_turned_head_turns_what_hangs_on_it(scene):
    square(scene, 0.0)
    moved = np.eye(4, dtype=np.float32)
    moved[0, 3] = 0.5
    still = scene.gl.mask(STILL, scene.camera) > 0
    turned = scene.gl.mask([STILL[0]] * 3 + [moved] + [STILL[0]], scene.camera) > 0
    assert np.nonzero(turned)[1].mean() > np.nonzero(still)[1].mean() + 5


def test_the_nearer_part_is_seen_unless_it_is_pushed_back(scene):
    square(scene, 0.0)
    near, _ = square(scene, -0.1, half=0.2, kind=MaskClass.HAIR)
    middle = scene.camera.project(np.zeros(3)).round().astype(int)

    def seen():
        return MaskClass(scene.gl.mask(STILL, scene.camera)[middle[1], middle[0]])

    assert seen() == MaskClass.HAIR
    near.push = 0.2
    assert seen() == MaskClass.CLOTH
    near.push, near.visible = 0.0, False
    assert seen() == MaskClass.CLOTH


def test_a_hidden_square_is_darker_than_an_open_one(scene):
    _, points = square(scene, 0.0, half=0.3)
    directions = np.array([[x, y, -1] for x in (-0.3, 0, 0.3) for y in (-0.3, 0, 0.3)], np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    middle = points.mean(0, keepdims=True), TOWARDS[:1]
    assert scene.gl.occlusion([middle], directions)[0] == pytest.approx(1)
    square(scene, -0.3, half=1.0)
    assert scene.gl.occlusion([middle], directions)[0] == pytest.approx(0)
    assert scene.gl.occlusion([middle], directions, ["cloth"])[0] == pytest.approx(1)


def test_shadows_fall(scene):
    square(scene, 0.0, half=0.6)
    light = studio_light()
    bright = scene.gl.render(STILL, scene.camera, light, plain_grading(), scene.backdrop)
    part, _ = square(scene, -1.2, half=0.7)
    scene.gl.place(
        part, np.array([[-1.6, 0, -1], [-0.2, 0, -1], [-0.2, -1.4, -1], [-1.6, -1.4, -1]], np.float32), TOWARDS
    )
    part.visible = False
    dark = scene.gl.render(STILL, scene.camera, light, plain_grading(), scene.backdrop)
    assert (bright.astype(int) - dark).max() > 40
    part.shadows = False
    assert (scene.gl.render(STILL, scene.camera, light, plain_grading(), scene.backdrop) == bright).all()
