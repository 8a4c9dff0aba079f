"""A live session spoken to in real time, and the moments at which its frames and its sound leave.

The speaker is a sound card: sample i is captured at start + i / rate, and a chunk is handed over when its last
sample was captured. What it measures against is that clock, not the times at which the chunks really came.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.probe import read_opening
from benchmarks.timing import NS_PER_TICK, SEARCH, source_offsets
from engine.clock import Clock
from engine.errors import MienError
from engine.intake import Intake
from engine.outlet import AudioBlock, VideoFrame
from models.spec import MEDIA_HZ, SAMPLE_HZ
from streaming.media_in import SpeechFile

CHUNK_MS: Final = 20
CHUNK: Final = SAMPLE_HZ * CHUNK_MS // 1000
_NS_PER_CHUNK: Final = CHUNK_MS * 1_000_000
_ITEMS_PER_S: Final = 60


class LiveSession(Protocol):
    """What a benchmark needs of ``engine.session.Session``."""

    @property
    def origin_ns(self) -> int:
        """When media time 0 was."""
        ...

    async def push(self, samples: NDArray[Any], rate_hz: int) -> None:
        """Hear a chunk."""
        ...

    def __aiter__(self) -> AsyncIterator[VideoFrame | AudioBlock]:
        """Frames and sound as they fall due."""
        ...


def load_speech(path: Path) -> NDArray[np.float32]:
    """A file's speech, float32 (n,) mono at 16 kHz, n > 0.

    Raises:
        AudioError: It cannot be used.
    """
    with SpeechFile(path) as file:
        return np.concatenate([block.speech for block in file.blocks()])


def chunks_of(speech: NDArray[np.float32], seconds: float | None = None) -> Iterator[NDArray[np.float32]]:
    """``speech`` in chunks of 20 ms, looped for as long as is asked, or without end."""
    for number in itertools.count() if seconds is None else range(round(seconds * SAMPLE_HZ / CHUNK)):
        yield np.take(speech, np.arange(number * CHUNK, (number + 1) * CHUNK), mode="wrap")


def looped(speech: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    """All of what ``chunks_of`` gives."""
    return np.concatenate([np.zeros(0, np.float32), *chunks_of(speech, seconds)])


def at_48k(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sound of 16 kHz as a session plays it, float32 at 48 kHz."""
    intake = Intake("pushed", queue_ms=1e9)
    intake.push(speech, SAMPLE_HZ)
    intake.finish()
    return intake.read(intake.queued_ticks).sound


