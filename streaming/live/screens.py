"""Pictures to whoever shows them, each on a thread of its own, at their time; none can hold up another.

::

    desk --put--> [at most 8 pictures, the oldest gives way] --at due + hold--> background --> window, camera

A picture waits for what of the delayed voice's way is left, so that both are met together.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from engine.clock import NS_PER_MS, NS_PER_S
from engine.errors import MienError
from engine.outlet import VideoFrame
from engine.scheduling import Role, take_role
from streaming.serve.media.backdrop import Backdrop, Picture

logger = logging.getLogger(__name__)

_WAITING: Final = 8
_LATE_NS: Final = 1 * NS_PER_S


class Screen(Protocol):
    """Something that shows pictures; used on one thread but for ``close``."""

    name: str

    def show(self, picture: Picture) -> None:
        """Show uint8 (512, 512, 3) RGB now.

        Raises:
            MienError: It cannot any more.
        """
        ...

    def close(self) -> None:
        """End; closing twice is legal."""
        ...


class ScreenThread:
    """Carries pictures to one screen.

    Attributes:
        name: Of the screen.
        shown: Pictures so far.
        dropped: Those that gave way.
        error: Why it ended before its time; empty if it did not.
    """

    def __init__(
        self,
        screen: Screen,
        backdrop: Backdrop,
        due_ns: Callable[[int], int],
        now_ns: Callable[[], int],
        on_shown: Callable[[int, int], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            screen: Shows.
            backdrop: What is behind the avatar.
            due_ns: When a picture of a media time is to be shown; asked when its time comes near.
            now_ns: The clock.
            on_shown: Told of the media time and the moment of every picture that was shown, on the thread.
        """
        self.name, self._screen, self._backdrop = screen.name, screen, backdrop
        self._due_ns, self._now_ns, self._on_shown = due_ns, now_ns, on_shown
        self._waiting: deque[VideoFrame] = deque(maxlen=_WAITING)
        self._news, self._closed = threading.Condition(), False
        self.shown, self.dropped, self.error = 0, 0, ""
        self._thread = threading.Thread(target=self._run, name=f"mien-{self.name}", daemon=True)
        self._thread.start()

    def put(self, frame: VideoFrame) -> None:
        """Take a picture; never waits."""
        with self._news:
            if self._closed or self.error:
                return
            self.dropped += len(self._waiting) == _WAITING
            self._waiting.append(frame)
            self._news.notify()

    def close(self) -> None:
        """End the screen, and its thread; closing twice is legal."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        take_role(Role.MOVES)
        try:
            while (frame := self._next()) is not None:
                picture = self._backdrop.lay(frame.picture, frame.ticks)
                if self._wait_until(self._due_ns(frame.ticks)):
                    self._screen.show(picture)
                    self.shown += 1
                    if self._on_shown is not None:
                        self._on_shown(frame.ticks, self._now_ns())
        except MienError as error:
            self.error = str(error)
            logger.warning("%s: %s", self.name, error)
        finally:
            self._screen.close()

    def _next(self) -> VideoFrame | None:
        with self._news:
            while not self._waiting and not self._closed:
                self._news.wait()
            return None if self._closed else self._waiting.popleft()

    def _wait_until(self, due_ns: int) -> bool:
        """False if the desk has ended, or the picture is far too late."""
        while (remaining := due_ns - self._now_ns()) > 0 and not self._closed:
            # In steps, so that an end is met soon.
            time.sleep(min(remaining, 50 * NS_PER_MS) / NS_PER_S)
        return not self._closed and remaining > -_LATE_NS
