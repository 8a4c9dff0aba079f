"""A picture of what an avatar is made of, for people to check."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from models.spec import IMAGE_SIZE

LINES: Final = (
    (tuple(range(0, 17)), False),
    (tuple(range(17, 22)), False),
    (tuple(range(22, 27)), False),
    (tuple(range(27, 31)), False),
    (tuple(range(31, 36)), False),
    (tuple(range(36, 42)), True),
    (tuple(range(42, 48)), True),
    (tuple(range(48, 60)), True),
    (tuple(range(60, 68)), True),
)
"""Polylines of the 68 landmarks, and whether they are closed: jaw, brows, nose, eyes, lips."""
_MEASURED = (60, 230, 90)
_REST = (255, 90, 60)
_IRIS = (80, 200, 255)


def preview(avatar: Avatar) -> NDArray[np.uint8]:
    """Draw an avatar's parts side by side.

    Args:
        avatar: The avatar.

    Returns:
        uint8 (512, 2560, 3) RGB: the portrait with its measured points and irises; the person over a checkerboard;
        the plate; the portrait over the plate with the template at rest; the template from the front and the side.
    """
    panels = [_points(avatar), _over(avatar, _checker()), avatar.plate, _rest(avatar), _template(avatar)]
    titles = ("measured points", "matte", "plate", "template at rest", "template, front and side")
    return np.hstack([_titled(panel, title) for panel, title in zip(panels, titles, strict=True)])


def composed(avatar: Avatar) -> NDArray[np.uint8]:
    """The picture as it was, uint8 (512, 512, 3) RGB: the person before the background."""
    return _over(avatar, avatar.plate)


def _points(avatar: Avatar) -> NDArray[np.uint8]:
    canvas = composed(avatar)
    for x, y in avatar.source_points:
        cv2.circle(canvas, _fixed(x, y), 24, _MEASURED, -1, cv2.LINE_AA, shift=4)
    for x, y, radius in avatar.irises:
        cv2.circle(canvas, _fixed(x, y), round(16 * float(radius)), _IRIS, 1, cv2.LINE_AA, shift=4)
    return canvas


def _rest(avatar: Avatar) -> NDArray[np.uint8]:
    canvas = composed(avatar)
    _draw(canvas, avatar.project(avatar.template), _REST)
    return canvas


def _template(avatar: Avatar) -> NDArray[np.uint8]:
    canvas = np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 28, np.uint8)
    # Front and side share one scale, 145 px per face unit, and the height of the eyes.
    for column, across in ((0, 165), (2, 560)):
        points = np.column_stack([avatar.template[:, column] * 145 + across, avatar.template[:, 1] * 145 + 240])
        _draw(canvas, points, _REST)
    return canvas


def _over(avatar: Avatar, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    opacity = avatar.matte.astype(np.float32)[..., None] / 255
    return np.clip(np.round(avatar.image * opacity + background * (1 - opacity)), 0, 255).astype(np.uint8)


def _checker() -> NDArray[np.uint8]:
    yy, xx = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] // 16
    tones = np.where((xx + yy) % 2, 235, 185).astype(np.uint8)
    return np.repeat(tones[..., None], 3, -1)


def _draw(canvas: NDArray[np.uint8], points: NDArray[np.floating], colour: tuple[int, int, int]) -> None:
    for index, closed in LINES:
        line = np.round(points[list(index)] * 16).astype(np.int32)
        cv2.polylines(canvas, [line.reshape(-1, 1, 2)], closed, colour, 1, cv2.LINE_AA, shift=4)


def _titled(panel: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    canvas = panel.copy()
    canvas[:26, : 14 + 9 * len(title)] //= 4
    cv2.putText(canvas, title, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas


def _fixed(x: float, y: float) -> tuple[int, int]:
    """A point in OpenCV's fixed-point pixels with 4 fractional bits."""
    return round(16 * float(x)), round(16 * float(y))
