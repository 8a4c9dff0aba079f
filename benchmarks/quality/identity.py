"""Is it still the same person? Cosine similarity of face embeddings, from a network that the user supplies."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.networks import open_onnx
from benchmarks.quality.tracks import FaceTrack, read_pictures
from engine.errors import ArtefactError
from models.spec import IMAGE_SIZE

SIDE_PX: Final = 112
PICTURES: Final = 25
"""Judged of each clip, evenly spread."""
# Where recognition networks of the ArcFace family expect image-left eye, image-right eye, nose tip and mouth corners.
_PLACES: Final = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""From an aligned face, uint8 (112, 112, 3) RGB, to its embedding (n,)."""


def load_embedding(path: Path) -> Embed:
    """A face embedding network: one input (n, 3, 112, 112) RGB in [-1, 1], one output (n, features).

    Raises:
        ArtefactError: The file is missing, no ONNX graph, or of another shape.
    """
    session = open_onnx(path, "The identity network")
    ends = session.get_inputs()
    if len(ends) != 1 or list(ends[0].shape[1:]) != [3, SIDE_PX, SIDE_PX]:
        shapes = ", ".join(str(end.shape) for end in ends)
        raise ArtefactError(f"The identity network {path} must take one (n, 3, 112, 112), not {shapes}.")

    def embed(face: NDArray[np.uint8]) -> NDArray[np.float64]:
        x = (face.transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 127.5
        return np.asarray(session.run(None, {ends[0].name: x})[0], np.float64).ravel()

    return embed


def aligned_face(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut the face out as recognition networks want it.

    Args:
        picture: uint8 (height, width, 3) RGB.
        points: (68, 2) px of the picture.

    Returns:
        uint8 (112, 112, 3) RGB.
    """
    found = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    matrix, _ = cv2.estimateAffinePartial2D(found.astype(np.float64), np.array(_PLACES), method=cv2.LMEDS)
    if matrix is None:
        return np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_AREA), np.uint8)


def cosine_similarity(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Cosine of the angle between two embeddings (n,), -1 to 1, no unit; 0 where one is zero."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def identity(reference: Path, ref: FaceTrack, generated: Path, gen: FaceTrack, embed: Embed) -> float:
    """Mean cosine similarity of the generated clip's faces to the reference's mean face, -1 to 1."""
    mean = np.mean([e / max(float(np.linalg.norm(e)), 1e-12) for e in _embeddings(reference, ref, embed)], axis=0)
    return float(np.mean([cosine_similarity(e, mean) for e in _embeddings(generated, gen, embed)]))


def _embeddings(path: Path, track: FaceTrack, embed: Embed) -> list[NDArray[np.float64]]:
    wanted = set(np.linspace(0, len(track.times) - 1, min(PICTURES, len(track.times))).astype(int).tolist())
    scale = max(track.size) / IMAGE_SIZE
    return [
        embed(aligned_face(picture, track.points[index] * np.float32(scale)))
        for index, (_, picture) in enumerate(read_pictures(path))
        if index in wanted and not track.missing[index]
    ]
