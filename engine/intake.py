"""The door of a session: sound of any source in, exact blocks on the session's media clock out.

::

    push: chunks of any size, 8-96 kHz  ->  [place on the clock] -> [resample] -> [splice] -> queue  ->  take / read
                                                  ^ SourceClock    ^ Resampler    ^ Splicer   bounded

A live source runs on a clock of its own. Its sound has a place on the session's clock: where the first sample of a
chunk was captured when the chunk came without waiting. Small errors of place (drift, at most 500 ppm) are steered
away by resampling. Sound that is not there when it is due is a gap: concealed, counted, and the clock goes on; what
then comes too late is left out.

::

    arrival            1    2    3              6  7
    place           |  1 |  2 |  3 |~~~~~~~~~~|  6 |  7 |        ~ concealed; 4 and 5 were lost

A pushed source (text-to-speech) has no clock: its samples are queued at their nominal rate and read when wanted.

Sans-IO: arrival times are handed in. Nothing waits; who must wait sees it in ``full``.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.concealment import Splicer
from engine.errors import AudioError, ConfigError
from engine.pipeline import MAX_AMPLITUDE
from engine.resampling import Resampler, Sound, join, silence
from engine.source_clock import MAX_DRIFT_PPM, SourceClock
from models.spec import MEDIA_HZ, TICKS_PER_SAMPLE

Mode = Literal["live", "pushed"]
Policy = Literal["gap", "block"]

_TICKS_PER_MS: Final = MEDIA_HZ // 1000
_STEERING_TICKS: Final = 5 * MEDIA_HZ
"""An error of place is steered away with this time constant: 1 ms is worth 200 ppm."""
_DEAD_TICKS: Final = _TICKS_PER_MS / 2
_DEAD_PPM: Final = 20.0
"""A source that keeps time this well is passed on untouched."""
_EARLY_TICKS: Final = 10 * _TICKS_PER_MS
"""No sound is early: a chunk this much before its time shows that those before it had waited."""
_JUMP_TICKS: Final = 20 * _TICKS_PER_MS
_JUMP_AT_START_TICKS: Final = 2 * _TICKS_PER_MS
"""An error of place that is not steered away but cut: at 500 ppm 20 ms take 40 s. In a source's first second the
first chunk's wait is all that is known, and is corrected at once."""


@dataclass(frozen=True)
class IntakeStats:
    """What happened at the door.

    Attributes:
        gaps: Times that sound was not there when it was due.
        gap_ms: Sound that was concealed for it.
        late_ms: Sound that came after its place had been concealed, or twice, and was left out.
        dropped_ms: Sound that was left out because the queue was full; silence keeps its place.
        drift_ppm: How much faster than its nominal rate the source runs, as estimated.
        queue_ms: Sound that waits to be taken.
    """

    gaps: int
    gap_ms: float
    late_ms: float
    dropped_ms: float
    drift_ppm: float
    queue_ms: float