@dataclass(frozen=True)
class Recording:
    """What left a session, in order.

    Attributes:
        origin_ns: When the session's media time 0 was, by its own account.
        start_ns: When the first sample of the speech was captured.
        frame_ns: int64 (frames,), when each left.
        frame_ticks: int64 (frames,), their media times.
        frame_index: int64 (frames,), their numbers.
        repeated: bool (frames,), whether an earlier picture was shown.
        opening: float64 (frames,), how far the lips in the picture are apart in fu; NaN where it does not say.
        sound_ns: int64 (blocks,).
        sound_ticks: int64 (blocks,).
        sound: float32 (m,), the sound from ``sound_begin`` on, at 48 kHz; empty unless it was kept.
        sound_begin: Media time of its first sample.
    """

    origin_ns: int
    start_ns: int
    frame_ns: NDArray[np.int64]
    frame_ticks: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    opening: NDArray[np.float64]
    sound_ns: NDArray[np.int64]
    sound_ticks: NDArray[np.int64]
    sound: NDArray[np.float32]
    sound_begin: int = 0

    def offsets(self, said: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where on the media clock the source's sound lies, from the sound that was kept.

        Args:
            said: float32 (n,), what was said, at 48 kHz from its first sample.

        Returns:
            As ``benchmarks.timing.source_offsets``.

        Raises:
            AudioError: What came out is not what was said.
        """
        expected = (self.start_ns - self.origin_ns) / NS_PER_TICK
        # What was said before the recording began is not in it.
        skipped = max(0, round(self.sound_begin - expected) + SEARCH) if self.sound_begin else 0
        places, offsets = source_offsets(said[skipped:], self.sound, expected + skipped - self.sound_begin)
        return places + self.sound_begin, offsets + self.sound_begin - skipped

    def missed(self, after_ns: int, until_ns: int | None = None) -> int:
        """Frames that left after ``after_ns`` and until ``until_ns`` without a picture of their own, or not at all."""
        late = self.frame_ns >= after_ns
        if until_ns is not None:
            late &= self.frame_ns <= until_ns
        skipped = np.diff(self.frame_index[late]) - 1
        return int(self.repeated[late].sum() + skipped.sum())


class Recorder:
    """Rows written into memory that was taken, and touched, before the measurement."""

    def __init__(self, seconds: float, keep_sound: bool) -> None:
        """Take the memory.

        Args:
            seconds: How long to record, at most.
            keep_sound: Whether to keep the sound that leaves.
        """
        rows = int((seconds + 10) * _ITEMS_PER_S) + 100
        self._frames = np.full((rows, 4), -1, np.int64)
        self._opening = np.full(rows, np.nan)
        self._sounds = np.full((rows, 2), -1, np.int64)
        self._frame_count, self._sound_count = 0, 0
        samples = int((seconds + 10) * MEDIA_HZ) if keep_sound else 0
        self._sound, self._end = np.zeros(samples, np.float32), 0
        self._sound += 0.0
        self._begin = 0

    def begin(self, ticks: int) -> None:
        """Keep the sound from media time ``ticks`` on, where it is not kept from 0 on; before anything is added."""
        self._begin = ticks

    def add(self, item: VideoFrame | AudioBlock, now_ns: int) -> None:
        """Note what left at ``now_ns``."""
        if isinstance(item, VideoFrame):
            if self._frame_count < len(self._frames):
                self._frames[self._frame_count] = now_ns, item.ticks, item.index, item.repeated
                self._opening[self._frame_count] = read_opening(item.picture)
                self._frame_count += 1
            return
        if self._sound_count < len(self._sounds):
            self._sounds[self._sound_count] = now_ns, item.ticks
            self._sound_count += 1
        place = item.ticks - self._begin
        if place >= 0:
            room = self._sound[place : place + len(item.samples)]
            room[:] = item.samples[: len(room)] / np.float32(32767)
            self._end = max(self._end, place + len(room))

    def recording(self, origin_ns: int, start_ns: int) -> Recording:
        """What was noted.

        Args:
            origin_ns: When the session's media time 0 was.
            start_ns: When the first sample of the speech was captured.
        """
        frames, sounds = self._frames[: self._frame_count], self._sounds[: self._sound_count]
        return Recording(
            origin_ns=origin_ns,
            start_ns=start_ns,
            frame_ns=frames[:, 0],
            frame_ticks=frames[:, 1],
            frame_index=frames[:, 2],
            repeated=frames[:, 3].astype(bool),
            opening=self._opening[: self._frame_count],
            sound_ns=sounds[:, 0],
            sound_ticks=sounds[:, 1],
            sound=self._sound[: self._end],
            sound_begin=self._begin,
        )


async def record(
    session: LiveSession,
    speech: NDArray[np.float32],
    seconds: float,
    clock: Clock,
    *,
    keep_sound: bool = True,
    each_second: Callable[[int], None] | None = None,
) -> Recording:
    """Speak to a session in real time and note what leaves it.

    Args:
        session: Entered, in live mode; it is left open.
        speech: float32 (n,) at 16 kHz, looped.
        seconds: How long to speak.
        clock: The session's own.
        keep_sound: Whether to keep the sound that leaves.
        each_second: Called with the number of seconds spoken.

    Raises:
        MienError: The session ended before its time, or what it raised.
    """
    recorder, done = Recorder(seconds, keep_sound), asyncio.Event()
    start_ns = clock.now_ns()

    async def speak() -> None:
        for number, chunk in enumerate(chunks_of(speech, seconds), 1):
            await clock.sleep_until(start_ns + number * _NS_PER_CHUNK)
            await session.push(chunk, SAMPLE_HZ)
            if each_second is not None and number * CHUNK_MS % 1000 == 0:
                each_second(number * CHUNK_MS // 1000)
        done.set()

    async def listen() -> None:
        async for item in session:
            recorder.add(item, clock.now_ns())
        if not done.is_set():
            raise MienError("The session ended while it was being spoken to; its log says why.")

    listener = asyncio.create_task(listen())
    speaker = asyncio.create_task(speak())
    try:
        await asyncio.wait({listener, speaker}, return_when=asyncio.FIRST_COMPLETED)
        for task in (listener, speaker):
            if task.done():
                task.result()
    finally:
        for task in (listener, speaker):
            task.cancel()
        await asyncio.gather(listener, speaker, return_exceptions=True)
    return recorder.recording(session.origin_ns, start_ns)
