"""The line between the lips: where the picture is cut so that the mouth can open."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.colour import LUMA, redness
from engine.renderer.pixels import F32, blur, remap
from models.spec import IMAGE_SIZE, INNER_LIP_PAIRS

F64 = NDArray[np.float64]

UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Dense-mesh vertices of the inner lip lines, picture left to right."""
_UPPER_OF_PAIRS, _LOWER_OF_PAIRS = map(list, zip(*INNER_LIP_PAIRS, strict=True))

PARTED = 0.045
"""Inner-lip gap in fu above which a portrait counts as open-mouthed; lips that touch are measured up to 0.035."""
SEARCH = 0.045
"""How far in fu from the measured line the dark seam of closed lips is looked for."""


EDGE_REACH = 0.02
"""How far in fu into the lips their edges are looked for, where they are parted."""
LIP_BAND = (0.015, 0.05)
"""Distance in fu from the measured edge, on the lip, that shows the lip's colour."""
SMOOTHED = 0.02
"""Distance in fu along the mouth over which such an edge is smoothed."""
PINCHED = 0.02
"""Distance in fu from a corner within which the edges are drawn to each other: beyond corners no mouth is open."""
EDGE_HOLD = 2.0
"""Wrong pixels that it is worth to keep the measured edge rather than to go EDGE_REACH from it."""
CORNER = 0.08
"""Share of the mouth's half width over which the edges run together at a corner."""
RIM = 0.006
"""Height in fu that is cut from the edges of parted lips, but for their corners."""


@dataclass(frozen=True)
class LipLine:
    """The inner edges of both lips in the source picture, in the mouth's own frame.

    Attributes:
        centre: float64 (2,) px, half-way between the inner corners.
        along: Unit vector from the picture's left corner to the right one.
        down: Unit vector square to it, towards the chin.
        half_width: Pixels from the centre to a corner.
        u: float64 (K,) px along the mouth, from corner to corner.
        upper: float64 (K,) px down from the corner line to the upper lip's edge.
        lower: The same for the lower lip's edge; equal to ``upper`` if ``closed``.
        closed: The portrait's lips touch.
        above: float32 (512, 512) px, how far each source pixel lies below the upper lip's edge (negative: on the lip).
        below: The same for the lower lip's edge (positive: on the lip).
    """

    centre: F64
    along: F64
    down: F64
    half_width: float
    u: F64
    upper: F64
    lower: F64
    closed: bool
    above: F32
    below: F32

    def frame(self, pixels: NDArray[np.floating[Any]]) -> tuple[F64, F64]:
        """Mouth coordinates u, v (px) of ``pixels`` (..., 2)."""
        away = pixels - self.centre
        return away @ self.along, away @ self.down

    def between(self, corner: F64, lip: F64, fractions: F64) -> F64:
        """Points (N, 2) px of the cut at ``fractions`` of the way from a corner to a landmark that lies on it."""
        (u_corner, u_lip), (_, v_lip) = self.frame(np.stack([corner, lip]))
        u = u_corner + (u_lip - u_corner) * fractions
        edge = min((self.upper, self.lower), key=lambda line: abs(float(np.interp(u_lip, self.u, line)) - v_lip))
        place: F64 = self.centre + u[:, None] * self.along + np.interp(u, self.u, edge)[:, None] * self.down
        return place

    def on_edge(self, points: NDArray[np.floating[Any]]) -> F64:
        """The 68 landmarks (68, 2) px with those of the inner lips put where the picture is cut."""
        result = np.array(points, np.float64)
        for edge, indices in ((self.upper, (61, 62, 63)), (self.lower, (65, 66, 67))):
            u, _ = self.frame(result[list(indices)])
            v = np.interp(u, self.u, edge)
            result[list(indices)] = self.centre + u[:, None] * self.along + v[:, None] * self.down
        return result


