import numpy as np
import pytest

from engine.stages.liveliness import Liveliness, LivelinessInput, Lively, Manner, Rhythm

STILL = np.zeros(6, np.float32)
SECONDS = 240


def live(frames: int, *, seed: int = 0, sway: float = 1.0, pose=STILL, activity=None) -> list[Lively]:
    stage = Liveliness(seed, sway)
    state, seen = stage.init_state(), []
    for frame in range(frames):
        speaking = 0.0 if activity is None else float(activity[frame])
        now, state = stage.step(LivelinessInput(pose, speaking), state)
        seen.append(now)
    assert stage.flush(state) is None
    return seen


@pytest.fixture(scope="module")
def idle() -> list[Lively]:
    return live(60 * SECONDS)


def blinks(seen: list[Lively]) -> list[tuple[int, int]]:
    """First frame and length of every closure beyond what the gaze makes of the lids."""
    shut = np.array([now.closure for now in seen]) > 0.5
    edges = np.flatnonzero(np.diff(np.r_[0, shut.astype(int), 0]))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_blinks_come_every_few_seconds_irregularly_and_some_are_double(idle):
    starts = np.array([start for start, _ in blinks(idle)])
    gaps = np.diff(starts) / 60
    assert 240 / 6.5 < len(starts) < 240 / 2
    assert gaps.std() > 0.5
    single = gaps[gaps > 1.0]
    assert single.max() < 6.6
    pairs = (gaps < 0.6).mean()
    assert 0.02 < pairs < 0.3


def test_blinks_close_fully_and_last_as_long_as_eyes_do(idle):
    closure = np.array([now.closure for now in idle])
    for start, length in blinks(idle):
        assert closure[start : start + length].max() > 0.99
        assert 5 <= length <= 15
    assert closure.max() <= 1.0


def test_lids_fall_faster_than_they_rise(idle):
    closure = np.array([now.closure for now in idle])
    start, length = blinks(idle)[0]
    moment = closure[start - 10 : start + length + 15]
    assert np.diff(moment).max() > 1.2 * -np.diff(moment).min()


def test_eyes_are_open_between_blinks(idle):
    closure = np.array([now.closure for now in idle])
    assert (closure < 0.3).mean() > 0.9
    assert closure.min() >= -0.2


