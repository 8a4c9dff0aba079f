"""The renderer's door to OpenCV: resampling, blurring and drawing on small float fields and pictures.

OpenCV releases the interpreter lock in these calls, so two threads that render different frames run side by side.
"""

from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
U8: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = NDArray[Any]

CELL: Final = 4
"""Pixels between neighbouring nodes of the lattice on which motion is computed."""
FIRST_NODE: Final = (CELL - 1) / 2
"""Pixel of node 0: node j lies at ``CELL * j + FIRST_NODE``, where enlarging by CELL puts it."""

_HALF_BAND = np.array([-5, 49, -245, 1225, 1225, -245, 49, -5], np.float32) / 2048


def remap(picture: Picture, where: F32) -> Picture:
    """Sample ``picture`` (H, W[, C]) bilinearly at ``where`` (h, w, 2) px (x, y); beyond the edge it repeats."""
    # The stubs want a second map where the library takes None; an empty array in its place gives garbage.
    sampled = cv2.remap(picture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cast(Picture, sampled)


def enlarge(nodes: F32, width: int, height: int) -> F32:
    """Bilinear (height, width, C) picture of the node field ``nodes`` (h, w, C)."""
    return cast(F32, cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR))


def shrink(picture: Picture, width: int, height: int) -> Picture:
    """Area-averaged copy of ``picture`` with (height, width)."""
    return cast(Picture, cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur, sigma in px; the edge repeats."""
    return cast(Picture, cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def planes(field: F32) -> tuple[F32, ...]:
    """The channels of ``field`` (h, w, C), each contiguous."""
    return cast(tuple[F32, ...], cv2.split(field))


def join(*channels: F32) -> F32:
    """Channels (h, w) side by side, (h, w, C)."""
    return cast(F32, cv2.merge(channels))


def slopes(field: F32) -> F32:
    """Central differences of a node field (h, w, 2), per node: (h, w, 4) as du/dx, du/dy, dv/dx, dv/dy."""
    parts = [
        cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
        for plane in cv2.split(field)
        for dx in (1, 0)
    ]
    return cast(F32, cv2.merge(parts))


def double(picture: U8) -> U8:
    """Twice the size with an eight-tap half-band filter: pixel (2x, 2y) is exactly pixel (x, y) of ``picture``.

    Sampling the doubled picture bilinearly keeps nearly the sharpness of bicubic sampling at bilinear cost.
    """
    result = picture.astype(np.float32)
    for axis in (0, 1):
        pad = [(0, 0)] * result.ndim
        pad[axis] = (3, 4)
        padded = np.pad(result, pad, mode="edge")
        length = result.shape[axis]
        between = sum(weight * np.take(padded, range(tap, tap + length), axis) for tap, weight in enumerate(_HALF_BAND))
        shape = list(result.shape)
        shape[axis] *= 2
        result = np.stack([result, np.asarray(between, np.float32)], axis + 1).reshape(shape)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def over(foreground: U8, background: U8) -> U8:
    """Composite premultiplied RGBA ``foreground`` (H, W, 4) over opaque RGB ``background`` (H, W, 3)."""
    through = cv2.bitwise_not(cv2.extractChannel(foreground, 3))
    behind = cv2.multiply(background, cv2.merge([through, through, through]), scale=1 / 255)
    return cast(U8, cv2.add(cv2.cvtColor(foreground, cv2.COLOR_BGRA2BGR), behind))


def unpremultiply(foreground: U8) -> U8:
    """Straight-alpha RGBA of a premultiplied RGBA picture; colour is 0 where alpha is 0."""
    alpha = cv2.extractChannel(foreground, 3)
    colour = cv2.divide(cv2.cvtColor(foreground, cv2.COLOR_BGRA2BGR), cv2.merge([alpha, alpha, alpha]), scale=255)
    red, green, blue = cv2.split(colour)
    return cast(U8, cv2.merge([red, green, blue, alpha]))


def polylines(canvas: U8, lines: list[tuple[F32, bool]], thickness: int) -> None:
    """Draw anti-aliased lines of value 255 into ``canvas``: each (N, 2) px, to 1/16 px, and whether it is closed.

    OpenCV draws a thickness of 2 as three full pixels between two faint ones.
    """
    for points, closed in lines:
        fixed = np.rint(np.clip(points, -2000, 4000) * 16).astype(np.int32)
        cv2.polylines(canvas, [fixed], closed, 255, thickness, cv2.LINE_AA, shift=4)


def fill(shape: tuple[int, int], outline: F32) -> F32:
    """Anti-aliased mask (H, W) in 0..1 of a polygon (N, 2) px."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / np.float32(255)


def distance_outside(mask: NDArray[np.bool_]) -> F32:
    """Distance in px of every pixel to the nearest True pixel of ``mask``."""
    return cast(F32, cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5))


def convex_hull(points: F32) -> F32:
    """Corners (N, 2) of the convex hull of ``points`` (M, 2)."""
    return cast(F32, cv2.convexHull(points.astype(np.float32))[:, 0])
