"""CPBD: the share of a picture's edges at which no blur is seen.

Narvekar and Karam, "A No-Reference Image Blur Metric Based on the Cumulative Probability of Blur Detection", IEEE
Transactions on Image Processing 20(9), 2011: blocks of 64x64 with enough edge pixels are judged; the width w of an edge
is measured along the row as Marziliano et al. do, up to the nearest extrema on both sides; an edge is seen as blurred
with the probability 1 - exp(-(w / w_JNB)^3.6), where w_JNB, the width that is just noticed, is 5 px in blocks of low
contrast and 3 px in others; CPBD is the share of edges whose probability is at most 63 %.

As in the published tools, an edge counts where Sobel's slope has a strict maximum: a single step between two flat
areas, which no camera makes, has none. Checked against the independent implementation cpbd 1.0.7: equal to 0.002 on
photographs and their blurred copies, the rest being its other Canny.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK_PX: Final = 64
EDGE_SHARE: Final = 0.002
"""A block with fewer edge pixels is not judged."""
LOW_CONTRAST: Final = 50
"""Grey levels between a block's darkest and brightest pixel up to which it is of low contrast."""
JNB_PX: Final = (5.0, 3.0)
"""Just noticeable width in blocks of low and of high contrast."""
BETA: Final = 3.6
SEEN_PERCENT: Final = 63
_CANNY_SIGMA: Final = 1.0
_CANNY_LEVELS: Final = (0.1, 0.2)
_HORIZONTAL: Final = float(np.tan(np.radians(22.5)))
_WIDEST: Final = 101

Grey = NDArray[np.uint8] | NDArray[np.floating]


def cpbd(grey: Grey) -> float:
    """Cumulative probability of blur detection.

    Args:
        grey: (height, width), 0..255, at least 64x64.

    Returns:
        0 (blurred) to 1 (sharp), no unit; 0 where no block holds an edge.
    """
    image = np.asarray(grey, np.float32)
    if image.ndim != 2 or min(image.shape) < BLOCK_PX:
        raise ValueError(f"a grey picture of at least {BLOCK_PX}x{BLOCK_PX} is judged, not {image.shape}")
    widths = edge_widths(image)
    outlines = _canny(image)
    percents: list[NDArray[np.float64]] = []
    for top in range(0, image.shape[0] - BLOCK_PX + 1, BLOCK_PX):
        for left in range(0, image.shape[1] - BLOCK_PX + 1, BLOCK_PX):
            block = np.s_[top : top + BLOCK_PX, left : left + BLOCK_PX]
            if outlines[block].mean() <= EDGE_SHARE:
                continue
            # int() as the authors do: a contrast of 50.9 is still low.
            low = int(image[block].max() - image[block].min()) <= LOW_CONTRAST
            found = widths[block][widths[block] > 0]
            percents.append(np.round(100 * (1 - np.exp(-((found / JNB_PX[0 if low else 1]) ** BETA)))))
    edges = np.concatenate(percents) if percents else np.zeros(0)
    return float((edges <= SEEN_PERCENT).mean()) if len(edges) else 0.0


def edge_widths(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Width of the upright edges along their row, px; 0 where there is no edge.

    Args:
        image: (height, width) grey levels.
    """
    image = np.asarray(image, np.float32)
    across, down = np.zeros_like(image), np.zeros_like(image)
    across[:, 1:-1], down[1:-1] = image[:, 2:] - image[:, :-2], image[2:] - image[:-2]
    # Nearly horizontal gradients only: of those, the row is the profile. The border has no width.
    edges = _upright_edges(image) & (np.abs(down) <= _HORIZONTAL * np.abs(across)) & (across != 0)
    edges[[0, -1]] = False
    edges[:, [0, -1]] = False
    width = np.zeros(image.shape)
    rows, columns = np.nonzero(edges)
    # Step k of a row leads from pixel k to k + 1; a falling edge is a rising one of the negative.
    steps = np.pad(np.diff(image, axis=1), ((0, 0), (1, 1)))
    sign = np.sign(across[rows, columns])
    width[rows, columns] = sum(_reach(steps, rows, columns, sign, direction) for direction in (-1, 1))
    return width


def _reach(
    steps: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    sign: NDArray[np.float32],
    direction: int,
) -> NDArray[np.float64]:
    """How far the profile goes on in one direction from the neighbour of each edge pixel, plus one, px.

    ``steps`` (h, w + 1) is padded: step k leads to pixel k, and those beyond the picture are 0.
    """
    width = np.ones(len(rows))
    at = columns - 1 if direction < 0 else columns + 2
    going = np.arange(len(rows))
    for _ in range(_WIDEST - 1):
        going = going[steps[rows[going], at[going]] * sign[going] > 0]
        if not len(going):
            break
        width[going] += 1
        at[going] += direction
    return width


def _upright_edges(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Sobel's edges as MATLAB finds them: thresholded at twice the root mean square, thinned to local maxima."""
    slope = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REFLECT)
    strength = slope * slope
    # The threshold is compared with squares: that is how the authors' tool has it.
    strength[strength <= 2 * np.sqrt(strength.mean(dtype=np.float64))] = 0
    padded = np.pad(strength, 1)
    beside = (strength > padded[1:-1, :-2]) & (strength > padded[1:-1, 2:])
    above = (strength > padded[:-2, 1:-1]) & (strength > padded[2:, 1:-1])
    return np.asarray(beside | above, np.bool_)


def _canny(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Canny's edges with low thresholds: they only say whether there is anything in a block to judge."""
    smooth = cv2.GaussianBlur(image, (0, 0), _CANNY_SIGMA)
    # Sixteen-bit slopes in sixteenths of a level, so that low thresholds mean something.
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=16) for order in ((1, 0), (0, 1)))
    slopes = [np.rint(d).clip(-32768, 32767).astype(np.int16) for d in (dx, dy)]
    low, high = (16 * level for level in _CANNY_LEVELS)
    return np.asarray(cv2.Canny(slopes[0], slopes[1], low, high, L2gradient=True) > 0, np.bool_)
