import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.batching import drive
from engine.hearing import Hearing
from tests.engine.session_fakes import LIP, FakePipeline

LEVELS = np.repeat(np.linspace(0.1, 0.9, 60), 267).astype(np.float32)


def opening(hearing: Hearing, index: int) -> float:
    frame = hearing.motion(index)
    assert frame is not None and frame.index == index
    return float(frame.displacement[LIP, 1])


def loudness(frame: int) -> float:
    return float(LEVELS[frame * 800 // 3 : (frame + 1) * 800 // 3].max())


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=20), st.integers(0, 6))
def test_live_motion_is_that_of_its_sound(sizes: list[int], lookahead: int) -> None:
    hearing, begin, index = Hearing(FakePipeline(lookahead), assumes_silence=False), 0, 0
    for size in sizes:
        hearing.append(LEVELS[begin : begin + size])
        begin = min(begin + size, len(LEVELS))
        while (index * 800 + lookahead * 800 + 1201) <= begin * 3:
            assert opening(hearing, index) == loudness(index)
            index += 1
        assert hearing.motion(index) is None
    assert hearing.known_ticks == 3 * begin


def test_a_frame_hears_what_it_needs_and_listening_the_rest() -> None:
    pipeline = FakePipeline(2)
    hearing = Hearing(pipeline, assumes_silence=False)
    hearing.append(LEVELS)
    assert opening(hearing, 3) == loudness(3) and len(pipeline.heard) < 8
    drive(hearing.listen())
    assert len(pipeline.heard) > 50
    for index in (4, 5, 40):
        assert opening(hearing, index) == loudness(index)
    assert pipeline.heard == sorted(set(pipeline.heard))


def test_frames_left_out_are_computed_all_the_same() -> None:
    pipeline = FakePipeline(2)
    hearing = Hearing(pipeline, assumes_silence=False)
    hearing.append(LEVELS)
    for index in (0, 2, 4, 7):
        assert opening(hearing, index) == loudness(index)
    assert pipeline.heard == sorted(set(pipeline.heard))


@given(st.integers(0, 12), st.lists(st.tuples(st.integers(1, 900), st.integers(0, 3)), min_size=1, max_size=15))
def test_speech_replaces_the_silence_that_was_assumed(lookahead: int, steps: list[tuple[int, int]]) -> None:
    """However speech and frames interleave, a frame computed after its sound came shows it."""
    hearing = Hearing(FakePipeline(lookahead), assumes_silence=True)
    known, index = 0, 0
    for size, frames in steps:
        hearing.append(LEVELS[known : known + size])
        known += size
        for _ in range(frames):
            end = (index + 1) * 800 // 3
            if end <= known:
                assert opening(hearing, index) == loudness(index)
            elif index * 800 // 3 >= known:
                assert opening(hearing, index) == 0
                if index * 800 // 3 - known > 267:
                    # The session lays later speech on the clock anew: that of the past can no longer be shown.
                    hearing.skip_to(index * 800)
                    return
            else:
                hearing.motion(index)
            index += 1


def test_speech_can_be_laid_later_and_cut() -> None:
    hearing = Hearing(FakePipeline(6), assumes_silence=True)
    assert opening(hearing, 10) == 0
    hearing.skip_to(12 * 800)
    assert hearing.append(np.full(8000, 0.5, np.float32)), "the silence assumed for the lookahead is taken back"
    assert opening(hearing, 11) == 0 and opening(hearing, 12) == 0.5 and opening(hearing, 15) == 0.5
    assert hearing.cut(17 * 800)
    assert opening(hearing, 16) == 0.5 and opening(hearing, 17) == 0 and opening(hearing, 40) == 0
    assert not hearing.cut(60 * 800)


def test_memory_is_bounded() -> None:
    for assumes in (False, True):
        hearing = Hearing(FakePipeline(18), assumes_silence=assumes)
        for index in range(2000):
            hearing.append(np.zeros(-(-((index + 30) * 800 - hearing.known_ticks) // 3), np.float32))
            hearing.motion(index)
        assert len(hearing._samples) < 16_000 and len(hearing._states) <= 30 and len(hearing._motion) < 40
