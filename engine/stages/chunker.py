"""Sound in blocks of any size to the exact windows of motion frames: the one place where cutting is done.

::

    motion frame n       0           1           2           3
    its own time         0         267         533         800      samples
    mel frames       -3   -2     -1    0     1    2     3    4      one window of 267 samples each
    first sample   -400 -267   -134    0   133  266   400  533      floor(i * 400 / 3)
    complete after       1         267         534         801      samples

Before the stream lies silence. A pair of windows ends with its frame's own time (``MEL_LAG``), less than a sample after
it: what a frame hears of the future is the lookahead of the stages that follow, and nothing else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.stages.log_mel import frame_start
from models.spec import MEL_LAG, MEL_WINDOW, MELS_PER_MOTION, MOTION_HZ, SAMPLE_HZ, TICKS_PER_SAMPLE

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
        samples: How many came so far.
        pending: float32 (n,), every sample from that frame's first window on.
    """

    frame: int
    samples: int
    pending: NDArray[np.float32]


class Chunker:
    """Blocks to windows. A frame leaves as soon as its last sample is there."""

    lookahead_ticks = TICKS_PER_SAMPLE
    """A motion frame leaves with its first own sample."""

    def __init__(self, tail_frames: int = 0) -> None:
        """Set up.

        Args:
            tail_frames: Motion frames of silence that ``flush`` adds after the sound, for stages that answer late.
        """
        self.tail_frames = tail_frames

    def init_state(self) -> ChunkerState:
        """A stream that has not begun."""
        return ChunkerState(0, 0, np.zeros(-_start(0), np.float32))

    def step(self, x: NDArray[np.float32], state: ChunkerState) -> tuple[Windows, ChunkerState]:
        """Take a block.

        Args:
            x: float32 (samples,), any number of them.
            state: As from ``init_state`` or the last step.

        Returns:
            float32 (frames, 2, 267) of the motion frames that are now complete, and the next state.
        """
        pending = np.concatenate([state.pending, x])
        end = _start(state.frame) + len(pending)
        last = state.frame
        while _end(last) <= end:
            last += 1
        windows = _cut(pending, state.frame, last)
        kept = pending[_start(last) - _start(state.frame) :].copy()
        return windows, ChunkerState(last, state.samples + len(x), kept)

    def flush(self, state: ChunkerState) -> Windows:
        """Windows of the frames that the sound began but did not fill, and of the tail, completed with silence.

        Returns:
            float32 (frames, 2, 267), such that ``motion_frame_count(samples) + tail_frames`` were given in all;
            none for a stream that got no sound.
        """
        begin = _start(state.frame)
        total = motion_frame_count(state.samples)
        last = total + self.tail_frames if total else 0
        if last <= state.frame:
            return _cut(state.pending, state.frame, state.frame)
        padding = np.zeros(max(0, _end(last - 1) - begin - len(state.pending)), np.float32)
        return _cut(np.concatenate([state.pending, padding]), state.frame, last)


def _start(frame: int) -> int:
    """First sample of a motion frame's first window."""
    return frame_start(MELS_PER_MOTION * frame - MEL_LAG)


def _end(frame: int) -> int:
    """One past the first sample of a motion frame's own time: by then its windows are full."""
    return frame_start(MELS_PER_MOTION * frame) + 1


def _cut(samples: NDArray[np.float32], first: int, last: int) -> Windows:
    """Windows of the motion frames first..last-1; ``samples`` begin at the first one's start."""
    windows = np.empty((last - first, MELS_PER_MOTION, MEL_WINDOW), np.float32)
    for number, frame in enumerate(range(first, last)):
        for part in range(MELS_PER_MOTION):
            begin = frame_start(MELS_PER_MOTION * frame - MEL_LAG + part) - _start(first)
            windows[number, part] = samples[begin : begin + MEL_WINDOW]
    return windows
