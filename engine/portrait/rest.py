"""Bringing a measured face to rest: lips that meet, no smile, the jaw where it is when nobody speaks.

The motion generator's displacements start from rest, so a template that smiles or shows its teeth would do so for
ever. Thresholds are in face units (outer-eye distance 1), set on neutral portraits: what lies below them is the
person's own face and stays.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.spec import INNER_LIPS, MOUTH

TEETH_GAP: Final = 0.12
"""Lips part so far without the jaw: a smile that shows teeth."""
REST_WIDTH: Final = 0.68
"""A neutral mouth is hardly wider."""
REST_LIFT: Final = 0.05
"""How far the corners may lie above the middle of the lips in a neutral face."""
KEPT_EXCESS: Final = 0.2
"""Share of what exceeds a threshold that stays, so that the face is not clipped to a norm."""

_UPPER_SHARE = 0.3
"""Share of the gap that the upper lip covers: closing is mostly the lower lip's work."""
_UPPER_INNER, _LOWER_INNER = (61, 62, 63), (67, 66, 65)
_UPPER_OUTER, _LOWER_OUTER = np.arange(49, 54), np.arange(55, 60)
_CORNERS = np.array([48, 54, 60, 64])
_JAW_WEIGHT = np.array([0, 0, 0, 0.1, 0.3, 0.6, 0.85, 1, 1, 1, 0.85, 0.6, 0.3, 0.1, 0, 0, 0])


def mouth_gap(template: NDArray[np.floating[Any]]) -> float:
    """Mean height of the mouth's opening in fu, from (68, 3)."""
    upper, lower = template[list(_UPPER_INNER), 1], template[list(_LOWER_INNER), 1]
    return float(np.mean(lower - upper))


def bring_to_rest(template: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Close the mouth and take a smile back.

    Args:
        template: (68, 3) fu as measured; left alone.

    Returns:
        float64 (68, 3) fu. A mouth that was closed and neutral keeps all its points, but that the inner lips meet.
    """
    points = np.array(template, np.float64)
    _close(points)
    _relax_corners(points)
    return points


def _close(points: NDArray[np.float64]) -> None:
    upper, lower = points[list(_UPPER_INNER)], points[list(_LOWER_INNER)]
    gaps = lower[:, 1] - upper[:, 1]
    drop, lift = _UPPER_SHARE * gaps, (1 - _UPPER_SHARE) * gaps
    # The outer lip follows the inner lip under it; the outer points are five, the inner ones three.
    places = np.linspace(0, 2, 5)
    points[_UPPER_OUTER, 1] += np.interp(places, range(3), drop)
    points[_LOWER_OUTER, 1] -= np.interp(places, range(3), lift[::-1])
    meeting = upper[:, 1] + drop
    points[list(_UPPER_INNER), 1] = meeting
    points[list(_LOWER_INNER), 1] = meeting
    points[:17, 1] -= _JAW_WEIGHT * max(0.0, float(gaps.mean()) - TEETH_GAP)


def _relax_corners(points: NDArray[np.float64]) -> None:
    middle = points[list(_UPPER_INNER + _LOWER_INNER)].mean(0)
    half = (points[54, 0] - points[48, 0]) / 2
    if half <= 0:
        return
    narrow = _excess(2 * half, REST_WIDTH) / (2 * half)
    drop = _excess(middle[1] - points[_CORNERS, 1].mean(), REST_LIFT)
    # Along the lips the movement grows from the middle to the corners.
    along = (points[MOUTH, 0] - middle[0]) / half
    points[MOUTH, 0] -= along * half * narrow
    points[MOUTH, 1] += np.clip(np.abs(along), 0, 1) ** 2 * drop
    meet = points[INNER_LIPS]
    for upper, lower in zip(_UPPER_INNER, _LOWER_INNER, strict=True):
        level = (meet[upper - 60, 1] + meet[lower - 60, 1]) / 2
        points[[upper, lower], 1] = level


def _excess(value: float, limit: float) -> float:
    """How much of ``value`` is to be taken away."""
    return max(0.0, value - limit) * (1 - KEPT_EXCESS)
