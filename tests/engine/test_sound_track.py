import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.sound_track import SoundTrack


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=12))
def test_what_goes_in_comes_out_however_it_was_cut(sizes: list[int]) -> None:
    sound = np.linspace(-0.9, 0.9, sum(sizes), dtype=np.float32)
    track = SoundTrack()
    for part in np.split(sound, np.cumsum(sizes)[:-1]):
        track.append(part)
    blocks = [track.take() for _ in range(-(-len(sound) // 960) + 1)]
    given_out = np.concatenate(blocks)
    assert all(block.dtype == np.int16 and block.shape == (960,) for block in blocks)
    np.testing.assert_array_equal(given_out[: len(sound)], np.rint(sound * 32767).astype(np.int16))
    assert not given_out[len(sound) :].any()


def test_silence_lies_where_nothing_was_put() -> None:
    track = SoundTrack()
    track.append(np.full(100, 0.5, np.float32))
    track.skip_to(1000)
    track.append(np.full(100, -0.5, np.float32))
    out = np.concatenate([track.take(), track.take()])
    assert (out[:100] > 0).all() and not out[100:1000].any() and (out[1000:1100] < 0).all() and not out[1100:].any()


def test_sound_that_comes_too_late_is_laid_after_what_was_taken() -> None:
    track = SoundTrack()
    track.take()
    track.append(np.full(10, 0.5, np.float32))
    assert track.end_ticks == 970
    assert (track.take()[:10] > 0).all()


def test_broken_off_sound_fades_without_a_step() -> None:
    for keep_time, end in ((True, 4800), (False, 960 + 240)):
        track = SoundTrack()
        track.append(np.full(4800, 0.5, np.float32))
        track.take()
        track.drop(keep_time=keep_time)
        assert track.end_ticks == end
        out = track.take().astype(int)
        assert out[0] == 16384 and np.abs(np.diff(out)).max() < 100 and not out[240:].any()


def test_loud_sound_is_clipped_and_not_wrapped() -> None:
    track = SoundTrack()
    track.append(np.array([2.0, -2.0], np.float32))
    assert track.take()[:2].tolist() == [32767, -32767]
