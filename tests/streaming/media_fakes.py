"""Small media files, motion and renderers that the streaming tests share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from models.spec import MOTION_HZ, SAMPLE_HZ


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = 16_000, codec: str = "pcm_s16le") -> Path:
    """A WAV file of float32 (channels, n) or (n,) samples."""
    samples = np.atleast_2d(samples).astype(np.float32)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, samples.shape[1], 4096):
            frame = AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, start : start + 4096]), format="fltp", layout=layout
            )
            frame.sample_rate = rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_flac(path: Path, samples: NDArray[np.floating]) -> Path:
    """A 16 kHz FLAC file of float (n,) samples, in frames of 1024."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        for start in range(0, len(samples), 1024):
            part = (samples[None, start : start + 1024] * 32767).astype(np.int16)
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(part), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tone(seconds: float, rate: int = 16_000, hz: float = 220.0) -> NDArray[np.float32]:
    """A quiet sine, float32 (n,)."""
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def click_at(seconds: float, length: float, rate: int) -> NDArray[np.float32]:
    """Silence with a 10 ms burst of 1 kHz that begins at ``seconds``."""
    samples = np.zeros(round(length * rate), np.float32)
    burst = np.sin(2 * np.pi * 1000 * np.arange(rate // 100) / rate + 0.5 * np.pi)
    start = round(seconds * rate)
    samples[start : start + len(burst)] = 0.9 * burst
    return samples


@dataclass(frozen=True)
class FakeMotion:
    """A motion frame whose landmarks carry a number."""

    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    gaze: NDArray[np.float32]
    torso: NDArray[np.float32]


class FakePipeline:
    """Motion frame n says how loud the sound is from n / 60 s on; it comes ``lookahead`` frames later."""

    def __init__(self, lookahead: int = 0) -> None:
        self.lookahead = lookahead

    def init_state(self) -> tuple[NDArray[np.float32], int]:
        return np.zeros(0, np.float32), 0

    def step(
        self, block: NDArray[np.float32], state: tuple[NDArray[np.float32], int]
    ) -> tuple[Sequence[FakeMotion], tuple[NDArray[np.float32], int]]:
        assert block.dtype == np.float32 and block.ndim == 1
        pending, done = state
        pending = np.concatenate([pending, block])
        frames = []
        while len(pending) >= self._end(done + self.lookahead) - self._start(done):
            length = self._end(done) - self._start(done)
            frames.append(_motion(float(np.abs(pending[:length]).max())))
            pending, done = pending[length:], done + 1
        return frames, (pending, done)

    def flush(self, state: tuple[NDArray[np.float32], int]) -> Sequence[FakeMotion]:
        silence = np.zeros(self._end(self.lookahead) + 1, np.float32)
        return self.step(silence, state)[0]

    @staticmethod
    def _start(frame: int) -> int:
        return frame * SAMPLE_HZ // MOTION_HZ

    @classmethod
    def _end(cls, frame: int) -> int:
        return cls._start(frame + 1)


def _motion(value: float) -> FakeMotion:
    return FakeMotion(
        np.full((68, 3), value, np.float32),
        np.full(6, value, np.float32),
        np.full(2, value, np.float32),
        np.full(6, value, np.float32),
    )


class FakeRenderer:
    """A grey picture as bright as the motion is loud."""

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        assert landmarks.shape == (68, 3) and pose.shape == (6,) and gaze.shape == (2,) and torso.shape == (6,)
        assert landmarks.dtype == pose.dtype == gaze.dtype == torso.dtype == np.float32
        return np.full((512, 512, 3), min(255, round(255 * float(landmarks[0, 0]))), np.uint8)
