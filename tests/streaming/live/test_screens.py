import threading

import numpy as np

from engine.outlet import VideoFrame
from streaming.live.live_errors import DeviceError
from streaming.live.screens import ScreenThread
from streaming.serve.media.backdrop import Backdrop

PATIENCE_S = 20
BACKDROP = Backdrop(np.zeros((512, 512, 3), np.uint8))


def frame(number: int) -> VideoFrame:
    return VideoFrame(number, 1600 * number, np.full((512, 512, 3), number, np.uint8), False)


class Wall:
    """A screen that keeps what it shows; it breaks, or waits, when told."""

    name = "wall"

    def __init__(self, count: int) -> None:
        self.numbers: list[int] = []
        self.count, self.closes = count, 0
        self.complete, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.busy = threading.Event()
        self.breaks_at: int | None = None

    def show(self, picture: np.ndarray) -> None:
        self.busy.set()
        assert self.go.wait(PATIENCE_S)
        if len(self.numbers) == self.breaks_at:
            self.complete.set()
            raise DeviceError("The wall fell down.")
        self.numbers.append(int(picture[0, 0, 0]))
        if len(self.numbers) == self.count:
            self.complete.set()

    def close(self) -> None:
        self.closes += 1


def test_pictures_are_shown_in_order_and_never_before_their_time() -> None:
    wall, clock, shown = Wall(5), [0], []
    told = threading.Event()

    def on_shown(ticks: int, at_ns: int) -> None:
        shown.append((ticks, at_ns))
        if len(shown) == 5:
            told.set()

    def now() -> int:
        clock[0] += 100_000  # every look at the clock takes a tenth of a millisecond
        return clock[0]

    screen = ScreenThread(wall, BACKDROP, lambda ticks: ticks * 1000, now, on_shown)
    for number in range(5):
        screen.put(frame(number))
    assert told.wait(PATIENCE_S)
    screen.close()
    assert wall.numbers == [0, 1, 2, 3, 4] and screen.shown == 5 and wall.closes == 1
    assert all(at_ns >= ticks * 1000 for ticks, at_ns in shown)


def test_a_slow_screen_is_shown_the_newest_and_holds_nobody_up() -> None:
    wall = Wall(9)
    wall.go.clear()
    screen = ScreenThread(wall, BACKDROP, lambda _: 0, lambda: 0)
    screen.put(frame(0))
    assert wall.busy.wait(PATIENCE_S)
    for number in range(1, 21):
        screen.put(frame(number))
    wall.go.set()
    assert wall.complete.wait(PATIENCE_S)
    screen.close()
    assert wall.numbers == [0, *range(13, 21)] and screen.dropped == 12


def test_what_is_a_second_late_is_left_out() -> None:
    wall = Wall(1)
    screen = ScreenThread(wall, BACKDROP, lambda ticks: 0 if ticks < 3000 else 10**12, lambda: 10**12)
    for number in range(3):
        screen.put(frame(number))
    assert wall.complete.wait(PATIENCE_S)
    screen.close()
    assert wall.numbers == [2]


def test_a_screen_that_breaks_ends_alone() -> None:
    wall = Wall(99)
    wall.breaks_at = 1
    screen = ScreenThread(wall, BACKDROP, lambda _: 0, lambda: 0)
    for number in range(3):
        screen.put(frame(number))
    assert wall.complete.wait(PATIENCE_S)
    screen.close()
    screen.put(frame(4))
    screen.close()
    assert screen.error == "The wall fell down." and wall.closes == 1
