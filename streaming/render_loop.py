"""Sound, motion, pictures and video, joined by one bounded queue.

::

    decode + motion (one thread)  ->  render (worker threads)  ->  encode (the caller's thread)
         SpeechFile, pipeline            FaceRenderer                    Mp4Writer

The queue holds the sound and the pictures-to-be in the order of the video and is bounded at half a
second of frames; when it is full the decoder waits, so memory does not grow with the file.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.spec import MEDIA_HZ
from streaming.media_in import SoundBlock, SpeechFile
from streaming.media_out import Mp4Writer
from streaming.progress import ProgressCallback
from streaming.report import StageTimes
from streaming.retiming import Motion, MotionFrame, Retimer, frame_count, nearest_count

QUEUE_MS = 500
Picture = NDArray[np.uint8]


class MotionPipeline(Protocol):
    """Sound to motion, as ``engine.pipeline`` does it."""

    def init_state(self) -> Any:
        """State of a stream that has not begun."""
        ...

    def step(self, block: NDArray[np.float32], state: Any) -> tuple[Sequence[MotionFrame], Any]:
        """Motion that ``block``, float32 (n,) at 16 kHz, makes known."""
        ...

    def flush(self, state: Any) -> Sequence[MotionFrame]:
        """Motion still owed when the sound ends."""
        ...


class FaceRenderer(Protocol):
    """Motion to picture; called from several threads at once."""

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
    ) -> Picture:
        """The picture, uint8 (512, 512, 3) RGB."""
        ...


@dataclass
class RenderOutcome:
    """What ``render_stream`` did.

    Attributes:
        frames: Frames written.
        ticks: Length of the sound on the 48 kHz media clock.
    """

    frames: int = 0
    ticks: int = 0


class _Stopped(Exception):
    """The consumer has gone; the producer ends quietly."""


_Item = NDArray[np.float32] | Future[tuple[Picture, int]] | BaseException | None


class _Producer:
    """Reads the sound, asks the pipeline for motion, orders pictures: all in video order into one queue.

    An item is sound for the viewer, a picture-to-be, an exception that ended production, or None at the end.
    """

    def __init__(
        self,
        speech: SpeechFile,
        pipeline: MotionPipeline,
        renderer: FaceRenderer,
        workers: ThreadPoolExecutor,
        fps: int,
        outcome: RenderOutcome,
        times: StageTimes,
    ) -> None:
        self._speech, self._pipeline, self._renderer = speech, pipeline, renderer
        self._workers, self._fps, self._outcome, self._times = workers, fps, outcome, times
        self._retimer = Retimer(fps)
        self._ready: list[Motion] = []
        self._ordered = 0
        self._stop = threading.Event()
        self.items: queue.Queue[_Item] = queue.Queue(max(2, fps * QUEUE_MS // 1000))
        self._thread = threading.Thread(target=self._run, name="mien-motion", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End production, whatever it waits for, and wait for its end."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self.items.get(timeout=0.05)
            except queue.Empty:
                continue

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            self._produce()
        except BaseException as error:  # handed to the consumer, which raises it
            last = error
        if not self._stop.is_set():
            self.items.put(last)

    def _put(self, item: _Item) -> None:
        if self._stop.is_set():
            raise _Stopped
        self.items.put(item)

    def _produce(self) -> None:
        state = self._pipeline.init_state()
        for block in self._timed_blocks():
            self._outcome.ticks += block.sound.shape[1]
            self._put(block.sound)
            began = self._times.clock()
            motion, state = self._pipeline.step(block.speech, state)
            self._take(motion, self._times.clock() - began)
            # A frame is ordered only when the sound heard so far makes it part of the video: the last motion
            # of a file can lie beyond the video's end.
            self._order(nearest_count(self._outcome.ticks, self._fps))
        began = self._times.clock()
        motion = self._pipeline.flush(state)
        self._take(motion, self._times.clock() - began)
        total = frame_count(self._outcome.ticks, self._fps)
        self._order(total)
        while self._ordered < total:
            self._ready.append(self._retimer.hold())
            self._order(total)

    def _timed_blocks(self) -> Iterator[SoundBlock]:
        blocks = self._speech.blocks()
        while True:
            began = self._times.clock()
            block = next(blocks, None)
            if block is None:
                return
            self._times.add("decode", self._times.clock() - began)
            yield block

    def _take(self, motion: Sequence[MotionFrame], duration_ns: int) -> None:
        for frame in motion:
            self._times.add("pipeline", duration_ns / len(motion))
            self._ready.extend(self._retimer.push(frame))

    def _order(self, end: int) -> None:
        count = min(len(self._ready), max(0, end - self._ordered))
        for motion in self._ready[:count]:
            self._put(self._workers.submit(self._draw, motion))
        del self._ready[:count]
        self._ordered += count

    def _draw(self, motion: Motion) -> tuple[Picture, int]:
        began = self._times.clock()
        picture = self._renderer.render(*motion)
        return picture, self._times.clock() - began


def render_stream(
    speech: SpeechFile,
    pipeline: MotionPipeline,
    renderer: FaceRenderer,
    writer: Mp4Writer,
    *,
    fps: int,
    workers: int = 2,
    progress: ProgressCallback | None = None,
    times: StageTimes | None = None,
) -> RenderOutcome:
    """Render all of ``speech`` into ``writer``, which is left for the caller to finish.

    Args:
        speech: Open sound file, not yet read.
        pipeline: Sound to motion.
        renderer: Motion to picture.
        writer: Open for the same ``fps`` and as many channels as ``speech`` has.
        fps: 60, 30 or 25.
        workers: Threads that render.
        progress: Called after every frame with frames done and in all (None while the length is unknown).
        times: Counts ``decode`` a block of sound, ``pipeline`` a motion frame, ``render`` and ``encode`` a
            picture.

    Raises:
        AudioError: The sound cannot be decoded.
        OutputError: The video cannot be written.
    """
    outcome, times = RenderOutcome(), times or StageTimes()
    expected = None
    if speech.declared_seconds is not None:
        expected = frame_count(round(speech.declared_seconds * MEDIA_HZ), fps)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="mien-render") as pool:
        producer = _Producer(speech, pipeline, renderer, pool, fps, outcome, times)
        try:
            producer.start()
            while (item := producer.items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, np.ndarray):
                    writer.write_sound(item)
                    continue
                picture, render_ns = item.result()
                began = times.clock()
                writer.write_frame(picture)
                times.add("encode", times.clock() - began)
                times.add("render", render_ns)
                outcome.frames += 1
                if progress is not None:
                    progress(outcome.frames, None if expected is None else max(expected, outcome.frames))
        finally:
            producer.stop()
            pool.shutdown(wait=True, cancel_futures=True)
    return outcome
