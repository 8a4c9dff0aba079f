"""An engine of straw on a virtual clock: frames leave exactly when they are due, but for what a test spoils."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.probe import write_opening
from engine.budget import Budget
from engine.clock import VirtualClock, ms_to_ticks, ticks_to_ns
from engine.errors import CapacityError
from engine.instruments import Instruments
from engine.intake import Intake
from engine.outlet import AudioBlock, VideoFrame
from engine.session_parts import SessionStats
from engine.trace_events import Trace

BLOCK = 960


def speech(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """Noise with syllables, nowhere alike."""
    rng, samples = np.random.default_rng(seed), int(seconds * 16_000)
    envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * np.arange(samples) / 16_000)
    return (0.2 * envelope * rng.standard_normal(samples)).astype(np.float32)


@dataclass
class Faults:
    """What is wrong with a session: by frame number."""

    late_ms: dict[int, float] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    motion_late_ms: float = 0.0
    sound_late_ms: float = 0.0
    deaf: bool = False
    ends_after: int | None = None


class StrawSession:
    """The lips open with the loudness of the sound at the frame's own time; L is 40 ms and the lookahead."""

    def __init__(self, clock: VirtualClock, fps: int, lookahead: int, faults: Faults) -> None:
        self._clock, self._period, self._faults = clock, 48_000 // fps, faults
        self.budget = Budget(lookahead * 1000 / 60, 20.0, 16.0, 4.0)
        self.origin_ns = 0
        self.instruments = Instruments("straw", clock.now_ns, Trace())
        self._intake = Intake()
        self._sound, self._end = np.zeros(48_000 * 160, np.float32), 0
        self._frame, self._block, self._missed = 0, 0, 0
        self._open = False
        self.worn: list[Any] = []

    async def change_style(self, style: Any) -> None:
        await self._clock.sleep_until(self._clock.now_ns() + 30_000_000)
        self.worn.append(style)

    async def __aenter__(self) -> "StrawSession":
        self.origin_ns, self._open = self._clock.now_ns(), True
        self.instruments.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False

    def __aiter__(self) -> "StrawSession":
        return self

    async def push(self, samples: np.ndarray, rate_hz: int) -> None:
        if self._faults.deaf:
            samples = np.random.default_rng(self._end).standard_normal(len(samples)).astype(np.float32) / 9
        self._intake.push(samples, rate_hz, (self._clock.now_ns() - self.origin_ns) * 48 / 1e6)
        found = self._intake.take(0).sound
        self._sound[self._end : self._end + len(found)] = found
        self._end += len(found)

    async def __anext__(self) -> Any:
        while self._frame in self._faults.skipped:
            self._frame += 1
        if self._faults.ends_after is not None and self._frame >= self._faults.ends_after:
            raise StopAsyncIteration
        ticks, sound_ticks = self._frame * self._period, self._block * BLOCK
        if sound_ticks <= ticks:
            await self._until(sound_ticks, self._faults.sound_late_ms)
            self._block += 1
            block = self._heard(sound_ticks, BLOCK)
            return AudioBlock(sound_ticks, np.rint(block.clip(-1, 1) * 32767).astype(np.int16))
        number, self._frame = self._frame, self._frame + 1
        await self._until(ticks, self._faults.late_ms.get(number, 0.0))
        picture = np.zeros((4, 4, 3), np.uint8)
        shown = self._heard(ticks - ms_to_ticks(self._faults.motion_late_ms) - 240, 480)
        write_opening(picture, float(np.abs(shown).mean()))
        self.instruments.add("show", self._clock.now_ns() - 1_000_000 * (1 + number % 2), self._clock.now_ns(), number)
        repeated = number in self._faults.repeated
        self._missed += repeated
        return VideoFrame(number, ticks, picture, repeated)

    def stats(self) -> SessionStats:
        return SessionStats(frames=self._frame, missed=self._missed, fps=48_000 // self._period)

    async def _until(self, ticks: int, late_ms: float) -> None:
        due = self.origin_ns + ticks_to_ns(ticks + self.budget.total_ticks)
        await self._clock.sleep_until(due + round(late_ms * 1e6))

    def _heard(self, begin: int, length: int) -> np.ndarray:
        found = self._sound[max(0, begin) : max(0, begin + length)]
        return np.pad(found, (0, length - len(found)))


class StrawEngine:
    """Opens sessions until there are ``capacity``."""

    def __init__(self, capacity: int = 99, faults: Faults | None = None) -> None:
        self.clock = VirtualClock(5_000_000_000)
        self.opened: list[dict[str, Any]] = []
        self._capacity, self._faults = capacity, faults or Faults()

    def session(self, *, fps: int, lookahead: int, latency: float | str, mode: str) -> Any:
        if len(self.opened) >= self._capacity:
            return _Refusal()
        self.opened.append({"fps": fps, "lookahead": lookahead, "latency": latency, "mode": mode})
        return StrawSession(self.clock, fps, lookahead, self._faults)

    def run(self, scenario: Callable[[], Any]) -> Any:
        result = self.clock.run(scenario())
        return result


class _Refusal:
    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        raise CapacityError("3 sessions run, and another would miss frames: end one.")

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("a session that was refused is not left")
