"""Time: the one module of the engine that reads a clock. Everything else is handed one.

``MonotonicClock`` is the machine's. ``VirtualClock`` belongs to tests: its time stands still while anything can run
and jumps to the next sleeper when nothing can, so an hour of a session takes as long as its work, and every wake-up
comes at exactly the nanosecond asked for.

The media clock of a session counts 48 kHz ticks from an origin in nanoseconds; both directions are exact.
"""

import asyncio
import heapq
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from engine.precision_timer import wait_until

T = TypeVar("T")

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_NS_PER_3_TICKS = 62_500
"""1e9 / 48000 is 62500 / 3: three ticks are a whole number of nanoseconds."""


def ticks_to_ns(ticks: int) -> int:
    """The first nanosecond at which ``ticks`` of the 48 kHz media clock have passed."""
    return -(-ticks * _NS_PER_3_TICKS // 3)


def ns_to_ticks(duration_ns: int) -> int:
    """Whole ticks of the 48 kHz media clock that have passed after ``duration_ns``."""
    return duration_ns * 3 // _NS_PER_3_TICKS


def ms_to_ticks(duration_ms: float) -> int:
    """Ticks of the media clock nearest to ``duration_ms``."""
    return round(duration_ms * 48)


class Clock(Protocol):
    """Nanoseconds that never go back, and a way to wait for them."""

    def now_ns(self) -> int:
        """Nanoseconds since an origin that never changes."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return at ``deadline_ns`` or as soon after as can be; at once if it has passed."""
        ...


class MonotonicClock:
    """The machine's monotonic clock and the event loop's timers."""

    def now_ns(self) -> int:
        """The machine's monotonic clock in nanoseconds."""
        return time.monotonic_ns()

    async def sleep_until(self, deadline_ns: int) -> None:
        """Sleep on the running event loop: to about 0.1 ms on Linux; elsewhere its timers wake up to 1 ms late."""
        # A timer may also wake early, by the clock's rounding: a deadline is a promise not to be early.
        while (remaining := deadline_ns - time.monotonic_ns()) > 0:
            if not await wait_until(deadline_ns):
                await asyncio.sleep(remaining / NS_PER_S)


class VirtualClock:
    """A clock for tests: time passes only when every task waits."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return self._now_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        """Wait for virtual time to reach ``deadline_ns``; always gives other tasks a turn."""
        if deadline_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (deadline_ns, self._count, future))
        await future

    def jump(self, by_ns: int) -> None:
        """Move the time by ``by_ns``, backwards if negative, as a faulty or a stalled machine does."""
        self._now_ns += by_ns

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` on an event loop whose time is this clock's.

        Raises:
            RuntimeError: Every task waits for something that no sleeper will bring about.
        """
        selector = _VirtualSelector(self._wake_next)
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            return runner.run(main)

    def _wake_next(self) -> bool:
        """Let time pass up to the next sleeper that still waits; False if there is none."""
        while self._sleepers:
            deadline_ns, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now_ns = max(self._now_ns, deadline_ns)
                future.set_result(None)
                return True
        return False


class Alarm:
    """A sleep of one task that others may end: until a time, or until rung."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """End the sleep, or the next one if nobody sleeps."""
        self._rung = True
        self._wake()

    async def wait(self, until_ns: int) -> None:
        """Sleep until ``until_ns`` or until rung, whichever comes first; other tasks always get a turn."""
        if self._rung or self._clock.now_ns() >= until_ns:
            self._rung = False
            await asyncio.sleep(0)
            return
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        sleeper = asyncio.create_task(self._clock.sleep_until(until_ns))
        sleeper.add_done_callback(lambda _: self._wake())
        try:
            await waiter
        finally:
            self._waiter, self._rung = None, False
            if not sleeper.done():
                sleeper.cancel()
                await asyncio.gather(sleeper, return_exceptions=True)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _VirtualSelector(selectors.DefaultSelector):
    """Where an event loop would wait for the outside world, wakes the next sleeper instead."""

    _PATIENCE_S = 10.0
    """Real seconds to wait for threads when no task sleeps, before it is called a deadlock."""

    def __init__(self, wake_next: Callable[[], bool]) -> None:
        super().__init__()
        self._wake_next = wake_next

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready in the outside world; if nothing is, a sleeper is woken."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0) or self._wake_next():
            return ready
        ready = super().select(self._PATIENCE_S if timeout is None else timeout)
        if not ready and timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        return ready
