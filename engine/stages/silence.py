"""Whether somebody speaks: a gate that lets the mouth rest in silence, and rest completely.

The level of a frame is held against the quietest of the last two seconds (minimum statistics: between words even
loud speech falls back to the room's noise), so that the hum of a room opens nothing; two thresholds and a hold time
keep the gate from chattering. It works on the sound up to the
frame that is *heard*, while the motion generator draws the frame ``lookahead_frames`` earlier: the gate therefore
opens before the first sound is drawn, and holds that much longer, so that it closes at the right drawn frame.

::

    heard frame                 s-1   s   s+1  ...  s+d                  speech begins at s
    gate                         0    open
    drawn frame                 s-1-d s-d s-d+1     s                    it has d frames to open
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.spec import MEL_FLOOR, MEL_LAG, MELS_PER_MOTION

_WHITE_NOISE_MEL = 0.28
"""Mean mel band of white noise of unit RMS in this front end: the reference of 0 dBFS."""
_FLOOR_LOWEST_DB = -68.0
_FLOOR_HIGHEST_DB = -42.0
"""A louder floor would close the mouth on a long sung note."""
_FLOOR_BLOCKS = 8
_FLOOR_BLOCK_FRAMES = 15
_LEVEL_KEEP = 0.6
"""Smoothing of the level before its minimum is taken, so that one frame's luck is not the floor."""
_OPEN_DB = 10.0
_CLOSE_DB = 6.0
_HOLD_FRAMES = 24
_OPENING_FRAMES = 4
_CLOSING_FRAMES = 15
_LEAD_FRAMES = -(-MEL_LAG // MELS_PER_MOTION)
"""Of a stream's first frames the windows reach back to before it: that silence is no room's."""


@dataclass(frozen=True)
class SilenceState:
    """What the gate remembers.

    Attributes:
        frame: Motion frames heard, up to the first that has a room in it.
        level_db: Smoothed level, dBFS.
        minima_db: float64 (8,), its minima in blocks of 1/4 s, oldest first; infinite where nothing was heard.
        block_frame: Frames heard of the last block.
        speaking: Whether the last heard frame counted as speech.
        hold: Heard frames for which the gate stays open without speech.
        ramp: 0 shut ... 1 open, linear in time.
    """

    frame: int
    level_db: float
    minima_db: NDArray[np.float64]
    block_frame: int
    speaking: bool
    hold: int
    ramp: float


class SilenceGate:
    """Log-mel frames in; how far the mouth may move, 0 to 1, out."""

    lookahead_ticks = 0
    """It hears no further than the motion generator, which declares the lookahead of both."""

    def __init__(self, lookahead_frames: int) -> None:
        self._hold = lookahead_frames + _HOLD_FRAMES

    def init_state(self) -> SilenceState:
        """A shut gate in a room not yet heard."""
        return SilenceState(0, 0.0, np.full(_FLOOR_BLOCKS, np.inf), 0, False, 0, 0.0)

    def step(self, x: NDArray[np.float32], state: SilenceState) -> tuple[float, SilenceState]:
        """Hear one more motion frame.

        Args:
            x: float32 (2, 80), its two log-mel frames.
            state: As from ``init_state`` or the last step.

        Returns:
            0 (the mouth rests) to 1 (it moves freely), and the next state.
        """
        level = level_db(x)
        known = (state.level_db, state.minima_db, state.block_frame)
        smoothed, minima, block_frame = known if state.frame < _LEAD_FRAMES else _follow(state, level)
        floor = min(_FLOOR_HIGHEST_DB, max(_FLOOR_LOWEST_DB, float(minima.min())))
        speaking = level > floor + (_CLOSE_DB if state.speaking else _OPEN_DB)
        hold = self._hold if speaking else max(0, state.hold - 1)
        change = 1 / _OPENING_FRAMES if speaking or hold else -1 / _CLOSING_FRAMES
        ramp = min(1.0, max(0.0, state.ramp + change))
        frame = min(state.frame + 1, _LEAD_FRAMES)
        return _smooth(ramp), SilenceState(frame, smoothed, minima, block_frame, speaking, hold, ramp)

    def flush(self, state: SilenceState) -> float:
        """How far the mouth may move now: nothing is held back."""
        return _smooth(state.ramp)


def level_db(mel: NDArray[np.float32]) -> float:
    """Level of log-mel frames, about dBFS of the sound's RMS; quiet is -80 and below.

    Args:
        mel: float32 (frames, 80), as from ``LogMel``.
    """
    linear = float(np.exp((mel - 1) * np.float32(-math.log(MEL_FLOOR))).mean())
    return 20 * math.log10(linear / _WHITE_NOISE_MEL)


def _follow(state: SilenceState, level: float) -> tuple[float, NDArray[np.float64], int]:
    """Smoothed level, block minima and frames of the last block after one more frame."""
    first = bool(np.isinf(state.minima_db).all())
    smoothed = level if first else _LEVEL_KEEP * state.level_db + (1 - _LEVEL_KEEP) * level
    full = state.block_frame == _FLOOR_BLOCK_FRAMES
    minima = np.append(state.minima_db[1:], np.inf) if full else state.minima_db.copy()
    minima[-1] = min(minima[-1], smoothed)
    return smoothed, minima, 1 if full else state.block_frame + 1


def _smooth(ramp: float) -> float:
    """The ramp with soft ends."""
    return ramp * ramp * (3 - 2 * ramp)
