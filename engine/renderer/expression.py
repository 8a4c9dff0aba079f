"""How the face deforms: landmark displacements spread over the picture, apart for what hangs on either lip.

There are two fields, one for all that moves with the upper lip and one for all that moves with the lower. They
differ above and below the mouth and are one beyond its corners, so the picture is cut along the lips and nowhere
else.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.geometry import FACE_OVAL, NODES, invert, node_pixels, smoothstep, thin_plate
from engine.renderer.lip_line import LipLine
from engine.renderer.pixels import CELL, F32, FIRST_NODE, remap
from models.spec import LANDMARKS

F64 = NDArray[np.float64]

COMMON = (*range(36),)
UPPER_LIP = (*range(48, 55), *range(60, 65))
LOWER_LIP = (48, *range(54, 61), *range(64, 68))
EYES = (*range(36, 48),)
CHIN = (7, 8, 9)
BESIDE_CORNERS = ((61, 60), (63, 64), (67, 60), (65, 64))
"""Inner-lip points and the corners next to them; between them the line is given its curve."""
FRACTIONS = np.array([0.25, 0.5, 0.75])
"""Where, from corner to lip point."""
LIP_SHARES = FRACTIONS**0.6
"""Shares of the lip point's motion there, the rest being the corner's: an opened lip is round."""
THROAT_FOLLOWS = 0.4
"""Share of the chin's motion that the skin of the throat makes."""
EDGE_NODES = 5
"""Lattice nodes along the border of the face's block over which expression fades out."""


