"""Soft alpha and true foreground colours from a picture and a rough idea of where the person is.

Alpha is closed-form matting (Levin, Lischinski and Weiss, 2008) in the matrix-free form of He, Sun and Tang (2010):
the matting Laplacian applied to p is the window's size times (p - guided_filter(p)), so conjugate gradients need
box filters alone.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.portrait.inpaint import push_pull

WINDOW_RADIUS_PX: Final = 2
EPSILON: Final = 1e-5
"""Regularisation of a window's colour covariance (colours in 0..1)."""
CONSTRAINT: Final = 10.0
"""Weight of a known pixel against the Laplacian's rows (whose diagonal is about 1)."""
ITERATIONS: Final = 120
_TOLERANCE = 1e-3


class GuidedFilter:
    """The colour guided filter (He, Sun and Tang, 2010) of one guide picture."""

    def __init__(self, guide: NDArray[np.float32], radius: int = WINDOW_RADIUS_PX, epsilon: float = EPSILON) -> None:
        """Prepare.

        Args:
            guide: float32 (H, W, 3), 0..1.
            radius: Of the square windows, px.
            epsilon: Added to the covariance's diagonal; larger keeps less of the guide's edges.
        """
        self._guide = guide
        self._size = (2 * radius + 1, 2 * radius + 1)
        self._mean = self._box(guide)
        products = np.einsum("hwi,hwj->hwij", guide, guide).reshape(*guide.shape[:2], 9)
        # In two pictures, for OpenCV filters at most four channels that it likes.
        second = np.concatenate([self._box(products[..., i : i + 3]) for i in (0, 3, 6)], -1).reshape(
            *guide.shape[:2], 3, 3
        )
        covariance = second - np.einsum("hwi,hwj->hwij", self._mean, self._mean)
        covariance[..., range(3), range(3)] += epsilon
        self._inverse = np.linalg.inv(covariance.astype(np.float64)).astype(np.float32)

    def __call__(self, p: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter p, float32 (H, W)."""
        mean = self._box(p)
        cross = self._box(self._guide * p[..., None]) - self._mean * mean[..., None]
        slope = np.matmul(self._inverse, cross[..., None])[..., 0]
        offset = mean - (slope * self._mean).sum(-1)
        return np.asarray((self._box(slope) * self._guide).sum(-1) + self._box(offset), np.float32)

    def _box(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(x, self._size, borderType=cv2.BORDER_REFLECT), np.float32)


def solve_alpha(
    rgb: NDArray[np.uint8], inside: NDArray[np.bool_], outside: NDArray[np.bool_], guess: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Alpha of the pixels that are neither surely inside nor surely outside.

    Args:
        rgb: uint8 (H, W, 3).
        inside: bool (H, W), surely the person.
        outside: bool (H, W), surely not.
        guess: float32 (H, W), 0..1: where the iteration starts, and a weak pull where colours decide nothing.

    Returns:
        float32 (H, W), 0..1.
    """
    guided = GuidedFilter(np.ascontiguousarray(rgb, np.float32) / np.float32(255))
    known = (inside | outside).astype(np.float32)
    weight = (CONSTRAINT * known + 1e-3 * (1 - known)).astype(np.float32)
    target = np.where(inside, np.float32(1), np.where(outside, np.float32(0), guess)).astype(np.float32)

    def apply(p: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(p - guided(p) + weight * p, np.float32)

    alpha = target.copy()
    residual: NDArray[np.float32] = weight * target - apply(alpha)
    # Jacobi preconditioning: the known pixels' weight dwarfs the Laplacian's diagonal.
    inverse_diagonal: NDArray[np.float32] = (1 / (1 + weight)).astype(np.float32)
    z: NDArray[np.float32] = inverse_diagonal * residual
    direction = z
    energy = float((residual * z).sum())
    start = max(energy, 1e-12)
    for _ in range(ITERATIONS):
        if energy < _TOLERANCE**2 * start:
            break
        image = apply(direction)
        step = energy / max(float((direction * image).sum()), 1e-12)
        alpha = alpha + np.float32(step) * direction
        residual = residual - np.float32(step) * image
        z = inverse_diagonal * residual
        next_energy = float((residual * z).sum())
        direction = np.asarray(z + np.float32(next_energy / energy) * direction, np.float32)
        energy = next_energy
    alpha = np.where(inside, 1, np.where(outside, 0, alpha))
    return np.clip(alpha, 0, 1).astype(np.float32)


def foreground_colours(
    rgb: NDArray[np.uint8], alpha: NDArray[np.float32], background: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """The person's own colours where the background shines through, continued beyond the outline.

    Args:
        rgb: uint8 (H, W, 3), the picture: alpha * foreground + (1 - alpha) * background.
        alpha: float32 (H, W), 0..1.
        background: uint8 (H, W, 3).

    Returns:
        float32 (H, W, 3), 0..255. Equal to ``rgb`` where alpha is 1.
    """
    picture = rgb.astype(np.float32)
    # Solid all around: a pixel beside a soft one is often a little mixed itself.
    least = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    solid = np.clip((least - 0.9) / 0.1, 0, 1).astype(np.float32)
    spread = push_pull(picture * solid[..., None], solid)
    opacity = alpha[..., None]
    unmixed = (picture - (1 - opacity) * background) / np.maximum(opacity, 0.05)
    # The thinner the hair, the less its unmixed colour can be trusted: it divides noise by alpha. A strand's own
    # colour lies near that of the hair beside it, in hue above all; what lies far off is an error of alpha.
    trust = np.clip((opacity - 0.1) / 0.5, 0, 1)
    difference = unmixed - spread
    light = difference.mean(-1, keepdims=True)
    unmixed = spread + np.clip(light, -60, 60) + np.clip(difference - light, -15, 15)
    # Nearly opaque pixels go over to the picture's own colour without a step.
    own = np.clip((opacity - 0.9) / 0.1, 0, 1)
    mixed = trust * unmixed + (1 - trust) * spread
    return np.asarray(np.clip(own * picture + (1 - own) * mixed, 0, 255), np.float32)
