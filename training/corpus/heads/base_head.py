"""MakeHuman's base mesh as a head: the part that is drawn, its classes, what turns with the skull, the landmarks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import ArtefactError
from models.spec import EYE_MIDPOINT, LANDMARKS, OUTER_EYE_CORNERS
from training.corpus.heads.assets import BASE_MESH, Assets
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.obj_file import parse_obj
from training.corpus.heads.render_mesh import RenderMesh, build_mesh
from training.corpus.heads.subdivision import subdivide

BODY_END: Final = 13380
"""Base vertices below this are skin; helper geometry follows: tongue, eyes, lashes, teeth, clothes, joints."""
TONGUE: Final = slice(13380, 13606)
LOWER_TEETH: Final = slice(14992, 15060)
UPPER_TEETH: Final = slice(15060, 15128)
TURNING: Final = ("neck01", "neck02", "neck03", "head")
"""Bones that share a turn of the head, from the shoulders up; all bones of the face count as the head."""
_NECK_BELOW: Final = 0.8
"""Share of the head's bone under which a face of the mesh counts as neck."""
_SEAM_SHARES: Final = (0.4, 0.75)
"""Of the way from the outer inner-lip landmarks to the corners: where the lips are held together too."""
_LOWEST_Y: Final = 2.6
_WIDEST_X: Final = 3.0
_TO_FACE_AXES: Final = np.array([1.0, -1.0, -1.0], np.float32)
"""MakeHuman looks along +z with +y up; face coordinates have +y down and +z away from the camera."""
_LANDMARK_FILE: Final = "landmarks68.json"


