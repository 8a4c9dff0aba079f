"""The head-and-shoulders crop: where the 512x512 picture lies in the photo."""

from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.portrait.face_landmarks import Face
from models.spec import IMAGE_SIZE

FACE_SHARE: Final = 0.345
"""Brow to chin over the height of the crop."""
FACE_CENTRE: Final = (0.50, 0.475)
"""Middle of brow and chin in the crop, as shares of its size."""
MAX_TILT_DEG: Final = 6.0
"""A head tilted further is put upright; less is the person's own way to hold it."""
MAX_ZOOM: Final = 1.7
"""How much larger the face may become where the photo is too tight for the usual crop."""
MAX_SHIFT: Final = 0.08
"""How far the face may leave its usual place for the same reason, as a share of the crop."""

# What a crop costs, per unit: the share of it that the photo does not show, zoom above 1, shift as a share of the
# crop, tilt left standing in degrees above what may stay. So a sliver is invented rather than the face moved much.
_COSTS = (4.0, 0.5, 0.7, 0.02)


@dataclass(frozen=True)
class Crop:
    """A similarity from photo to crop.

    Attributes:
        matrix: float64 (2, 3), photo px to crop px.
        scale: Crop px per photo px.
    """

    matrix: NDArray[np.float64]
    scale: float

    def points(self, mesh: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a mesh (n, 3) px from the photo to the crop; z is scaled along."""
        xy = mesh[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.column_stack([xy, mesh[:, 2] * self.scale]).astype(np.float32)

    def picture(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut a picture (H, W) or (H, W, C) out without aliasing; outside of it, its edge is repeated."""
        matrix, shrink = self.matrix.copy(), 2 * self.scale
        if shrink < 1:
            # Reduced to twice the final size first, for warpAffine alone would skip pixels.
            height, width = picture.shape[:2]
            size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            # Pixel centres: x' + 0.5 = ratio (x + 0.5).
            ratio = np.array([size[0] / width, size[1] / height])
            matrix[:, 2] += matrix[:, :2] @ (0.5 / ratio - 0.5)
            matrix[:, :2] /= ratio
        size = (IMAGE_SIZE, IMAGE_SIZE)
        if self.scale >= 1:
            return _warp(picture, matrix, size, cv2.INTER_CUBIC)
        # Twice the size, then every pixel the mean of four.
        double = np.column_stack([2 * matrix[:, :2], 2 * matrix[:, 2] + 0.5])
        large = _warp(picture, double, (2 * IMAGE_SIZE, 2 * IMAGE_SIZE), cv2.INTER_LINEAR)
        return cv2.resize(large, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

    def covered(self, width: int, height: int) -> NDArray[np.bool_]:
        """Which pixels of the crop the photo of that size shows: bool (512, 512)."""
        yy, xx = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
        return _inside(np.stack([xx, yy], -1).reshape(-1, 2), self.matrix, width, height).reshape(xx.shape)


def plan_crop(face: Face, width: int, height: int) -> Crop:
    """Choose the crop for a face.

    Args:
        face: The face in the photo.
        width: Of the photo in px.
        height: Of the photo in px.

    Returns:
        The crop: upright if the head is tilted, the face of the usual size and place; where the photo does not reach
        so far, larger, shifted or left tilted within limits.
    """
    points = face.points68.astype(np.float64)
    across = points[42:48].mean(0) - points[36:42].mean(0)
    tilt = float(np.arctan2(across[1], across[0]))
    tilted = abs(np.degrees(tilt)) > MAX_TILT_DEG
    shifts = np.linspace(-MAX_SHIFT, MAX_SHIFT, 7)
    best, best_cost = None, np.inf
    edge = _outline()
    for kept, zoom in product((0.0, 0.5, 1.0) if tilted else (1.0,), np.linspace(1, MAX_ZOOM, 15)):
        angle = (1 - kept) * tilt
        left = max(0.0, abs(np.degrees(kept * tilt)) - MAX_TILT_DEG)
        for shift in product(shifts, shifts):
            crop = _place(points, angle, float(zoom), shift)
            missing = 1 - _inside(edge, crop.matrix, width, height).mean()
            cost = float(np.dot(_COSTS, (missing, zoom - 1, np.hypot(*shift), left)))
            if cost < best_cost - 1e-9:
                best, best_cost = crop, cost
    assert best is not None
    return best


def _place(points: NDArray[np.float64], angle: float, zoom: float, shift: tuple[float, float]) -> Crop:
    upright = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = points @ upright.T
    brow, chin = turned[[19, 24], 1].mean(), turned[8, 1]
    centre = np.array([turned[:, 0].mean(), (brow + chin) / 2])
    scale = zoom * FACE_SHARE * IMAGE_SIZE / max(float(chin - brow), 1e-3)
    target = (np.array(FACE_CENTRE) + shift) * IMAGE_SIZE
    return Crop(np.column_stack([scale * upright, target - scale * centre]), scale)


def _outline() -> NDArray[np.float64]:
    """Points (n, 2) px spread over the crop, denser at its edges, to measure what a photo covers."""
    side = (np.sin(np.linspace(-np.pi / 2, np.pi / 2, 12)) + 1) / 2 * (IMAGE_SIZE - 1)
    xx, yy = np.meshgrid(side, side)
    return np.column_stack([xx.ravel(), yy.ravel()])


def _inside(points: NDArray[np.floating], matrix: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Which crop points (n, 2) px lie on the photo."""
    photo = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return np.asarray(((photo > -0.51) & (photo < [width - 0.49, height - 0.49])).all(-1), np.bool_)


def _warp(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int], interpolation: int
) -> NDArray[np.uint8]:
    result = cv2.warpAffine(picture, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
    return result.astype(np.uint8, copy=False)
