"""Pictures against pictures: PSNR, SSIM and flicker, all on grey levels 0..255."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_PEAK: Final = 255.0
_SSIM_SIGMA: Final = 1.5
_SSIM_WINDOW: Final = 11
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2

Grey = NDArray[np.uint8] | NDArray[np.floating]


def psnr(reference: Grey, generated: Grey) -> float:
    """Peak signal to noise ratio in dB: 20 log10(255 / root mean square difference); infinite for equal pictures.

    Args:
        reference: (height, width), 0..255.
        generated: Likewise.
    """
    _check(reference, generated)
    error = float(np.mean((np.asarray(reference, np.float64) - generated) ** 2))
    return float(10 * np.log10(_PEAK**2 / error)) if error > 0 else float("inf")


def ssim(reference: Grey, generated: Grey) -> float:
    """Structural similarity, -1 to 1, no unit; 1 for equal pictures.

    Wang et al., IEEE Transactions on Image Processing 13(4), 2004: Gaussian window of 11x11 with sigma 1.5, K1 0.01,
    K2 0.03, the mean over the places where the window fits.

    Args:
        reference: (height, width), 0..255, at least 11x11.
        generated: Likewise.
    """
    _check(reference, generated)
    a, b = (np.asarray(picture, np.float32) for picture in (reference, generated))
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b, covariance = (_window(x * y) for x, y in ((a, a), (b, b), (a, b)))
    var_a, var_b, covariance = var_a - mean_a**2, var_b - mean_b**2, covariance - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (var_a + var_b + _C2)
    edge = _SSIM_WINDOW // 2
    return float((luminance * structure)[edge:-edge, edge:-edge].mean(dtype=np.float64))


def flicker(before: Grey, now: Grey, after: Grey) -> float:
    """How far a picture stands out from its two neighbours, grey levels of 255: mean |now - (before + after) / 2|.

    Brightness that changes evenly gives 0, and so do still pictures; what trembles from one picture to the next
    counts in full. Motion counts a little as well, so a figure is read beside that of the reference. Own definition:
    the field has no common one.
    """
    _check(before, now)
    _check(before, after)
    between = (np.asarray(before, np.float32) + after) / 2
    return float(np.abs(now - between).mean(dtype=np.float64))


def _window(image: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (_SSIM_WINDOW, _SSIM_WINDOW)
    return np.asarray(cv2.GaussianBlur(image, size, _SSIM_SIGMA, borderType=cv2.BORDER_REFLECT), np.float32)


def _check(a: Grey, b: Grey) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"grey pictures of one size are compared, not {a.shape} and {b.shape}")
