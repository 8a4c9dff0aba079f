"""Recordings of a live session, written beside it by a thread of their own.

A file has a fixed frame rate, and a session may skip a frame, or draw fewer of them for a while: the place of every
picture and sample follows from its media time, and what is missing is filled with the picture before, or silence.
"""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import MienError
from engine.outlet import AudioBlock, Item, VideoFrame
from models.spec import MEDIA_HZ
from streaming.serve.media.backdrop import Picture

logger = logging.getLogger(__name__)

_WAITING: Final = 600
"""Items: about eight seconds, for a disk that is busy."""

Lay = Callable[[Picture, int], Picture]


class Writer(Protocol):
    """Writes one file: see ``streaming.media_writer.MediaWriter``."""

    def write_frame(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture next."""
        ...

    def write_sound(self, samples: NDArray[np.float32]) -> None:
        """Play samples next, float32 (1, n)."""
        ...

    def finish(self) -> None:
        """Complete the file."""
        ...

    def abort(self) -> None:
        """Remove what was written."""
        ...


class Recording:
    """One file that is being written.

    Attributes:
        path: Where it will lie.
        dropped: Items that the disk was too slow for.
        error: Why it ended before its time; empty if it did not.
    """

    def __init__(self, path: Path, writer: Writer, fps: int, lay: Lay) -> None:
        """Begin.

        Args:
            path: Where it will lie.
            writer: Writes it, on a thread of its own from now on.
            fps: Frames a second of the file.
            lay: Puts a picture of a media time on its background.
        """
        self.path, self._writer, self._fps, self._lay = path, writer, fps, lay
        self._items: queue.Queue[Item | None] = queue.Queue(_WAITING)
        self._origin: int | None = None
        self._frames, self._samples = 0, 0
        self._last: Picture | None = None
        self.dropped, self.error = 0, ""
        self._thread = threading.Thread(target=self._run, name="mien-recording", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """The recording."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish it."""
        self.finish()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._frames / self._fps

    def put(self, item: Item) -> None:
        """Take what is due; never waits."""
        if self.error:
            return
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def finish(self) -> None:
        """Complete the file, and wait for that; finishing twice is legal."""
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._items.get()) is not None:
                self._write(item)
            if self._frames:
                self._writer.finish()
            else:
                self._writer.abort()
                self.error = "nothing was shown while it ran"
        except MienError as error:
            self.error = str(error)
            logger.warning("the recording ends: %s", error)
            self._writer.abort()
            # Nobody may wait for a full queue.
            while self._items.get() is not None:
                pass

    def _write(self, item: Item) -> None:
        if self._origin is None:
            if not isinstance(item, VideoFrame):
                return
            self._origin = item.ticks
        since = item.ticks - self._origin
        if isinstance(item, VideoFrame):
            self._write_frame(self._lay(item.picture, item.ticks), round(since * self._fps / MEDIA_HZ))
        elif isinstance(item, AudioBlock) and since >= self._samples - len(item.samples):
            self._write_sound(item, since)

    def _write_frame(self, picture: Picture, number: int) -> None:
        for _ in range(number - self._frames):
            self._writer.write_frame(picture if self._last is None else self._last)
            self._frames += 1
        if number >= self._frames:
            self._writer.write_frame(picture)
            self._frames += 1
        self._last = picture

    def _write_sound(self, block: AudioBlock, since: int) -> None:
        hole = since - self._samples
        samples = block.samples.astype(np.float32) / np.float32(32768)
        if hole > 0:
            samples = np.concatenate([np.zeros(hole, np.float32), samples])
        elif hole < 0:
            samples = samples[-hole:]
        self._writer.write_sound(samples[None])
        self._samples += len(samples)
