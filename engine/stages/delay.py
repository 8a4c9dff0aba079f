"""A delay line: what belongs to the frame that is drawn now, when other stages have heard further."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DelayState:
    """The last inputs, oldest first: float32 (frames, width). Zeros stand for the time before the stream."""

    held: NDArray[np.float32]


class Delay:
    """Gives back each vector ``frames`` steps later."""

    lookahead_ticks = 0
    """The delay follows a lookahead that another stage declares; it hears nothing ahead itself."""

    def __init__(self, frames: int, width: int) -> None:
        self.frames, self.width = frames, width

    def init_state(self) -> DelayState:
        """Zeros."""
        return DelayState(np.zeros((self.frames, self.width), np.float32))

    def step(self, x: NDArray[np.float32], state: DelayState) -> tuple[NDArray[np.float32], DelayState]:
        """Exchange the vector of now, float32 (width,), for that of ``frames`` steps ago."""
        line = np.concatenate([state.held, x[None]])
        return line[0], DelayState(line[1:])

    def flush(self, state: DelayState) -> NDArray[np.float32]:
        """What is still held, float32 (frames, width)."""
        return state.held
