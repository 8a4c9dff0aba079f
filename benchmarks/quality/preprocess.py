"""What section 6.1 prepares for each clip beside pictures and landmarks: the skin's mask and the torso's motion.

The paper parses faces with a network of its own choice and marks the torso by hand in the first picture; here the mask
is drawn from the landmarks, and the torso's points are the corners found on the person below the chin.
"""

import os
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.tracks import FaceTrack, read_pictures
from engine.errors import OutputError
from models.spec import EYES, IMAGE_SIZE, OUTER_LIPS

_FOREHEAD: Final = 0.45
"""How far the skin reaches above the brows, in heights from brow to nose base."""
_CORNERS: Final = 150
_FEWEST: Final = 8
_BACK_PX: Final = 1.0
"""How far a point may be from its place after it was followed there and back."""
_WINDOW_PX: Final = 21
_LEVELS: Final = 3


def skin_mask(points: NDArray[np.floating], size: int = IMAGE_SIZE) -> NDArray[np.bool_]:
    """Where the face's skin is: jaw to forehead without eyes, brows and mouth.

    Args:
        points: (68, 2) px of a square picture.
        size: Its side, px.

    Returns:
        bool (size, size).
    """
    p = points.astype(np.float64)
    up = _FOREHEAD * (p[27] - p[33])
    outline = np.concatenate([p[:17], p[17:27][::-1] + up])
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(outline).astype(np.int32)), 1)
    for hole in (p[EYES][:6], p[EYES][6:], p[OUTER_LIPS]):
        cv2.fillPoly(mask, [np.rint(hole).astype(np.int32)], 0)
    for brow in (p[17:22], p[22:27]):
        cv2.polylines(mask, [np.rint(brow).astype(np.int32)], False, 0, max(1, size // 64))
    return np.asarray(mask > 0, np.bool_)


def torso_points(
    grey: NDArray[np.uint8], points: NDArray[np.floating], matte: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Corners on the person below the chin: float32 (n, 2) px, n may be 0.

    Args:
        grey: uint8 (height, width).
        points: (68, 2) px.
        matte: uint8 (height, width), where the person is.
    """
    below = np.zeros(grey.shape, np.uint8)
    chin = float(points[8, 1]) + 0.15 * float(points[8, 1] - points[27, 1])
    below[max(0, int(chin)) :] = 255
    found = cv2.goodFeaturesToTrack(grey, _CORNERS, 0.01, 5, mask=cv2.bitwise_and(below, (matte > 200) * np.uint8(255)))
    return np.zeros((0, 2), np.float32) if found is None else np.asarray(found[:, 0], np.float32)


def follow_torso(
    pictures: Iterable[NDArray[np.uint8]], start: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Follow the torso by optical flow (Lucas-Kanade, pyramidal), there and back.

    Args:
        pictures: Grey, uint8 (height, width).
        start: (n, 2) px in the first of them.

    Returns:
        Similarities float64 (pictures, 2, 3) from the first picture to each, and how many points each rests on; where
        fewer than eight are left, the last one is held.
    """
    motion, counts = [np.array([[1.0, 0, 0], [0, 1, 0]])], [len(start)]
    origin, now = start.copy(), start.copy()
    for before, picture in pairwise(pictures):
        fitted = None
        if len(now) >= _FEWEST:
            moved, there = _flow(before, picture, now)
            back, again = _flow(picture, before, moved)
            kept = there & again & (np.linalg.norm(back - now, axis=1) < _BACK_PX)
            origin, now = origin[kept], moved[kept]
        if len(now) >= _FEWEST:
            fitted, _ = cv2.estimateAffinePartial2D(origin, now)
        motion.append(motion[-1] if fitted is None else np.asarray(fitted, np.float64))
        counts.append(len(now))
    return np.stack(motion), np.array(counts, np.int64)


def _flow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (n, 2) go, and which were found."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.zeros_like(points), winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=_LEVELS
    )
    return np.asarray(moved, np.float32), np.asarray(found)[:, 0] > 0


def write_prepared(video: Path, track: FaceTrack, matte: NDArray[np.uint8], target: Path) -> None:
    """Write a clip's points, skin masks and torso motion; does nothing where they are there already.

    The file is an npz of ``times`` s, ``points`` (n, 68, 2) px, ``missing`` (n,), ``skin`` (bits of n masks of 512x512,
    packed along the last axis), ``torso`` (n, 2, 3) and ``torso_points`` (n,).

    Raises:
        InputError: The clip cannot be read.
        OutputError: The file cannot be written.
    """
    if target.exists():
        return
    greys = (np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8) for _, picture in read_pictures(video))
    first = next(greys)
    torso, counts = follow_torso(chain([first], greys), torso_points(first, track.points[0], matte))
    skin = np.stack([np.packbits(skin_mask(points), axis=-1) for points in track.points])
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                times=track.times,
                points=track.points,
                missing=track.missing,
                skin=skin,
                torso=torso,
                torso_points=counts,
            )
        os.replace(partial, target)
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}.") from error
