"""From measured landmarks to a camera and the person's own template.

One picture does not say how deep a face is. The canonical head (the mean of the CC0 MakeHuman heads) and the dense
mesh's own depth each give an answer; their mean, made left-right symmetric, is taken as depth, and every landmark is
put where the ray through its measured pixel meets that depth. So the template projects onto the measured points
exactly, whatever the depths are.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import PortraitError
from engine.portrait.face_mesh import ibug68
from engine.portrait.rest import bring_to_rest
from models.spec import EYE_MIDPOINT, EYES, IMAGE_SIZE, LANDMARKS, OUTER_EYE_CORNERS

FOCAL_PX: Final = 1400.0
"""Of the 512 px crop: a face of common size is then about 1.1 m away, as in a portrait photograph."""
MAX_YAW_DEG: Final = 42.0
MAX_PITCH_DEG: Final = 35.0

_MESH_DEPTH_SHARE = 0.5
_RIGID = np.r_[17:48]
"""Brows, nose and eyes: what a smile or an open mouth moves least."""

_MIRROR_TEXT = (
    "16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 26 25 24 23 22 21 20 19 18 17 27 28 29 30 35 34 33 32 31 "
    "45 44 43 42 47 46 39 38 37 36 41 40 54 53 52 51 50 49 48 59 58 57 56 55 64 63 62 61 60 67 66 65"
)
MIRROR: Final[NDArray[np.int64]] = np.array(_MIRROR_TEXT.split(), np.int64)
"""The landmark on the other side of the face."""


@dataclass(frozen=True)
class HeadFit:
    """How a head lies in the crop.

    Attributes:
        template: float32 (68, 3) fu, at rest.
        camera: float32 (3, 4), face coordinates to homogeneous pixels.
        yaw_deg: Turn to the side; positive when the face looks to the right of the picture.
        pitch_deg: Nod; positive when the face looks down.
        roll_deg: Tilt, clockwise in the picture positive.
    """

    template: NDArray[np.float32]
    camera: NDArray[np.float32]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@cache
def canonical68() -> NDArray[np.float32]:
    """The neutral average head: float32 (68, 3) fu, read-only."""
    data = json.loads(files("engine.portrait").joinpath("canonical68.json").read_text("utf-8"))
    points = np.array(data["points"], np.float32).reshape(LANDMARKS, 3)
    points.setflags(write=False)
    return points


def fit_head(mesh: NDArray[np.float32]) -> HeadFit:
    """Fit camera and template to one face.

    Args:
        mesh: float32 (478, 3) px in the 512x512 crop, z towards the camera negative.

    Returns:
        The fit; ``template`` has the mouth closed, and projects onto the measured points where the mouth was
        closed already.

    Raises:
        PortraitError: The head is turned, bent or deformed so far that it cannot be moved credibly.
    """
    points = ibug68(mesh).astype(np.float64)
    rotation = _rotation(points)
    yaw, pitch, roll = _angles(rotation)
    if abs(yaw) > MAX_YAW_DEG or abs(pitch) > MAX_PITCH_DEG:
        turn, degrees = ("to the side", yaw) if abs(yaw) > MAX_YAW_DEG else ("up or down", pitch)
        raise PortraitError(
            f"The face is turned {turn} by about {abs(degrees):.0f} degrees; use a picture that looks towards the "
            "camera."
        )
    translation = _translation(points[:, :2], rotation)
    depth = _depth(points, rotation)
    measured = _on_rays(points[:, :2], rotation, translation, depth)
    similarity = _normaliser(measured)
    template = measured @ similarity[:3, :3].T + similarity[:3, 3]
    camera = _intrinsics() @ np.column_stack([rotation, translation]) @ np.linalg.inv(similarity)
    if not (np.isfinite(template).all() and np.isfinite(camera).all()):
        raise PortraitError("The face's shape could not be measured; use a clearer picture of it.")
    return HeadFit(bring_to_rest(template).astype(np.float32), camera.astype(np.float32), yaw, pitch, roll)


def eye_opening(points: NDArray[np.floating[Any]]) -> float:
    """Mean height of the eyes over their width; about 0.3 when open, under 0.1 when closed.

    Args:
        points: (68, 2) px.
    """
    eyes = points[EYES].reshape(2, 6, -1)
    height = np.linalg.norm(eyes[:, 1:3] - eyes[:, [5, 4]], axis=-1).mean(-1)
    return float((height / np.linalg.norm(eyes[:, 0] - eyes[:, 3], axis=-1)).mean())


def _rotation(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Head rotation, halfway between the mesh's own and that of a pose fitted to the 2D points.

    The mesh's depth is good in pitch and shy in yaw; with 2D points it is the other way round.
    """
    canonical = canonical68().astype(np.float64)[_RIGID]
    target = points[_RIGID]
    u, _, vt = np.linalg.svd((target - target.mean(0)).T @ (canonical - canonical.mean(0)))
    by_mesh = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    start, _ = cv2.Rodrigues(by_mesh)
    found, vector, _ = cv2.solvePnP(
        canonical,
        np.ascontiguousarray(target[:, :2]),
        _intrinsics(),
        None,
        start,
        _translation(points[:, :2], by_mesh).reshape(3, 1),
        useExtrinsicGuess=True,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found:
        return np.asarray(by_mesh, np.float64)
    between, _ = cv2.Rodrigues(cv2.Rodrigues(vector)[0] @ by_mesh.T)
    return np.asarray(cv2.Rodrigues(between / 2)[0] @ by_mesh, np.float64)


def _translation(xy: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the canonical head, so rotated, lies before the camera (linear least squares)."""
    rotated = canonical68()[_RIGID] @ rotation.T
    offset = xy[_RIGID] - IMAGE_SIZE / 2
    n = len(offset)
    system = np.zeros((2 * n, 3))
    system[:n, 0] = system[n:, 1] = FOCAL_PX
    system[:n, 2], system[n:, 2] = -offset[:, 0], -offset[:, 1]
    right = np.concatenate([offset[:, i] * rotated[:, 2] - FOCAL_PX * rotated[:, i] for i in (0, 1)])
    solution = np.linalg.lstsq(system, right, rcond=None)[0]
    return np.asarray(solution, np.float64)


def _depth(points: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth z (68,) in face coordinates, symmetric."""
    canonical = canonical68().astype(np.float64)
    turned = points @ rotation  # rows of R^T x
    a, b = OUTER_EYE_CORNERS
    turned = turned / np.linalg.norm(turned[b] - turned[a])
    by_mesh = turned[:, 2] + (canonical[_RIGID, 2] - turned[_RIGID, 2]).mean()
    depth = (1 - _MESH_DEPTH_SHARE) * canonical[:, 2] + _MESH_DEPTH_SHARE * by_mesh
    return np.asarray((depth + depth[MIRROR]) / 2, np.float64)


def _on_rays(
    xy: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Points (68, 3) of face coordinates on the pixels' rays, at the depths given."""
    origin = -rotation.T @ translation
    rays = np.column_stack([(xy - IMAGE_SIZE / 2) / FOCAL_PX, np.ones(len(xy))]) @ rotation
    return np.asarray(origin + rays * ((depth - origin[2]) / rays[:, 2])[:, None], np.float64)


def _normaliser(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity (4, 4) that puts the outer eye corners where the convention has them."""
    right, left = (points[i] for i in OUTER_EYE_CORNERS)
    across = left - right
    scale = 1 / np.linalg.norm(across)
    angle = np.arctan2(across[1], across[0])
    cosine, sine = np.cos(angle), np.sin(angle)
    similarity = np.eye(4)
    similarity[:3, :3] = scale * np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    similarity[:3, 3] = np.array(EYE_MIDPOINT) - similarity[:3, :3] @ ((left + right) / 2)
    return similarity


def _angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head rotation."""
    forward = -rotation[:, 2]
    yaw = np.degrees(np.arctan2(forward[0], -forward[2]))
    pitch = np.degrees(np.arcsin(np.clip(forward[1], -1, 1)))
    roll = np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))
    return float(yaw), float(pitch), float(roll)


def _intrinsics() -> NDArray[np.float64]:
    centre = IMAGE_SIZE / 2
    return np.array([[FOCAL_PX, 0, centre], [0, FOCAL_PX, centre], [0, 0, 1]])
