import numpy as np
import pytest

from engine.errors import ConfigError
from streaming.live.microphone import Microphone

RATE = 48_000


class Heard:
    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def __call__(self, samples: np.ndarray, rate_hz: int) -> None:
        assert samples.dtype == np.float32 and samples.ndim == 1 and rate_hz == RATE
        self.parts.append(samples)

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.parts)


def block(level: float = 0.1, channels: int = 1, frames: int = 480) -> np.ndarray:
    return np.full((frames, channels), level, np.float32)


def heard_of(*blocks: np.ndarray, **options) -> np.ndarray:
    heard = Heard()
    microphone = Microphone(heard, **options)
    for each in blocks:
        microphone.on_sound(each, RATE)
    return heard.parts[-1]


def test_many_channels_become_their_mean_or_the_one_that_was_chosen() -> None:
    stereo = np.stack([np.full(480, 0.4), np.full(480, 0.2)], axis=1).astype(np.float32)
    np.testing.assert_allclose(heard_of(stereo, stereo), 0.3, atol=1e-6)
    np.testing.assert_allclose(heard_of(stereo, stereo, channel=2), 0.2, atol=1e-6)
    np.testing.assert_allclose(heard_of(stereo, stereo, channel=9), 0.2, atol=1e-6)


def test_gain_amplifies_and_never_leaves_the_range() -> None:
    np.testing.assert_allclose(heard_of(block(), block(), gain_db=6.0206), 0.2, atol=1e-4)
    assert np.abs(heard_of(block(0.9), block(-0.9), gain_db=30)).max() == 1


def test_mute_and_push_to_talk_give_silence_without_a_click() -> None:
    heard = Heard()
    microphone = Microphone(heard)
    for _ in range(3):
        microphone.on_sound(block(), RATE)
    microphone.mute(True)
    for _ in range(2):
        microphone.on_sound(block(), RATE)
    assert not heard.parts[-1].any()
    microphone.mute(False)
    microphone.use_push_to_talk(True)
    microphone.on_sound(block(), RATE)
    assert not heard.parts[-1].any() and not microphone.heard
    microphone.talk(True)
    for _ in range(2):
        microphone.on_sound(block(), RATE)
    assert heard.parts[-1].min() == np.float32(0.1)
    assert np.abs(np.diff(heard.sound)).max() < 0.001


def test_the_meter_shows_what_is_not_heard_too() -> None:
    microphone = Microphone(lambda *_: None, gain_db=6.0206)
    microphone.mute(True)
    microphone.on_sound(block(0.25), RATE)
    assert microphone.level.rms_db == pytest.approx(-6.02, abs=0.01)
    assert microphone.level.peak_db == pytest.approx(-6.02, abs=0.01)
    for _ in range(50):
        microphone.on_sound(block(0.0), RATE)
    assert microphone.level.rms_db == pytest.approx(-120, abs=7) and -17 < microphone.level.peak_db < -15
    microphone.on_sound(block(0.9), RATE)
    assert microphone.level.clipped == 1


def test_what_is_no_number_goes_no_further() -> None:
    broken = block()
    broken[5] = np.nan
    broken[9] = np.inf
    given = heard_of(block(), broken)
    assert np.isfinite(given).all() and given[5] == 0 and given[9] == 1


def test_settings_out_of_range_are_refused() -> None:
    for options in ({"gain_db": 31.0}, {"gain_db": float("nan")}, {"channel": 0}):
        with pytest.raises(ConfigError):
            Microphone(lambda *_: None, **options)
