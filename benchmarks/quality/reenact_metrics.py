"""Where a reenacted frame is looked at, and what is measured there.

All regions come from the truth's measured landmarks, so that every renderer is judged on the same pixels. Pictures are
uint8 (height, width, 3) RGB, points float (68, 2) px in iBUG's order.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.picture_metrics import Grey
from models.spec import EYES, INNER_LIP_PAIRS, INNER_LIPS, OUTER_LIPS

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]

MOUTH_MARGIN: Final = 0.25
"""Of the mouth crop on all sides, as a share of the mouth's width."""
EYE_GROWTH: Final = 1.6
"""How much larger than the lids' outline the region of an eye is: the lids themselves belong to it."""
_LEAST_PX: Final = 64
"""Smallest side of a window: CPBD judges blocks of that size."""


def opening(points: NDArray[np.floating], unit: float) -> float:
    """Opening of the inner lips, mean of three heights, in units of ``unit`` px (the outer eye corners' distance)."""
    return float(np.mean(lip_gaps(points))) / unit


def lip_gaps(points: NDArray[np.floating]) -> list[float]:
    """Heights of the opening at the three pairs of facing inner-lip points, px."""
    return [float(np.linalg.norm(points[lower] - points[upper])) for upper, lower in INNER_LIP_PAIRS]


def inside_mask(points: NDArray[np.floating], shape: tuple[int, int]) -> Mask:
    """Pixels within the outline of the inner lips; none where the lips touch."""
    # Filled outlines include their edge; the lips' own edge is no inside.
    return _filled([points[INNER_LIPS]], shape) & ~_outlined(points[INNER_LIPS], shape)


def lip_mask(points: NDArray[np.floating], shape: tuple[int, int]) -> Mask:
    """The ring of the lips: within their outer outline and not inside the inner one."""
    return _filled([points[OUTER_LIPS]], shape) & ~inside_mask(points, shape)


def eyes_mask(points: NDArray[np.floating], shape: tuple[int, int]) -> Mask:
    """Both eyes with their lids: the outlines, EYE_GROWTH times as large about their centres."""
    eyes = points[EYES].reshape(2, 6, 2)
    centres = eyes.mean(axis=1, keepdims=True)
    return _filled(list(centres + EYE_GROWTH * (eyes - centres)), shape)


def face_mask(points: NDArray[np.floating], shape: tuple[int, int]) -> Mask:
    """The convex hull of the landmarks: brow to chin."""
    return _filled([np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float32)], shape)


def mouth_window(points: NDArray[np.floating], shape: tuple[int, int]) -> Window:
    """Rows and columns of the mouth crop: the outer lips and MOUTH_MARGIN about them."""
    lips = points[OUTER_LIPS]
    return _window(lips, MOUTH_MARGIN * float(np.ptp(lips[:, 0])), shape)


def face_window(points: NDArray[np.floating], shape: tuple[int, int]) -> Window:
    """Rows and columns of the smallest window that holds all landmarks."""
    return _window(points, 0.0, shape)


def l1(truth: Picture, drawn: Picture, mask: Mask | None = None) -> float | None:
    """Mean absolute difference, grey levels 0..255, over the three channels and the pixels of ``mask``.

    None where the mask holds no pixel.
    """
    difference = cv2.absdiff(truth, drawn)
    chosen = difference if mask is None else difference[mask]
    return float(chosen.mean(dtype=np.float64)) if chosen.size else None


def gradient(grey: Grey) -> float:
    """Mean length of the gradient, grey levels per px, by central differences; its ratio to the truth's is sharpness.

    Args:
        grey: (height, width), 0..255, at least 2x2.
    """
    down, across = np.gradient(np.asarray(grey, np.float64))
    return float(np.hypot(down, across).mean())


def grey_of(picture: Picture) -> Picture:
    """Luma, uint8 (height, width)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _filled(outlines: list[NDArray[np.floating]], shape: tuple[int, int]) -> Mask:
    canvas = np.zeros(shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [np.rint(outline).astype(np.int32)], 1)
    return canvas.astype(np.bool_)


def _outlined(outline: NDArray[np.floating], shape: tuple[int, int]) -> Mask:
    canvas = np.zeros(shape, np.uint8)
    cv2.polylines(canvas, [np.rint(outline).astype(np.int32)], True, 1)
    return canvas.astype(np.bool_)


def _window(points: NDArray[np.floating], margin: float, shape: tuple[int, int]) -> Window:
    """Around points with a margin, at least _LEAST_PX a side where the picture has them."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    half = np.maximum(np.ptp(points, axis=0) / 2 + margin, _LEAST_PX / 2)
    limit = np.array(shape[::-1])
    low = np.clip(np.floor(centre - half), 0, np.maximum(limit - _LEAST_PX, 0)).astype(int)
    high = np.clip(np.ceil(centre + half), np.minimum(low + _LEAST_PX, limit), limit).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
