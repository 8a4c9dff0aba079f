"""The one thread on which the networks run: what several sessions ask of it at once is computed at once."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from engine.batching import Batcher, Work
from engine.errors import SessionError
from engine.lanes import Lane
from engine.scheduling import Role, take_role

T = TypeVar("T")


class WorkLane(Lane, Protocol):
    """A lane that also carries out works."""

    async def work(self, work: Work[T]) -> T:
        """Carry ``work`` to its end, and give back what it gives or raises."""
        ...


class MotionLane:
    """A lane of one named thread that batches.

    Whatever waits when the thread is free is begun, and carried on together; what comes meanwhile joins in. Nothing
    ever waits to fill a batch, so a session alone is as fast as on a lane of its own.
    """

    def __init__(self, name: str = "mien-motion") -> None:
        """Prepare; the thread begins with the first work."""
        self._executor = ThreadPoolExecutor(1, name, take_role, (Role.MOVES,))
        self._lock = threading.Lock()
        self._arrived: list[tuple[Work[Any], Future[Any]]] = []
        self._batcher = Batcher()
        """The thread's own."""
        self._closed = False

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call ``function`` on the thread, at once or between two batches.

        Raises:
            SessionError: The lane is closed.
        """
        return await self.work(_call(function, arguments))

    async def work(self, work: Work[T]) -> T:
        """Carry ``work`` to its end. Where the caller is cancelled first, a work not yet begun is dropped.

        Raises:
            SessionError: The lane is closed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                work.close()
                raise SessionError("The engine's motion thread has ended: make a new engine.")
            self._arrived.append((work, future))
            self._executor.submit(self._round)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the thread after what it is doing; what waits is cancelled. Closing twice is legal."""
        with self._lock:
            self._closed = True
            waiting = list(self._arrived)
            self._arrived.clear()
        for work, future in waiting:
            work.close()
            future.cancel()
        self._executor.shutdown(wait=True)

    def _round(self) -> None:
        """On the thread: all that has come, and all that comes until that is done."""
        while True:
            with self._lock:
                arrived = list(self._arrived)
                self._arrived.clear()
            for work, future in arrived:
                self._batcher.add(work, future)
            if not self._batcher.busy:
                return
            self._batcher.advance()


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> Work[T]:
    """A work that asks nothing."""
    yield from ()
    return function(*arguments)
