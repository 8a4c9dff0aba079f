"""What a bot says: a recording, or PCM as another program gives it, pushed into the session as it is wanted."""

import asyncio
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError
from engine.lanes import Lane
from models.spec import MEDIA_HZ
from streaming.media_in import SoundBlock, SpeechFile
from streaming.serve.room import Room

logger = logging.getLogger(__name__)

MIN_RATE_HZ: Final = 8000
MAX_RATE_HZ: Final = 96_000
_READ_BYTES: Final = 32 << 10


class Speech(Protocol):
    """Something to say."""

    async def speak(self, room: Room) -> None:
        """Say it, and return when all of it was heard.

        Raises:
            AudioError: It is no sound; what was said before stays said.
            SessionError: The session has ended.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is legal."""
        ...


class FileSpeech:
    """A sound or video file."""

    def __init__(self, path: Path, lane: Lane) -> None:
        """Open ``path``; it is read on ``lane``.

        Raises:
            AudioError: It cannot be used.
        """
        self._file, self._lane = SpeechFile(path), lane

    async def speak(self, room: Room) -> None:
        """See ``Speech``."""
        speaker = object()
        room.take_floor(speaker)
        blocks = self._file.blocks()
        while (block := await self._lane.run(_next, blocks)) is not None:
            await room.hear(speaker, _pcm(block), MEDIA_HZ)
        for warning in self._file.warnings:
            logger.warning("%s: %s", self._file.path, warning)
        await room.session.flush()

    def close(self) -> None:
        """See ``Speech``."""
        self._file.close()


class PcmSpeech:
    """PCM16, little-endian, mono, from a pipe, a terminal or a file, until its end."""

    def __init__(self, stream: BinaryIO, rate_hz: int, lane: Lane) -> None:
        """Prepare.

        Args:
            stream: Where it comes from, such as the standard input.
            rate_hz: Its sample rate, 8000 to 96000.
            lane: Where a file is read; a pipe is waited for on the event loop.

        Raises:
            AudioError: The sample rate is out of range.
        """
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"PCM comes at {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, not {rate_hz}: give its --rate.")
        self._stream, self._rate_hz, self._lane = stream, rate_hz, lane
        self._transport: asyncio.ReadTransport | None = None

    async def speak(self, room: Room) -> None:
        """See ``Speech``."""
        speaker, rest, heard = object(), b"", 0
        room.take_floor(speaker)
        read = await self._reader()
        while part := await read():
            whole = rest + part
            rest = whole[len(whole) - len(whole) % 2 :]
            samples = np.frombuffer(whole[: len(whole) - len(rest)], "<i2").astype(np.int16)
            heard += len(samples)
            if len(samples):
                await room.hear(speaker, samples, self._rate_hz)
        if not heard:
            raise AudioError("There was no sound on the standard input: pipe PCM16 mono into it.")
        await room.session.flush()

    def close(self) -> None:
        """See ``Speech``."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _reader(self) -> Callable[[], Awaitable[bytes]]:
        """Gives the next bytes, none at the end; what is not read yet waits in the pipe."""
        if stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode):
            return lambda: self._lane.run(self._stream.read, _READ_BYTES)
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._stream
        )
        return lambda: reader.read(_READ_BYTES)


def _next(blocks: Iterator[SoundBlock]) -> SoundBlock | None:
    return next(blocks, None)


def _pcm(block: SoundBlock) -> NDArray[np.int16]:
    """What the viewer hears of a block, as one channel."""
    mono: NDArray[np.float32] = block.sound.mean(axis=0)
    return np.rint(mono * 32767).astype(np.int16)
