"""Telling lips that touch from lips that are parted, by the picture between them.

The mesh network draws a small gap into some closed mouths, smiling ones above all. A renderer that trusted it would
open a mouth inside of the lower lip.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

UPPER_INNER: Final = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER: Final = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"""Mesh points of the inner lip lines without the corners, picture left to right, facing each other."""

SURELY_CLOSED: Final = 0.012
SURELY_PARTED: Final = 0.07
"""Gap over the outer-eye distance below and above which the mesh is believed."""

_UPPER_MIDDLE, _LOWER_MIDDLE = (12, 38, 268), (15, 86, 316)
"""Mesh points on the red of the lips."""
# Between parted lips it is darker, or teeth are less red. Limits for lightness (a share of the lips') and redness
# (steps of CIELAB's a* below the lips'), set on 72 mouths of eleven people and paintings looked at one by one.
_LEAST_LIGHT = 0.55
_LEAST_RED = -2.5


def seal_lips(picture: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the inner lip lines on each other where the picture shows nothing but lip between them.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mesh: float32 (478, 3) px.

    Returns:
        The mesh; where the lips turn out to touch, a copy whose inner lip lines lie on the dark seam between them.
    """
    upper, lower = mesh[list(UPPER_INNER), :2], mesh[list(LOWER_INNER), :2]
    unit = float(np.linalg.norm(mesh[263, :2] - mesh[33, :2]))
    gap = float(np.linalg.norm(lower - upper, axis=1)[3:6].mean()) / max(unit, 1e-6)
    if not SURELY_CLOSED < gap < SURELY_PARTED:
        return mesh
    lab = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), (0, 0), 0.7).astype(np.float32)
    # The middle five of nine columns: towards the corners any gap is thinner than a pixel.
    between = _at(lab, upper[2:7, None] + (lower - upper)[2:7, None] * np.linspace(0.25, 0.75, 5)[None, :, None])
    gap_colour = np.median(between.reshape(-1, 3), 0)
    red = [np.median(_at(lab, mesh[list(lip), :2]), 0) for lip in (_UPPER_MIDDLE, _LOWER_MIDDLE)]
    lip_colour = (red[0] + red[1]) / 2
    if gap_colour[0] < _LEAST_LIGHT * lip_colour[0] or gap_colour[1] - lip_colour[1] < _LEAST_RED:
        return mesh
    along = np.linspace(-0.5, 1.0, 16)
    profile = _at(lab, upper[:, None] + (lower - upper)[:, None] * along[None, :, None])[..., 0]
    seam = along[profile.argmin(1)]
    # One column's own darkest spot may be a crack in the lip: neighbours decide with it.
    padded = np.concatenate([seam[:1], seam, seam[-1:]])
    seam = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), 0)
    meeting = upper + (lower - upper) * seam[:, None]
    sealed = mesh.copy()
    sealed[list(UPPER_INNER), :2] = meeting
    sealed[list(LOWER_INNER), :2] = meeting
    return sealed


def _at(lab: NDArray[np.float32], points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Values (..., 3) at points (..., 2) px, bilinear."""
    flat = points.reshape(-1, 1, 2).astype(np.float32)
    values = cv2.remap(lab, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, np.float32).reshape(*points.shape[:-1], 3)