def opening_px(points: NDArray[np.floating[Any]]) -> float:
    """Opening of the inner lips of landmarks (68, 2) px, mean of three heights."""
    return float(np.linalg.norm(points[_LOWER_OF_PAIRS] - points[_UPPER_OF_PAIRS], axis=1).mean())


def find_lip_line(avatar: Avatar, unit_px: float) -> LipLine:
    """Find the lip line of ``avatar``: from its mesh, and where the lips touch, drawn onto the dark seam between them.

    Args:
        avatar: The portrait.
        unit_px: Pixels of a face unit.
    """
    points = avatar.source_points.astype(np.float64)
    left, right = points[60], points[64]
    half_width = float(np.linalg.norm(right - left)) / 2
    along = (right - left) / (2 * half_width)
    down = np.array([-along[1], along[0]])
    centre = (left + right) / 2
    u = np.linspace(-half_width, half_width, 2 * max(4, round(half_width)) + 1)
    upper, lower = (
        _edge(avatar.mesh[list(line), :2].astype(np.float64), centre, along, down, u)
        for line in (UPPER_INNER, LOWER_INNER)
    )
    closed = opening_px(points) < PARTED * unit_px
    if closed:
        upper = lower = _dark_seam(avatar, centre, along, down, u, (upper + lower) / 2, SEARCH * unit_px)
    else:
        upper, lower = np.minimum(upper, lower), np.maximum(upper, lower)
        upper, lower = _seen_edges(avatar, centre, along, down, u, upper, lower, unit_px)
        # The rim of a parted lip is mixed with what lies behind it: it is left behind with that.
        rim = np.minimum(RIM * unit_px, 0.25 * (lower - upper))
        upper, lower = upper - rim, lower + rim
    grid = np.stack(np.meshgrid(*[np.arange(IMAGE_SIZE, dtype=np.float64)] * 2), -1) - centre
    along_px, down_px = grid @ along, grid @ down
    pinch = np.maximum(np.abs(along_px) - half_width + PINCHED * unit_px, 0)
    above = (down_px - np.interp(along_px, u, upper) - pinch).astype(np.float32)
    below = (down_px - np.interp(along_px, u, lower) + pinch).astype(np.float32)
    return LipLine(centre, along, down, half_width, u, upper, lower, closed, above, below)


def _seen_edges(
    avatar: Avatar, centre: F64, along: F64, down: F64, u: F64, upper: F64, lower: F64, unit_px: float
) -> tuple[F64, F64]:
    """Edges of parted lips as the picture shows them, near the measured ones: where red gives way to dark or pale.

    Where only lip is seen between the measured edges, as at the corners, they meet.
    """
    reach = EDGE_REACH * unit_px
    rows = round(2 * (float((lower - upper).max()) / 2 + reach))
    middle = (upper + lower) / 2
    picture = blur(avatar.image.astype(np.float32), 0.6)
    edges = []
    for edge, side in ((upper, -1.0), (lower, 1.0)):
        lip = lip_strip(picture, centre, along, down, u, edge + side * unit_px * np.linspace(*LIP_BAND, 6)[:, None])
        lip = blur(lip.mean(0, keepdims=True), 0.06 * unit_px)
        # From well on the lip, half a pixel a step, to the middle of the opening.
        away = np.arange(rows) / 2 - reach
        strip = lip_strip(picture, centre, along, down, u, edge - side * away[:, None])
        lipless = _lipless(strip, lip)
        allowed = away[:, None] <= np.abs(middle - edge)
        wrong = np.where(allowed, 0.5 - lipless, 0.0)
        # Lip below the edge and no lip above it are wrong by as much.
        cost = -np.cumsum(wrong, 0) + EDGE_HOLD * (away[:, None] / reach) ** 2
        cost = np.where(allowed | (away[:, None] < 0), cost, np.inf)
        found = _cheapest(cost.T, 0.05, 3)
        edges.append(edge - side * _smooth(away[found], SMOOTHED * unit_px))
    corner = np.clip((1 - np.abs(u) / u[-1]) / CORNER, 0, 1)
    return middle + np.minimum(edges[0] - middle, 0) * corner, middle + np.maximum(edges[1] - middle, 0) * corner


