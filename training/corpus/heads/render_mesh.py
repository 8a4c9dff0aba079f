"""Triangles for a graphics card: vertices split where texture or class changes, and normals that stay smooth there."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class RenderMesh:
    """What is drawn of a mesh.

    Attributes:
        matrix: Sparse float32 (P, V): points to draw from the mesh's own.
        triangles: int32 (T, 3) into these points.
        gather: int64 (R,): for every vertex on the card its point.
        indices: int32 (T, 3) into the card's vertices.
        uv: float32 (R, 2).
        classes: uint8 (R,), the ``MaskClass`` of the faces that a vertex belongs to.
    """

    matrix: sp.csr_matrix
    triangles: NDArray[np.int32]
    gather: NDArray[np.int64]
    indices: NDArray[np.int32]
    uv: NDArray[np.float32]
    classes: NDArray[np.uint8]

    @cached_property
    def _collect(self) -> sp.csr_matrix:
        """Adds what belongs to triangles up at their points."""
        count = len(self.triangles)
        ones = np.ones(3 * count, np.float32)
        shape = (self.matrix.shape[0], count)
        return sp.csr_matrix((ones, (self.triangles.ravel(), np.repeat(np.arange(count), 3))), shape)

    def normals(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit normals float32 (P, 3) of points (P, 3), weighted by area."""
        corner = points[self.triangles[:, 0]]
        across = np.cross(points[self.triangles[:, 1]] - corner, points[self.triangles[:, 2]] - corner)
        total = np.asarray(self._collect @ across, np.float32)
        unit: NDArray[np.float32] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), np.float32(1e-9))
        return unit


def build_mesh(
    matrix: sp.csr_matrix,
    quads: NDArray[np.int32],
    uv: NDArray[np.float32],
    uv_quads: NDArray[np.int32],
    classes: NDArray[np.integer],
) -> RenderMesh:
    """Split a mesh of quads into what a card draws.

    Args:
        matrix: Sparse (P, V), points to draw from the mesh's own.
        quads: int32 (F, 4) into the points to draw.
        uv: (U, 2).
        uv_quads: int32 (F, 4).
        classes: (F,) of each face.
    """
    order = [[0, 1, 2], [0, 2, 3]]
    triangles = quads[:, order].reshape(-1, 3)
    uv_triangles = uv_quads[:, order].reshape(-1, 3)
    kinds = np.repeat(classes, 6).astype(np.int64)
    key = (triangles.astype(np.int64).ravel() * len(uv) + uv_triangles.ravel()) * 64 + kinds
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return RenderMesh(
        matrix=matrix.astype(np.float32),
        triangles=triangles.astype(np.int32),
        gather=triangles.ravel()[first].astype(np.int64),
        indices=inverse.reshape(-1, 3).astype(np.int32),
        uv=np.asarray(uv, np.float32)[uv_triangles.ravel()[first]],
        classes=kinds[first].astype(np.uint8),
    )
