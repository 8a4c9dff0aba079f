"""Expressions as a face wears them: in its landmarks, and in the pictures that are drawn of it."""

import json
from pathlib import Path

import numpy as np
import pytest

import engine.expressions
from engine.artefacts.avatar import Avatar, load_avatar
from engine.controls import Controls, Face, FaceShaper
from engine.errors import ArtefactError
from engine.expressions import EXPRESSIONS, load_expressions
from engine.renderer.warp import WarpRenderer
from engine.stages.geometry import LOWER_LIDS, UPPER_LIDS
from models.spec import INNER_LIP_PAIRS
from streaming.avatars import shipped_avatars
from tests.bundles import face_template
from tests.engine.session_fakes import motion
from training.corpus.expressions import MIXTURES, displacements
from training.corpus.face_basis import load_face_basis

TEMPLATE = face_template()
CORNERS, BROWS = [48, 54], [18, 19, 20, 23, 24, 25]
RIGHT, LEFT = slice(0, 2), slice(2, 4)


def worn(frames: int = 90, **controls: float) -> Face:
    ours = FaceShaper(TEMPLATE, Controls())
    return [ours.step(motion(n), n * 800, Controls(**controls)) for n in range(frames)][-1]


def moved(face: Face) -> np.ndarray:
    return face.landmarks - worn().landmarks


def lids(face: Face, side: slice) -> float:
    return float((face.landmarks[LOWER_LIDS[side], 1] - face.landmarks[UPPER_LIDS[side], 1]).mean())


def opening(face: Face) -> float:
    return float(np.mean([face.landmarks[low, 1] - face.landmarks[high, 1] for high, low in INNER_LIP_PAIRS]))


def test_what_ships_is_what_its_recipe_makes() -> None:
    basis = load_face_basis()
    made = np.array([displacements(name, basis) for name in EXPRESSIONS])
    np.testing.assert_allclose(load_expressions(), made, atol=1e-4)
    assert tuple(MIXTURES) == EXPRESSIONS


def test_each_expression_is_what_people_mean_by_it() -> None:
    smile, frown, surprise, wink = (worn(**{name: 1.0}) for name in EXPRESSIONS)
    assert (moved(smile)[CORNERS, 1] < -0.03).all(), "corners go up"
    assert moved(smile)[48, 0] < -0.01 and moved(smile)[54, 0] > 0.01, "and apart"
    assert (moved(frown)[CORNERS, 1] > 0.01).all() and moved(frown)[BROWS, 1].mean() > 0.02
    assert moved(surprise)[BROWS, 1].mean() < -0.05 and opening(surprise) > opening(worn()) + 0.05
    assert lids(surprise, RIGHT) > 1.05 * lids(worn(), RIGHT)
    assert lids(wink, RIGHT) < 0.05 * lids(worn(), RIGHT) and lids(wink, LEFT) > 0.8 * lids(worn(), LEFT)
    for face in (smile, frown, wink):
        assert opening(face) == pytest.approx(opening(worn()), abs=1e-3), "the lips keep what they say"


def test_half_an_expression_is_half_of_it_and_none_leaves_no_trace() -> None:
    np.testing.assert_allclose(moved(worn(smile=0.5)), moved(worn(smile=1.0)) / 2, atol=1e-5)
    ours = FaceShaper(TEMPLATE, Controls(frown=1.0))
    for n in range(120):
        face = ours.step(motion(n), n * 800, Controls())
    np.testing.assert_array_equal(face.landmarks, worn().landmarks)


def test_shut_lids_stay_shut_in_any_expression() -> None:
    for name in EXPRESSIONS:
        ours = FaceShaper(TEMPLATE, Controls(**{name: 1.0}))
        shut = motion(0).displacement.copy()
        line = 0.32 * TEMPLATE[UPPER_LIDS] + 0.68 * TEMPLATE[LOWER_LIDS]
        shut[UPPER_LIDS], shut[LOWER_LIDS] = line - TEMPLATE[UPPER_LIDS], line - TEMPLATE[LOWER_LIDS]
        face = ours.step(motion(0, displacement=shut, closure=1.0), 0, Controls(**{name: 1.0}))
        assert abs(lids(face, slice(0, 4))) < 1e-4, name


