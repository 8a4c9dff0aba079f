"""Distances between the landmarks of a reference clip and of a generated one: LMD, D-L, D-V, D-A.

The definitions are those of MakeItTalk (Zhou et al. 2020, section 6; its code was never released) and, for LMD, of
Chen et al. 2018, as the paper uses them in section 7.2.1 and Table 2. Both clips show the same person in the same
framing, and frame n of one is frame n of the other. All points are float (frames, 68, 2) px in iBUG's order; px are
those of a picture whose longer side is 512.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import LANDMARKS

Points = NDArray[np.floating]
Series = NDArray[np.float64]

MOUTH: Final = slice(48, 68)
INNER_LIPS: Final = slice(60, 68)
_JAW_ENDS: Final = (0, 16)


def face_width(points: Points) -> float:
    """Mean distance of the jaw's two ends over a clip, px: what D-L and D-V are shares of."""
    right, left = (points[:, end] for end in _JAW_ENDS)
    return float(np.linalg.norm(left - right, axis=-1).mean())


def landmark_distances(reference: Points, generated: Points) -> Series:
    """For each frame the mean distance of the 68 landmarks, % of the reference's face width: (frames,)."""
    _check(reference, generated)
    distance = np.linalg.norm(_f64(generated) - reference, axis=-1).mean(axis=1)
    return np.asarray(100 * distance / face_width(reference), np.float64)


def dl_percent(reference: Points, generated: Points) -> float:
    """D-L: mean distance of the 68 landmarks over all frames, % of the reference's face width (MakeItTalk, 6)."""
    return float(landmark_distances(reference, generated).mean())


def velocity_differences(reference: Points, generated: Points) -> Series:
    """For each step the mean distance of the landmarks' velocities, % of the face width a frame: (frames - 1,)."""
    _check(reference, generated)
    difference = np.diff(_f64(generated), axis=0) - np.diff(_f64(reference), axis=0)
    return np.asarray(100 * np.linalg.norm(difference, axis=-1).mean(axis=1) / face_width(reference), np.float64)


def dv_percent(reference: Points, generated: Points) -> float:
    """D-V: mean distance of the landmarks' velocities, % of the reference's face width (MakeItTalk, 6).

    A velocity is the step from one frame to the next, so the figure depends on the frame rate; clips of one frame
    have none and give 0.
    """
    steps = velocity_differences(reference, generated)
    return float(steps.mean()) if len(steps) else 0.0


def mouth_areas(points: Points) -> Series:
    """Area of the polygon of the eight inner-lip points in each frame, px^2: (frames,)."""
    x, y = np.moveaxis(_f64(points[:, INNER_LIPS]), -1, 0)
    doubled = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    return np.asarray(np.abs(doubled.sum(axis=1)) / 2, np.float64)


def area_differences(reference: Points, generated: Points) -> Series:
    """For each frame the absolute difference of the open mouth's area, % of the reference's largest: (frames,).

    A reference whose mouth is never open gives 0 where the other's is closed as well, else infinity.
    """
    _check(reference, generated)
    difference, largest = np.abs(mouth_areas(generated) - mouth_areas(reference)), mouth_areas(reference).max()
    if largest == 0:
        return np.where(difference == 0, 0.0, np.inf)
    return np.asarray(100 * difference / largest, np.float64)


def da_percent(reference: Points, generated: Points) -> float:
    """D-A: mean difference of the open mouth's area, % of the reference's largest in the clip (MakeItTalk, 6)."""
    return float(area_differences(reference, generated).mean())


def mouth_distances(reference: Points, generated: Points) -> Series:
    """For each frame the mean distance of the 20 mouth points, each mouth about its own centroid, px: (frames,)."""
    _check(reference, generated)
    return np.asarray(np.linalg.norm(centred_mouth(generated) - centred_mouth(reference), axis=-1).mean(axis=1))


def lmd(reference: Points, generated: Points) -> float:
    """LMD: mean distance of the mouth's points about its centroid, px at 512x512 (Chen et al. 2018, section 4)."""
    return float(mouth_distances(reference, generated).mean())


def centred_mouth(points: Points) -> NDArray[np.float64]:
    """The 20 mouth points about their centroid, (frames, 20, 2) px."""
    mouth = _f64(points[:, MOUTH])
    return np.asarray(mouth - mouth.mean(axis=1, keepdims=True), np.float64)


def _check(reference: Points, generated: Points) -> None:
    if reference.shape != generated.shape or reference.shape[1:] != (LANDMARKS, 2) or not len(reference):
        raise ValueError(f"two clips of (frames, 68, 2) and one length are compared, not {reference.shape} and "
                         f"{generated.shape}")  # fmt: skip


def _f64(points: Points) -> NDArray[np.float64]:
    return points.astype(np.float64)
