"""How the face deforms: landmark displacements spread over the picture, apart for what hangs on either lip.

There are two fields, one for all that moves with the upper lip and one for all that moves with the lower. They
differ above and below the mouth and are one beyond its corners, so the picture is cut along the lips and nowhere
else. Around the mouth both are known on a fine lattice; for the rest of the face a coarse one will do, that holds
the upper field above the lips and the lower one below.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.geometry import COARSE_CELL, FACE_OVAL, node_pixels, smoothstep, thin_plate
from engine.renderer.inverse import C64, as_points, invert
from engine.renderer.lip_line import LipLine
from engine.renderer.pixels import CELL, F32, enlarge, join
from models.spec import IMAGE_SIZE, LANDMARKS, MOUTH

F64 = NDArray[np.float64]

COMMON = (*range(36),)
UPPER_LIP = (*range(48, 55), *range(60, 65))
LOWER_LIP = (48, *range(54, 61), *range(64, 68))
EYES = (*range(36, 48),)
EYE_CORNERS = ((36, 39), (42, 45))
CHIN = slice(7, 10)
BESIDE_CORNERS = ((61, 60), (63, 64), (67, 60), (65, 64))
"""Inner-lip points and the corners next to them; between them the line is given its curve."""
FRACTIONS = np.array([0.25, 0.5, 0.75])
"""Where, from corner to lip point."""
LIP_SHARES = FRACTIONS**0.6
"""Shares of the lip point's motion there, the rest being the corner's: an opened lip is round."""
THROAT_FOLLOWS = 0.4
"""Share of the chin's motion that the skin of the throat makes."""
JOINING = 0.05
"""Distance in fu before a corner over which the two fields become one."""
EDGE_PX = 20
"""Pixels along the border of the face's block over which expression fades out."""
MOUTH_MARGIN = ((0.22, 0.30), (0.22, 0.40))
"""How far in fu the mouth's block reaches beyond its landmarks: left and up, right and down."""


@dataclass(frozen=True)
class Fields:
    """Motion of one frame's expression, in units of lattice nodes, over blocks of the source picture.

    Attributes:
        face: complex64 (h, w), nodes CELL px apart.
        mouth: complex64 (2 h, w), nodes CELL px apart: the upper field's block on top of the lower field's.
    """

    face: C64
    mouth: C64


