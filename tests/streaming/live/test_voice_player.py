import numpy as np
import pytest

from engine.outlet import AudioBlock
from streaming.live.voice_player import VoicePlayer

HOLD = 2400
"""Ticks by which the voice is to be behind its due time."""


def voice(ticks: np.ndarray) -> np.ndarray:
    """What was said at a media time: two slow tones, so that a place can be told."""
    return 0.4 * np.sin(ticks * 2 * np.pi * 211 / 48_000) + 0.3 * np.sin(ticks * 2 * np.pi * 97 / 48_000)


def block(number: int) -> AudioBlock:
    ticks = 960 * number + np.arange(960)
    return AudioBlock(960 * number, np.rint(32768 * voice(ticks)).astype(np.int16))


class Output:
    """An output whose crystal is ``ppm`` off; it asks for 480 samples at a time. Times are media ticks."""

    def __init__(self, player: VoicePlayer, ppm: float = 0.0, jitter: float = 0.0) -> None:
        self.player, self.step, self.jitter = player, 480 * (1 - ppm * 1e-6), jitter
        self.now, self.given = 0.0, 0
        self.rng = np.random.default_rng(3)

    def run(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """What it plays, and the media time at which each sample is heard."""
        played, times = [], []
        for _ in range(round(seconds * 100)):
            while 960 * self.given <= self.now:
                self.player.put(block(self.given))
                self.given += 1
            noise = self.rng.uniform(-self.jitter, self.jitter)
            played.append(self.player.fill(480, self.now + noise - HOLD))
            times.append(self.now + self.step / 480 * np.arange(480))
            self.now += self.step
        return np.concatenate(played), np.concatenate(times)


@pytest.mark.parametrize("ppm", [150.0, -150.0])
def test_the_voice_keeps_its_place_whatever_the_crystal(ppm: float) -> None:
    output = Output(VoicePlayer(), ppm, jitter=20.0)
    output.run(12)
    played, times = output.run(8)
    # Within a millisecond nothing is steered, and 150 ppm need a fraction more to be held.
    for begin in range(0, len(played), 4800):
        part = slice(begin, begin + 4800)
        errors = [np.square(played[part] - voice(times[part] - HOLD - late)).mean() for late in range(-120, 121, 8)]
        assert abs(8 * int(np.argmin(errors)) - 120) <= 90
        assert min(errors) < 2e-2, "whole"
    assert output.player.underruns == 0 and output.player.jumps == 0


def test_a_true_crystal_passes_the_voice_on_untouched() -> None:
    output = Output(VoicePlayer())
    output.run(1)
    played, times = output.run(2)
    np.testing.assert_array_equal(
        played, np.rint(32768 * voice(np.rint(times) - HOLD)).astype(np.int16).astype(np.float32) / 32768
    )


def test_a_pause_of_the_device_is_cut_and_not_caught_up_with() -> None:
    output = Output(VoicePlayer())
    output.run(3)
    output.now += 24_000
    output.run(2)
    played, times = output.run(1)
    error = np.abs(played - voice(times - HOLD))
    assert output.player.jumps >= 1 and error.max() < 0.2


def test_what_did_not_come_is_silence_and_counted() -> None:
    output = Output(VoicePlayer())
    output.run(2)
    output.given += 5  # 100 ms were lost on the way
    played, _ = output.run(0.5)
    quiet = np.flatnonzero(np.abs(played) < 1e-6)
    assert 3000 < len(quiet) < 6500
    assert output.player.underruns == 1 and 80 <= output.player.missing_ms <= 130
    assert np.abs(np.diff(played)).max() < 0.06, "no click"


def test_before_any_voice_there_is_silence_that_is_no_fault() -> None:
    player = VoicePlayer()
    assert not player.fill(480, -1000.0).any()
    assert player.underruns == 0 and player.missing_ms == 0


def test_a_new_device_begins_where_it_should() -> None:
    output = Output(VoicePlayer())
    output.run(2)
    output.now += 100_000
    output.given = int(output.now // 960) - 5
    output.player.restart()
    played, times = output.run(1)
    assert output.player.jumps == 0
    np.testing.assert_allclose(played[1000:], voice(np.rint(times) - HOLD)[1000:], atol=1e-3)
