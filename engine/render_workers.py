"""The renderer in processes of its own: drawing holds Python's lock too much for threads to share it.

::

    WorkerRenderer (threads)       --> Worker --> pipe: landmarks, pose, gaze, torso, care    --> serve()
    ProcessRenderer (event loop)              <-- pipe: done                                  <--
                                              <-- shared memory: one picture (786432 bytes)   <--

Each worker is a plain child process that is handed what to draw once, over its pipe. It is no ``multiprocessing``
child, which would run the caller's main module again. When its parent ends, however that happens, it finds its
pipe closed and ends too. The shared memory is a file without a name: it is gone with the last process that has it.

A worker draws into its one slot, and the caller copies the picture out before the worker is free again. A
picture may wait in a queue or an encoder for as long as it likes; a view of the slot would have to be tracked until
then, to save a copy of some 40 us.

Drawing must never delay the thread that keeps time: workers of a live session take the role of those who draw
(``engine.scheduling``), others lower their own priority. They stay in their parent's session, since Linux gives every
session a share of the machine of its own (autogroups), within which a low priority means nothing to others.
"""

import contextlib
import json
import math
import mmap
import os
import queue
import struct
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

import engine.errors
from engine.care import Care
from engine.drawing import Drawing, drawer, pack, unpack
from engine.errors import ConfigError, MienError
from engine.images import use_opencv_threads
from engine.scheduling import NICENESS, Role, take_role
from models.spec import IMAGE_SIZE, LANDMARKS, POSE_DIM

_SIDES = (IMAGE_SIZE, IMAGE_SIZE)
_SHAPES = ((LANDMARKS, 3), (POSE_DIM,), (2,), (POSE_DIM,), (1,))
"""Landmarks, pose, gaze, torso, and with how much care to draw."""
_FLOATS = sum(math.prod(shape) for shape in _SHAPES)
_HEADER = struct.Struct("<?Q")
"""Of an answer: whether it is an error, and how many bytes tell about it."""
_CHILD = "from engine.render_workers import serve; serve()"


class WorkerRenderer:
    """Draws one avatar in ``workers`` processes; as many threads may call ``render`` at once."""

    def __init__(self, drawing: Drawing, workers: int) -> None:
        """Start the processes; they get ready while the caller goes on."""
        self._workers = start_workers(drawing, workers, live=False)
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def __enter__(self) -> Self:
        """The running workers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self.close()

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
        care: Care = Care.FULL,
    ) -> NDArray[np.uint8]:
        """Draw a frame as ``NetworkRenderer.render`` does, waiting for a free worker.

        Args:
            landmarks: float32 (68, 3) fu, displaced and posed.
            pose: float32 (6,) of the head, rad and fu.
            gaze: float32 (2,) rad.
            torso: float32 (6,) of the shoulders.
            care: How much work to spend on it.

        Returns:
            uint8 (512, 512, 3) RGB, the caller's own.

        Raises:
            ConfigError: An argument has the wrong shape or is not finite.
            MienError: The worker's own error, or it ended before its time.
        """
        request = drawing_request(landmarks, pose, gaze, torso, care)
        worker = self._free.get()
        try:
            worker.open()
            worker.ask(request)
            return worker.take()
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End the workers; closing twice is legal."""
        for worker in self._workers:
            worker.end()
            worker.release()


def start_workers(drawing: Drawing, workers: int, *, live: bool, transparent: bool = False) -> "list[Worker]":
    """Start processes that draw an avatar; they get ready while the caller goes on.

    Args:
        drawing: What to draw.
        workers: How many processes.
        live: Whether somebody waits for the pictures by the clock.
        transparent: Draw the person alone, as premultiplied RGBA.
    """
    setup, started = pack(drawing), list[Worker]()
    try:
        for _ in range(workers):
            started.append(Worker(setup, live, 4 if transparent else 3))
    except BaseException:
        for worker in started:
            worker.end()
            worker.release()
        raise
    return started


def drawing_request(
    landmarks: NDArray[np.float32],
    pose: NDArray[np.float32],
    gaze: NDArray[np.float32],
    torso: NDArray[np.float32],
    care: Care,
) -> bytes:
    """What a worker is asked for one picture.

    Raises:
        ConfigError: An argument has the wrong shape.
    """
    parts = (landmarks, pose, gaze, torso, np.array([care]))
    for part, shape in zip(parts, _SHAPES, strict=True):
        if part.shape != shape:
            raise ConfigError(f"A face to draw has an array of shape {part.shape} where {shape} is needed.")
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32, copy=False).tobytes()


