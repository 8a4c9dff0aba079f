"""Best-fit registration of landmarks: head pose is factored out of a clip (paper, section 6.2).

Each frame's landmarks are registered to a front-facing template by the least-squares similarity transformation
(Umeyama 1991), estimated on the points that expressions move least.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.spec import LANDMARKS, POSE_DIM

F64 = NDArray[np.float64]

STABLE_POINTS: Final = (0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45)
"""Sides of the head, nose and eye corners of the 68: little moved by speech."""

CAMERA_DISTANCE: Final = 10.0
"""Distance in fu (outer eye corners = 1) that the change of scale is read as movement towards the camera with."""


@dataclass(frozen=True)
class Similarity:
    """``target = scale * rotation @ source + translation``."""

    scale: float
    rotation: F64
    translation: F64


@dataclass(frozen=True)
class Registration:
    """A clip with its head pose factored out.

    Attributes:
        pose: float32 (frames, 6), rotation vector in rad and translation in fu, as ``models.spec`` defines them;
            the clip's median position is the translation's zero.
        displacement: float32 (frames, 68, 3) fu, registered landmarks minus ``neutral``.
        neutral: float32 (68, 3) fu, the clip's median face in the template's coordinates.
    """

    pose: NDArray[np.float32]
    displacement: NDArray[np.float32]
    neutral: NDArray[np.float32]


def umeyama(source: F64, target: F64) -> Similarity:
    """Least-squares similarity that takes ``source`` to ``target``.

    Args:
        source: (points, 3), at least three not on one line.
        target: (points, 3).

    Returns:
        The transformation; never a reflection.

    Raises:
        ValueError: The points do not fix a transformation.
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    centred, aimed = source - source_mean, target - target_mean
    variance = float(np.mean(np.sum(centred**2, 1)))
    u, singular, vt = np.linalg.svd(aimed.T @ centred / len(source))
    if not singular[1] > 1e-9 * max(singular[0], 1e-12):
        raise ValueError("points on one line do not fix a rotation")
    sign = np.ones(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0.0:
        sign[2] = -1.0
    rotation: F64 = (u * sign) @ vt
    scale = float(singular @ sign) / variance
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def register(landmarks: NDArray[np.floating], template: NDArray[np.floating]) -> Registration:
    """Factor the head pose out of a clip.

    Two passes: the first registers to the template, the second to the clip's own median face, so that a person
    whose face differs from the template gets no pose for it.

    Args:
        landmarks: (frames, 68, 3) px, z growing away from the camera in the scale of x and y.
        template: (68, 3) fu, front-facing, of anybody.

    Returns:
        Pose, displacement and neutral face.

    Raises:
        ValueError: Shapes are wrong, there is no frame, or points are degenerate.
    """
    measured, face = np.asarray(landmarks, np.float64), np.asarray(template, np.float64)
    if measured.ndim != 3 or measured.shape[1:] != (LANDMARKS, 3) or face.shape != (LANDMARKS, 3) or not len(measured):
        raise ValueError(
            f"expected landmarks (frames, 68, 3) and a template (68, 3), got {measured.shape}, {face.shape}"
        )
    stable = list(STABLE_POINTS)
    neutral = face
    for _ in range(2):
        fits = [umeyama(neutral[stable], frame[stable]) for frame in measured]
        registered = np.stack([_undo(fit, frame) for fit, frame in zip(fits, measured, strict=True)])
        neutral = np.median(registered, 0)
    return Registration(
        _poses(fits).astype(np.float32), (registered - neutral).astype(np.float32), neutral.astype(np.float32)
    )


def _undo(fit: Similarity, points: F64) -> F64:
    undone: F64 = (points - fit.translation) @ fit.rotation / fit.scale
    return undone


def _poses(fits: list[Similarity]) -> F64:
    scales = np.array([fit.scale for fit in fits])
    usual = float(np.median(scales))
    translations = np.stack([fit.translation for fit in fits]) / usual
    # Depth from a mesh is relative to the face; how near the face is shows in its size alone.
    translations[:, 2] = CAMERA_DISTANCE * (usual / scales - 1.0)
    translations -= np.median(translations, 0)
    pose = np.zeros((len(fits), POSE_DIM))
    pose[:, :3] = Rotation.from_matrix(np.stack([fit.rotation for fit in fits])).as_rotvec()
    pose[:, 3:] = translations
    return pose
