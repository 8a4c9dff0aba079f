import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stages.chunker import Chunker, motion_frame_count
from engine.stages.log_mel import frame_start
from models.spec import MEL_WINDOW

cuts = st.lists(st.integers(0, 900), max_size=12)


def run(blocks: list[np.ndarray], tail: int = 0) -> tuple[np.ndarray, list[int]]:
    chunker = Chunker(tail)
    state, windows, counts = chunker.init_state(), [], []
    for block in blocks:
        more, state = chunker.step(block, state)
        windows.append(more)
        counts.append(len(more))
    windows.append(chunker.flush(state))
    return np.concatenate(windows), counts


def ramp(samples: int) -> np.ndarray:
    return np.arange(1, samples + 1, dtype=np.float32)


@given(cuts, st.integers(0, 18))
@settings(max_examples=80, deadline=None)
def test_windows_do_not_depend_on_the_cuts(sizes, tail):
    audio = ramp(sum(sizes))
    blocks = np.split(audio, np.cumsum(sizes)[:-1]) if sizes else []
    windows, _ = run(blocks, tail)
    whole, _ = run([audio], tail)
    np.testing.assert_array_equal(windows, whole)


@given(st.integers(0, 5000), st.integers(0, 18))
@settings(max_examples=60, deadline=None)
def test_windows_are_the_samples_of_their_time_then_silence(samples, tail):
    windows, _ = run([ramp(samples)], tail)
    frames = motion_frame_count(samples) + tail if samples else 0
    assert windows.shape == (frames, 2, MEL_WINDOW) and windows.dtype == np.float32
    padded = np.concatenate([np.zeros(400, np.float32), ramp(samples), np.zeros((frames + 3) * 300, np.float32)])
    for frame in range(frames):
        for part in (0, 1):
            start = 400 + frame_start(2 * frame - 3 + part)
            np.testing.assert_array_equal(windows[frame, part], padded[start : start + MEL_WINDOW])


def test_frame_count_is_the_documented_rule():
    for samples in (0, 1, 266, 267, 400, 15_999, 16_000, 16_001, 16_000 * 3600):
        assert motion_frame_count(samples) == math.ceil(samples * 60 / 16_000)


def test_frame_leaves_with_its_first_own_sample_which_ends_its_windows():
    _, counts = run([ramp(0), ramp(1), ramp(265), ramp(1), ramp(266), ramp(1)])
    assert counts == [0, 1, 0, 1, 0, 1]
    assert Chunker.lookahead_ticks == 3


def test_state_and_input_are_left_alone():
    chunker = Chunker()
    _, state = chunker.step(ramp(100), chunker.init_state())
    before, block = state.pending.copy(), ramp(1000)
    chunker.step(block, state)
    np.testing.assert_array_equal(state.pending, before)
    np.testing.assert_array_equal(block, ramp(1000))


def test_pending_stays_small():
    chunker = Chunker()
    state = chunker.init_state()
    for _ in range(50):
        _, state = chunker.step(np.zeros(4000, np.float32), state)
        assert len(state.pending) < 700 and state.pending.base is None