def test_a_pause_invites_a_blink():
    activity = (np.arange(60 * 200) // 90) % 2
    ends = np.flatnonzero(np.diff(activity) < 0)
    starts = np.array([start for start, _ in blinks(live(len(activity), activity=activity))])
    soon = np.mean([((starts > end) & (starts < end + 20)).any() for end in ends])
    elsewhere = np.mean([((starts > end + 40) & (starts < end + 59)).any() for end in ends])
    assert soon > 0.3 and soon > 2 * elsewhere


def test_gaze_fixates_mostly_at_the_camera_with_fast_jumps(idle):
    gaze = np.array([now.gaze for now in idle])
    sway = np.array([now.pose for now in idle])
    against_camera = gaze - np.stack([sway[:, 1], -sway[:, 0]], 1)
    # "At the camera": within 2.5 degrees.
    assert 0.6 < (np.abs(against_camera).max(axis=1) < 0.045).mean() < 0.97
    moving = np.abs(np.diff(against_camera, axis=0)).max(axis=1) > 1e-5
    assert 0.01 < moving.mean() < 0.1
    edges = np.flatnonzero(np.diff(np.r_[0, moving.astype(int), 0]))
    assert (np.diff(edges)[::2] <= 3).all()
    fixations = np.diff(edges)[1::2] / 60
    assert fixations.min() > 0.25 and fixations.max() < 2.6
    assert (np.abs(gaze) <= [0.25001, 0.18001]).all()


def test_eyes_hold_the_camera_while_the_head_turns():
    turned = np.array([0.05, 0.1, 0, 0, 0, 0], np.float32)
    straight, aside = live(300, sway=0), live(300, sway=0, pose=turned)
    difference = np.array([b.gaze - a.gaze for a, b in zip(straight, aside, strict=True)])
    # Except where eyes reach as far as they turn.
    within = (np.abs([now.gaze for now in aside]) < [0.2499, 0.1799]).all(axis=1)
    assert within.mean() > 0.8
    np.testing.assert_allclose(difference[within], [[0.1, -0.05]] * within.sum(), atol=1e-6)


def test_lids_follow_the_gaze(idle):
    open_frames = [now for now in idle if now.closure < 0.3]
    pitch = np.array([now.gaze[1] for now in open_frames])
    closure = np.array([now.closure for now in open_frames])
    calm = np.abs(closure - pitch) < 1e-6
    assert calm.mean() > 0.9 and (closure[calm & (pitch > 0.02)] > 0).all()


def test_sway_is_small_smooth_and_never_stops(idle):
    pose = np.array([now.pose for now in idle])
    assert np.abs(pose[:, :3]).max() < 0.015 and np.abs(pose[:, 3:]).max() < 0.01
    assert np.abs(np.diff(pose, axis=0)).max() < 5e-4
    for second in np.array_split(pose[120:], SECONDS - 2):
        assert np.ptp(second, axis=0).max() > 1e-4
    assert not np.array([now.pose for now in live(100, sway=0)]).any()


def test_shoulders_follow_the_head_late_and_little():
    turned = np.array([0.1, 0.1, 0.1, 0.05, 0, 0], np.float32)
    torso = np.array([now.torso for now in live(200, sway=0, pose=turned)])
    assert np.abs(torso[2]).max() < 0.2 * np.abs(torso[-1]).max()
    assert (np.abs(torso[-1]) <= 0.36 * np.abs(turned) + 1e-6).all() and torso[-1, 3] > 0.01


def test_seed_decides():
    one, same, other = (np.array([now.gaze for now in live(600, seed=seed)]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def in_manner(manner: Manner, activity: np.ndarray, seed: int = 0) -> list[Lively]:
    stage = Liveliness(seed, 0.0)
    state, seen = stage.init_state(), []
    for speaking in activity:
        now, state = stage.step(LivelinessInput(STILL, float(speaking), manner), state)
        seen.append(now)
    return seen


@pytest.mark.parametrize("share", [0.3, 0.75])
def test_eyes_are_held_shut_for_the_share_of_speech_that_is_asked_for(share):
    manner = Manner(shut_share=share, shut_time=1.5)
    seen = np.array([[now.closure for now in in_manner(manner, np.ones(60 * 90), seed)] for seed in range(3)])
    assert abs((seen > 0.9).mean() - share) < 0.15
    lengths = [length for row in seen for _, length in blinks([Lively(STILL, STILL, STILL[:2], c) for c in row])]
    assert 0.8 < np.median([length for length in lengths if length > 30]) / 60 < 3.5
    assert np.abs(np.diff(seen, axis=1)).max() < 0.5, "they fall and rise within several frames"


def test_a_listener_s_eyes_are_open_whatever_the_manner():
    activity = np.r_[np.zeros(300), np.ones(600), np.zeros(300)]
    closure = np.array([now.closure for now in in_manner(Manner(shut_share=0.95, shut_time=5.0), activity)])
    assert (closure[:300] > 0.9).mean() < 0.1 and (closure[340:880] > 0.9).mean() > 0.6
    assert (closure[930:] > 0.9).mean() < 0.1


def test_lids_hang_as_far_as_asked_for():
    closure = np.array([now.closure for now in in_manner(Manner(lid_rest=0.4), np.ones(1200))])
    assert 0.3 < np.median(closure[60:]) < 0.5 and closure.max() <= 1.0


def test_a_rhythm_is_there_while_somebody_speaks():
    beat = Rhythm(2.0, (0.0,) * 6, (0.05, 0.0, 0.0, 0.0, 0.0, 0.0))
    activity = np.r_[np.zeros(120), np.ones(600), np.zeros(240)]
    nod = np.array([now.pose[0] for now in in_manner(Manner(rhythm=(beat,)), activity)])
    assert np.abs(nod[:120]).max() == 0 and np.abs(nod[-60:]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(nod[240:720]))
    assert spectrum.argmax() == 16, "16 cycles in 8 s"
    assert 0.045 < nod[240:720].max() <= 0.05


def test_without_a_manner_nothing_is_shut_or_swung():
    state = Liveliness(0).init_state()
    stage = Liveliness(0)
    for _ in range(200):
        _, state = stage.step(LivelinessInput(STILL, 1.0), state)
    assert (state.lids, state.lid_rest, state.stretches) == (0.0, 0.0, 0)


def test_eyes_that_are_held_neither_blink_nor_look_about():
    stage = Liveliness(0, eyes=False)
    state = stage.init_state()
    for _ in range(600):
        now, state = stage.step(LivelinessInput(STILL, 1.0, Manner(lid_rest=0.3)), state)
        assert now.closure == 0 and not now.gaze.any()
