"""The renderer of a live session: processes that draw, for an event loop.

No thread waits for them. Drawing holds Python's lock, so it is done elsewhere; a thread that waited for it would hold
the lock as well when it wakes, and the event loop, which keeps time, would wait for that.
"""

import asyncio
import threading

from engine.care import Care
from engine.controls import Face
from engine.drawing import Drawing
from engine.errors import MienError
from engine.lanes import Picture
from engine.render_workers import Worker, drawing_request, start_workers


class ProcessRenderer:
    """Draws one avatar in ``workers`` processes, for one event loop."""

    def __init__(self, drawing: Drawing, workers: int, *, transparent: bool = False) -> None:
        """Start the processes and wait until they can draw, about a second: not for the event loop's thread.

        Args:
            drawing: What to draw.
            workers: How many processes.
            transparent: Draw the person alone, as premultiplied RGBA.

        Raises:
            MienError: The avatar cannot be drawn, or a process ended before its time.
        """
        self.workers = workers
        self._processes = start_workers(drawing, workers, live=True, transparent=transparent)
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._drawing: set[Worker] = set()
        self._lock = threading.Lock()
        self._closed = False
        try:
            for worker in self._processes:
                worker.open()
                self._free.put_nowait(worker)
        except BaseException:
            self.close()
            raise

    async def render(self, face: Face, care: Care = Care.FULL) -> Picture:
        """Draw ``face`` in the next free process.

        Args:
            face: What to draw.
            care: How much work to spend on it.

        Raises:
            ConfigError: The face has an array of the wrong shape, or one that is not finite.
            MienError: The process's own error, or it ended before its time, or this was closed.
        """
        request = drawing_request(*face, care)
        worker, loop = await self._free.get(), asyncio.get_running_loop()
        drawn: asyncio.Future[Picture] = loop.create_future()
        with self._lock:
            if self._closed:
                raise MienError("The renderer was closed: make a new one.")
            try:
                worker.ask(request)
            except BaseException:
                self._free.put_nowait(worker)
                raise
            self._drawing.add(worker)
        loop.add_reader(worker.fileno(), self._drawn, loop, worker, drawn)
        return await drawn

    def close(self) -> None:
        """End the processes, from any thread; closing twice is legal."""
        with self._lock:
            self._closed = True
            # Those that draw are heard of once more by the event loop: their pipes end with them.
            idle = [worker for worker in self._processes if worker not in self._drawing]
        for worker in self._processes:
            worker.end()
        for worker in idle:
            worker.release()

    def _drawn(self, loop: asyncio.AbstractEventLoop, worker: Worker, drawn: "asyncio.Future[Picture]") -> None:
        """On the event loop: a picture is there, or its process has ended. Who asked may have been cancelled."""
        loop.remove_reader(worker.fileno())
        try:
            picture = worker.take()
        except Exception as error:
            if not drawn.done():
                drawn.set_exception(error)
        else:
            if not drawn.done():
                drawn.set_result(picture)
        with self._lock:
            self._drawing.discard(worker)
            if self._closed:
                worker.release()
        self._free.put_nowait(worker)
