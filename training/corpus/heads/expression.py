"""A person's face in motion: shapes, lips that open exactly as wide as asked, lids, tongue and eyeballs.

Shapes alone leave the opening of the mouth to chance, for every identity parts its lips a little differently and a
smile opens sealed ones. So the lips are moved once more: a smooth field on the skin around each lip brings the gap
between the three pairs of facing inner-lip landmarks to the wanted width. The field of the lower lip is worth what
``jawOpen`` makes of a vertex, so it ends in the corners as the jaw's own movement does.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from models.spec import INNER_LIP_PAIRS
from training.corpus.heads.base_head import BODY_END, TONGUE, UPPER_TEETH, BaseHead, FaceFrame
from training.corpus.heads.identity import ANCESTRIES, Person
from training.corpus.heads.targets import Targets

UNITS: Final = "expression/units"
_LOWER: Final = np.array([lower for _, lower in INNER_LIP_PAIRS])
_CORNERS: Final = [60, 64]
_LOWER_SHARE: Final = 0.65
"""Of the way that lips travel to meet, what the lower lip does."""
_REACH: Final = (0.16, 0.24)
"""Deviation in fu of the upper and the lower lip's field."""
_LID_PAIRS: Final = {"right": ((37, 41), (38, 40)), "left": ((43, 47), (44, 46))}
_SHUT: Final = 0.97
"""Of the way to touching lids that a blink goes: upper and lower lashes keep the lid lines apart."""


@dataclass(frozen=True)
class FaceInput:
    """One frame's face.

    Attributes:
        weights: float32 (shapes,), by ``FaceRig.shapes``.
        gap: float32 (3,) fu, wanted opening at the facing inner-lip points; NaN leaves it to the shapes, but for lips
            that would cross.
        closure: Of the lids, 0 as neutral, 1 shut, slightly negative for wider.
        tongue: float32 (3,): tip raised to the ridge, tip between the teeth, back raised; 0..1.
    """

    weights: NDArray[np.float32]
    gap: NDArray[np.float32]
    closure: float
    tongue: NDArray[np.float32]


