"""Telling lips that touch from lips that are parted, by the picture between them.

The mesh network draws a small gap into some closed mouths, smiling ones above all. A renderer that trusted it would
open a mouth inside of the lower lip. And it overlooks some narrow rows of teeth, which such a renderer would leave on
the lower lip.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.renderer.colour import LUMA, redness
from engine.renderer.lip_line import PARTED, lip_strip

UPPER_INNER: Final = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER: Final = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"""Mesh points of the inner lip lines without the corners, picture left to right, facing each other."""
INNER_CORNERS: Final = (78, 308)

SURELY_CLOSED: Final = 0.012
SURELY_PARTED: Final = 0.07
"""Gap over the outer-eye distance below and above which the mesh is believed."""

_UPPER_MIDDLE, _LOWER_MIDDLE = (12, 38, 268), (15, 86, 316)
"""Mesh points on the red of the lips."""
# Between parted lips it is darker, or teeth are less red. Limits for lightness (a share of the lips') and redness
# (steps of CIELAB's a* below the lips'), set on 72 mouths of eleven people and paintings looked at one by one.
_LEAST_LIGHT = 0.55
_LEAST_RED = -2.5

_SHOWN_TEETH: Final = 0.6
"""Share of the middle of the mouth that shows teeth between lips which the mesh holds for closed."""
_TEETH_REACH, _TEETH_NEAR, _LEAST_TEETH = 0.06, 0.015, 0.008
"""Over the outer-eye distance: how far from the mesh's line teeth are looked for, how near to it they begin, and how
high they are at least."""
_LEAST_GAP: Final = PARTED + 0.005
"""Over the same, the mean height of the gap that teeth are given: a renderer holds lips that are nearer for closed."""
_LIP_AT = (0.05, 0.09)
"""Distance from that line, over the same, that shows the lips' colour."""
_TOOTH_PALE, _TOOTH_LIGHT = 0.4, 0.8
"""How much less red than lips, and of which share of their brightness, teeth are at least. Of 53 portraits whose lips
the mesh holds for closed one shows teeth by this, in .93 of its columns; of the others none in more than .02."""
_LEAST_RED_LIPS: Final = 0.05
"""How much more red than green lips have at least, as a share of both, for teeth to be told from them."""
_MIDDLE: Final = 0.55
"""Part of the mouth's half width that is looked at: beyond it all gaps are thin."""


def settle_lips(picture: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mesh with its inner lip lines where the picture has them: touching, or parted by the teeth that it shows.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mesh: float32 (478, 3) px.
    """
    return part_lips(picture, seal_lips(picture, mesh))


def part_lips(picture: NDArray[np.uint8], mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the inner lip lines to both sides of the teeth that show between lips which the mesh holds for closed.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mesh: float32 (478, 3) px.

    Returns:
        The mesh; where a row of teeth is seen, a copy.
    """
    unit = max(float(np.linalg.norm(mesh[263, :2] - mesh[33, :2])), 1e-6)
    upper, lower = (mesh[list(line), :2].astype(np.float64) for line in (UPPER_INNER, LOWER_INNER))
    if float(np.linalg.norm(lower - upper, axis=1)[3:6].mean()) >= PARTED * unit:
        return mesh
    corners = mesh[list(INNER_CORNERS), :2].astype(np.float64)
    centre = corners.mean(0)
    half = max(float(np.linalg.norm(corners[1] - corners[0])) / 2, 1.0)
    along = (corners[1] - corners[0]) / (2 * half)
    down = np.array([-along[1], along[0]])
    line = np.concatenate([corners[:1], (upper + lower) / 2, corners[1:]]) - centre
    u = np.linspace(-_MIDDLE, _MIDDLE, max(9, round(2 * half))) * half
    seam = np.interp(u, line @ along, line @ down)
    away = np.arange(-_TEETH_REACH * unit, _TEETH_REACH * unit, 0.5)
    beside = np.linspace(*_LIP_AT, 6) * unit
    soft = cv2.GaussianBlur(picture, (0, 0), 0.5).astype(np.float32)
    strip, above, below = (
        lip_strip(soft, centre, along, down, u, seam + rows[:, None]) for rows in (away, -beside, beside)
    )
    lip = (np.median(above.reshape(-1, 3), 0) + np.median(below.reshape(-1, 3), 0)) / 2
    edges = _teeth_edges(strip, lip, away, unit)
    seen = np.isfinite(edges[:, 0])
    if seen.mean() < _SHOWN_TEETH:
        return mesh
    parted = mesh.copy()
    first, last = (_median_of_five(edges[seen, side]) for side in (0, 1))
    # Narrow gaps renderers take for the mesh's doubt; the edges of wider ones they look for in the picture themselves.
    more = max(_LEAST_GAP * unit - float((last - first).mean()), 0.0) / 2
    for points, edge in ((UPPER_INNER, first - more), (LOWER_INNER, last + more)):
        at = (mesh[list(points), :2] - centre) @ along
        # Towards the corners the gap narrows as an arc does.
        height = np.interp(at, u[seen], edge) * np.sqrt(np.clip(1 - (at / half) ** 2, 0, 1))
        middle = np.interp(at, line @ along, line @ down)
        parted[list(points), :2] = centre + at[:, None] * along + (middle + height)[:, None] * down
    return parted


def _teeth_edges(
    strip: NDArray[np.float32], lip: NDArray[np.floating], away: NDArray[np.float64], unit: float
) -> NDArray[np.float64]:
    """Where teeth begin and end in each column of a strip, px from the mesh's line, (K, 2); NaN where none are seen.

    Args:
        strip: float32 (rows, K, 3) RGB along the mouth.
        lip: (3,), the colour of the lips.
        away: (rows,) px from the mesh's line down.
        unit: Pixels of a face unit.
    """
    edges = np.full((strip.shape[1], 2), np.nan)
    red = float(redness(lip))
    if red < _LEAST_RED_LIPS:
        return edges
    luma = LUMA.astype(np.float32)
    light = strip @ luma / max(float(lip @ luma), 1.0)
    tooth = (light > _TOOTH_LIGHT) & (1 - redness(strip) / red > _TOOTH_PALE)
    for column, row in enumerate(tooth.T):
        where = np.flatnonzero(row)
        for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(where) else ():
            first, last = float(away[run[0]]), float(away[run[-1]])
            # What goes on to where the lips' own colour is taken is no row between them.
            if run[0] == 0 or run[-1] == len(away) - 1:
                continue
            begins = first * last < 0 or min(abs(first), abs(last)) < _TEETH_NEAR * unit
            higher = not np.isfinite(edges[column, 0]) or last - first > edges[column, 1] - edges[column, 0]
            if begins and higher and last - first + 0.5 >= _LEAST_TEETH * unit:
                edges[column] = first - 0.25, last + 0.25
    return edges


def _median_of_five(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, 2, mode="edge")
    middle: NDArray[np.float64] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=-1)
    return middle


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
