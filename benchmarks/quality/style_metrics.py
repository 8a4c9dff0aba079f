"""How well a generated clip's manner matches that of a reference: SLD, SLV and SMD (equations 14 to 16).

The clips need not be in sync nor of one length. Each is cut into windows of F frames at a stride of v; for every
window of the reference the best matching window of the generated clip is sought, and the mean of those minima is
taken, then the mean over the grid F = 1..100, v = 1..20. The distance of two windows is that of ``landmark_metrics``.

The mean over a window is a sum along a diagonal of the matrix of distances between single frames, and a stride a
slice of the result, so the whole grid costs 100 additions of matrices::

    S_F[i, j] = sum over f < F of d[i + f, j + f] = S_(F-1)[i, j] + d[i + F - 1, j + F - 1]

Two slips of the code that the authors published are avoided: their minimum runs over cumulative means, and frames
without landmarks vanish from the windows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.landmark_metrics import Points, centred_mouth, face_width

WINDOWS: Final = range(1, 101)
STRIDES: Final = range(1, 21)
_CHUNK: Final = 64


@dataclass(frozen=True)
class StyleScores:
    """The three figures; lower is nearer.

    Attributes:
        sld: Landmark distance, % of the face width (eq. 14).
        slv: Difference of velocity, % of the face width a frame (eq. 15).
        smd: Distance of the mouth's points about their centroid, px at 512x512 (eq. 16).
    """

    sld: float
    slv: float
    smd: float


def style_scores(
    reference: Points, generated: Points, windows: Iterable[int] = WINDOWS, strides: Iterable[int] = STRIDES
) -> StyleScores:
    """SLD, SLV and SMD of two clips of one frame rate.

    Args:
        reference: (frames, 68, 2) px, the style's clip.
        generated: (frames, 68, 2) px, of any length, registered to the reference (see ``register_framing``).
        windows: F, lengths of windows in frames; those longer than a clip do not exist and are left out. A window of
            one frame has no velocity, so it takes no part in SLV.
        strides: v, in frames.

    Raises:
        ValueError: A clip has fewer than two frames, or no window fits.
    """
    if min(len(reference), len(generated)) < 2:
        raise ValueError("a style is compared over two frames at least")
    width = face_width(reference)
    windows, strides = tuple(windows), tuple(strides)
    velocities = np.diff(reference.astype(np.float64), axis=0), np.diff(generated.astype(np.float64), axis=0)
    return StyleScores(
        sld=grid_mean(100 / width * frame_distances(reference, generated), windows, strides),
        # F frames hold F - 1 velocities.
        slv=grid_mean(100 / width * frame_distances(*velocities), [f - 1 for f in windows if f > 1], strides),
        smd=grid_mean(frame_distances(centred_mouth(reference), centred_mouth(generated)), windows, strides),
    )


def register_framing(reference: Points, generated: Points) -> NDArray[np.float64]:
    """Bring a generated clip into the framing of the reference: one scale and one shift for the whole clip.

    The equations compare positions in pictures that show the face centred at one size (section 6.1), which clips of
    two people or two cameras do not. Mean face width and mean centre are made those of the reference; how the head
    moves about its mean stays as it is.
    """
    model, points = reference.astype(np.float64), generated.astype(np.float64)
    scale = face_width(model) / face_width(points)
    centred = (points - points.mean(axis=(0, 1))) * scale
    return np.asarray(centred + model.mean(axis=(0, 1)), np.float64)


def frame_distances(reference: Points, generated: Points) -> NDArray[np.float64]:
    """Mean distance of the points of each frame of one clip to each of the other: (frames, frames)."""
    a, b = np.ascontiguousarray(reference, np.float64), np.ascontiguousarray(generated, np.float64)
    result = np.zeros((len(a), len(b)))
    for start in range(0, len(a), _CHUNK):
        part = a[start : start + _CHUNK]
        for point in range(a.shape[1]):
            dx = part[:, None, point, 0] - b[None, :, point, 0]
            dy = part[:, None, point, 1] - b[None, :, point, 1]
            result[start : start + _CHUNK] += np.sqrt(dx * dx + dy * dy)
    return np.asarray(result / a.shape[1], np.float64)


def grid_mean(distances: NDArray[np.float64], windows: Iterable[int], strides: Iterable[int]) -> float:
    """Mean over the grid of the mean over the reference's windows of the best match's distance (eqs. 14 to 16).

    Args:
        distances: (reference frames, generated frames) between single frames.
        windows: F in frames.
        strides: v in frames.
    """
    wanted, strides = set(windows), tuple(strides)
    longest = min(distances.shape)
    sums, values = np.zeros_like(distances), []
    for frames in range(1, min(longest, max(wanted, default=0)) + 1):
        rows, columns = distances.shape[0] - frames + 1, distances.shape[1] - frames + 1
        sums = sums[:rows, :columns] + distances[frames - 1 :, frames - 1 :]
        if frames in wanted:
            values += [sums[::v, ::v].min(axis=1).mean() / frames for v in strides]
    if not values:
        raise ValueError("no window fits into the clips")
    return float(np.mean(values))
