"""How lips part: where in a frame the mouth can be open at all, where lips still cling, and how their light changes.

A mouth is open within an arc from corner to corner over the lips' landmarks. A mouth that gets narrow folds the picture
beside its corners; what a fold seems to open there is skin. Beside the corners lips part last. And as a mouth opens,
its upper lip turns its underside to the viewer, which gets less light, and so does the hollow below the lower lip.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.renderer.canvas import Window
from engine.renderer.geometry import ramp, smoothstep
from engine.renderer.pixels import F32

CORNERS = (60, 64)
RIM = [48, *range(59, 53, -1)]
"""The lower lip's outer edge, left to right in the picture."""
UPPER, LOWER = slice(61, 64), slice(65, 68)
SLACK, SLACK_PX = 1.3, 2.0
"""Times the landmarks' height, and pixels more, that the arc is high: landmarks are measured, lips are not arcs."""
CLINGING = (0.6, 0.85)
"""Distance from the mouth's middle, as a share of half its width, from which and at which lips can cling together."""
CLINGING_GAP = (0.02, 0.08)
"""Heights in fu of the gap between them there up to which they do, and from which they do not."""
LETTING_GO = (0.1, 0.2)
"""Openings of the mouth in fu from which and at which they cling nowhere."""
UNDERSIDE = 0.15
"""Share of its light that the edge of the upper lip loses."""
UNDERSIDE_REACH = 0.08
"""Distance in fu from the edge over which it loses less and less."""
HOLLOW = 0.07
"""Share of their light that the lower lip's rim and the skin below it lose."""
HOLLOW_REACH = (0.06, 0.08)
"""Distances in fu from the rim, up into the lip and down, over which they lose less and less."""
TURNED = 0.06
"""Opening in fu, beyond that of the portrait, at which the light has changed."""


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


def clinging(across: F32, gap: F32, opening: float) -> F32:
    """How far the lips still cling together where they have begun to part, float32 (h, w), 0 to 1.

    Args:
        across: float32 (h, w), distance from the mouth's middle along it, as a share of half its width.
        gap: float32 (h, w) fu, the height of the gap between the lips there.
        opening: Of the whole mouth, fu.
    """
    share = _step(across, CLINGING) * (1 - _step(gap, CLINGING_GAP))
    return share * np.float32(1 - _amount(opening, LETTING_GO))


def underside(away: F32, across: F32, opened: float) -> F32:
    """Share of its light that the upper lip loses, float32 (h, w).

    Args:
        away: float32 (h, w) fu, distance from the lip's edge, on the lip.
        across: As for ``clinging``.
        opened: How much further the mouth is open than in the portrait, fu.
    """
    fading = ramp(1 - np.maximum(away, 0) * np.float32(1 / UNDERSIDE_REACH))
    amount = np.float32(UNDERSIDE * _amount(opened, (0.0, TURNED)))
    lost: F32 = amount * fading * np.sqrt(np.maximum(1 - across * across, 0))
    return lost


def hollow(
    window: Window, points: NDArray[np.floating[Any]], opened: float, unit_px: float
) -> tuple[tuple[slice, slice], F32]:
    """Share of its light that what lies about the lower lip's rim loses.

    Args:
        window: Rows and columns of the frame.
        points: (68, 2) px, the frame's landmarks.
        opened: As for ``underside``.
        unit_px: Pixels of a face unit.

    Returns:
        The rows and columns of the window that it lies in, and float32 (h, w).
    """
    rim = points[RIM].astype(np.float32)
    half = (rim[-1] - rim[0]) / 2
    length = np.float32(max(math.hypot(*half.tolist()), 1.0))
    along, middle = half / length, (rim[0] + rim[-1]) / 2
    up, down = (np.float32(reach * unit_px) for reach in HOLLOW_REACH)
    rows, columns = window
    low, high = rim[:, 1].min() - up - rows.start, rim[:, 1].max() + down - rows.start
    part = slice(max(math.floor(low), 0), min(max(math.ceil(high), 0), rows.stop - rows.start))
    x = np.arange(columns.start, columns.stop, dtype=np.float32) - middle[0]
    y = (np.arange(rows.start + part.start, rows.start + part.stop, dtype=np.float32) - middle[1])[:, None]
    across = x * along[0] + y * along[1]
    away = rim - middle
    edge = np.interp(across, away @ along, away[:, 1] * along[0] - away[:, 0] * along[1]).astype(np.float32)
    below = y * along[0] - x * along[1] - edge
    fading = ramp(1 - np.where(below > 0, below / down, below / -up))
    amount = np.float32(HOLLOW * _amount(opened, (0.0, TURNED)))
    lost = amount * fading * np.sqrt(np.maximum(1 - np.square(across / length), 0))
    return (part, slice(0, columns.stop - columns.start)), lost.astype(np.float32)


def _step(x: F32, between: tuple[float, float]) -> F32:
    """A soft step from 0 to 1 ``between`` two values."""
    low, high = between
    return smoothstep((x - np.float32(low)) * np.float32(1 / (high - low)))


def _amount(x: float, between: tuple[float, float]) -> float:
    return float(_step(np.array([x], np.float32), between)[0])
