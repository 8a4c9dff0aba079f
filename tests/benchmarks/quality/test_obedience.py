import json

import numpy as np
import pytest

from benchmarks.quality import obedience
from benchmarks.quality.obedience import (
    LOOKS,
    Obeyed,
    commanded_opening,
    eye_aspects,
    looks,
    measure_obedience,
    shaped,
)
from benchmarks.renderer_cli import obedience_json, obedience_table
from engine.controls import Face
from engine.errors import InputError
from engine.images import decode_png
from engine.portrait.face_mesh import IBUG_INDEX
from engine.rotation import rotation_matrix
from tests.engine.renderer.conftest import draw_person

STILL = np.zeros(6, np.float32)
LOWER = [65, 66, 67]


@pytest.fixture(scope="module")
def person():
    return draw_person()


class Plotter:
    """A renderer whose picture holds the landmarks that it was asked for; it opens the lips by ``gain``."""

    def __init__(self, avatar, gain=1.0, blinks=True):
        self.avatar, self.gain, self.blinks = avatar, gain, blinks

    def render(self, landmarks, pose, gaze):
        drawn = landmarks.copy()
        drawn[LOWER, 1] += (self.gain - 1) * (landmarks[LOWER, 1] - self.avatar.template[LOWER, 1])
        if not self.blinks:
            drawn[36:48] = self.avatar.template[36:48]
        picture = np.zeros((512, 512, 3), np.uint8)
        picture[0].reshape(-1)[: 68 * 8] = self.avatar.project(drawn).astype("<f4").view(np.uint8).ravel()
        return picture


def reader():
    """Finds again what ``Plotter`` wrote."""

    def measure(picture):
        mesh = np.zeros((478, 3), np.float32)
        mesh[IBUG_INDEX, :2] = picture[0].reshape(-1)[: 68 * 8].view("<f4").reshape(68, 2)
        return mesh

    return measure


@pytest.fixture
def faces(person, monkeypatch):
    """Ninety faces that open and close their lips."""
    spoken = []
    for number in range(90):
        landmarks = person.template.copy()
        landmarks[LOWER, 1] += 0.1 * (1 - np.cos(number / 7)).astype(np.float32)
        spoken.append(Face(landmarks, STILL, STILL[:2], STILL))
    monkeypatch.setattr(obedience, "speak", lambda bundle, avatar, speech: spoken)
    return spoken


def measure(person, bundle, tmp_path=None, **how):
    make = {"plot": lambda avatar: Plotter(avatar, **how)}
    (found,) = measure_obedience([person], make, bundle, np.zeros(0, np.float32), sheets=tmp_path, make_measure=reader)
    return found


def test_what_is_drawn_as_commanded_holds(person, faces, random_bundle, tmp_path):
    found = measure(person, random_bundle, tmp_path)
    assert found.r == pytest.approx(1, abs=1e-3) and found.gain == pytest.approx(1, abs=0.05)
    assert found.shut == pytest.approx(0, abs=0.02) and found.holds
    assert found.shut_across == pytest.approx(0, abs=0.02)
    assert (found.frames, found.lost) == (90, 0)
    assert decode_png((tmp_path / "drawn.png").read_bytes()).shape == (512, 7 * 512, 3)


def test_lips_that_open_half_and_lids_that_stay_open_are_seen(person, faces, random_bundle):
    found = measure(person, random_bundle, gain=0.5, blinks=False)
    assert found.gain == pytest.approx(0.5, abs=0.05)
    assert found.shut == pytest.approx(1, abs=0.02) == found.shut_across and not found.holds


def test_a_mouth_that_does_not_move_correlates_with_nothing(person, faces, random_bundle):
    found = measure(person, random_bundle, gain=0.0)
    assert found.r is None and not found.holds
    report = json.loads(json.dumps(obedience_json([found])))
    assert report["portraits"][0]["r"] is None and report["portraits"][0]["holds"] is False
    assert obedience_table([found]).row_count == 1


def test_speech_too_short_is_refused(person, faces, random_bundle):
    del faces[20:]
    with pytest.raises(InputError, match="less than a second"):
        measure(person, random_bundle)


def test_a_blink_closes_both_eyes_of_the_face_at_rest(person, random_bundle):
    opened, shut = (shaped(random_bundle, person, closure).landmarks for closure in (0.0, 1.0))
    np.testing.assert_allclose(opened[36:48], person.template[36:48], atol=1e-6)
    assert (eye_aspects(shut[:, :2].astype(float)) < 0.02).all()
    np.testing.assert_array_equal(shut[48:], opened[48:])


def test_a_renderer_is_looked_at_with_mouths_out_of_speech(person, random_bundle, faces):
    for number, face in enumerate(faces):
        face.landmarks[[48, 60], 0] -= 0.05 * np.float32(np.sin(number / 3))
    pose = np.array([0.1, 0, 0.2, 0.01, 0, 0], np.float32)
    posed = [Face(face.landmarks @ rotation_matrix(pose[:3]).T + pose[3:], pose, *face[2:]) for face in faces]
    seen = looks(random_bundle, person, posed)
    assert list(seen) == list(LOOKS)
    openings = {name: commanded_opening(face) for name, face in seen.items()}
    assert openings["rest"] < 0.02 and openings["blink"] < 0.02
    assert openings["wide"] == pytest.approx(max(map(commanded_opening, faces)), abs=1e-4)
    assert openings["half"] == pytest.approx(openings["wide"] / 2, abs=0.02) == openings["turned"]
    widths = {name: np.linalg.norm(face.landmarks[54] - face.landmarks[48]) for name, face in seen.items()}
    assert widths["rounded"] < widths["rest"] - 0.04 < widths["rest"] + 0.04 < widths["teeth"]
    np.testing.assert_allclose(seen["wide"].landmarks[:36], person.template[:36], atol=1e-5)
    assert seen["turned"].pose[1] == pytest.approx(0.22) and not seen["wide"].pose.any()


def test_the_aspect_of_an_eye_by_hand():
    points = np.zeros((68, 2))
    points[36:42] = [(0, 0), (1, -1), (3, -1), (4, 0), (3, 1), (1, 1)]
    points[42:48] = points[36:42] * [1, 0.5]
    assert eye_aspects(points) == pytest.approx([0.5, 0.25]) == eye_aspects(points, across=True)


def test_what_lies_along_an_eye_is_no_height():
    points = np.zeros((68, 2))
    points[36:42] = [(0, 0), (2, 0), (4, 0), (4, 0), (3, 0), (1, 0)]
    turn = rotation_matrix(np.array([0, 0, 0.3]))[:2, :2]
    points[42:48] = points[36:42]
    points[[43, 44], 1] -= 1
    points[36:48] = points[36:48] @ turn.T
    assert eye_aspects(points)[0] == pytest.approx(0.25)
    assert eye_aspects(points, across=True) == pytest.approx([0, 0.25])


def test_a_portrait_holds_only_with_both():
    assert Obeyed("a", "warp", 1, 0, 0.96, 1.0, 0.2, 0.1).holds
    assert not Obeyed("a", "warp", 1, 0, 0.94, 1.0, 0.2, 0.1).holds
    assert not Obeyed("a", "warp", 1, 0, 0.96, 1.0, 0.3, 0.1).holds
    assert not Obeyed("a", "warp", 1, 0, 0.96, 1.0, None, 0.1).holds
