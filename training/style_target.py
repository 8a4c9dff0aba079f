"""What a style's motion should be for sound whose motion in that style nobody has seen.

The bundle's own motion for that sound, in sync with it, is moved towards the manner of the reference:

1. Mouth: the affine map nearest to none that gives the base's displacements the mean and the spread of the reference's
   (optimal transport between Gaussians). What opened the mouth still opens it, and lips that meet in the reference
   meet. In silence the engine brings the mouth to rest by itself.
2. Eyes and brows: how far the brows go up and down. Lids that close are not motion of this network but of the engine's
   liveliness; they are left out.
3. Rhythm: along the principal axes of the mouth, each band of frequencies gets the energy that it has in the
   reference, without a shift in time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.portrait.geometry import MIRROR
from models.spec import BROWS, EYES, INNER_LIP_PAIRS, MOTION_DIM, MOTION_HZ, MOTION_POINTS, MOUTH

F64 = NDArray[np.float64]
Float = NDArray[np.float32]

_AXES: Final = 10
_GAINS: Final = (0.25, 3.0)
"""Least and largest eigenvalue of the map: what lies beyond is noise of one of the two clips."""
_BROW_GAINS: Final = (0.2, 2.5)
_REGULARISATION: Final = 3e-3
"""Share of the mean variance that is added to a second moment."""
_BAND_HZ: Final = (0.0, 0.4, 0.8, 1.5, 2.5, 4.0, 6.0, 9.0)
_BAND_GAINS: Final = (0.4, 1.3)
_RHYTHM_AXES: Final = 5
_SHUT_PERCENTILE: Final = 3.0
_TOGETHER: Final = 0.004
"""Opening in fu at which lips count as together."""
_LOWER_LIP: Final = [point - 48 for point in (55, 56, 57, 58, 59, 65, 66, 67)]
_UPPER_LIP: Final = [point - 48 for point in (49, 50, 51, 52, 53, 61, 62, 63)]
_FIRST: Final = MOTION_POINTS.start
_OTHER_SIDE: Final = MIRROR[MOUTH] - MOUTH.start

_EYE_COLUMNS: Final = slice(3 * (EYES.start - _FIRST), 3 * (EYES.stop - _FIRST))
MOUTH_COLUMNS: Final = slice(3 * (MOUTH.start - _FIRST), 3 * (MOUTH.stop - _FIRST))


@dataclass(frozen=True)
class StyleMap:
    """How motion in a style follows from the bundle's own.

    Attributes:
        matrix: float64 (123, 123), on displacements.
        offset: float64 (123,) fu.
        axes: float64 (60, k), principal axes of the mouth in the style.
        gains: float64 (k, bands), on the amplitude of each band of ``_BAND_HZ``.
    """

    matrix: F64
    offset: F64
    axes: F64
    gains: F64

    def apply(self, motion: Float, *, rhythm: bool = True) -> Float:
        """The style's motion, float32 (n, 123) fu, for the bundle's own, (n, 123), of one recording."""
        moved = motion.astype(np.float64) @ self.matrix.T + self.offset
        if rhythm and len(moved) > 1:
            mouth = moved[:, MOUTH_COLUMNS]
            along = mouth @ self.axes
            moved[:, MOUTH_COLUMNS] = mouth + (_filtered(along, self.gains) - along) @ self.axes.T
        return moved.astype(np.float32)


def moving_points(displacement: NDArray[np.floating]) -> Float:
    """Those of the 68 points that the motion generator moves: (n, 68, 3) to float32 (n, 123)."""
    return np.asarray(displacement[:, MOTION_POINTS].reshape(len(displacement), MOTION_DIM), np.float32)


def learn_map(base: Float, reference: Float, brows: NDArray[np.floating], completion: Float) -> StyleMap:
    """Fit the map.

    Args:
        base: float32 (n, 123) fu, the bundle's motion while somebody speaks.
        reference: float32 (m, 123) fu, the reference's.
        brows: (m, 10, 3) fu, displacements of the reference's brows.
        completion: float32 (204, 123), the bundle's.
    """
    matrix, offset = mouth_map(base, reference)
    rows = np.arange(3 * BROWS.start, 3 * BROWS.stop)
    lifts = (base @ completion[rows].T).reshape(-1, 10, 3)[:, :, 1].mean(1), brows[:, :, 1].mean(1)
    # Brows that stay up for a phrase have a range, but no such speed: the smaller of the two ratios.
    ranges = [float(np.subtract(*np.percentile(lift, (90, 10)))) for lift in lifts]
    speeds = [float(np.abs(np.diff(lift)).mean()) for lift in lifts]
    ratio = min(values[1] / max(values[0], 1e-9) for values in (ranges, speeds))
    eyes = np.arange(MOTION_DIM)[_EYE_COLUMNS]
    matrix[eyes, eyes] = np.clip(ratio, *_BROW_GAINS)
    moved = (base @ matrix.T + offset)[:, MOUTH_COLUMNS]
    axes = np.linalg.svd(moved - moved.mean(0), full_matrices=False)[2][:_RHYTHM_AXES].T
    return StyleMap(matrix, offset, axes, band_gains(moved @ axes, reference[:, MOUTH_COLUMNS] @ axes))


def transport(base: F64, reference: F64) -> F64:
    """The symmetric matrix (d, d) that takes motions with the second moments of ``base`` to those of ``reference``.

    ``A = B^-1/2 (B^1/2 R B^1/2)^1/2 B^-1/2``: of all linear maps that do, the one that moves the least.

    Args:
        base: (n, d).
        reference: (m, d).
    """
    both = np.concatenate(
        [
            base / max(1e-12, np.sqrt(np.mean(base**2))) / np.sqrt(len(base)),
            reference / max(1e-12, np.sqrt(np.mean(reference**2))) / np.sqrt(len(reference)),
        ]
    )
    axes = np.linalg.svd(both, full_matrices=False)[2][:_AXES].T
    moments = []
    for motion in (base @ axes, reference @ axes):
        moment = motion.T @ motion / len(motion)
        moments.append(moment + _REGULARISATION * np.trace(moment) / len(moment) * np.eye(len(moment)))
    root = _power(moments[0], 0.5)
    inverse = _power(moments[0], -0.5)
    small = inverse @ _power(root @ moments[1] @ root, 0.5) @ inverse
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    small = (vectors * np.clip(values, *_GAINS)) @ vectors.T
    # Beyond the axes there is next to nothing, and it stays.
    return np.asarray(np.eye(len(axes)) + axes @ (small - np.eye(len(small))) @ axes.T, np.float64)


def mouth_map(made: Float, wanted: Float) -> tuple[F64, F64]:
    """What brings mouths to the reference's spread and usual shape.

    Args:
        made: float32 (n, 123) fu, motion while somebody speaks.
        wanted: float32 (m, 123) fu, the reference's.

    Returns:
        Matrix float64 (123, 123) and offset float64 (123,) fu, both of the mouth alone. Lips that are as good as shut
        in the reference now and then are so afterwards.
    """
    matrix, offset = np.eye(MOTION_DIM), np.zeros(MOTION_DIM)
    mouths = made[:, MOUTH_COLUMNS].astype(np.float64), wanted[:, MOUTH_COLUMNS].astype(np.float64)
    means = mouths[0].mean(0), mouths[1].mean(0)
    small = transport(mouths[0] - means[0], mouths[1] - means[1])
    shift = (means[1] - small @ means[0]).reshape(-1, 3)
    least = [float(np.percentile(_gaps(mouth), _SHUT_PERCENTILE)) for mouth in (mouths[0] @ small.T, mouths[1])]
    apart = least[0] + float(_gaps(shift.reshape(1, -1))[0]) - max(least[1], _TOGETHER)
    if apart > 0:
        shift[_LOWER_LIP, 1] -= apart / 2
        shift[_UPPER_LIP, 1] += apart / 2
    matrix[MOUTH_COLUMNS, MOUTH_COLUMNS], offset[MOUTH_COLUMNS] = small, shift.ravel()
    return matrix, offset


def _gaps(mouth: F64) -> F64:
    """How far mouths (n, 60) open the inner lips, (n,) fu."""
    points = mouth.reshape(len(mouth), -1, 3)
    return np.asarray(np.mean([points[:, low - 48, 1] - points[:, up - 48, 1] for up, low in INNER_LIP_PAIRS], 0))


def band_gains(base: F64, reference: F64) -> F64:
    """Factors on the amplitude of each band that make it as strong, against the whole, as it is in the reference.

    Args:
        base: (n, k), at 60 Hz.
        reference: (m, k).

    Returns:
        float64 (k, bands).
    """
    assert base.shape[1] == reference.shape[1]
    shares = []
    for motion in (base, reference):
        power = np.abs(np.fft.rfft(motion - motion.mean(0), axis=0)) ** 2 / len(motion)
        band = np.searchsorted(_BAND_HZ, np.fft.rfftfreq(len(motion), 1 / MOTION_HZ), side="right") - 1
        energy = np.stack([power[band == number].sum(0) / len(motion) for number in range(len(_BAND_HZ))], 1)
        shares.append(energy / np.maximum(energy.sum(1, keepdims=True), 1e-20) + 1e-3)
    gains = np.clip(np.sqrt(shares[1] / shares[0]), *_BAND_GAINS)
    # What is left after clipping must not be louder on the whole.
    kept = np.sqrt((shares[0] * gains**2).sum(1, keepdims=True) / shares[0].sum(1, keepdims=True))
    return np.asarray(gains / np.maximum(kept, 1), np.float64)


def seen_mouth(reference: Float, base: Float) -> Float:
    """A reference as a face model sees it, with what a face model cannot tell put right.

    Depth is guessed: the mouth gets the depth that the bundle's has for its shape. And a mouth that goes to one side
    and back is a head whose turn was measured wrong; how crooked it is on average stays.

    Args:
        reference: float32 (m, 123) fu.
        base: float32 (n, 123) fu, the bundle's.
    """
    result = reference.copy()
    known, seen = (motion[:, MOUTH_COLUMNS].reshape(len(motion), -1, 3) for motion in (base, reference))
    seen = _even(seen)
    plane = known[:, :, :2].reshape(len(known), -1).astype(np.float64)
    gram = plane.T @ plane
    gram += 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram))
    depth = np.linalg.solve(gram, plane.T @ known[:, :, 2].astype(np.float64))
    mouth = seen.copy()
    mouth[:, :, 2] = seen[:, :, :2].reshape(len(seen), -1) @ depth
    result[:, MOUTH_COLUMNS] = mouth.reshape(len(mouth), -1)
    return result


def _even(mouth: Float) -> Float:
    """Mouths (n, 20, 3) whose two sides move alike about where they usually are."""
    usual = mouth.mean(0)
    moved = mouth - usual
    other = moved[:, _OTHER_SIDE] * np.array([-1, 1, 1], np.float32)
    return np.asarray(usual + (moved + other) / 2, np.float32)


def _filtered(motion: F64, gains: F64) -> F64:
    """Each column's bands with the gains, without a shift in time."""
    frames = len(motion)
    padded = np.concatenate([motion[::-1], motion, motion[::-1]])
    frequencies = np.fft.rfftfreq(len(padded), 1 / MOTION_HZ)
    centres = np.array([0.2, 0.6, 1.15, 2.0, 3.25, 5.0, 7.5, 12.0])
    curve = np.stack([np.interp(frequencies, centres, gain) for gain in gains], 1)
    spectrum = np.fft.rfft(padded, axis=0) * curve
    return np.asarray(np.fft.irfft(spectrum, len(padded), axis=0)[frames : 2 * frames], np.float64)


def _power(matrix: F64, exponent: float) -> F64:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T, np.float64)