class Expression:
    """Spreads 68 displacements in the source picture over a block of lattice nodes around the face."""

    def __init__(self, avatar: Avatar, lips: LipLine, unit_px: float, to_rest: F32 | None = None) -> None:
        """Solve the splines of ``avatar`` once.

        Args:
            avatar: The portrait.
            lips: Where its lips are cut.
            unit_px: Pixels of a face unit.
            to_rest: (68, 2) px, displacements that bring the portrait to rest; None where it is at rest. They close
                lips that are parted in the picture, also between the landmarks.
        """
        # The cut is where the lips move, so that a commanded opening is the opening.
        points = lips.on_edge(avatar.source_points)
        eyes = points[45] - points[36]
        right, down = eyes / np.linalg.norm(eyes), np.array([-eyes[1], eyes[0]]) / np.linalg.norm(eyes)
        oval = avatar.mesh[list(FACE_OVAL), :2].astype(np.float64)
        low = np.minimum(oval.min(0), points.min(0)) - np.array([0.3, 0.4]) * unit_px
        high = np.maximum(oval.max(0), points.max(0)) + np.array([0.3, 0.85]) * unit_px
        first = np.clip(((low - FIRST_NODE) / CELL).astype(int), 0, NODES - 2 * EDGE_NODES - 2)
        last = np.clip(np.ceil((high - FIRST_NODE) / CELL).astype(int) + 1, first + 2 * EDGE_NODES + 2, NODES)
        nodes = node_pixels()[first[1] : last[1], first[0] : last[0]].astype(np.float64)
        self._shape = nodes.shape
        self._first = first.astype(np.float32)

        chin = points[list(CHIN)].mean(0)
        throat = np.array([chin + unit_px * (x * right + 0.24 * down) for x in (-0.3, 0.0, 0.3)])
        frame = np.array([[x, y] for x in np.linspace(0, 1, 6) for y in (0.0, 1.0)])
        frame = np.concatenate([frame, frame[:, ::-1][2:-2]])
        corner, far = nodes[0, 0], nodes[-1, -1]
        still = np.concatenate(
            [points[list(EYES)], avatar.mesh[[10, 338, 297, 332, 109, 67, 103], :2], corner + frame * (far - corner)]
        )
        target = nodes.reshape(-1, 2)
        u, v = lips.frame(target)
        beyond = np.maximum(np.abs(u) - lips.half_width, 0)
        upper_share = np.clip(0.5 - 0.5 * v / (0.6 * beyond + 1.0), 0, 1)
        within = beyond <= 0
        window = self._window(*self._shape[:2]).reshape(-1, 1)
        beside = {lip: lips.between(points[corner], points[lip], FRACTIONS) for lip, corner in BESIDE_CORNERS}
        meet = _closing(beside, to_rest)
        both = [
            self._spread(points, [*COMMON, *lip], beside, meet, throat, still, target) for lip in (UPPER_LIP, LOWER_LIP)
        ]
        shares = (np.where(within, 1.0, upper_share)[:, None], np.where(within, 0.0, upper_share)[:, None])
        self._upper, self._lower = (
            (window * (share * both[0] + (1 - share) * both[1])).astype(np.float32) for share in shares
        )

    @staticmethod
    def _spread(
        points: F64,
        moving: list[int],
        beside: dict[int, F64],
        meet: dict[int, F64],
        throat: F64,
        still: F64,
        target: F64,
    ) -> F64:
        """Weights (T, 68 + 2) of the landmarks' displacements at ``target``; the last two make a constant (x, y)."""
        pairs = [pair for pair in BESIDE_CORNERS if pair[0] in moving]
        between = np.concatenate([beside[lip] for lip, _ in pairs])
        weights = thin_plate(np.concatenate([points[moving], between, throat, still]), target, smoothing=1e-7)
        result = np.zeros((len(target), LANDMARKS + 2))
        result[:, moving] = weights[:, : len(moving)]
        column = len(moving)
        for lip, corner in pairs:
            part = weights[:, column : column + len(FRACTIONS)]
            result[:, lip] += part @ LIP_SHARES
            result[:, corner] += part @ (1 - LIP_SHARES)
            result[:, LANDMARKS:] += part @ meet[lip]
            column += len(FRACTIONS)
        follows = weights[:, column : column + len(throat)].sum(1, keepdims=True)
        result[:, list(CHIN)] += THROAT_FOLLOWS / len(CHIN) * follows
        return result

    @staticmethod
    def _window(height: int, width: int) -> F64:
        """1 inside, 0 on the block's border."""
        y, x = (
            smoothstep(np.minimum(np.arange(n), np.arange(n)[::-1]) / EDGE_NODES).astype(np.float64)
            for n in (height, width)
        )
        return np.outer(y, x)

    def backward(self, displacement: F32) -> tuple[F32, F32]:
        """Backward fields of the upper and the lower side.

        Args:
            displacement: (68, 2) px in the source picture, before any head motion.

        Returns:
            Two fields over the block, (h, w, 2) px.
        """
        fields = []
        for weights in (self._upper, self._lower):
            moved = weights[:, :LANDMARKS] @ displacement + weights[:, LANDMARKS:]
            fields.append(invert(moved.reshape(self._shape)))
        return fields[0], fields[1]

    def at(self, field: F32, pixels: F32) -> F32:
        """A block's field at ``pixels`` (h, w, 2); it is zero on the block's border, and so beyond it."""
        return cast(F32, remap(field, (pixels - np.float32(FIRST_NODE)) / np.float32(CELL) - self._first))


def _closing(beside: dict[int, F64], to_rest: F32 | None) -> dict[int, F64]:
    """How far the points beside a corner must move, beyond their share of ``to_rest``, to meet those opposite."""
    if to_rest is None:
        return {lip: np.zeros((len(FRACTIONS), 2)) for lip in beside}
    there = {
        lip: beside[lip] + np.outer(LIP_SHARES, to_rest[lip]) + np.outer(1 - LIP_SHARES, to_rest[corner])
        for lip, corner in BESIDE_CORNERS
    }
    meet = {}
    for upper, lower in ((61, 67), (63, 65)):
        middle = (there[upper] + there[lower]) / 2
        meet[upper], meet[lower] = middle - there[upper], middle - there[lower]
    return meet
