"""Frames to scale integers by and to compare pictures on: portraits that speak, blink and turn, by chance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import ArtefactError
from engine.renderer.network_input import face_window, network_input, source_input, whole_frame
from engine.renderer.pixels import over
from engine.renderer.warp import WarpRenderer
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, POSE_DIM

_LOWER_FACE: Final = (5, 6, 7, 8, 9, 10, 11, 55, 56, 57, 58, 59, 65, 66, 67)
_CORNERS: Final = ((48, 60), (54, 64))
_UPPER_LIDS: Final = ((37, 41), (38, 40), (43, 47), (44, 46))

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Dynamic (6, S, S) and source (4, S, S)."""


def read_portraits(folder: Path) -> list[Avatar]:
    """The avatars of a folder.

    Raises:
        ArtefactError: It holds none, or one is damaged.
    """
    avatars = [load_avatar(path) for path in sorted(folder.glob("*.avatar"))]
    if not avatars:
        raise ArtefactError(f"There is no .avatar file in {folder}: make some with `mien avatar create`.")
    return avatars


def drawn_frames(avatars: Sequence[Avatar], each: int, size: int, seed: int = 0) -> list[Frame]:
    """What a picture network is given of ``each`` faces of every avatar, drawn from ``seed``.

    Args:
        avatars: The portraits.
        each: Faces of each.
        size: S, 256 or 512.
        seed: Of the faces.
    """
    rng, frames = np.random.default_rng(seed), []
    for avatar in avatars:
        renderer, source = WarpRenderer(avatar), source_input(avatar, size)
        for _ in range(each):
            landmarks, pose = _face(avatar.template, rng)
            gaze = rng.normal(0, 0.1, 2).astype(np.float32)
            layers, points = renderer.render_layers(landmarks, pose, gaze), renderer.frame_points(landmarks)
            window = whole_frame() if size == IMAGE_SIZE else face_window(points)
            frame = over(layers.person, avatar.plate)
            frames.append((network_input(frame, layers.mouth, layers.eyes, points, window), source))
    return frames


def drawn_faces(
    avatar: Avatar, each: int, seed: int = 0
) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Landmarks (68, 3) fu, pose (6,) and gaze (2,) of ``each`` faces of an avatar, drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    return [(*_face(avatar.template, rng), rng.normal(0, 0.1, 2).astype(np.float32)) for _ in range(each)]


def _face(template: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Posed landmarks (68, 3) fu and pose (6,) of one face."""
    face = template.copy()
    face[list(_LOWER_FACE), 1] += rng.choice([0.0, 1.0], p=[0.25, 0.75]) * rng.uniform(0, 0.22)
    spread = rng.uniform(-0.05, 0.04)
    for corner, side in zip(_CORNERS, (-1, 1), strict=True):
        face[list(corner), 0] += side * spread
    shut = rng.choice([0.0, rng.uniform(0, 1)], p=[0.7, 0.3])
    for upper, lower in _UPPER_LIDS:
        face[upper] += shut * (face[lower] - face[upper])
    pose = np.zeros(POSE_DIM, np.float32)
    pose[:3], pose[3:] = rng.normal(0, 0.06, 3), rng.normal(0, 0.02, 3)
    return (face @ rotation_matrix(pose[:3]).T + pose[3:]).astype(np.float32), pose
