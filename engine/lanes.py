"""Where work that takes time is done: named threads that somebody owns, never the event loop's default executor."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.care import Care
from engine.controls import Face
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

    async def render(self, face: Face, care: Care = Care.FULL) -> Picture:
        """The picture, uint8 (512, 512, 3) RGB, or premultiplied (512, 512, 4) RGBA of the person alone.

        With less ``care`` it is drawn in less time.
        """
        ...

    def close(self) -> None:
        """End what it runs; closing twice is legal."""
        ...


RendererFactory = Callable[[Avatar], FrameRenderer]


class ThreadLane:
    """A lane of named threads."""

    def __init__(self, name: str, threads: int = 1, role: Role | None = None) -> None:
        """Prepare; the threads begin with their first work.

        Args:
            name: Prefix of the threads' names.
            threads: How many.
            role: What they do in a live session; by default they are threads as all others.
        """
        begin = None if role is None else functools.partial(take_role, role)
        self._executor = ThreadPoolExecutor(threads, name, begin)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call ``function`` on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def close(self) -> None:
        """End the threads, after what they are doing."""
        self._executor.shutdown(wait=True, cancel_futures=True)
