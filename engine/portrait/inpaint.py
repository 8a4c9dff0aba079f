"""Filling what a picture does not show: behind the person, and beyond the photo's edge.

The tones behind are a membrane (Laplace's equation) stretched over the known part, blurred; the texture goes on near
the known part, mirrored at its edge. So a head that moves uncovers a background of the same tone and grain.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

TEXTURE_REACH_PX: Final = 36.0
"""How far the mirrored texture reaches before it has faded."""

_DETAIL_SIGMA = 5.0
_RELAXATIONS = 24
_DEGREE = 4


def push_pull(picture: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spread known colours into the unknown by a pyramid: quick, close to the nearest known colours.

    Args:
        picture: float32 (H, W, C).
        weight: float32 (H, W), 1 where known, 0 where unknown, anything between.

    Returns:
        float32 (H, W, C): the known colours where the weight is 1, a smooth continuation elsewhere.
    """
    height, width = weight.shape
    if min(height, width) <= 2:
        total = float(weight.sum())
        mean = (picture * weight[..., None]).sum((0, 1)) / total if total > 0 else picture.mean((0, 1))
        return np.asarray(picture * weight[..., None] + mean * (1 - weight[..., None]), np.float32)
    colours, reduced = _halved(picture, weight)
    # A coarse pixel counts as known as soon as a quarter of it is: averages must not fade with depth.
    coarse = push_pull(colours, np.minimum(4 * reduced, 1).astype(np.float32))
    enlarged = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)
    return np.asarray(picture * weight[..., None] + enlarged * (1 - weight[..., None]), np.float32)


def membrane(picture: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Stretch a membrane over the known part (Laplace's equation, coarse to fine).

    Args:
        picture: float32 (H, W, C).
        known: bool (H, W), at least one True.

    Returns:
        float32 (H, W, C), equal to ``picture`` where known; everywhere within the range of the known values.
    """
    height, width = known.shape
    if known.all():
        return picture
    if min(height, width) <= 2:
        return push_pull(picture, known.astype(np.float32))
    colours, reduced = _halved(picture, known.astype(np.float32))
    coarse = membrane(colours, reduced > 0)
    result = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)
    hold = known[..., None]
    result = np.where(hold, picture, result)
    for _ in range(_RELAXATIONS):
        relaxed = cv2.blur(result, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(picture.shape)
        result = np.where(hold, picture, relaxed)
    return np.asarray(result, np.float32)


def fill(picture: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Invent the unknown part of a picture.

    Args:
        picture: uint8 (H, W, 3).
        known: bool (H, W); what is False is not looked at.

    Returns:
        uint8 (H, W, 3), equal to ``picture`` where known. With nothing known: one mid grey.
    """
    if known.all():
        return picture
    if not known.any():
        return np.full_like(picture, 128)
    colours = picture.astype(np.float32)
    weight = known.astype(np.float32)
    tones = _masked_blur(colours, weight)
    trend = _trend(tones, known)
    smooth = membrane(tones - trend, known) + trend
    result = smooth + _mirrored_detail((colours - tones) * weight[..., None], weight, known)
    result = np.where(known[..., None], colours, result)
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def _trend(tones: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The polynomial that a plain background follows: light that falls off, a sky.

    A membrane alone bends at the edge of the known part, and on a plain wall the bend draws the outline of the person.
    The trend counts as far as it explains the known tones, so on a busy background the membrane stays alone.

    Returns:
        float32 (H, W, C), within the range of the known tones.
    """
    height, width = known.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([x**i * y**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], -1)
    step = max(1, min(known.shape) // 64)
    chosen = known[::step, ::step]
    if chosen.sum() < 4 * terms.shape[-1]:
        return np.zeros_like(tones)
    a, b = terms[::step, ::step][chosen], tones[::step, ::step][chosen].astype(np.float64)
    ridge = 1e-3 * len(a) * np.eye(a.shape[1])
    ridge[0, 0] = 0
    fit = np.linalg.solve(a.T @ a + ridge, a.T @ b)
    unexplained = ((b - a @ fit) ** 2).sum() / max(((b - b.mean(0)) ** 2).sum(), 1e-9)
    trust = np.clip((1 - unexplained - 0.5) / 0.4, 0, 1)
    return np.asarray(trust * np.clip(terms @ fit, b.min(0) - 4, b.max(0) + 4), np.float32)


def _masked_blur(colours: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian blur that looks at what is known only."""
    total = cv2.GaussianBlur(colours * weight[..., None], (0, 0), _DETAIL_SIGMA)
    share = cv2.GaussianBlur(weight, (0, 0), _DETAIL_SIGMA)
    return np.asarray(total / np.maximum(share, 1e-4)[..., None], np.float32)


def _mirrored_detail(
    detail: NDArray[np.float32], weight: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Detail of the known part, mirrored at the nearest known pixel, fading with the distance from it."""
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros((int(labels.max()) + 1, 2), np.float32)
    rows, columns = np.nonzero(known)
    place[labels[rows, columns]] = np.column_stack([columns, rows])
    # Evened out, for the nearest pixel jumps where two parts of an outline are equally far.
    nearest = cv2.blur(place[labels], (5, 5))
    height, width = known.shape
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    map_x, map_y = 2 * nearest[..., 0] - xx, 2 * nearest[..., 1] - yy
    mirrored = cv2.remap(detail, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    there = cv2.remap(weight, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    fade = np.clip(1 - distance / TEXTURE_REACH_PX, 0, 1) * there
    return np.asarray(mirrored * fade[..., None], np.float32)


def _halved(
    picture: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Picture and weight at half the size; each coarse colour is the mean of the known ones under it."""
    height, width = weight.shape
    small = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
    reduced = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    total = cv2.resize(picture * weight[..., None], small, interpolation=cv2.INTER_AREA)
    colours = total.reshape(*reduced.shape, picture.shape[2]) / np.maximum(reduced, 1e-6)[..., None]
    return colours.astype(np.float32), reduced.astype(np.float32)
