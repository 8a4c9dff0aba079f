"""Where the head is in space, and where the picture goes with it.

Motion lives on a lattice of nodes CELL pixels apart (``pixels``). A *forward* field says where a source node goes; a
picture is drawn with positions: where a node of the frame comes from (``inverse``).
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.inverse import C64, as_pairs, as_points, invert
from engine.renderer.pixels import (
    CELL,
    F32,
    blur,
    convex_hull,
    distance_outside,
    enlarge,
    fill,
    framed,
    join,
    shrink,
)
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, JAW, LANDMARKS

F64 = NDArray[np.float64]

COARSE_CELL = 8
"""Most motion is smooth: every other node will do, if what lies between is smoothed in."""
MESH_OF_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Dense-mesh vertex of each iBUG landmark; the jaw is the variant that begins at eye level."""
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)

OUTLINE_DEPTH = -0.12
"""Depth in fu at which the outline of skull and hair lies: a little before the head's pivot."""
RELIEF = 0.07
"""Smallest relief in fu that moves on its own when the head turns."""
NECK_REACH = 0.9
"""Distance in fu below the head over which its motion fades into the torso's."""
TORSO_FOLLOWS = 0.16
"""Share of the head's motion that shoulders and chest make, unless told otherwise."""
BORDER_FADE = 44
"""Pixels along the picture's border in which nothing may be pulled in from outside."""


