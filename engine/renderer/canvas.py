"""What a frame is painted on: pieces of the person, each whole, later ones over earlier ones."""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np

from engine.renderer.pixels import F32, U8, over
from models.spec import IMAGE_SIZE

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns."""


class Canvas(Protocol):
    """Takes the pieces of one frame."""

    def paint(self, window: Window, picture: U8) -> None:
        """Put premultiplied RGBA (h, w, 4) in place of what the window showed of the person."""
        ...

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Say how much of each pixel (h, w) is the inside of the mouth."""
        ...

    def mark_eye(self, window: Window, opening: F32) -> None:
        """Say how much of each pixel (h, w) is eyeball."""
        ...


class OpaqueCanvas:
    """Lays the person over a background.

    Attributes:
        picture: uint8 (512, 512, 3) RGB.
    """

    def __init__(self, background: U8, out: U8 | None = None) -> None:
        """Begin with ``background``, uint8 (512, 512, 3), in ``out`` or a new picture."""
        self._background = background
        if out is None:
            out = np.empty_like(background)
        np.copyto(out, background)
        self.picture = out

    def paint(self, window: Window, picture: U8) -> None:
        """Compose the piece with the background."""
        over(picture, self._background[window], self.picture[window])

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Not wanted here."""

    def mark_eye(self, window: Window, opening: F32) -> None:
        """Not wanted here."""


class PersonCanvas:
    """Keeps the person alone, to be laid over a background later.

    Attributes:
        picture: uint8 (512, 512, 4), premultiplied RGBA.
    """

    def __init__(self, out: U8) -> None:
        """Begin with nothing, in ``out``, uint8 (512, 512, 4)."""
        out[:] = 0
        self.picture = out

    def paint(self, window: Window, picture: U8) -> None:
        """Keep the piece."""
        self.picture[window] = picture

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Not wanted here."""

    def mark_eye(self, window: Window, opening: F32) -> None:
        """Not wanted here."""


def _blank(*channels: int) -> U8:
    return np.zeros((IMAGE_SIZE, IMAGE_SIZE, *channels), np.uint8)


@dataclass(frozen=True)
class Layers:
    """A frame before it meets its background, and what its parts are.

    Attributes:
        person: uint8 (512, 512, 4), premultiplied RGBA of the moved person.
        mouth: uint8 (512, 512), how much of each pixel is the inside of the mouth.
        eyes: uint8 (512, 512), how much of each pixel is eyeball.
    """

    person: U8 = field(default_factory=lambda: _blank(4))
    mouth: U8 = field(default_factory=_blank)
    eyes: U8 = field(default_factory=_blank)

    def paint(self, window: Window, picture: U8) -> None:
        """Keep the piece."""
        self.person[window] = picture

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Keep the share of the inside."""
        self.mouth[window] = inner * 255

    def mark_eye(self, window: Window, opening: F32) -> None:
        """Keep the share of the eyeball."""
        self.eyes[window] = opening * 255


class MarkedCanvas:
    """Paints on another canvas and keeps where mouth and eyes are.

    Attributes:
        mouth: uint8 (512, 512), how much of each pixel is the inside of the mouth.
        eyes: uint8 (512, 512), how much of each pixel is eyeball.
    """

    def __init__(self, below: Canvas) -> None:
        """Begin a frame on ``below``."""
        self._below = below
        self.mouth, self.eyes = _blank(), _blank()

    def paint(self, window: Window, picture: U8) -> None:
        """Paint on the canvas below."""
        self._below.paint(window, picture)

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Keep the share of the inside."""
        self.mouth[window] = inner * 255

    def mark_eye(self, window: Window, opening: F32) -> None:
        """Keep the share of the eyeball."""
        self.eyes[window] = opening * 255