@dataclass(frozen=True)
class FaceFrame:
    """From MakeHuman's decimetres to the face coordinates of ``models.spec``, for one person.

    Attributes:
        scale: fu a decimetre.
        origin: float32 (3,) decimetres, midpoint of the outer eye corners.
    """

    scale: float
    origin: NDArray[np.float32]

    @staticmethod
    def of(landmarks: NDArray[np.float32]) -> "FaceFrame":
        """The frame of a person from neutral landmarks float32 (68, 3) in decimetres."""
        right, left = (landmarks[k] for k in OUTER_EYE_CORNERS)
        return FaceFrame(float(1 / np.linalg.norm(left - right)), ((left + right) / 2).astype(np.float32))

    def points(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Positions (..., 3) decimetres to fu."""
        moved: NDArray[np.float32] = (points - self.origin) * (_TO_FACE_AXES * np.float32(self.scale))
        return moved + np.array(EYE_MIDPOINT, np.float32)

    def directions(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors (..., 3), turned."""
        turned: NDArray[np.float32] = vectors * _TO_FACE_AXES
        return turned


@dataclass(frozen=True)
class LandmarkIndex:
    """Where the 68 points and the lips lie on the base mesh.

    Attributes:
        vertices: int64 (68,) base vertices.
        upper_lip: Numbers of faces of base.obj, in file order.
        lower_lip: The same of the lower lip.
        inner_mouth: The same of the cavity.
    """

    vertices: NDArray[np.int64]
    upper_lip: NDArray[np.int64]
    lower_lip: NDArray[np.int64]
    inner_mouth: NDArray[np.int64]


def load_landmark_index(assets: Assets) -> LandmarkIndex:
    """The index in the data folder, or the one that ships for MakeHuman's mesh "hm08".

    Raises:
        ArtefactError: It is damaged.
    """
    own = assets.has(_LANDMARK_FILE)
    data: Any = assets.json(_LANDMARK_FILE) if own else json.loads(Path(__file__).with_name(_LANDMARK_FILE).read_text())
    try:
        index = LandmarkIndex(
            *(
                np.array(data[k], np.int64)
                for k in ("vertices", "lip_faces_upper", "lip_faces_lower", "inner_mouth_faces")
            )
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{_LANDMARK_FILE} is damaged: {error}.") from error
    if index.vertices.shape != (LANDMARKS,):
        raise ArtefactError(f"{_LANDMARK_FILE} names {index.vertices.size} vertices; it takes {LANDMARKS}.")
    return index


@dataclass(frozen=True)
class BaseHead:
    """The base mesh, cut to head and shoulders.

    Attributes:
        points: float32 (V, 3) decimetres, the whole base mesh.
        index: Landmarks and lips.
        vertices: int64 (n,), the base vertices that are drawn as skin.
        quads: int32 (f, 4), skin faces, into base vertices.
        surface: The skin to draw: its points are ``surface.matrix @ points[vertices]``.
        shares: float32 (V, 4), how much of each bone of ``TURNING`` a vertex follows; the rest follows the shoulders.
        lip: float32 (surface points,), 1 on the lips and inside them, 0 on the skin around.
        lower_lip: float32 (surface points,), 0 on the upper, 1 on the lower lip and around it.
        cavity: float32 (surface points,), 1 inside the mouth.
        landmark_matrix: Sparse float32 (68, n): landmarks on the smooth surface from ``points[vertices]``.
        seam_matrix: Sparse float32 (14, n): seven points of the upper lip's edge from the person's right to the left,
            then the seven of the lower lip's that they meet; the middle three of each are landmarks.
        face_quads: Quads before subdivision that each ``surface`` triangle comes from, int64 (triangles,).
    """

    points: NDArray[np.float32]
    index: LandmarkIndex
    vertices: NDArray[np.int64]
    quads: NDArray[np.int32]
    surface: RenderMesh
    shares: NDArray[np.float32]
    lip: NDArray[np.float32]
    lower_lip: NDArray[np.float32]
    cavity: NDArray[np.float32]
    landmark_matrix: sp.csr_matrix
    seam_matrix: sp.csr_matrix
    face_quads: NDArray[np.int64]

    def skin(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Surface points float32 (S, 3) for base points (V, 3)."""
        return np.asarray(self.surface.matrix @ points[self.vertices], np.float32)

    def landmarks(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """The 68 points float32 (68, 3) on the smooth surface for base points (V, 3)."""
        return np.asarray(self.landmark_matrix @ points[self.vertices], np.float32)


def load_base_head(assets: Assets) -> BaseHead:
    """Read the base mesh with its skin weights.

    Raises:
        ArtefactError: A file is missing or damaged.
    """
    mesh = parse_obj(assets.text(BASE_MESH), BASE_MESH)
    index = load_landmark_index(assets)
    if max(index.vertices.max(), index.inner_mouth.max(initial=0)) >= len(mesh.points):
        raise ArtefactError(f"{BASE_MESH} is not the mesh that {_LANDMARK_FILE} speaks of; take MakeHuman's hm08.")
    shares = _turning_shares(assets, len(mesh.points))
    corners = mesh.points[mesh.quads]
    drawn = (mesh.quads.max(1) < BODY_END) & (corners[..., 1].min(1) > _LOWEST_Y)
    drawn &= np.abs(corners[..., 0]).max(1) < _WIDEST_X
    numbers = np.flatnonzero(drawn)
    quads, uv_quads = mesh.quads[numbers], mesh.uv_quads[numbers]
    classes = np.full(len(quads), MaskClass.SKIN)
    classes[shares[quads][:, :, 3].mean(1) < _NECK_BELOW] = MaskClass.NECK
    for faces, kind in (
        (index.inner_mouth, MaskClass.INNER_MOUTH),
        (index.upper_lip, MaskClass.UPPER_LIP),
        (index.lower_lip, MaskClass.LOWER_LIP),
    ):
        classes[np.isin(numbers, faces)] = kind
    vertices, inverse = np.unique(quads, return_inverse=True)
    compact: NDArray[np.int32] = inverse.reshape(-1, 4).astype(np.int32)
    step = subdivide(len(vertices), compact, len(mesh.uv), uv_quads)
    surface = build_mesh(step.matrix, step.quads, step.uv_matrix @ mesh.uv, step.uv_quads, np.repeat(classes, 4))
    place = np.searchsorted(vertices, index.vertices)
    if (vertices[np.minimum(place, len(vertices) - 1)] != index.vertices).any():
        raise ArtefactError(f"{_LANDMARK_FILE} names vertices that are not part of the head.")
    upper, lower, cavity = (
        np.bincount(compact[classes == kind].ravel(), minlength=len(vertices))
        for kind in (MaskClass.UPPER_LIP, MaskClass.LOWER_LIP, MaskClass.INNER_MOUTH)
    )
    outside = np.bincount(compact.ravel(), minlength=len(vertices)) - upper - lower - cavity
    lips = upper + lower
    lip = np.where(lips + outside > 0, lips / np.maximum(lips + outside, 1), 1.0)
    below = mesh.points[vertices, 1] < mesh.points[index.vertices[[60, 64]], 1].mean()
    lower_lip = np.where(lips > 0, lower / np.maximum(lips, 1), below)
    return BaseHead(
        points=mesh.points,
        index=index,
        vertices=vertices.astype(np.int64),
        quads=quads,
        surface=surface,
        shares=shares,
        lip=np.asarray(step.matrix @ lip, np.float32),
        lower_lip=np.asarray(step.matrix @ lower_lip, np.float32),
        cavity=np.asarray(step.matrix @ (cavity > 0), np.float32),
        landmark_matrix=step.matrix[place],
        seam_matrix=step.matrix[_seam(mesh.points[vertices], compact, classes, place)],
        face_quads=np.repeat(np.arange(len(quads)), 8),
    )


def _seam(
    points: NDArray[np.float32], quads: NDArray[np.int32], classes: NDArray[np.integer], marks: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The vertices of ``BaseHead.seam_matrix``: landmarks, and the nearest of each lip between them and the corners."""
    sides = []
    for kind, middle in ((MaskClass.UPPER_LIP, (61, 62, 63)), (MaskClass.LOWER_LIP, (67, 66, 65))):
        of_lip = np.setdiff1d(np.unique(quads[classes == kind]), marks)
        if not len(of_lip):
            raise ArtefactError(f"{_LANDMARK_FILE} names no faces for the lips.")
        row = [int(marks[k]) for k in middle]
        for corner, neighbour in ((60, middle[0]), (64, middle[2])):
            for share in _SEAM_SHARES:
                between = points[marks[neighbour]] * (1 - share) + points[marks[corner]] * share
                nearest = int(of_lip[np.argmin(np.linalg.norm(points[of_lip] - between, axis=1))])
                row.insert(0 if corner == 60 else len(row), nearest)
        sides += row
    return np.array(sides, np.int64)


def _turning_shares(assets: Assets, count: int) -> NDArray[np.float32]:
    """Skin weights (V, 4) of the bones of ``TURNING``, their descendants counted in."""
    weights = assets.json("rigs/default_weights.mhw")["weights"]
    bones = assets.json("rigs/default.mhskel")["bones"]
    total = np.zeros((count, len(TURNING) + 1), np.float32)
    try:
        for bone, rows in weights.items():
            above: str | None = bone
            while above and above not in TURNING:
                above = bones[above]["parent"] if above in bones else None
            column = TURNING.index(above) if above else len(TURNING)
            table = np.array(rows, np.float64).reshape(-1, 2)
            np.add.at(total[:, column], table[:, 0].astype(np.int64), table[:, 1].astype(np.float32))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"The skin weights in rigs/ do not fit the base mesh: {error}.") from error
    shares: NDArray[np.float32] = total / np.maximum(total.sum(1, keepdims=True), np.float32(1e-6))
    return shares[:, : len(TURNING)]
