"""Prepared training data: augmented log-mel beside the teacher's motion, as long streams on disk.

A folder of shards, each a folder of three arrays that belong together frame by frame: ``mel.npy`` float16 (2n, 80),
``motion.npy`` float16 (n, 204) and ``pose.npy`` float32 (n, 6). Utterances follow each other with silences as in a
conversation, so that networks with memory learn to run for hours and to come to rest.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from models.spec import MEL_LAG, MELS_PER_MOTION, MOTION_HZ

ARRAYS = ("mel", "motion", "pose")


@dataclass(frozen=True)
class Stretch:
    """Parallel stretches of the streams of a batch.

    Attributes:
        mel: float32 (batch, 2 * frames, 80), the mel frames that go with the motion frames (``MEL_LAG``).
        motion: float32 (batch, history + frames, 204), beginning ``history`` frames before the mel does.
        pose: float32 (batch, history + frames, 6).
    """

    mel: NDArray[np.float32]
    motion: NDArray[np.float32]
    pose: NDArray[np.float32]


class PreparedData:
    """All shards of a folder as one endless stream, read by position.

    Raises:
        ConfigError: The folder holds no shard.
    """

    def __init__(self, folder: Path) -> None:
        shards = sorted(path.parent for path in folder.glob("*/pose.npy"))
        if not shards:
            raise ConfigError(f"{folder} holds no prepared data; make some with `mien train data --out {folder}`.")
        self._shards = [{name: np.load(s / f"{name}.npy", mmap_mode="r") for name in ARRAYS} for s in shards]
        lengths = [len(shard["pose"]) for shard in self._shards]
        self._ends = np.cumsum(lengths)
        self.frames = int(self._ends[-1])

    @property
    def hours(self) -> float:
        """Hours of sound in the folder."""
        return self.frames / MOTION_HZ / 3600

    def read(self, name: str, start: int, frames: int) -> NDArray[np.float32]:
        """Frames ``start`` .. ``start + frames`` of one array, wrapping round at the end.

        Args:
            name: mel, motion or pose; mel gives two rows a frame.
            start: Motion frame (60 Hz) within the whole stream; taken modulo its length.
            frames: How many motion frames.
        """
        rate = MELS_PER_MOTION if name == "mel" else 1
        parts = []
        position = start % self.frames
        while frames:
            shard = int(np.searchsorted(self._ends, position, side="right"))
            begin = position - (int(self._ends[shard - 1]) if shard else 0)
            take = min(frames, int(self._ends[shard]) - position)
            parts.append(self._shards[shard][name][begin * rate : (begin + take) * rate])
            frames -= take
            position = (position + take) % self.frames
        return np.concatenate(parts).astype(np.float32)

    def heard(self, start: int, frames: int) -> NDArray[np.float32]:
        """The mel frames that go with motion frames ``start`` .. ``start + frames``: from 2 * start - 3 on.

        Returns:
            float32 (2 * frames, 80).
        """
        earlier = -(-MEL_LAG // MELS_PER_MOTION)
        first = earlier * MELS_PER_MOTION - MEL_LAG
        return self.read("mel", start - earlier, frames + earlier)[first : first + MELS_PER_MOTION * frames]

    def stretch(self, step: int, batch: int, frames: int, history: int, shift: int = 0) -> Stretch:
        """The stretches of step ``step``: stream b goes on where it was at the step before.

        Args:
            step: Which stretch of the streams.
            batch: Parallel streams, evenly spread over the data.
            frames: Motion frames a stretch.
            history: Earlier motion frames to give as well.
            shift: Moves all streams, so that another pass cuts the data elsewhere.
        """
        starts = [stream * self.frames // batch + step * frames + shift for stream in range(batch)]
        return Stretch(
            mel=np.stack([self.heard(start, frames) for start in starts]),
            motion=np.stack([self.read("motion", start - history, frames + history) for start in starts]),
            pose=np.stack([self.read("pose", start - history, frames + history) for start in starts]),
        )