class Intake:
    """One session's input, in bounded memory.

    Attributes:
        mode: ``live`` or ``pushed``.
        policy: What happens when the queue is full. ``gap``: the oldest sound gives way to silence, so that the clock
            stays true (live). ``block``: nothing more is accepted until some was read (pushed).
    """

    _clock: SourceClock
    _count: int
    _arrived: float
    _first_arrival: float
    _ppm: float
    _starved: bool

    def __init__(self, mode: Mode = "live", *, chunk_ms: float = 20.0, queue_ms: float = 2000.0) -> None:
        """Open the door.

        Args:
            mode: ``live``: a microphone or a call, with a clock. ``pushed``: sound that comes as fast as it is made.
            chunk_ms: Size of the live source's chunks that the latency budget allows for; sound in larger chunks is
                captured earlier than the budget says, by what is beyond.
            queue_ms: Bound of the queue; one chunk more may be in it.

        Raises:
            ConfigError: The mode is unknown, or a size is not positive.
        """
        if mode not in ("live", "pushed"):
            raise ConfigError(f"The input mode is live or pushed, not {mode!r}.")
        if not chunk_ms > 0 or not queue_ms > 0:
            raise ConfigError(f"The sizes of chunks and queue must be above 0 ms, not {chunk_ms} and {queue_ms}.")
        self.mode: Mode = mode
        self.policy: Policy = "gap" if mode == "live" else "block"
        self._chunk_ticks, self._queue_ticks = chunk_ms * _TICKS_PER_MS, int(queue_ms * _TICKS_PER_MS)
        self._queue: deque[Sound] = deque()
        self._queued, self._muted = 0, 0
        self._read = 0
        self._resampler: Resampler | None = None
        self._splicer = Splicer()
        self._restart_source()
        self._gaps, self._gap_ticks, self._late_ticks, self._dropped_ticks = 0, 0, 0.0, 0

    @property
    def position_ticks(self) -> int:
        """Media time of the next sound to be taken: all before it has been handed out."""
        return self._read

    @property
    def queued_ticks(self) -> int:
        """Sound that waits."""
        return self._muted + self._queued

    @property
    def full(self) -> bool:
        """Whether a pushed source must wait."""
        return self.policy == "block" and self.queued_ticks >= self._queue_ticks

    @property
    def delay_ticks(self) -> float:
        """How much later than its arrival the sound's own rate lets it be known; 0 before any sound came."""
        return self._resampler.delay_ticks if self._resampler else 0.0

    def push(self, samples: NDArray[Any], rate_hz: int, arrival_ticks: float = 0.0) -> None:
        """Hear a chunk.

        Args:
            samples: float32 in [-1, 1] or int16, (n,) mono, any number of samples.
            rate_hz: Their sample rate, 8000 to 96000; it may change from chunk to chunk.
            arrival_ticks: When the chunk came, in 48 kHz ticks since the session began; for live sources only. A time
                before the last chunk's counts as that chunk's.

        Raises:
            AudioError: The chunk is no such sound, or ``full`` is true. Nothing has changed then.
        """
        heard = as_sound(samples)
        if self._resampler is None or self._resampler.rate_hz != rate_hz:
            resampler = Resampler(rate_hz)  # refuses the rate before anything is altered
            self._end_stream()
            self._resampler = resampler
            if self.mode == "live":
                self._restart_source()
        if self.full:
            waiting = self.queued_ticks / _TICKS_PER_MS
            raise AudioError(f"{waiting:.0f} ms of sound wait already: push more when some of it was read.")
        if not len(heard):
            return
        if self.mode == "pushed":
            self._enqueue(self._splicer.go_on(self._resampler.push(heard)))
            return
        self._arrived = max(self._arrived, arrival_ticks)
        self._enqueue(self._place(heard, self._resampler, self._arrived))
        self._count += len(heard)
        self._bound()

    def take(self, until_ticks: int) -> Sound:
        """All the sound that is there, and at least what is due (live sources).

        Args:
            until_ticks: Media time up to which sound is due now; what is missing is concealed.

        Returns:
            The stretch from ``position_ticks`` on; it then ends at or, by two ticks at most, before ``until_ticks``,
            or beyond it.
        """
        missing = until_ticks - self._read - self.queued_ticks
        missing -= missing % TICKS_PER_SAMPLE
        if missing > 0:
            if self._count:
                self._gaps += not self._starved
                self._gap_ticks += missing
                self._starved = True
            self._conceal(missing)
        return self.read(self.queued_ticks)

    def read(self, ticks: int) -> Sound:
        """The next ``ticks`` of sound, or as much of it as waits.

        Args:
            ticks: Rounded down to a multiple of 3.
        """
        wanted = max(0, ticks - ticks % TICKS_PER_SAMPLE)
        parts = [silence(min(wanted, self._muted))]
        self._muted -= parts[0].ticks
        wanted -= parts[0].ticks
        while wanted and self._queue:
            part = self._queue.popleft()
            if part.ticks > wanted:
                part, rest = _split(part, wanted)
                self._queue.appendleft(rest)
            self._queued -= part.ticks
            wanted -= part.ticks
            parts.append(part)
        found = join(parts)
        self._read += found.ticks
        return found

    def pad(self, ticks: int) -> None:
        """Queue a pause that is no fault: a fade of what was heard, then silence (pushed sources between utterances).

        Unless ``finish`` was called before, the sound goes on after it where it broke off.

        Args:
            ticks: Rounded down to a multiple of 3.
        """
        self._conceal(ticks - ticks % TICKS_PER_SAMPLE)

    def finish(self) -> None:
        """End an utterance: what the resampler holds back is queued."""
        self._end_stream()

    def clear(self) -> None:
        """Forget the sound that waits (interruption). A live source's clock goes on, with silence in that place."""
        if self.mode == "live":
            self._muted += self._queued
        else:
            self._muted = 0
            if self._resampler is not None:
                self._resampler = Resampler(self._resampler.rate_hz)
        self._queue.clear()
        self._queued = 0
        self._splicer = Splicer()
        self._splicer.cut()

    def stats(self) -> IntakeStats:
        """What happened so far."""
        return IntakeStats(
            gaps=self._gaps,
            gap_ms=self._gap_ticks / _TICKS_PER_MS,
            late_ms=self._late_ticks / _TICKS_PER_MS,
            dropped_ms=self._dropped_ticks / _TICKS_PER_MS,
            drift_ppm=self._clock.drift_ppm,
            queue_ms=self.queued_ticks / _TICKS_PER_MS,
        )

    def _restart_source(self) -> None:
        """A live source of which nothing is known."""
        self._clock = SourceClock()
        self._count = 0
        self._arrived, self._first_arrival = 0.0, 0.0
        self._ppm = 0.0
        self._starved = False

    def _place(self, heard: NDArray[np.float32], resampler: Resampler, arrival: float) -> Sound:
        """Put a live chunk where it belongs on the clock, and steer."""
        per_sample = MEDIA_HZ / resampler.rate_hz
        begins = self._count * per_sample
        delay = arrival - min(len(heard) * per_sample, self._chunk_ticks) - begins
        first = not self._clock.known
        if first:
            self._first_arrival = arrival
        self._clock.observe(arrival, delay)
        waited = delay - self._clock.predict(arrival)
        early = waited < -_EARLY_TICKS
        if early or (self._starved and waited > 0):
            # After a gap, sound was lost (or has waited, which the next chunk will show by being early).
            self._clock.shift(waited)
        belongs = begins + self._clock.predict(arrival)
        error = belongs - (self._read + self.queued_ticks + resampler.held_ticks)
        young = arrival - self._first_arrival < MEDIA_HZ
        if first or early or self._starved or abs(error) > (_JUMP_AT_START_TICKS if young else _JUMP_TICKS):
            return self._jump(heard, error, first)
        self._ppm = self._steer(error)
        return self._splicer.go_on(resampler.push(heard, self._ppm))

    def _jump(self, heard: NDArray[np.float32], error: float, first: bool) -> Sound:
        """Go on with ``heard`` at another place: ``error`` ticks later, or less than 0, without its beginning."""
        assert self._resampler is not None
        rate = self._resampler.rate_hz
        # What the filter still held belongs to the sound before the jump.
        error += self._resampler.held_ticks
        self._resampler = Resampler(rate)
        if not first:
            self._splicer.cut()
        if error > 0:
            missing = int(error) - int(error) % TICKS_PER_SAMPLE
            self._conceal(missing)
            if not first:
                self._gaps += not self._starved
                self._gap_ticks += missing
        else:
            late = min(len(heard), round(-error * rate / MEDIA_HZ))
            self._late_ticks += late * MEDIA_HZ / rate
            heard = heard[late:]
        # While nothing of it could be used the source still counts as missing.
        self._starved = self._starved and not len(heard)
        return self._splicer.go_on(self._resampler.push(heard, self._ppm))

    def _steer(self, error: float) -> float:
        """How much faster than nominal to consume the source, ppm."""
        drift = self._clock.drift_ppm
        if abs(error) < _DEAD_TICKS and abs(drift) < _DEAD_PPM:
            return 0.0
        return min(MAX_DRIFT_PPM, max(-MAX_DRIFT_PPM, drift - 1e6 * error / _STEERING_TICKS))

    def _end_stream(self) -> None:
        """Queue what the resampler holds; the next sound begins anew."""
        if self._resampler is not None:
            self._enqueue(self._splicer.go_on(self._resampler.finish()))
            self._resampler = Resampler(self._resampler.rate_hz)

    def _conceal(self, ticks: int) -> None:
        if self._resampler is not None and self.mode == "live":
            # What the filter holds is of the place that is now filled.
            self._resampler = Resampler(self._resampler.rate_hz)
        self._enqueue(self._splicer.conceal(ticks))

    def _enqueue(self, part: Sound) -> None:
        if part.ticks:
            self._queue.append(part)
            self._queued += part.ticks

    def _bound(self) -> None:
        """Let the oldest sound of a live source give way; its place is kept by a number."""
        while self._queued > self._queue_ticks:
            oldest = self._queue.popleft()
            self._queued -= oldest.ticks
            self._muted += oldest.ticks
            self._dropped_ticks += oldest.ticks


def as_sound(samples: NDArray[Any]) -> NDArray[np.float32]:
    """A chunk as float32 in [-1, 1].

    Args:
        samples: float32 or int16, (n,) mono.

    Raises:
        AudioError: It is no such array, holds NaN or infinity, or its float samples are not in [-1, 1].
    """
    if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype not in (np.float32, np.int16):
        found = f"{samples.dtype} {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        raise AudioError(f"Sound must come as float32 or int16 (samples,), mixed down to one channel, not as {found}.")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    if len(samples):
        peak = float(np.abs(samples).max())
        if not np.isfinite(peak):
            raise AudioError("The sound holds samples that are not numbers (NaN or infinite): check its source.")
        if peak > MAX_AMPLITUDE:
            raise AudioError(f"The sound reaches {peak:g}, but float samples must lie in [-1, 1]: scale it down.")
    # The caller may use its buffer again.
    return samples.astype(np.float32, copy=True)


def _split(sound: Sound, ticks: int) -> tuple[Sound, Sound]:
    at = ticks // TICKS_PER_SAMPLE
    return Sound(sound.speech[:at], sound.sound[:ticks]), Sound(sound.speech[at:], sound.sound[ticks:])
