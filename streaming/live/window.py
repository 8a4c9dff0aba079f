"""The preview window, in a process of its own: pictures go in through a pipe, keys come out.

SDL by way of pygame-ce, because its wheels bring the whole of SDL for every platform and nothing else, it draws what it
is given within a millisecond, and it knows keys going up as well as down, which push-to-talk needs. Qt would be sixty
times as large; OpenCV's headless build has no windows. In a process of its own, because on macOS windows belong to the
main thread, and a window system that hangs must not hold up a voice.
"""

import contextlib
import json
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

from engine.errors import MissingExtraError
from models.spec import IMAGE_SIZE
from streaming.live.live_errors import DeviceError
from streaming.serve.media.backdrop import Picture

CHILD: Final = "from streaming.live.window_process import main; main()"
PICTURE_BYTES: Final = IMAGE_SIZE * IMAGE_SIZE * 3
TEXT: Final = struct.Struct("<I")
"""Before every picture: how many bytes of a title come first, 0 for no new one."""

OnKey = Callable[[str, bool], None]
"""Told of a key, and whether it went down; ``close`` when the window was closed. From a thread of the window's."""


class Window:
    """A window with the avatar in it."""

    name = "window"

    def __init__(self, on_key: OnKey, title: str = "Mien") -> None:
        """Open it.

        Raises:
            DeviceError: There is no screen to open one on.
            MissingExtraError: pygame is not installed.
        """
        self._on_key = on_key
        self._title: str | None = title
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0 if sys.platform != "win32" else None,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pictures, self._keys = self._process.stdin, self._process.stdout
        told = self._keys.readline()
        if not told:
            self.close()
            raise DeviceError("The preview window could not be opened: its process ended at once.")
        answer = json.loads(told)
        if answer.get("missing"):
            self.close()
            raise MissingExtraError("A preview window needs the [live] extra: pip install 'mien[live]'.")
        if answer.get("error"):
            self.close()
            raise DeviceError(
                f"There is no screen for a preview window ({answer['error']}): leave it out with --no-window."
            )
        threading.Thread(target=self._listen, name="mien-keys", daemon=True).start()

    def show(self, picture: Picture) -> None:
        """Show uint8 (512, 512, 3) RGB now.

        Raises:
            DeviceError: The window has been closed.
        """
        title = b"" if self._title is None else self._title.encode()
        self._title = None
        try:
            self._pictures.write(TEXT.pack(len(title)) + title)
            self._pictures.write(picture.tobytes())
            self._pictures.flush()
        except (OSError, ValueError) as error:
            raise DeviceError("The preview window was closed.") from error

    def retitle(self, title: str) -> None:
        """What the window is called from its next picture on."""
        self._title = title

    def close(self) -> None:
        """Close it; closing twice is legal."""
        self._process.kill()
        for end in (self._pictures, self._keys):
            with contextlib.suppress(OSError):
                end.close()
        self._process.wait()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._keys:
                told = json.loads(line)
                self._on_key(str(told["key"]), bool(told["down"]))