class FaceRig:
    """Moves one person's base mesh."""

    def __init__(self, base: BaseHead, neutral: NDArray[np.float32], person: Person, targets: Targets) -> None:
        """Gather the person's shapes.

        Args:
            base: The mesh.
            neutral: float32 (V, 3) decimetres, the person at rest.
            person: Whose ancestry mixes MakeHuman's expression units.
            targets: Where shapes come from.

        Raises:
            ArtefactError: A shape is missing or damaged.
        """
        self.base, self.neutral = base, neutral
        shapes: dict[str, NDArray[np.float32]] = {}
        for name in targets.names("arkit"):
            shapes[name.split("/")[1]] = self._offsets(targets, {name: 1.0})
        for name in targets.names(f"{UNITS}/{ANCESTRIES[0]}"):
            unit = name.rsplit("/", 1)[1]
            parts = {
                f"{UNITS}/{ancestry}/{unit}": share
                for ancestry, share in zip(ANCESTRIES, person.ancestry, strict=True)
                if f"{UNITS}/{ancestry}/{unit}" in targets
            }
            # Where the data has units for some ancestries alone, these stand in for the others.
            whole = sum(parts.values()) or 1.0
            shapes[f"unit-{unit}"] = self._offsets(targets, {name: share / whole for name, share in parts.items()})
        self.shapes = tuple(shapes)
        """Names of the shapes, in the order of ``FaceInput.weights``."""
        stacked = np.stack(list(shapes.values()))
        self._moving = np.flatnonzero(np.abs(stacked).max((0, 2)) > 0)
        self._matrix = np.ascontiguousarray(stacked[:, self._moving].reshape(len(shapes), -1))
        at_rest = base.landmarks(neutral)
        self.frame = FaceFrame.of(at_rest)
        self.template = self.frame.points(at_rest)
        self._lids = {side: self._lid_shape(shapes, side) for side in _LID_PAIRS}
        self._fields = self._lip_fields(shapes["jawOpen"])
        self._ridge = float(neutral[UPPER_TEETH, 1].min())

    def _offsets(self, targets: Targets, parts: dict[str, float]) -> NDArray[np.float32]:
        total = np.zeros_like(self.neutral)
        for name, share in parts.items():
            targets.add(total, name, share)
        return total

    def weights(self, amounts: dict[str, float]) -> NDArray[np.float32]:
        """Shape weights by name as float32 (shapes,).

        Raises:
            KeyError: A shape that the data does not hold.
        """
        row = np.zeros(len(self.shapes), np.float32)
        places = {name: k for k, name in enumerate(self.shapes)}
        for name, amount in amounts.items():
            row[places[name]] += amount
        return row

    def move(self, face: FaceInput) -> NDArray[np.float32]:
        """Base points float32 (V, 3) decimetres of one frame, before the head turns."""
        points = self.neutral.copy()
        points[self._moving] += (face.weights @ self._matrix).reshape(-1, 3)
        self._close_lids(points, face.closure)
        self._part_lips(points, face.gap)
        self._move_tongue(points, face.tongue)
        return points

    def _lid_shape(
        self, shapes: dict[str, NDArray[np.float32]], side: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The vertices that close an eye and their way to touching lids, which differs from person to person."""
        offsets = shapes[f"unit-eye-{side}-closure"]
        moved = np.flatnonzero(np.abs(offsets).max(1) > 0)
        pairs = np.array(_LID_PAIRS[side])
        open_y = self.base.landmarks(self.neutral)[:, 1]
        full_y = self.base.landmarks(self.neutral + offsets)[:, 1]
        gap = (open_y[pairs[:, 0]] - open_y[pairs[:, 1]]).mean()
        left = (full_y[pairs[:, 0]] - full_y[pairs[:, 1]]).mean()
        way = _SHUT * gap / max(gap - left, 1e-6)
        return moved, offsets[moved] * np.float32(np.clip(way, 0.3, 1.4))

    def _close_lids(self, points: NDArray[np.float32], closure: float) -> None:
        for moved, way in self._lids.values():
            points[moved] += way * np.float32(closure)

    def _lip_fields(self, jaw: NDArray[np.float32]) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For the upper and the lower lip: vertices int64 (n,) and their share of each of the seven pairs' moves."""
        marks = self.template
        skin = self.base.vertices
        points = self.frame.points(self.neutral[skin])
        upper, lower = (self.frame.points(side) for side in self._seam(self.neutral))
        across = _lateral_basis(points[:, 0], marks, (upper[:, 0] + lower[:, 0]) / 2)
        # 0 on what belongs to the skull, 1 on what belongs to the jaw.
        drop = jaw[skin, 1]
        drop_at_lip = float(np.mean(jaw[self.base.index.vertices[_LOWER], 1]))
        below = np.clip(drop / min(drop_at_lip, -1e-6), 0, 1)
        fields = []
        for side, reach, share in ((upper, _REACH[0], 1 - below), (lower, _REACH[1], below)):
            line = np.concatenate([marks[_CORNERS[:1]], side, marks[_CORNERS[1:]]])
            near = np.exp(-0.5 * (_distance(points, line) / reach) ** 2)
            field = (across * (near * share)[:, None]).astype(np.float32)
            held = np.flatnonzero((field.max(1) > 1e-3) & (skin < BODY_END))
            fields.append((skin[held], field[held]))
        return fields

    def _part_lips(self, points: NDArray[np.float32], gap: NDArray[np.float32]) -> None:
        """Open or close the lips to ``gap`` (3,) fu; near the corners in proportion."""
        upper, lower = self._seam(points)
        own = np.maximum(upper[:, 1] - lower[:, 1], 0)
        middle = np.where(np.isnan(gap), own[2:5], gap / np.float32(self.frame.scale))
        nearest = middle[[0, 0, 0, 1, 2, 2, 2]]
        wanted = np.minimum(own * nearest / np.maximum(own[[2, 2, 2, 3, 4, 4, 4]], 1e-4), nearest)
        wanted[2:5] = middle
        sealed = np.clip(1 - wanted / 0.03, 0, 1)
        # The surface is smoother than the field, so one move falls short; the third is below a hundredth of it.
        for _ in range(3):
            upper, lower = self._seam(points)
            missing = wanted - (upper[:, 1] - lower[:, 1])
            depth = sealed * (lower[:, 2] - upper[:, 2])
            for (held, field), share in zip(self._fields, (1 - _LOWER_SHARE, -_LOWER_SHARE), strict=True):
                points[held, 1] += field @ (share * missing).astype(np.float32)
                points[held, 2] += field @ (np.sign(share) * 0.5 * depth).astype(np.float32)

    def _seam(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Facing points of the upper and of the lower lip's edge, (7, 3) each, decimetres."""
        both = np.asarray(self.base.seam_matrix @ points[self.base.vertices], np.float32)
        half = len(both) // 2
        return both[:half], both[half:]

    def _move_tongue(self, points: NDArray[np.float32], amounts: NDArray[np.float32]) -> None:
        tip, between, back = (float(amount) for amount in amounts)
        tongue = points[TONGUE]
        front = (tongue[:, 2] - tongue[:, 2].min()) / max(float(np.ptp(tongue[:, 2])), 1e-6)
        top = float(tongue[front > 0.8, 1].max(initial=float(tongue[:, 1].max())))
        # The tip reaches the ridge behind the upper teeth wherever the jaw is; at rest it lies a little lower.
        tongue[:, 1] += tip * max(self._ridge + 0.02 - top, 0.0) * front**2
        tongue[:, 1] += between * max(self._ridge - 0.06 - top, 0.0) * front**2
        tongue[:, 2] += between * 0.14 * front
        middle = np.sin(np.pi * np.clip(front * 1.3, 0, 1))
        tongue[:, 1] += back * 0.10 * middle - (1 - max(tip, between, back)) * 0.03 * front
        points[TONGUE] = tongue


def _lateral_basis(
    x: NDArray[np.float32], marks: NDArray[np.float32], pairs: NDArray[np.floating]
) -> NDArray[np.float32]:
    """How much a vertex at ``x`` (n,) fu takes of each pair's move, (n, pairs); 0 beyond the corners."""
    nodes = [marks[_CORNERS[0], 0], *pairs, marks[_CORNERS[1], 0]]
    count = len(pairs)
    values = np.concatenate([np.zeros((1, count)), np.eye(count), np.zeros((1, count))])
    spline = CubicSpline(nodes, values, bc_type="natural")
    inside = (x > nodes[0]) & (x < nodes[-1])
    return np.asarray(spline(np.clip(x, nodes[0], nodes[-1])) * inside[:, None], np.float32)


def _distance(points: NDArray[np.float32], line: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of points (n, 3) to a polyline (m, 3)."""
    best = np.full(len(points), np.inf)
    for start, end in pairwise(line):
        along = end - start
        where = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - start - where[:, None] * along, axis=1))
    return best.astype(np.float32)
