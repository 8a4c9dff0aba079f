"""Catmull-Clark subdivision of a quad mesh as one sparse matrix: smooth heads from a coarse base mesh.

One step is linear in the points, so the matrix is made once for a topology and moves every expression of it.
Source: E. Catmull and J. Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class Subdivision:
    """One step for one topology.

    Attributes:
        matrix: Sparse float32 (V', V): new points from old ones; the first V are the old vertices, moved.
        quads: int32 (4 F, 4); the four of a face follow each other.
        uv_matrix: Sparse float32 (U', U), linear: textures are not smoothed.
        uv_quads: int32 (4 F, 4).
    """

    matrix: sp.csr_matrix
    quads: NDArray[np.int32]
    uv_matrix: sp.csr_matrix
    uv_quads: NDArray[np.int32]


def subdivide(vertices: int, quads: NDArray[np.int32], uvs: int, uv_quads: NDArray[np.int32]) -> Subdivision:
    """Prepare a step.

    Args:
        vertices: How many points the mesh has.
        quads: int32 (F, 4).
        uvs: How many texture coordinates.
        uv_quads: int32 (F, 4).
    """
    matrix, new_quads = _step(vertices, quads, smooth=True)
    uv_matrix, new_uv_quads = _step(uvs, uv_quads, smooth=False)
    return Subdivision(matrix, new_quads, uv_matrix, new_uv_quads)


def _step(count: int, quads: NDArray[np.int32], *, smooth: bool) -> tuple[sp.csr_matrix, NDArray[np.int32]]:
    faces = len(quads)
    ends = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, edge_of = np.unique(ends, axis=0, return_inverse=True)
    edge_of = edge_of.reshape(faces, 4)
    rows = np.repeat(np.arange(faces), 4)
    face_points = _matrix(np.full(4 * faces, 0.25), rows, quads.ravel(), (faces, count))
    both = np.repeat(np.arange(len(edges)), 2)
    middles = _matrix(np.full(2 * len(edges), 0.5), both, edges.ravel(), (len(edges), count))
    if smooth:
        moved, edge_points = _smooth(count, quads, edges, edge_of, face_points, middles)
    else:
        moved, edge_points = sp.identity(count, format="csr"), middles
    matrix = sp.vstack([moved, edge_points, face_points]).tocsr().astype(np.float32)
    middle = count + len(edges) + np.arange(faces)
    corners = [np.stack([quads[:, i], count + edge_of[:, i], middle, count + edge_of[:, i - 1]], 1) for i in range(4)]
    return matrix, np.stack(corners, 1).reshape(-1, 4).astype(np.int32)


def _smooth(
    count: int,
    quads: NDArray[np.int32],
    edges: NDArray[np.int32],
    edge_of: NDArray[np.int64],
    face_points: sp.csr_matrix,
    middles: sp.csr_matrix,
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Moved old vertices (count, count) and edge points (edges, count); borders stay curves of their own."""
    faces, rows = len(quads), np.repeat(np.arange(len(quads)), 4)
    ones = np.ones(4 * faces)
    inner = np.bincount(edge_of.ravel(), minlength=len(edges)) == 2
    beside = _matrix(ones, edge_of.ravel(), rows, (len(edges), faces)) @ face_points
    edge_points = sp.diags(np.where(inner, 0.5, 1.0)) @ middles + sp.diags(np.where(inner, 0.25, 0.0)) @ beside
    around = _matrix(ones, quads.ravel(), rows, (count, faces))
    valence = np.asarray(around.sum(1)).ravel()
    both = np.repeat(np.arange(len(edges)), 2)
    touching = _matrix(np.ones(2 * len(edges)), edges.ravel(), both, (count, len(edges)))
    degree = np.maximum(np.asarray(touching.sum(1)).ravel(), 1)
    n = np.maximum(valence, 1)
    free = (
        sp.diags(1 / n**2) @ around @ face_points
        + sp.diags(2 / (n * degree)) @ touching @ middles
        + sp.diags((n - 3) / n)
    )
    outline = edges[~inner]
    on_border = np.zeros(count, bool)
    on_border[outline.ravel()] = True
    pair = np.repeat(np.arange(len(outline)), 2)
    border_touch = _matrix(np.ones(2 * len(outline)), outline.ravel(), pair, (count, len(outline)))
    border_middles = _matrix(np.full(2 * len(outline), 0.5), pair, outline.ravel(), (len(outline), count))
    border_degree = np.maximum(np.asarray(border_touch.sum(1)).ravel(), 1)
    border = sp.diags(0.5 / border_degree) @ border_touch @ border_middles + sp.diags(np.full(count, 0.5))
    used = valence > 0
    moved = (
        sp.diags((~on_border & used).astype(float)) @ free
        + sp.diags((on_border & used).astype(float)) @ border
        + sp.diags((~used).astype(float))
    )
    return moved, edge_points


def _matrix(
    values: NDArray[np.float64], rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]
) -> sp.csr_matrix:
    return sp.csr_matrix((values, (rows, columns)), shape)
