"""The renderer in processes of its own: drawing holds Python's lock too much for threads to share it.

::

    caller's threads --> WorkerRenderer.render --> pipe: landmarks, pose, gaze, torso       --> serve()
                                               <-- pipe: one picture (786432 bytes)        <--

Each worker is a plain child process that is handed the avatar once, over its pipe. It is no ``multiprocessing``
child, which would run the caller's main module again. When its parent ends, however that happens, it finds its
pipe closed and ends too.
"""

import contextlib
import io
import json
import os
import queue
import struct
import subprocess
import sys
from dataclasses import fields
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

import engine.errors
from engine.artefacts.avatar import Avatar
from engine.errors import MienError
from engine.images import use_opencv_threads
from engine.renderer.warp import WarpRenderer
from models.spec import IMAGE_SIZE, LANDMARKS, POSE_DIM

PIPE_BYTES = 1 << 20
_SHAPES = ((LANDMARKS, 3), (POSE_DIM,), (2,), (POSE_DIM,))
"""Landmarks, pose, gaze, torso."""
_FLOATS = sum(int(np.prod(shape)) for shape in _SHAPES)
_HEADER = struct.Struct("<?Q")
"""Of an answer: whether it is an error, and how many bytes follow."""
_CHILD = "from engine.render_workers import serve; serve()"


class WorkerRenderer:
    """Draws one avatar in ``workers`` processes; as many threads may call ``render`` at once."""

    def __init__(self, avatar: Avatar, workers: int) -> None:
        """Start the processes; they get ready while the caller goes on."""
        setup = _pack(avatar)
        self._workers: list[_Worker] = []
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        try:
            for _ in range(workers):
                self._workers.append(_Worker(setup))
                self._free.put(self._workers[-1])
        except BaseException:
            self.close()
            raise

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
    ) -> NDArray[np.uint8]:
        """Draw a frame as ``WarpRenderer.render`` does, waiting for a free worker.

        Raises:
            MienError: The worker's own error, or it ended before its time.
        """
        worker = self._free.get()
        try:
            return worker.render(landmarks, pose, gaze, torso)
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End the workers; closing twice is legal."""
        for worker in self._workers:
            worker.close()


class _Worker:
    """The parent's end of one process."""

    def __init__(self, setup: bytes) -> None:
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            # Ctrl-C is for the parent, which then ends its workers.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        for end in (self._requests, self._answers):
            _enlarge(end)
        self._setup: bytes | None = setup

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        request = np.concatenate([landmarks.ravel(), pose, gaze, torso]).astype(np.float32, copy=False)
        try:
            if self._setup is not None:
                self._requests.write(struct.pack("<Q", len(self._setup)) + self._setup)
                self._requests.flush()
                self._setup = None
                self._answer()
            self._requests.write(request.tobytes())
            self._requests.flush()
            picture = self._answer()
        except (EOFError, OSError, ValueError) as error:
            raise MienError(
                f"A process that draws ended before its time (exit code {self._process.poll()}): "
                "is there enough memory?"
            ) from error
        return np.frombuffer(picture, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)

    def _answer(self) -> bytearray:
        is_error, length = _HEADER.unpack(_exactly(self._answers, _HEADER.size))
        payload = _exactly(self._answers, length)
        if is_error:
            told = json.loads(payload)
            raise getattr(engine.errors, told["kind"], RuntimeError)(told["message"])
        return payload

    def close(self) -> None:
        # It holds nothing that killing could harm.
        self._process.kill()
        for end in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                end.close()
        self._process.wait()


def serve() -> None:
    """A worker's life: take an avatar, then draw what is asked for until the pipe is closed."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not print into the pictures
    use_opencv_threads(1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        (length,) = struct.unpack("<Q", _exactly(requests, 8))
        setup = bytes(_exactly(requests, length))
        try:
            renderer = WarpRenderer(_unpack(setup))
        except Exception as error:
            _send(answers, True, _tell(error))
            return
        _send(answers, False, b"")
        while True:
            numbers = np.frombuffer(_exactly(requests, 4 * _FLOATS), np.float32)
            ends = np.cumsum([int(np.prod(shape)) for shape in _SHAPES])[:-1]
            motion = [part.reshape(shape) for part, shape in zip(np.split(numbers, ends), _SHAPES, strict=True)]
            try:
                picture = renderer.render(*motion)
            except Exception as error:
                _send(answers, True, _tell(error))
            else:
                _send(answers, False, np.ascontiguousarray(picture).data)


def _pack(avatar: Avatar) -> bytes:
    stored = io.BytesIO()
    arrays: dict[str, Any] = {item.name: _as_array(getattr(avatar, item.name)) for item in fields(avatar)}
    np.savez(stored, **arrays)
    return stored.getvalue()


def _as_array(value: Any) -> NDArray[Any]:
    return value if isinstance(value, np.ndarray) else np.array(json.dumps(value))


def _unpack(stored: bytes) -> Avatar:
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        return Avatar(**{key: json.loads(str(a)) if (a := arrays[key]).dtype.kind == "U" else a for key in arrays})


def _tell(error: Exception) -> bytes:
    kind = type(error).__name__
    message = str(error) if isinstance(error, MienError) else f"{kind}: {error}"
    return json.dumps({"kind": kind, "message": message}).encode()


def _send(pipe: IO[bytes], is_error: bool, payload: bytes | memoryview) -> None:
    pipe.write(_HEADER.pack(is_error, len(payload) if isinstance(payload, bytes) else payload.nbytes))
    pipe.write(payload)
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


def _enlarge(pipe: IO[bytes]) -> None:
    """Let a whole picture wait in the pipe, where the system allows."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