def test_a_blink_on_request_is_one_blink() -> None:
    ours = FaceShaper(TEMPLATE, Controls(blink=0.0))
    gaps = []
    for n in range(60):
        asked = Controls(blink=0.0, blinks=float(n >= 20))
        gaps.append(lids(ours.step(motion(n), n * 800, asked), slice(0, 4)))
    still = gaps[0]
    assert min(gaps) < 0.05 * still
    shut = [n for n, gap in enumerate(gaps) if gap < 0.5 * still]
    assert 20 <= shut[0] and shut[-1] < 20 + 15 and shut == list(range(shut[0], shut[-1] + 1))
    assert gaps[-1] == still


def test_a_frozen_face_stands_still_with_open_eyes_and_goes_on_without_a_jump() -> None:
    ours = FaceShaper(TEMPLATE, Controls())
    poses = np.array([[0.02 * np.sin(n / 9), 0, 0, 0, 0, 0] for n in range(120)], np.float32)
    pitches = []
    for n, pose in enumerate(poses):
        closure = 0.9 if 30 <= n < 40 else 0.0
        held = Controls(freeze=1.0) if 32 <= n < 90 else Controls()
        pitches.append(float(ours.step(motion(n, pose=pose, closure=closure), n * 800, held).pose[0]))
    assert len(set(pitches[41:90])) == 1, "it stops when the eyes are open"
    assert pitches[33] != pitches[41]
    assert np.abs(np.diff(pitches)).max() < 0.012 and pitches[-1] == poses[-1, 0]


def test_eye_contact_keeps_the_eyes_on_the_camera() -> None:
    pose = np.array([0.05, -0.12, 0, 0, 0, 0], np.float32)
    ours = FaceShaper(TEMPLATE, Controls(eye_contact=1.0))
    face = ours.step(motion(0, pose=pose, gaze=np.array([0.2, 0.1], np.float32)), 0, Controls(eye_contact=1.0))
    np.testing.assert_allclose(face.gaze, [pose[1], -pose[0]], atol=1e-6)


@pytest.fixture(scope="module")
def person() -> tuple[Avatar, WarpRenderer]:
    avatar = load_avatar(next(iter(shipped_avatars().values())))
    return avatar, WarpRenderer(avatar)


@pytest.mark.parametrize(
    ("name", "seen", "elsewhere"),
    [("smile", [48, 54, 57], [36, 39]), ("frown", [20, 23], []), ("surprise", [62, 66], []), ("wink", [37, 40], [43])],
)
def test_expressions_are_seen_in_the_picture(
    person: tuple[Avatar, WarpRenderer], name: str, seen: list[int], elsewhere: list[int]
) -> None:
    avatar, renderer = person
    ours = FaceShaper(avatar.template, Controls(**{name: 1.0}))
    still = motion(0, landmarks=avatar.template)
    face = ours.step(still, 0, Controls(**{name: 1.0}))
    plain = FaceShaper(avatar.template, Controls()).step(still, 0, Controls())
    change = np.abs(renderer.render(*face).astype(int) - renderer.render(*plain)).sum(2)

    def around(point: int) -> float:
        x, y = np.rint(avatar.source_points[point]).astype(int)
        return float(change[y - 8 : y + 9, x - 8 : x + 9].mean())

    assert all(around(point) > 12 for point in seen), [around(point) for point in seen]
    assert all(around(point) < min(map(around, seen)) for point in elsewhere)
    assert change[:40].max() <= 3, "hair and background stay"


def test_a_damaged_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "expressions.json"
    monkeypatch.setattr(engine.expressions, "_FILE", path)
    for text in (None, "{", json.dumps({name: [[0, 0, 0]] for name in EXPRESSIONS})):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ArtefactError):
            load_expressions.__wrapped__()
