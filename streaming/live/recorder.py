"""Begins and ends recordings, each in a file named by the time."""

import re
import time
from typing import Any, Final

import numpy as np

from engine.errors import OutputError
from engine.outlet import Item
from engine.renderer.pixels import unpremultiply
from streaming.live.live_config import OutputConfig
from streaming.live.recording import Lay, Recording, Writer
from streaming.media_out import Mp4Writer, check_output
from streaming.media_out_alpha import AlphaWriter, check_alpha_output
from streaming.serve.media.backdrop import Picture

_NAME: Final = "%Y-%m-%d %H.%M.%S"


class Recorder:
    """One recording at a time.

    ``begin`` and ``finish`` wait for the disk; ``put`` never does.
    """

    def __init__(self, output: OutputConfig, fps: int, lay: Lay) -> None:
        """Prepare.

        Args:
            output: Where, and in which format.
            fps: Frames a second.
            lay: Puts a picture on its background, for a format without transparency.
        """
        self._output, self._fps, self._lay = output, fps, lay
        self._recording: Recording | None = None
        self._last, self._error = "", ""

    @property
    def running(self) -> bool:
        """Whether a file is being written."""
        return self._recording is not None

    def begin(self) -> None:
        """Begin a file; nothing happens while one is written.

        Raises:
            OutputError: It cannot be written.
        """
        if self._recording is not None:
            return
        folder = self._output.recordings.expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error
        stamp = re.sub(r"[^\w. -]", "", time.strftime(_NAME))
        path = folder / f"{stamp}.{self._output.format}"
        writer: Writer
        if self._output.format == "mp4":
            target = check_output(path)
            writer, lay = Mp4Writer(target, fps=self._fps, channels=1), self._lay
        else:
            target = check_alpha_output(path)
            writer, lay = AlphaWriter(target, fps=self._fps), _transparent
        self._error = ""
        self._recording = Recording(target, writer, self._fps, lay)

    def finish(self) -> None:
        """Complete the file, if one is written."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.finish()
            self._last, self._error = ("", recording.error) if recording.error else (str(recording.path), "")

    def put(self, item: Item) -> None:
        """Take what is due."""
        recording = self._recording
        if recording is not None:
            recording.put(item)

    def view(self) -> dict[str, Any]:
        """For JSON."""
        now = self._recording
        return {
            "on": now is not None,
            "seconds": 0.0 if now is None else round(now.seconds, 1),
            "file": self._last if now is None else str(now.path),
            "dropped": 0 if now is None else now.dropped,
            "error": self._error if now is None else now.error,
        }

    def close(self) -> None:
        """Complete what is written."""
        self.finish()


def _transparent(picture: Picture, ticks: int) -> Picture:
    """Straight alpha; opaque where the session draws no person alone."""
    if picture.shape[2] == 3:
        return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    return unpremultiply(picture)