def node_pixels(cell: int = CELL, beyond: int = 0) -> F32:
    """Pixel (x, y) of every node of a lattice of ``cell`` px, and ``beyond`` it on all sides, float32 (N, N, 2)."""
    line = np.arange(-beyond, IMAGE_SIZE // cell + beyond, dtype=np.float32) * cell + (cell - 1) / 2
    return np.stack(np.meshgrid(line, line), -1)


def smoothstep(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """0 below 0, 1 above 1, with level ends between."""
    x = np.minimum(np.maximum(x, 0), 1)
    return cast(NDArray[np.floating[Any]], x * x * (3 - 2 * x))


def ramp(x: NDArray[np.floating[Any]]) -> F32:
    """``x`` itself, float32, held between 0 and 1."""
    return cast(F32, np.minimum(np.maximum(x, 0, out=x), 1, out=x))


def at_depth(camera: F32, pixels: NDArray[np.floating[Any]], depth: NDArray[np.floating[Any]]) -> F64:
    """Face coordinates (N, 3) of ``pixels`` (N, 2) on the planes z = ``depth`` (N,) fu."""
    rows = camera.astype(np.float64)
    lines = rows[:2] - np.asarray(pixels, np.float64)[:, :, None] * rows[2]
    right = -(lines[:, :, 2] * depth[:, None] + lines[:, :, 3])
    return np.concatenate([np.linalg.solve(lines[:, :, :2], right[..., None])[..., 0], depth[:, None]], 1)


def thin_plate(controls: NDArray[np.floating[Any]], where: NDArray[np.floating[Any]], smoothing: float = 0.0) -> F64:
    """Weights (W, C) that turn values at ``controls`` (C, 2) into the thin-plate spline's values at ``where`` (W, 2).

    The spline is linear in the values, so one matrix, solved once, serves every frame.

    Args:
        controls: Distinct points.
        where: Points to evaluate.
        smoothing: Ridge on the bending energy; 0 interpolates.
    """
    centre, scale = controls.mean(0), float(np.ptp(controls, axis=0).max())
    known, wanted = (controls - centre) / scale, (where - centre) / scale

    def kernel(a: F64, b: F64) -> F64:
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return cast(F64, squared * np.log(np.maximum(squared, 1e-18)))

    count = len(known)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(known, known) + smoothing * np.eye(count)
    system[:count, count:] = system[count:, :count].T
    affine = np.concatenate([np.ones((count, 1)), known], 1)
    system[:count, count:], system[count:, :count] = affine, affine.T
    basis = np.concatenate([kernel(wanted, known), np.ones((len(wanted), 1)), wanted], 1)
    return cast(F64, np.linalg.solve(system, basis.T).T[:, :count])


_NODES_AROUND = as_points(node_pixels(beyond=1))
_REACH = 2
"""Coarse nodes on either side that a node between them takes part of."""


def fine_positions(coarse: C64, window: tuple[slice, slice] | None = None) -> C64:
    """Where the nodes of a frame come from.

    Args:
        coarse: complex64 (64, 64) px, how far from the coarse nodes lies what they show.
        window: Rows and columns of the result that are wanted; all by default.

    Returns:
        complex64 (IMAGE_SIZE // CELL + 2, as many) px, a node beyond the picture on all sides, or a window of it.
    """
    # Node k of the result is the node k + skipped between the padded coarse ones.
    padded, skipped = framed(as_pairs(coarse), _REACH), 2 * _REACH - 1
    if window is None:
        large = enlarge(padded, 2 * padded.shape[1], 2 * padded.shape[0], smooth=True)
        return as_points(large)[skipped:-skipped, skipped:-skipped] + _NODES_AROUND
    part, inner = [], []
    for line, count in zip(window, padded.shape[:2], strict=True):
        first = max((line.start + skipped) // 2 - _REACH, 0)
        last = min((line.stop + skipped + 1) // 2 + _REACH, count)
        part.append(slice(first, last))
        inner.append(slice(line.start + skipped - 2 * first, line.stop + skipped - 2 * first))
    crop = np.ascontiguousarray(padded[part[0], part[1]])
    large = enlarge(crop, 2 * crop.shape[1], 2 * crop.shape[0], smooth=True)
    return cast(C64, as_points(large)[inner[0], inner[1]] + _NODES_AROUND[window])


class HeadMotion:
    """Moves the picture with the head: every node has a place in space and a share in the head's motion.

    Attributes:
        unit_px: Pixels of one face unit at the eyes.
    """

    def __init__(self, avatar: Avatar) -> None:
        """Estimate depth and share for ``avatar``."""
        self._camera = avatar.camera
        nodes = node_pixels(COARSE_CELL)
        pixels = nodes.reshape(-1, 2)
        eyes = avatar.source_points[[36, 45]]
        self.unit_px = float(np.linalg.norm(eyes[1] - eyes[0]))
        oval = avatar.mesh[list(FACE_OVAL), :2]
        outline = self._outline(avatar, oval)
        face, depth = self._face_depths(avatar)
        controls = np.concatenate([face, outline])
        values = np.concatenate([depth, np.full(len(outline), OUTLINE_DEPTH)])
        surface = thin_plate(controls, pixels, smoothing=1e-4) @ values
        surface = np.clip(surface, depth.min() - 0.05, 0.2).reshape(nodes.shape[:2])
        # A face turns as one piece: what stands out by less than the nose does is noise of the measured mesh.
        surface = blur(surface, RELIEF * self.unit_px / COARSE_CELL).ravel()
        self._points = np.ascontiguousarray(at_depth(avatar.camera, pixels, surface).T, np.float32)
        self._rest = np.ascontiguousarray(avatar.project(self._points.T).T)
        head = fill((IMAGE_SIZE, IMAGE_SIZE), convex_hull(np.concatenate([oval, outline]))) > 0.5
        away = shrink(distance_outside(head), *nodes.shape[:2]) / (NECK_REACH * self.unit_px)
        below = nodes[..., 1] > avatar.source_points[JAW, 1].mean()
        share = np.where(below, 1 - smoothstep(away), 1 - 0.5 * smoothstep(away - 0.5)).ravel()
        to_border = np.minimum(nodes, IMAGE_SIZE - 1 - nodes).min(-1)
        free = smoothstep(to_border / BORDER_FADE).ravel() / COARSE_CELL
        self._with_head, self._with_torso = (free * share).astype(np.float32), (free * (1 - share)).astype(np.float32)
        self._nodes = as_points((nodes - (COARSE_CELL - 1) / 2) / np.float32(COARSE_CELL))

    def backward(self, pose: NDArray[np.floating[Any]], torso: NDArray[np.floating[Any]] | None) -> C64:
        """How far from the nodes of a frame lies what they show, complex64 (64, 64) px, COARSE_CELL px apart.

        Args:
            pose: (6,) of the head.
            torso: (6,) of the shoulders about the same origin; None for TORSO_FOLLOWS of the head's motion.
        """
        head = self._moved(pose)
        shoulders = head * np.float32(TORSO_FOLLOWS) if torso is None else self._moved(torso)
        moved = head * self._with_head + shoulders * self._with_torso
        count = IMAGE_SIZE // COARSE_CELL
        field = as_points(join(*moved.reshape(2, count, count)))
        return cast(C64, (invert(field, self._nodes, field) - self._nodes) * COARSE_CELL)

    def _moved(self, pose: NDArray[np.floating[Any]]) -> F32:
        """How far every node moves with ``pose``, (2, N) px."""
        camera = self._camera.astype(np.float64)
        turn, shift = camera[:, :3] @ rotation_matrix(pose[:3]), camera[:, :3] @ pose[3:] + camera[:, 3]
        homogeneous = turn.astype(np.float32) @ self._points + shift.astype(np.float32)[:, None]
        return cast(F32, homogeneous[:2] / homogeneous[2] - self._rest)

    @staticmethod
    def _face_depths(avatar: Avatar) -> tuple[F64, F64]:
        """Picture points (N, 2) of a thinned face mesh and their face-coordinate depth (N,)."""
        mesh = avatar.mesh.astype(np.float64)
        steady = [k for k in range(LANDMARKS) if k < 48]
        known = mesh[[MESH_OF_68[k] for k in steady]]
        affine = np.concatenate([known, np.ones((len(known), 1))], 1)
        # A weak pull to the mean keeps the fit sane where the mesh is flat.
        ridge = 1e-3 * np.diag([1.0, 1.0, 1.0, 0.0]) * len(known)
        target = avatar.template[steady, 2].astype(np.float64)
        weights = np.linalg.solve(affine.T @ affine + ridge, affine.T @ target)
        chosen = mesh[sorted({*range(0, 468, 3), *FACE_OVAL})]
        depth = np.concatenate([chosen, np.ones((len(chosen), 1))], 1) @ weights
        points, index = np.unique(np.round(chosen[:, :2], 1), axis=0, return_index=True)
        return points, np.clip(depth[index], target.min() - 0.1, target.max() + 0.1)

    def _outline(self, avatar: Avatar, oval: F32) -> F64:
        """Points (N, 2) px around hair and ears: where rays from the face, ear over crown to ear, leave the matte."""
        centre = avatar.source_points[[27, 30]].mean(0).astype(np.float64)
        upright = avatar.source_points[[36, 45]]
        tilt = np.arctan2(*(upright[1] - upright[0])[::-1])
        points = []
        for angle in np.deg2rad(np.arange(-205, 26, 10)) + tilt:
            direction = np.array([np.cos(angle), np.sin(angle)])
            steps = np.arange(0.0, 2.0 * self.unit_px)
            line = centre + steps[:, None] * direction
            inside = ((line >= 0) & (line <= IMAGE_SIZE - 1)).all(1)
            index = np.rint(np.clip(line, 0, IMAGE_SIZE - 1)).astype(int)
            person = avatar.matte[index[:, 1], index[:, 0]] > 128
            face = float(((oval - centre) @ direction).max()) * 1.08
            stop = np.flatnonzero(~(person & inside) & (steps > face))
            points.append(centre + direction * (steps[stop[0]] if len(stop) else steps[-1]))
        return np.array(points)
