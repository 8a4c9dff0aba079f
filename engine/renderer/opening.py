"""Where in a frame the mouth can be open at all: within an arc from corner to corner over the lips' landmarks.

A mouth that gets narrow folds the picture beside its corners. What a fold seems to open there is skin.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.renderer.canvas import Window
from engine.renderer.pixels import F32

CORNERS = (60, 64)
UPPER, LOWER = slice(61, 64), slice(65, 68)
SLACK, SLACK_PX = 1.3, 2.0
"""Times the landmarks' height, and pixels more, that the arc is high: landmarks are measured, lips are not arcs."""


def keep_within(window: Window, points: NDArray[np.floating[Any]], under_upper: F32, over_lower: F32) -> None:
    """Put what lies beyond the arc of a frame's mouth into the lips, in place.

    Args:
        window: Rows and columns of the frame.
        points: (68, 2) px, the frame's landmarks.
        under_upper: float32 (h, w) px that each pixel lies below the upper lip's edge.
        over_lower: float32 (h, w) px that it lies above the lower lip's edge.
    """
    (left_x, left_y), (right_x, right_y) = points[list(CORNERS)].tolist()
    width = max(math.hypot(right_x - left_x, right_y - left_y), 1.0)
    along_x, along_y = (right_x - left_x) / width, (right_y - left_y) / width
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(left_x)
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(left_y))[:, None]
    # From -1 at one corner to 1 at the other, and how high an arc of height one is there.
    place = (x * np.float32(along_x) + y * np.float32(along_y)) * np.float32(2 / width) - 1
    arc = np.sqrt(np.maximum(1 - place * place, 0))
    down = y * np.float32(along_x) - x * np.float32(along_y)
    heights = points @ np.array([-along_y, along_x]) - (left_y * along_x - left_x * along_y)
    top, bottom = (
        max(float(height), 0.0) * SLACK + SLACK_PX for height in (-heights[UPPER].min(), heights[LOWER].max())
    )
    np.minimum(under_upper, down + top * arc, out=under_upper)
    np.minimum(over_lower, bottom * arc - down, out=over_lower)
