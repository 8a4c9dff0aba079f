import numpy as np
import pytest

from training import style_life
from training.reference_motion import ReferenceMotion
from training.style_life import learn_life, usual_life

SPEECH = np.r_[np.zeros(60), np.ones(500)]


@pytest.fixture(autouse=True, scope="module")
def usual_faces_are_watched_once():
    with pytest.MonkeyPatch.context() as patch:
        found = usual_life(SPEECH)
        patch.setattr(style_life, "usual_life", lambda activity: found)
        yield


def reference(closure: np.ndarray, gaze: np.ndarray | None = None) -> ReferenceMotion:
    n = len(closure)
    return ReferenceMotion.from_arrays("c", np.zeros((n, 68, 3)), np.zeros((n, 6)), closure, gaze=gaze)


def test_a_usual_face_blinks_as_people_do():
    blinks, gaze = style_life.usual_life(SPEECH)
    assert 10 < blinks < 25 and 0.01 < gaze < 0.1


def test_blinks_and_shut_eyes_are_told_apart_and_counted_in_speech_alone():
    closure = np.zeros(1200)
    closure[:300] = 1.0
    for start in (400, 700, 1000):
        closure[start : start + 8] = 1.0
    life = learn_life(reference(closure), np.arange(1200) >= 300, SPEECH)
    assert life.shut_share == 0 and life.blink_rate == pytest.approx(12 / style_life.usual_life(SPEECH)[0])
    closure[500:620] = closure[800:980] = 1.0
    life = learn_life(reference(closure), np.arange(1200) >= 300, SPEECH)
    assert life.shut_share == pytest.approx(300 / 900) and life.shut_time == pytest.approx(2.5)


def test_eyes_that_wander_more_are_learned_within_bounds():
    wandering = 0.5 * np.random.default_rng(0).standard_normal((600, 2))
    everywhere = np.ones(600, np.bool_)
    assert learn_life(reference(np.zeros(600), wandering), everywhere, SPEECH).gaze_spread == 2.0
    assert learn_life(reference(np.zeros(600)), everywhere, SPEECH).gaze_spread == 1.0
