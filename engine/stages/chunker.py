"""Sound in blocks of any size to the exact windows of motion frames: the one place where cutting is done.

::

    motion frame n      0          1          2          3
    mel frames        0    1     2    3     4    5     6    7      one window of 267 samples each
    first sample      0  133   266  400   533  666   800  933      floor(i * 400 / 3)
    complete after       400        667        933       1200      samples
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.stages.log_mel import frame_start
from models.spec import MEL_WINDOW, MELS_PER_MOTION, MOTION_HZ, SAMPLE_HZ, TICKS_PER_MEL

Windows = NDArray[np.float32]
"""(motion frames, 2, 267): the windows of the two mel frames of each motion frame."""


def motion_frame_count(samples: int) -> int:
    """Motion frames that ``samples`` samples of sound last: those that begin within it, ceil(samples * 60 / 16000)."""
    return -(-samples * MOTION_HZ // SAMPLE_HZ)


@dataclass(frozen=True)
class ChunkerState:
    """Samples that a coming frame still needs.

    Attributes:
        frame: The next motion frame.
        pending: float32 (n,), every sample from that frame's first on.
    """

    frame: int
    pending: NDArray[np.float32]


class Chunker:
    """Blocks to windows. A frame leaves as soon as its last sample is there."""

    lookahead_ticks = (MELS_PER_MOTION - 1) * TICKS_PER_MEL
    """The second mel frame of a motion frame begins 1/120 s after the motion frame."""

    def __init__(self, tail_frames: int = 0) -> None:
        """Set up.

        Args:
            tail_frames: Motion frames of silence that ``flush`` adds after the sound, for stages that answer late.
        """
        self.tail_frames = tail_frames

    def init_state(self) -> ChunkerState:
        """A stream that has not begun."""
        return ChunkerState(0, np.zeros(0, np.float32))

    def step(self, x: NDArray[np.float32], state: ChunkerState) -> tuple[Windows, ChunkerState]:
        """Take a block.

        Args:
            x: float32 (samples,), any number of them.
            state: As from ``init_state`` or the last step.

        Returns:
            float32 (frames, 2, 267) of the motion frames that are now complete, and the next state.
        """
        pending = np.concatenate([state.pending, x])
        # Of the frames, the last whose second window ends within what is there.
        end = _start(state.frame) + len(pending)
        last = state.frame
        while _end(last) <= end:
            last += 1
        windows = _cut(pending, state.frame, last)
        return windows, ChunkerState(last, pending[_start(last) - _start(state.frame) :].copy())

    def flush(self, state: ChunkerState) -> Windows:
        """Windows of the frames that the sound began but did not fill, and of the tail, completed with silence.

        Returns:
            float32 (frames, 2, 267), such that ``motion_frame_count(samples) + tail_frames`` were given in all;
            none for a stream that got no sound.
        """
        begin = _start(state.frame)
        total = motion_frame_count(begin + len(state.pending))
        last = total + self.tail_frames if total else 0
        if last <= state.frame:
            return _cut(state.pending, state.frame, state.frame)
        padding = np.zeros(max(0, _end(last - 1) - begin - len(state.pending)), np.float32)
        return _cut(np.concatenate([state.pending, padding]), state.frame, last)


def _start(frame: int) -> int:
    """First sample of a motion frame."""
    return frame_start(MELS_PER_MOTION * frame)


def _end(frame: int) -> int:
    """One past the last sample that a motion frame needs."""
    return frame_start(MELS_PER_MOTION * frame + MELS_PER_MOTION - 1) + MEL_WINDOW


def _cut(samples: NDArray[np.float32], first: int, last: int) -> Windows:
    """Windows of the motion frames first..last-1; ``samples`` begin at the first one's start."""
    windows = np.empty((last - first, MELS_PER_MOTION, MEL_WINDOW), np.float32)
    for number, frame in enumerate(range(first, last)):
        for part in range(MELS_PER_MOTION):
            begin = frame_start(MELS_PER_MOTION * frame + part) - _start(first)
            windows[number, part] = samples[begin : begin + MEL_WINDOW]
    return windows