class Worker:
    """The parent's end of one process, which draws one picture at a time."""

    def __init__(self, setup: bytes, live: bool, channels: int) -> None:
        """Start the process, which draws pictures of so many channels."""
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        size = math.prod(_SIDES) * channels
        slot = _nameless_file(size)
        try:
            # The mapping lasts as long as the array, so closing this end cannot pull it away from a thread that reads.
            self._slot = _picture(mmap.mmap(slot, size, prot=mmap.PROT_READ))
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(slot), str(channels), *(["live"] if live else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(slot,),
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                # Ctrl-C is for the parent, which then ends its workers; but no session of its own, see above.
                process_group=0,
            )
        finally:
            os.close(slot)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._setup: bytes | None = setup

    def fileno(self) -> int:
        """Becomes readable when the picture that was asked for is there, or never will be."""
        return self._answers.fileno()

    def open(self) -> None:
        """Wait until the process can draw; nothing if it was opened before.

        Raises:
            MienError: The avatar cannot be drawn, or the process ended before its time.
        """
        if self._setup is not None:
            setup, self._setup = self._setup, None
            self._write(struct.pack("<Q", len(setup)) + setup)
            self._answer()

    def ask(self, request: bytes) -> None:
        """Ask for one picture, as from ``drawing_request``.

        Raises:
            MienError: The process ended before its time.
        """
        self._write(request)

    def take(self) -> NDArray[np.uint8]:
        """The picture that was asked for, when it is there: uint8 (512, 512, 3 or 4), the caller's own.

        Raises:
            MienError: The worker's own error, or it ended before its time.
        """
        self._answer()
        return self._slot.copy()

    def end(self) -> None:
        """End the process, from any thread. Ending twice is legal."""
        # It holds nothing that killing could harm.
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Close the pipes of a process that has ended, when nobody waits for ``fileno`` any more."""
        for end in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                end.close()

    def _write(self, data: bytes) -> None:
        try:
            self._requests.write(data)
            self._requests.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def _answer(self) -> None:
        try:
            is_error, length = _HEADER.unpack(_exactly(self._answers, _HEADER.size))
            told = json.loads(_exactly(self._answers, length)) if is_error else None
        except (EOFError, OSError, ValueError) as error:
            raise self._ended() from error
        if told is not None:
            raise getattr(engine.errors, told["kind"], RuntimeError)(told["message"])

    def _ended(self) -> MienError:
        code = self._process.poll()
        return MienError(f"A process that draws ended before its time (exit code {code}): is there enough memory?")


def serve() -> None:
    """A worker's life: take an avatar, then draw what is asked for until the pipe is closed."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not print into the pictures
    live = sys.argv[3:] == ["live"]
    if not live:
        os.nice(NICENESS)
    use_opencv_threads(1)
    slot = _picture(mmap.mmap(int(sys.argv[1]), math.prod(_SIDES) * int(sys.argv[2])))
    with contextlib.suppress(EOFError, BrokenPipeError):
        (length,) = struct.unpack("<Q", _exactly(requests, 8))
        setup = bytes(_exactly(requests, length))
        try:
            drawing = unpack(setup)
            draw, still = drawer(drawing), np.zeros(POSE_DIM, np.float32)
            draw(drawing.avatar.template, still, still[:2], still, Care.FULL, slot)
        except Exception as error:
            _send(answers, _tell(error))
            return
        if live:  # only now: opening an avatar, and its first picture, are nothing that anybody waits for
            take_role(Role.DRAWS)
        _send(answers)
        while True:
            numbers = np.frombuffer(_exactly(requests, 4 * _FLOATS), np.float32)
            ends = np.cumsum([math.prod(shape) for shape in _SHAPES])[:-1]
            parts = [part.reshape(at) for part, at in zip(np.split(numbers, ends), _SHAPES, strict=True)]
            landmarks, pose, gaze, torso, care = parts
            try:
                draw(landmarks, pose, gaze, torso, Care(int(care[0])), slot)
            except Exception as error:
                _send(answers, _tell(error))
            else:
                _send(answers)


def _tell(error: Exception) -> bytes:
    kind = type(error).__name__
    message = str(error) if isinstance(error, MienError) else f"{kind}: {error}"
    return json.dumps({"kind": kind, "message": message}).encode()


def _nameless_file(size: int) -> int:
    """Descriptor of memory that processes can share, in no folder, so that no crash can leave it behind."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("mien-picture")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.truncate(file, size)
    return file


def _picture(memory: mmap.mmap) -> NDArray[np.uint8]:
    """Of as many channels as there is memory for."""
    return np.frombuffer(memory, np.uint8).reshape(*_SIDES, -1)


def _send(pipe: IO[bytes], error: bytes | None = None) -> None:
    pipe.write(_HEADER.pack(error is not None, len(error or b"")) + (error or b""))
    pipe.flush()


def _exactly(pipe: IO[bytes], length: int) -> bytearray:
    """Read ``length`` bytes, or raise EOFError."""
    data = bytearray(length)
    view, got = memoryview(data), 0
    while got < length:
        read = pipe.readinto(view[got:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        got += read
    return data
