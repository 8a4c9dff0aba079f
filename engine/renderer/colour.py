"""What is asked of colours all over the renderer: how bright they are, and how red."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.3, 0.59, 0.11])
"""Shares of red, green and blue in how bright a colour looks."""


def redness(colour: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """How much more red than green there is in colours (..., 3), 0..255, as a share of both."""
    red, green = colour[..., 0], colour[..., 1]
    share: NDArray[np.floating[Any]] = (red - green) / np.maximum(red + green, 16)
    return share