def lip_strip(picture: F32, centre: F64, along: F64, down: F64, u: F64, v: F64) -> F32:
    """The picture at places along ``u`` (K,) and heights ``v`` (rows, K) px, float32 (rows, K, 3)."""
    where = centre + u[:, None] * along + v[..., None] * down
    return cast(F32, remap(picture, where.astype(np.float32)))


def _lipless(strip: F32, lip: F32) -> F32:
    """How little of a strip (rows, K, 3) is lip, whose colour in each column is ``lip`` (1, K, 3): 0 to 1."""
    luma = LUMA.astype(np.float32)
    darker = 1 - strip @ luma / np.maximum(lip @ luma, 1)
    paler = 1 - redness(strip) / np.maximum(redness(lip), 0.02)
    return cast(F32, np.clip(np.maximum((darker - 0.12) / 0.35, (paler - 0.15) / 0.35), 0, 1))


def _edge(line: F64, centre: F64, along: F64, down: F64, u: F64) -> F64:
    """Heights v at ``u`` of a polyline (N, 2) px, 0 at the corners."""
    line_u, line_v = (line - centre) @ along, (line - centre) @ down
    order = np.argsort(line_u)
    inner = order[(np.abs(line_u[order]) < abs(u[0]) * 0.97)]
    known_u = np.concatenate([[u[0]], line_u[inner], [u[-1]]])
    known_v = np.concatenate([[0.0], line_v[inner], [0.0]])
    return _smooth(np.interp(u, known_u, known_v), 1.5)


def _smooth(values: F64, sigma: float) -> F64:
    """Gaussian smoothing along a line that keeps its ends."""
    radius = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    ends = np.concatenate([2 * values[0] - values[radius:0:-1], values, 2 * values[-1] - values[-2 : -radius - 2 : -1]])
    return np.convolve(ends, kernel / kernel.sum(), mode="valid")


def _dark_seam(avatar: Avatar, centre: F64, along: F64, down: F64, u: F64, start: F64, reach: float) -> F64:
    """Darkest smooth path near ``start``, by dynamic programming over offsets of half a pixel."""
    offsets = np.arange(-np.ceil(reach * 2), np.ceil(reach * 2) + 1) / 2
    luma = blur(avatar.image.astype(np.float32) @ LUMA.astype(np.float32), 0.7)
    v = start[:, None] + offsets
    where = centre + u[:, None, None] * along + v[..., None] * down
    strip = remap(luma, where.astype(np.float32)).astype(np.float64)
    contrast = max(float(np.percentile(strip, 90) - np.percentile(strip, 5)), 8.0)
    # At the corners there is no seam to see, only skin folds: hold the measured line there.
    ends = 1 - np.abs(u) / abs(u[0])
    hold = 0.35 + 6 * np.exp(-ends / 0.05)
    cost = strip / contrast + hold[:, None] * (offsets / reach) ** 2
    return start + _smooth(offsets[_cheapest(cost, 0.12)], 2.0)


def _cheapest(cost: F64, turn: float, most: int = 1) -> NDArray[np.int64]:
    """Rows (columns,) of the cheapest path through ``cost`` (columns, rows).

    A row up or down costs ``turn``; from column to column it goes ``most`` rows at most.
    """
    columns, rows = cost.shape
    best = cost[0].copy()
    came = np.zeros(cost.shape, np.int64)
    steps = np.arange(-most, most + 1)
    for column in range(1, columns):
        padded = np.pad(best, most, constant_values=np.inf)
        options = np.stack([padded[most + step : most + step + rows] + turn * abs(step) for step in steps])
        pick = options.argmin(0)
        came[column] = np.arange(rows) + steps[pick]
        best = options.min(0) + cost[column]
    path = np.empty(columns, np.int64)
    path[-1] = best.argmin()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[column, path[column]]
    return path
