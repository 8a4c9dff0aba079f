"""Packets of a voice put in order, each handed on at once or given up at a fixed time. Sans-IO.

A call's packets come late, twice, in the wrong order or never. What is there and is next goes on at once; what is
missing is waited for until a fixed time after it would have come, and is then given up: told as lost, for its length,
together with the packet behind it if that has come (which may carry a copy). So whoever listens gets every stretch of
the sound once, in order, and no later than the allowance; the allowance is part of the latency that the session
declares, and the engine's own intake evens out what is earlier.

::

    sent     | 1 | 2 | 3 | 4 | 5 |
    arrives    1   2       4 3   5          3 overtook nothing: it came within the allowance
    on         1   2         34  5

    arrives    1   2       4     5
    on         1   2          x45           3 was given up (x) when the allowance had passed, with 4 as its follower

What it never does is wait longer because it waited once: a time is the packet's own, by a clock that follows the
sender's (``engine.source_clock``), so after a loss the delay is what it was. Where the network's delay itself grows,
so that all comes too late, it begins again where the sender is.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.clock import ms_to_ticks
from engine.source_clock import SourceClock

ALLOWANCE_MS: Final = 40.0
"""By how much a packet may be later than the earliest: of the network's jitter, and for packets out of order."""
_HANDOVER_MS: Final = 8.0
"""Of the allowance, what is kept for the timer, the decoder and the way to the engine."""
_WAITING: Final = 64
"""Packets that wait behind a missing one, at most."""
_LATE_RUN: Final = 10
"""So many packets one after the other that all came too late, and the network's delay has grown for good."""
_SILENT_TICKS: Final = ms_to_ticks(1000)
"""A sender that is not heard for so long has paused: nothing more is made up for it."""
_LEAP_TICKS: Final = ms_to_ticks(5000)
"""Time stamps that leap further belong to another stream."""


@dataclass(frozen=True)
class Heard:
    """A packet that is next.

    Attributes:
        payload: What came.
        ticks: How long it lasts, 48 kHz.
    """

    payload: bytes
    ticks: int


@dataclass(frozen=True)
class Lost:
    """A packet that is next and was given up.

    Attributes:
        ticks: How long it lasted, 48 kHz.
        follower: The packet after it, if that has come.
    """

    ticks: int
    follower: bytes | None


Piece = Heard | Lost


@dataclass
class VoiceStats:
    """What came over the network.

    Attributes:
        packets: That came, twice or late too.
        duplicates: Of them, those that came again.
        late: Of them, those that came after they had been given up.
        lost: Stretches that were given up.
        lost_ticks: Their length, 48 kHz.
        restarts: Times that the sender's stream began anew, or the network's delay had grown for good.
    """

    packets: int = 0
    duplicates: int = 0
    late: int = 0
    lost: int = 0
    lost_ticks: int = 0
    restarts: int = 0


class VoiceBuffer:
    """One sender's stream, in bounded memory.

    Attributes:
        stats: What happened so far.
    """

    _next: int | None
    _waiting: dict[int, tuple[bytes, int]]
    _given: deque[int]
    _clock: SourceClock
    _length: int
    _late_run: int
    _silent: int
    _paused: bool

    def __init__(self, allowance_ms: float = ALLOWANCE_MS) -> None:
        """Wait for the first packet.

        Args:
            allowance_ms: By how much a packet may be later than the earliest; the session's latency must hold it.
        """
        self.stats = VoiceStats()
        self._allowance = ms_to_ticks(max(0.0, allowance_ms - _HANDOVER_MS))
        self._stamp: int | None = None
        self._place = 0
        self._restart(0)

    def insert(self, timestamp: int, payload: bytes, ticks: int, arrival_ticks: float) -> None:
        """Take a packet in.

        Args:
            timestamp: Its RTP time stamp, 32 bits of a 48 kHz clock.
            payload: What it carries.
            ticks: How long it lasts, 48 kHz.
            arrival_ticks: When it came, on any clock of 48 kHz that does not go back.
        """
        self.stats.packets += 1
        place = self._unwrap(timestamp)
        if self._next is None:
            self._next = place
        elif self._paused or abs(place - self._next) > _LEAP_TICKS:
            self.stats.restarts += 1
            self._restart(place)
        assert self._next is not None
        if place in self._waiting or place in self._given:
            self.stats.duplicates += 1
            return
        self._clock.observe(arrival_ticks, arrival_ticks - place - ticks)
        if place < self._next:
            self.stats.late += 1
            self._late_run += 1
            if self._late_run < _LATE_RUN:
                return
            self.stats.restarts += 1
            self._restart(place)
            self._clock.observe(arrival_ticks, arrival_ticks - place - ticks)
        self._late_run = 0
        if len(self._waiting) < _WAITING:
            self._waiting[place] = (payload, ticks)
            self._length = ticks

    def take(self, now_ticks: float) -> Iterator[Piece]:
        """All that goes on now, in order.

        Args:
            now_ticks: The time, on the clock of the arrivals.
        """
        while self._next is not None and not self._paused:
            if self._next in self._waiting:
                payload, ticks = self._waiting.pop(self._next)
                self._given.append(self._next)
                self._advance(ticks)
                self._silent = 0
                yield Heard(payload, ticks)
                continue
            due = self.deadline_ticks(now_ticks)
            if due is None or now_ticks < due:
                return
            yield self._give_up()

    def deadline_ticks(self, now_ticks: float) -> float | None:
        """When the packet that is next will be given up if it has not come; None if none is waited for."""
        if self._next is None or self._paused or not self._clock.known:
            return None
        return self._next + self._missing() + self._clock.predict(now_ticks) + self._allowance

    def _give_up(self) -> Lost:
        assert self._next is not None
        missing = self._missing()
        self._advance(missing)
        self._silent += missing
        if self._silent >= _SILENT_TICKS and not self._waiting:
            self._paused = True
        self.stats.lost += 1
        self.stats.lost_ticks += missing
        follower = self._waiting.get(self._next)
        return Lost(missing, None if follower is None else follower[0])

    def _advance(self, ticks: int) -> None:
        """Go on by what was given; packets that overlap it are of no use any more."""
        assert self._next is not None
        self._next += ticks
        for place in [place for place in self._waiting if place < self._next]:
            del self._waiting[place]

    def _missing(self) -> int:
        """The length of what is missing: a packet's, or up to the next one that is there."""
        assert self._next is not None
        later = [place for place in self._waiting if place > self._next]
        return min(self._length, min(later) - self._next) if later else self._length

    def _unwrap(self, timestamp: int) -> int:
        """The time stamp without its wraps after 2^32."""
        if self._stamp is not None:
            step = (timestamp - self._stamp) & 0xFFFFFFFF
            self._place += step - (1 << 32) if step >= 1 << 31 else step
        self._stamp = timestamp
        return self._place

    def _restart(self, place: int) -> None:
        self._next = place if self._stamp is not None else None
        self._waiting = {}
        self._given = deque(maxlen=_WAITING)
        self._clock = SourceClock()
        self._length = ms_to_ticks(20)
        self._late_run, self._silent = 0, 0
        self._paused = False