class Expression:
    """Spreads 68 displacements in the source picture over blocks of lattice nodes around face and mouth."""

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
        face = _block(low, high, COARSE_CELL)
        lips_px = points[MOUTH]
        margin = np.array(MOUTH_MARGIN) * unit_px
        mouth = _block(lips_px.min(0) - margin[0], lips_px.max(0) + margin[1], CELL)
        self._shapes = face.shape[:2], mouth.shape[:2]
        first = (face[0, 0] / COARSE_CELL).astype(int)
        self._window = tuple(slice(int(k), int(k) + n) for k, n in zip(first[::-1], face.shape[:2], strict=True))
        # Between the coarse nodes as many again are smoothed in, of which the first lie before the first of these.
        between = (COARSE_CELL - CELL) / 2
        self._face_corner, self._mouth_corner = _complex(face[0, 0] - between), _complex(mouth[0, 0])

        chin = points[CHIN].mean(0)
        throat = np.array([chin + unit_px * (x * right + 0.24 * down) for x in (-0.3, 0.0, 0.3)])
        frame = np.array([[x, y] for x in np.linspace(0, 1, 6) for y in (0.0, 1.0)])
        frame = np.concatenate([frame, frame[:, ::-1][2:-2]])
        corner, far = face[0, 0], face[-1, -1]
        still = np.concatenate([avatar.mesh[[10, 338, 297, 332, 109, 67, 103], :2], corner + frame * (far - corner)])
        target = np.concatenate([face.reshape(-1, 2), mouth.reshape(-1, 2)])
        u, v = lips.frame(target)
        beyond = np.maximum(np.abs(u) - lips.half_width, 0)
        upper_share = np.clip(0.5 - 0.5 * v / (0.6 * beyond + 1.0), 0, 1)
        within = smoothstep((lips.half_width - np.abs(u)) / (JOINING * unit_px))
        to_edge = np.minimum(target - corner, far - target) / EDGE_PX
        fade = smoothstep(to_edge).prod(1)[:, None]
        beside = {lip: lips.between(points[corner], points[lip], FRACTIONS) for lip, corner in BESIDE_CORNERS}
        meet = _closing(beside, to_rest)
        both = [
            self._spread(points, [*COMMON, *lip], beside, meet, throat, still, target) for lip in (UPPER_LIP, LOWER_LIP)
        ]
        of_face, of_mouth = slice(0, face[..., 0].size), slice(face[..., 0].size, None)
        weights = []
        for part, share in (
            (of_face, np.where(beyond <= 0, v < 0, upper_share)),
            (of_mouth, within + (1 - within) * upper_share),
            (of_mouth, (1 - within) * upper_share),
        ):
            mixed = share[:, None] * both[0] + (1 - share[:, None]) * both[1]
            weights.append((fade * mixed / CELL)[part])
        everywhere = np.concatenate(weights).T
        self._moving = np.flatnonzero(np.abs(everywhere[:LANDMARKS]).max(1) > 0)
        self._weights = np.ascontiguousarray(everywhere[self._moving], np.float32)
        self._constant = np.ascontiguousarray(everywhere[LANDMARKS:], np.float32)

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
        weights = thin_plate(
            np.concatenate([points[moving], between, throat, points[list(EYES)], still]), target, smoothing=1e-7
        )
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
        result[:, CHIN] += THROAT_FOLLOWS / 3 * follows
        # An eye moves with its corners alone; lids and eyeball have a way of their own.
        column += len(throat)
        for first, last in EYE_CORNERS:
            along = points[last] - points[first]
            share = (points[first : first + 6] - points[first]) @ along / (along @ along)
            part = weights[:, column : column + 6]
            result[:, first] += part @ (1 - share)
            result[:, last] += part @ share
            column += 6
        return result

    def forward(self, displacement: F32) -> Fields:
        """Spread ``displacement``, (68, 2) px in the source picture, before any head motion."""
        moved = displacement[self._moving].T @ self._weights + self._constant
        (height, width), (mouth_height, mouth_width) = self._shapes
        face, mouth = moved[:, : height * width], moved[:, height * width :]
        coarse = join(*face.reshape(2, height, width))
        return Fields(
            as_points(enlarge(coarse, 2 * width, 2 * height, smooth=True)),
            as_points(join(*mouth.reshape(2, 2 * mouth_height, mouth_width))),
        )

    def window(self, reach_px: float) -> tuple[slice, slice]:
        """Rows and columns of the coarse nodes of a frame that expression can move.

        Args:
            reach_px: How far at most along either axis the head has moved.
        """
        rows, columns = (
            slice(max(line.start - beyond, 0), min(line.stop + beyond, IMAGE_SIZE // COARSE_CELL))
            for line in self._window
            for beyond in (int(reach_px / COARSE_CELL) + 1,)
        )
        return rows, columns

    def on_face(self, fields: Fields, before: C64) -> C64:
        """Where points of the frame come from in the source picture, but for those around the mouth.

        Args:
            fields: As from ``forward``.
            before: complex64 (m, n) px, where the points come from before any expression.

        Returns:
            complex64 (m, n) px.
        """
        return _from_nodes(invert(fields.face, _to_nodes(before, self._face_corner)), self._face_corner)

    def around_mouth(self, fields: Fields, before: C64) -> tuple[C64, C64]:
        """The same for points around the mouth, each taken for a point of the upper side and of the lower side."""
        rows = before.shape[0]
        upper, down = _to_nodes(before, self._mouth_corner), np.complex64(1j * self._shapes[1][0])
        found = invert(fields.mouth, np.concatenate([upper, upper + down]))
        corner = self._mouth_corner
        return _from_nodes(found[:rows], corner), _from_nodes(found[rows:] - down, corner)


def _to_nodes(points: C64, corner: np.complex64) -> C64:
    return cast(C64, (points - corner) * (1 / CELL))


def _from_nodes(points: C64, corner: np.complex64) -> C64:
    return cast(C64, points * CELL + corner)


def _block(low: F64, high: F64, cell: int) -> F64:
    """Pixels (h, w, 2) of the lattice nodes between two corners (2,) px, and one more on each side, in the picture."""
    nodes = node_pixels(cell).astype(np.float64)
    count, first_px = len(nodes), (cell - 1) / 2
    first = np.clip(((low - first_px) // cell).astype(int), 0, count - _FEWEST)
    last = np.clip(np.ceil((high - first_px) / cell).astype(int) + 1, first + _FEWEST, count)
    return nodes[first[1] : last[1], first[0] : last[0]]


_FEWEST = 8
"""Nodes of a block along either axis, at least."""


def _complex(pair: F64) -> np.complex64:
    return np.complex64(complex(*pair))


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
