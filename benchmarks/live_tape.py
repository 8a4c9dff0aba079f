"""The recording of mouth and cable, when its samples came, and the session's own sound beside it: all kept in files.

::

    mouth  |---- said ----|                     left channel
    cable          |---- said ----|             right channel:  the voice is so much later than the mouth
    session   ticks |---- said ----|            and so far from the moment at which its ticks are due
"""

import contextlib
import subprocess
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.live_figures import Floats
from benchmarks.private_pulse import BOTH
from engine.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from engine.outlet import AudioBlock
from models.spec import MEDIA_HZ

WINDOW_S: Final = 2.0
_SEARCH_MS: Final = 60.0
_LATE_MS: Final = 100.0
"""What a recorder may hold back before it hands samples over, and more."""
_LOUD: Final = 0.01
"""RMS of a stretch of speech that is long and loud enough to be found again."""
_BYTES: Final = 4
"""Of a recorded sample of both channels."""
_NEAR_S: Final = 10.0
"""The soonest arrival so near tells when a sample was recorded; later ones waited."""
_READ: Final = 1 << 14


class Tape:
    """Both channels, in a file, with the times at which they came."""

    def __init__(self, kept: IO[bytes]) -> None:
        self._kept = kept
        # Arrays, for lists would be memory that the run is seen to need more and more of.
        self._held, self._came = array("q"), array("q")
        """Samples that had come, and when, ns."""

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record until the block ends."""
        command = ["parec", f"--device={BOTH}", "--rate=48000", "--channels=2", "--format=s16le", "--latency-msec=50"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        assert process.stdout is not None
        thread = threading.Thread(target=self._keep, args=(process.stdout,), name="bench-tape")
        thread.start()
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            thread.join()
            process.stdout.close()

    def _keep(self, pipe: IO[bytes]) -> None:
        clock, held = MonotonicClock(), 0
        while data := pipe.read(_READ):
            self._kept.write(data)
            held += len(data)
            self._held.append(held // _BYTES)
            self._came.append(clock.now_ns())

    def __len__(self) -> int:
        """Samples."""
        return self._held[-1] if self._held else 0

    def read(self, begin: int, length: int) -> NDArray[np.float64]:
        """Samples of both channels, (length, 2) or fewer at the end, in [-1, 1]."""
        self._kept.seek(begin * _BYTES)
        data = self._kept.read(length * _BYTES)
        return np.frombuffer(data[: len(data) // _BYTES * _BYTES], "<i2").reshape(-1, 2) / 32768

    def came_ns(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """When samples were recorded, but for what the recorder always holds back."""
        held, came = np.array(self._held), np.array(self._came)
        delay = came - held * NS_PER_S / MEDIA_HZ
        near = [delay[np.abs(held - sample) < _NEAR_S * MEDIA_HZ].min() for sample in samples]
        return np.asarray(samples * NS_PER_S / MEDIA_HZ + np.array(near), np.float64)


class SessionSound:
    """The sound that a session gives out, in a file, by its media time."""

    def __init__(self, kept: IO[bytes]) -> None:
        self._kept = kept
        self._first: int | None = None

    def put(self, block: AudioBlock) -> None:
        """Keep a block."""
        self._first = block.ticks if self._first is None else self._first
        if block.ticks >= self._first:
            self._kept.seek(2 * (block.ticks - self._first))
            self._kept.write(block.samples.astype("<i2").tobytes())

    def read(self, ticks: int, length: int) -> NDArray[np.float64]:
        """What it gave from a media time on: (length,) in [-1, 1], or fewer where it has begun later or ended."""
        if self._first is None or ticks < self._first:
            return np.zeros(0)
        self._kept.seek(2 * (ticks - self._first))
        data = self._kept.read(2 * length)
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768


def voice_delays(tape: Tape, expected_ms: float) -> tuple[Floats, Floats]:
    """How much later the cable is than the mouth.

    Args:
        tape: Both.
        expected_ms: About so much.

    Returns:
        When each loud stretch of speech was said, s since the recording began; and its delay, ms.
    """
    window, search = round(WINDOW_S * MEDIA_HZ), round(_SEARCH_MS * MEDIA_HZ / 1000)
    expected = round(expected_ms * MEDIA_HZ / 1000)
    first = max(0, expected - search)
    found = []
    for begin in range(0, len(tape) - window - expected - search, window):
        both = tape.read(begin, window + expected + search)
        lag = best_lag(both[:window, 0], both[first:, 1])
        if lag is not None:
            found.append((begin / MEDIA_HZ, (first + lag) * 1000 / MEDIA_HZ))
    return _columns(found)


def voice_places(tape: Tape, sound: SessionSound, due_ticks: Callable[[float], int]) -> tuple[Floats, Floats]:
    """How much later the voice is in the cable than it is due, by the recording alone.

    What the recorder always holds back is in it, so it tells how the voice wanders, and not where it is.

    Args:
        tape: Both channels.
        sound: What the session gave.
        due_ticks: Media time of what is due at a time in ns.

    Returns:
        When each loud stretch was recorded, s since the recording began; and how late it was, ms.
    """
    window, search = round(WINDOW_S * MEDIA_HZ), round(_LATE_MS * MEDIA_HZ / 1000)
    begins = np.arange(0, len(tape) - window, window)
    if not len(begins):
        return np.zeros(0), np.zeros(0)
    found = []
    for begin, came in zip(begins.tolist(), tape.came_ns(begins).tolist(), strict=True):
        due = due_ticks(came)
        cable, given = tape.read(begin, window)[:, 1], sound.read(due - search, window + 2 * search)
        lag = best_lag(cable, given) if len(given) >= len(cable) else None
        if lag is not None:
            found.append((begin / MEDIA_HZ, (search - lag) * 1000 / MEDIA_HZ))
    return _columns(found)


def best_lag(part: Floats, whole: Floats) -> int | None:
    """Samples by which ``part`` lies in ``whole``, by cross-correlation; None where it does not, or is too soft."""
    if part.std() < _LOUD or whole.std() < _LOUD:
        return None
    size = 1 << (len(part) + len(whole)).bit_length()
    spectrum = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    match = np.fft.irfft(spectrum, size)[: max(1, len(whole) - len(part) + 1)]
    lag = int(match.argmax())
    energy = np.sqrt(np.square(part).sum() * np.square(whole[lag : lag + len(part)]).sum())
    return lag if energy > 0 and match[lag] / energy > 0.5 else None


def _columns(rows: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    table = np.array(rows).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def due_at(origin_ns: int, latency_ms: float) -> Callable[[float], int]:
    """Which media time of a session is due at a time in ns, ``latency_ms`` after its sound was heard."""
    return lambda now_ns: round((now_ns - origin_ns - latency_ms * NS_PER_MS) * MEDIA_HZ / NS_PER_S)
