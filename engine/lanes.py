"""Where work that takes time is done: named threads that somebody owns, never the event loop's default executor."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.controls import Face
from engine.render_workers import WorkerRenderer
from engine.scheduling import Role, take_role

T = TypeVar("T")
Picture = NDArray[np.uint8]


class Lane(Protocol):
    """Runs functions away from the event loop."""

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call ``function`` and give back what it gives or raises."""
        ...

    def close(self) -> None:
        """Wait for the function that runs; closing twice is legal."""
        ...


class FrameRenderer(Protocol):
    """Draws one avatar, up to ``workers`` frames at once."""

    @property
    def workers(self) -> int:
        """Frames that are drawn at once."""
        ...

    async def render(self, face: Face, economy: bool = False) -> Picture:
        """The picture, uint8 (512, 512, 3) RGB; with ``economy`` drawn with less care, for less time."""
        ...

    def close(self) -> None:
        """End what it runs; closing twice is legal."""
        ...


RendererFactory = Callable[[Avatar], FrameRenderer]


class ThreadLane:
    """A lane of named threads."""

    def __init__(self, name: str, threads: int = 1, begin: Callable[[], object] | None = None) -> None:
        """Prepare.

        Args:
            name: Prefix of the threads' names.
            threads: How many.
            begin: What each thread does first.
        """
        self._executor = ThreadPoolExecutor(threads, name, begin)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call ``function`` on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def close(self) -> None:
        """End the threads, after what they are doing."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class ProcessRenderer:
    """Draws in processes of its own: drawing holds Python's lock, and the event loop must not wait for it."""

    def __init__(self, avatar: Avatar, workers: int) -> None:
        """Start the processes."""
        self.workers = workers
        self._processes = WorkerRenderer(avatar, workers, live=True)
        self._lane = ThreadLane("mien-render", workers, lambda: take_role(Role.DRAWS))

    async def render(self, face: Face, economy: bool = False) -> Picture:
        """Draw ``face`` in the next free process.

        Args:
            face: What to draw.
            economy: Draw with less care, for less time.

        Raises:
            MienError: The process's own error, or it ended before its time.
        """
        return await self._lane.run(self._processes.render, *face, economy)

    def close(self) -> None:
        """End the processes, then the threads, which no longer wait for them."""
        self._processes.close()
        self._lane.close()
