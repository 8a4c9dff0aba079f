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

_HALVING = np.array([1, 2, 1], np.float32) / 4
_HALF_BAND = np.array([-5, 49, -245, 1225, 1225, -245, 49, -5], np.float32) / 2048


def remap(picture: Picture, where: F32, out: Picture | None = None) -> Picture:
    """Sample ``picture`` (H, W[, C]) bilinearly at ``where`` (h, w, 2) px (x, y); beyond the edge it repeats.

    ``out`` (h, w[, C]) takes the result, if given; by default it is a new picture.
    """
    # The stubs want a second map where the library takes None; an empty array in its place gives garbage.
    sampled = cv2.remap(picture, where, None, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cast(Picture, sampled)


def enlarge(nodes: Picture, width: int, height: int, *, smooth: bool = False) -> Picture:
    """Bilinear, or if ``smooth`` bicubic, (height, width, C) picture of the node field ``nodes`` (h, w, C)."""
    how = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return cast(Picture, cv2.resize(nodes, (width, height), interpolation=how))


def framed(nodes: F32, count: int) -> F32:
    """``nodes`` (h, w, C) with its edge repeated ``count`` times on all sides."""
    return cast(F32, cv2.copyMakeBorder(nodes, count, count, count, count, cv2.BORDER_REPLICATE))


def shrink(picture: Picture, width: int, height: int) -> Picture:
    """Area-averaged copy of ``picture`` with (height, width)."""
    return cast(Picture, cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur, sigma in px; the edge repeats."""
    return cast(Picture, cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def soften(picture: Picture) -> Picture:
    """``picture`` without detail finer than two pixels: what is sampled at every other pixel does not shimmer."""
    return cast(Picture, cv2.sepFilter2D(picture, -1, _HALVING, _HALVING, borderType=cv2.BORDER_REPLICATE))


def planes(field: F32) -> tuple[F32, ...]:
    """The channels of ``field`` (h, w, C), each contiguous."""
    return cast(tuple[F32, ...], cv2.split(field))


def split_into(picture: U8, out: U8) -> None:
    """Write the channels of ``picture`` (h, w, C) to ``out`` (C, h, w), which is contiguous."""
    for channel, plane in enumerate(out):
        cv2.extractChannel(picture, channel, plane)


def merge_into(planes: U8, out: U8) -> None:
    """Write the planes (C, h, w) of a picture to ``out`` (h, w, C), whose rows are contiguous."""
    cv2.merge([*planes], out)


def retouch(person: U8, before: U8, after: U8) -> None:
    """Change premultiplied RGBA ``person`` (h, w, 4) by as much as RGB ``after`` (h, w, 3) differs from ``before``.

    Both show the person over the same background: where the person is half seen, so is the change.
    """
    alpha = cv2.cvtColor(cv2.extractChannel(person, 3), cv2.COLOR_GRAY2BGR)
    change = cv2.multiply(
        cv2.subtract(after, before, dtype=cv2.CV_16S), alpha.astype(np.int16), scale=1 / 255, dtype=cv2.CV_16S
    )
    changed = cv2.add(cv2.cvtColor(person, cv2.COLOR_BGRA2BGR), change, dtype=cv2.CV_8U)
    cv2.mixChannels([cv2.min(changed, alpha)], [person], [0, 0, 1, 1, 2, 2])


def join(*channels: F32) -> F32:
    """Channels (h, w) side by side, (h, w, C)."""
    return cast(F32, cv2.merge(channels))


def affine(pairs: F32, matrix: F32) -> F32:
    """Apply ``matrix`` (N, 3) to (x, y, 1) of each pixel of ``pairs`` (h, w, 2); gives (h, w, N)."""
    return cast(F32, cv2.transform(pairs, matrix))


def blend(one: U8, other: U8, one_share: F32, other_share: F32) -> U8:
    """Mean of two pictures (h, w, C), weighted by shares (h, w) that need not add up to one."""
    return cast(U8, cv2.blendLinear(one, other, one_share, other_share))


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


def rounded(picture: F32) -> U8:
    """The nearest uint8 values, 0 or 255 beyond."""
    # Its own rounding, not of the absolute value: what is negative becomes 0.
    return cast(U8, cv2.add(picture, 0.0, dtype=cv2.CV_8U))  # type: ignore[call-overload]


def opaque(picture: U8) -> U8:
    """RGB (H, W, 3) with full alpha, RGBA (H, W, 4)."""
    return cast(U8, cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA))


def over(foreground: U8, background: U8, out: U8 | None = None) -> U8:
    """Composite premultiplied RGBA ``foreground`` (H, W, 4) over opaque RGB ``background`` (H, W, 3).

    Args:
        foreground: uint8 (H, W, 4).
        background: uint8 (H, W, 3).
        out: Where to put the result, uint8 (H, W, 3), rows contiguous; by default a new picture.
    """
    through = cv2.bitwise_not(cv2.extractChannel(foreground, 3))
    behind = cv2.multiply(background, cv2.cvtColor(through, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    return cast(U8, cv2.add(cv2.cvtColor(foreground, cv2.COLOR_BGRA2BGR), behind, dst=out))


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


def shaded(picture: U8, share: F32, left: tuple[float, float, float]) -> U8:
    """Premultiplied RGBA (h, w, 4) of whose colours, where ``share`` (h, w) is 1, so much of each channel is left."""
    return rounded(picture * join(*(1 - share * (1 - of) for of in left), np.ones_like(share)))


def fill(shape: tuple[int, int], outline: F32) -> F32:
    """Anti-aliased mask (H, W) in 0..1 of a polygon (N, 2) px."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / np.float32(255)


def extent(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest window of ``mask`` (H, W) that holds all that is True, or None."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (slice(y, y + height), slice(x, x + width)) if width else None


def distance_outside(mask: NDArray[np.bool_]) -> F32:
    """Distance in px of every pixel to the nearest True pixel of ``mask``."""
    return cast(F32, cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5))


def convex_hull(points: F32) -> F32:
    """Corners (N, 2) of the convex hull of ``points`` (M, 2)."""
    return cast(F32, cv2.convexHull(points.astype(np.float32))[:, 0])
