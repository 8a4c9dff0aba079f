"""What the refining network sees of a frame, and the window of the frame in which it draws.

The network works on the face alone, at the frame's own resolution. Its window follows the head by points that neither
speech nor blinks move, so that the face stays where it is in the window, and lies on even pixels, so that colour that
is stored at half resolution stays whole.

=======  =======================================================================================
channel  of ``network_input``, uint8 (6, 256, 256)
=======  =======================================================================================
0..2     RGB of the frame as the geometric renderer composed it
3        how much of the pixel is the inside of the mouth
4        how much of it is eyeball
5        the facial map (``engine.stages.facial_map``): where the landmarks are asked to be
=======  =======================================================================================

``source_input`` is what never changes: RGB of the portrait and its facial map, in the portrait's own window. A network
that draws the whole frame is given the same of 512x512 pixels.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.canvas import Window
from engine.renderer.pixels import F32, U8, polylines, split_into
from engine.stages.facial_map import GROUPS, LINE_PX
from models.spec import IMAGE_SIZE

WINDOW_SIZE: Final = 256
DYNAMIC_CHANNELS: Final = 6
SOURCE_CHANNELS: Final = 4
NOSE_BASE: Final = slice(31, 36)
"""Half-way between brows and chin, and as good as rigid."""
BORDER_PX: Final = 20
"""Width of the window's margin over which what the network draws fades into the frame."""


def face_window(points: NDArray[np.floating[Any]]) -> Window:
    """Rows and columns of the face in a frame.

    Args:
        points: (68, 2) px, the landmarks in the frame.

    Returns:
        Two slices of WINDOW_SIZE that begin on even pixels and lie within the frame.
    """
    corner = points[NOSE_BASE].mean(0) - WINDOW_SIZE / 2
    # The middle of a pixel is a whole number, so the window's middle is half a pixel before its middle pixel.
    column, row = (2 * round(min(max(float(at) + 0.5, 0.0), IMAGE_SIZE - WINDOW_SIZE) / 2) for at in corner)
    return slice(row, row + WINDOW_SIZE), slice(column, column + WINDOW_SIZE)


def network_input(
    frame: U8, mouth: U8, eyes: U8, points: NDArray[np.floating[Any]], window: Window, out: U8 | None = None
) -> U8:
    """Put together what changes with every frame.

    Args:
        frame: uint8 (512, 512, 3) RGB, the geometric renderer's picture over a background.
        mouth: uint8 (512, 512), how much of each pixel is the inside of the mouth.
        eyes: uint8 (512, 512), how much of it is eyeball.
        points: (68, 2) px, the landmarks as the frame is asked to show them.
        window: As from ``face_window`` or ``whole_frame``.
        out: Where to put it; by default a new array.

    Returns:
        uint8 (6, 256, 256), see above.
    """
    if out is None:
        out = np.empty((DYNAMIC_CHANNELS, *(line.stop - line.start for line in window)), np.uint8)
    stack_input(frame[window], mouth, eyes, points, window, out)
    return out


def stack_input(crop: U8, mouth: U8, eyes: U8, points: NDArray[np.floating[Any]], window: Window, out: U8) -> None:
    """As ``network_input``, of the frame's part in ``window`` (S, S, 3), into ``out`` (6, S, S)."""
    split_into(crop, out[:3])
    out[3], out[4] = mouth[window], eyes[window]
    draw_map(points, window, out[5])


def source_input(avatar: Avatar, size: int = WINDOW_SIZE) -> U8:
    """What never changes: the portrait, RGB, and the facial map of its own landmarks.

    Args:
        avatar: The portrait.
        size: WINDOW_SIZE for the window of its face, IMAGE_SIZE for all of it.

    Returns:
        uint8 (4, size, size).
    """
    window = whole_frame() if size == IMAGE_SIZE else face_window(avatar.source_points)
    result = np.empty((SOURCE_CHANNELS, size, size), np.uint8)
    split_into(avatar.image[window], result[:3])
    draw_map(avatar.source_points, window, result[3])
    return result


def whole_frame() -> Window:
    """All rows and columns, for a network that draws the whole frame."""
    return slice(0, IMAGE_SIZE), slice(0, IMAGE_SIZE)


def draw_map(points: NDArray[np.floating[Any]], window: Window, out: U8) -> None:
    """Draw the facial map of ``points`` (68, 2) px as ``window`` shows it, into uint8 (h, w)."""
    out[:] = 0
    seen = (points - (window[1].start, window[0].start)).astype(np.float32)
    polylines(out, [(seen[list(line)], closed) for group in GROUPS for line, closed in group], LINE_PX)


def border(size: int = WINDOW_SIZE) -> F32:
    """How far the network may draw, float32 (size, size): 1 within, falling softly to 0 at the window's edge.

    One that draws the whole frame has no edge to hide.
    """
    if size == IMAGE_SIZE:
        return np.ones((size, size), np.float32)
    line = np.minimum(np.arange(WINDOW_SIZE), np.arange(WINDOW_SIZE)[::-1]) / BORDER_PX
    line = np.minimum(line, 1)
    soft = line * line * (3 - 2 * line)
    return np.outer(soft, soft).astype(np.float32)
