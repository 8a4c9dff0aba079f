"""What is read from a recording of mouth and cable, and from the times at which it came."""

import io
from typing import Any

import numpy as np
import pytest

from benchmarks.live_tape import SessionSound, Tape, best_lag, due_at, voice_delays, voice_places
from engine.outlet import AudioBlock

RATE = 48_000
ORIGIN_NS = 7_000_000_000
LATENCY_MS = 150.0


def speech(seconds: float) -> np.ndarray:
    """Noise with pauses: every moment has a sound of its own."""
    at = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.random.default_rng(1).standard_normal(len(at)) * (np.sin(2 * np.pi * at) > -0.5)


def later(sound: np.ndarray, samples: int) -> np.ndarray:
    return np.concatenate([np.zeros(samples), sound])[: len(sound)]


def taped(mouth: np.ndarray, cable: np.ndarray, jitter_ms: float = 0.0, held_ms: float = 12.0) -> Tape:
    """Recorded from media time 0 on; its samples come 25 ms at once, as late as they like beyond ``held_ms``."""
    tape, draw = Tape(io.BytesIO()), np.random.default_rng(2)
    both = np.rint(np.stack([mouth, cable], 1) * 32767).astype("<i2")
    chunks = [both[at : at + 1200].tobytes() for at in range(0, len(both), 1200)]
    tape._keep(Pipe(list(chunks)))  # type: ignore[arg-type]
    late = held_ms + jitter_ms * draw.random(len(chunks))
    for number, held in enumerate(tape._held):
        tape._came[number] = round(ORIGIN_NS + held * 1e9 / RATE + 1e6 * late[number])
    return tape


class Pipe:
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def read(self, size: int) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""


def given(sound: np.ndarray) -> SessionSound:
    """A session's sound, in blocks, the first of them at media time 960."""
    kept = SessionSound(io.BytesIO())
    whole = np.rint(sound * 32767).astype(np.int16)
    for at in range(960, len(whole) - 960, 960):
        kept.put(AudioBlock(at, whole[at : at + 960]))
    return kept


def test_the_cables_delay_is_found_to_the_sample() -> None:
    said = speech(9)
    at_s, delays = voice_delays(taped(said, later(said, 7205)), 145.0)
    np.testing.assert_allclose(delays, 7205 / 48)
    np.testing.assert_array_equal(at_s, [0, 2, 4, 6])


def test_where_nothing_is_said_or_heard_nothing_is_found() -> None:
    said = speech(7)
    for mouth, cable in ((said, np.zeros_like(said)), (np.zeros_like(said), said), (said, speech(7)[::-1])):
        assert len(voice_delays(taped(mouth, cable), 150.0)[1]) == 0
    assert len(voice_delays(taped(said[:100], said[:100]), 150.0)[1]) == 0
    assert best_lag(said[:1000] * 0.01, said) is None


@pytest.mark.parametrize("jitter_ms", [0.0, 30.0])
def test_a_voice_that_wanders_is_followed(jitter_ms: float) -> None:
    """2 ms later from the middle on; what the recorder holds back is there all the time."""
    sound = speech(24)
    cable = later(sound, round(LATENCY_MS * 48))
    cable[12 * RATE :] = later(sound, round((LATENCY_MS + 2) * 48))[12 * RATE :]
    tape = taped(np.zeros_like(sound), cable, jitter_ms)
    at_s, places = voice_places(tape, given(sound), due_at(ORIGIN_NS, LATENCY_MS))
    assert len(places) >= 10
    before, after = places[at_s < 12], places[at_s >= 12]
    assert np.ptp(before) < 1 + jitter_ms / 20 and np.median(before) == pytest.approx(12, abs=1 + jitter_ms / 20)
    assert np.median(after) - np.median(before) == pytest.approx(2, abs=0.1 + jitter_ms / 20)


def test_a_session_that_gave_nothing_has_no_places() -> None:
    said: Any = speech(5)
    tape = taped(said, said)
    assert len(voice_places(tape, SessionSound(io.BytesIO()), due_at(ORIGIN_NS, 0))[1]) == 0
