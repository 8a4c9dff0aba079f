"""From a filmed face's measured mesh to the engine's posed landmarks: the drive of self-reenactment.

What is assumed:

- The clip lies in the avatar's own crop, so that the avatar's camera (``engine.portrait.geometry``) is the clip's.
- The person is the avatar: shape and depth are those of the portrait, whatever the mesh says of them later.
- The head's rotation is halfway between that which takes the stable points (sides of the head, nose, eye corners) of
  the portrait's mesh to those of the frame's, with the mesh's own depth in the scale of x, and that which fits their
  pixels best through the camera; the avatar's own camera is fitted in this way as well. Its translation is the least
  squares fit of the same pixels.
- Every landmark lies on the ray through its measured pixel, at the depth that the portrait's landmark has when it is
  moved with the head. What speech changes along the ray is not seen from one camera and is left out.
- The gaze is the way that the irises go between the corners of their eyes, mean of both, on the renderer's eyeball.
- What is measured differently in the portrait itself (lips that touch are measured a little apart) is taken off every
  frame as a constant in px, so that the frame of the portrait gives exactly the avatar's own landmarks and pose 0.
- Where the portrait is at rest these are its template; where its mouth is open or smiles, they are its landmarks as
  the picture has them (the engine's renderer sets out from there as well).
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.portrait.face_mesh import LEFT_IRIS, RIGHT_IRIS, ibug68
from engine.renderer.geometry import at_depth
from engine.renderer.lids import EYEBALL_RADIUS
from engine.renderer.lip_line import find_lip_line
from engine.renderer.warp import NO_REST
from models.spec import JAW, MOUTH, OUTER_EYE_CORNERS
from training.corpus.registration import STABLE_POINTS, umeyama

F64 = NDArray[np.float64]

PIXEL_SHARE: Final = 0.5
"""Of the rotation that the pixels say, against the mesh's depth; as where the avatar's camera is fitted."""
_STABLE = list(STABLE_POINTS)
_CORNERS = np.array([[36, 39], [42, 45]])


@dataclass(frozen=True)
class Driven:
    """What a renderer is given for a frame.

    Attributes:
        landmarks: float32 (68, 3) fu, displaced and posed.
        pose: float32 (6,), rotation vector in rad and translation in fu, 0 as in the portrait.
        gaze: float32 (2,) rad, yaw to the picture's right and pitch down, 0 as in the portrait.
    """

    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    gaze: NDArray[np.float32]


def base_landmarks(avatar: Avatar) -> NDArray[np.float32]:
    """The landmarks (68, 3) fu with which an avatar's frame is its portrait.

    Its template; but for a portrait whose mouth is not at rest, mouth and jaw lie on the rays of ``source_points``.
    """
    rest = avatar.project(avatar.template)
    unit = unit_px(avatar)
    away = float(np.linalg.norm(avatar.source_points - rest, axis=1)[MOUTH].max())
    if find_lip_line(avatar, unit).closed and away <= NO_REST * unit:
        return avatar.template
    base = avatar.template.copy()
    for part in (MOUTH, JAW):
        base[part] = at_depth(avatar.camera, avatar.source_points[part], avatar.template[part, 2])
    return base


def unit_px(avatar: Avatar) -> float:
    """Pixels of a face unit in the portrait: the distance of the outer eye corners."""
    first, second = (avatar.source_points[corner] for corner in OUTER_EYE_CORNERS)
    return float(np.linalg.norm(second - first))


class Drive:
    """Turns the meshes of a clip into landmarks and poses of the avatar made of it."""

    def __init__(self, avatar: Avatar, portrait_mesh: NDArray[np.floating[Any]]) -> None:
        """Tie the avatar to the frame of its portrait.

        Args:
            avatar: The avatar.
            portrait_mesh: (478, 3) px, as measured in the clip's frame that the portrait is of.
        """
        self._base = base_landmarks(avatar).astype(np.float64)
        intrinsics, self._rotation = _decomposed(avatar.camera.astype(np.float64))
        self._inverse = np.linalg.inv(intrinsics)
        self._translation = self._inverse @ avatar.camera[:, 3]
        self._measured = _landmarks(portrait_mesh)
        self._irises, self._eyeball_px = iris_places(portrait_mesh), EYEBALL_RADIUS * unit_px(avatar)
        corners = avatar.source_points[_CORNERS]
        self._eye_px = float(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1).mean())
        self._offset = avatar.project(self._base) - self._measured[:, :2]

    def step(self, mesh: NDArray[np.floating[Any]]) -> Driven:
        """Landmarks and pose of one frame.

        Args:
            mesh: (478, 3) px as measured, z towards the camera negative.

        Raises:
            ValueError: The stable points lie on one line.
        """
        points = _landmarks(mesh)
        turned = umeyama(self._measured[_STABLE], points[_STABLE]).rotation
        pixels = np.column_stack([points[:, :2] + self._offset, np.ones(len(points))])
        rays = pixels @ self._inverse.T
        rays /= rays[:, 2:]
        rotation = self._turned(turned @ self._rotation, rays)
        moved = self._base @ rotation.T
        translation = _translation(moved[_STABLE], rays[_STABLE])
        seen = rays * (moved[:, 2] + translation[2])[:, None]
        landmarks = (seen - self._translation) @ self._rotation
        vector, _ = cv2.Rodrigues(self._rotation.T @ rotation)
        pose = np.concatenate([vector.ravel(), self._rotation.T @ (translation - self._translation)])
        return Driven(landmarks.astype(np.float32), pose.astype(np.float32), self._gaze(mesh))

    def _turned(self, by_mesh: F64, rays: F64) -> F64:
        """Halfway from the mesh's rotation to that which fits the stable points' pixels best."""
        start, _ = cv2.Rodrigues(by_mesh)
        base, seen = self._base[_STABLE], rays[_STABLE]
        shift = _translation(base @ by_mesh.T, seen).reshape(3, 1)
        vector, _ = cv2.solvePnPRefineLM(base, np.ascontiguousarray(seen[:, :2]), np.eye(3), None, start, shift)
        between, _ = cv2.Rodrigues(cv2.Rodrigues(vector)[0] @ by_mesh.T)
        return np.asarray(cv2.Rodrigues(between * PIXEL_SHARE)[0] @ by_mesh, np.float64)

    def _gaze(self, mesh: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        way = (iris_places(mesh) - self._irises).mean(0) * self._eye_px / self._eyeball_px
        return np.asarray(np.arcsin(np.clip(way, -1, 1)), np.float32)


def iris_places(mesh: NDArray[np.floating[Any]]) -> F64:
    """Where the irises are between the corners of their eyes, right eye first: (2, 2), from midway between them.

    x along the line of the corners and y square to it, both in widths of the eye.
    """
    corners = _landmarks(mesh)[_CORNERS, :2]
    irises = np.stack([mesh[part][0, :2] for part in (RIGHT_IRIS, LEFT_IRIS)])
    along = corners[:, 1] - corners[:, 0]
    away = irises - corners.mean(1)
    square = np.stack([-along[:, 1], along[:, 0]], -1)
    places = np.stack([(away * along).sum(-1), (away * square).sum(-1)], -1)
    return np.asarray(places / (along**2).sum(-1, keepdims=True), np.float64)


def _landmarks(mesh: NDArray[np.floating[Any]]) -> F64:
    return np.asarray(ibug68(mesh), np.float64)


def _decomposed(camera: F64) -> tuple[F64, F64]:
    """Intrinsics (3, 3), with the camera's scale in them, and rotation (3, 3) of a camera (3, 4)."""
    _, intrinsics, rotation, *_ = cv2.RQDecomp3x3(camera[:, :3])
    # The decomposition leaves signs open; focal lengths and depth are positive.
    signs = np.sign(np.diag(intrinsics))
    return np.asarray(intrinsics * signs, np.float64), np.asarray(signs[:, None] * rotation, np.float64)


def _translation(moved: F64, rays: F64) -> F64:
    """The translation (3,) that brings points (N, 3) onto their rays (N, 3), z 1: linear least squares."""
    count = len(moved)
    system = np.zeros((2 * count, 3))
    system[:count, 0] = system[count:, 1] = 1
    system[:count, 2], system[count:, 2] = -rays[:, 0], -rays[:, 1]
    right = np.concatenate([rays[:, axis] * moved[:, 2] - moved[:, axis] for axis in (0, 1)])
    return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0], np.float64)
