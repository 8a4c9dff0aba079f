"""What a graphics card is told of a frame: where its pixels come from, and the few that are drawn here.

The geometry of a frame and the pixels of mouth and eyes are the geometric renderer's own; all else - resampling the
person, the background, the network's picture - the card does (``engine.backends.frame_graph``). So a frame goes over
the bus once, on its way back, and what goes there is a third of one.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import ConfigError
from engine.renderer.canvas import Canvas, Window
from engine.renderer.inverse import C64, as_pairs
from engine.renderer.mouth_layers import MouthLayers
from engine.renderer.network_input import WINDOW_SIZE, draw_map, face_window, whole_frame
from engine.renderer.pixels import F32, U8
from engine.renderer.warp import Floats, WarpRenderer
from models.spec import IMAGE_SIZE

NODES: Final = 130
"""Along a side: a node for every fourth pixel, and one beyond the picture at either end."""
PATCH_CHANNELS: Final = 6
"""Premultiplied RGBA, how much is the inside of the mouth, how much is eyeball."""


@dataclass(frozen=True)
class Sketch:
    """One frame, before a card draws it.

    Attributes:
        positions: float32 (130, 130, 2) px of the portrait, where the nodes of the frame come from.
        patch_places: int32 (M,), row * 512 + column of each pixel that is drawn already; none twice.
        patch_pixels: uint8 (M, 6), what it is.
        map_places: int32 (K,), row * S + column in the network's window of each pixel of the facial map.
        map_values: uint8 (K,), how bright it is.
        corner: int32 (2,), first row and column of the network's window.
    """

    positions: F32
    patch_places: NDArray[np.int32]
    patch_pixels: U8
    map_places: NDArray[np.int32]
    map_values: U8
    corner: NDArray[np.int32]


_LENGTHS = 4
"""Whole numbers before all else: pixels of patches, of map lines, and the window's corner."""


def pack_sketch(sketch: Sketch, out: U8) -> None:
    """Write a sketch into memory that another process reads.

    Args:
        sketch: A frame's.
        out: uint8, contiguous, of any shape.

    Raises:
        ConfigError: It is too small, as for a face that fills its picture.
    """
    lengths = np.array([len(sketch.patch_places), len(sketch.map_places), *sketch.corner], np.int32)
    parts = (lengths, sketch.positions, sketch.patch_places, sketch.map_places, sketch.patch_pixels, sketch.map_values)
    flat, place = out.reshape(-1), 0
    if sum(part.nbytes for part in parts) > flat.size:
        raise ConfigError(
            "Eyes and mouth fill too much of this picture to be drawn on a card: draw it with --device cpu."
        )
    for part in parts:
        flat[place : place + part.nbytes] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        place += part.nbytes


def unpack_sketch(packed: U8) -> Sketch:
    """The sketch that ``pack_sketch`` wrote; it shares the memory."""
    flat, place = packed.reshape(-1), 0

    def part(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        nonlocal place
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        array: NDArray[Any] = flat[place : place + size].view(dtype).reshape(shape)
        place += size
        return array

    patched, lined, row, column = part((_LENGTHS,), np.int32).tolist()
    positions, places = part((NODES, NODES, 2), np.float32), part((patched,), np.int32)
    lines, pixels = part((lined,), np.int32), part((patched, PATCH_CHANNELS), np.uint8)
    return Sketch(positions, places, pixels, lines, part((lined,), np.uint8), np.array([row, column], np.int32))


class SketchRenderer(WarpRenderer):
    """Sketches frames of one avatar. Threads may sketch at once."""

    def __init__(self, avatar: Avatar, mouth: MouthLayers | None = None, *, size: int = WINDOW_SIZE) -> None:
        """Prepare ``avatar``.

        Args:
            avatar: The portrait.
            mouth: As for ``WarpRenderer``.
            size: Pixels along a side of what the network draws.
        """
        super().__init__(avatar, mouth)
        self._size = size

    @property
    def source(self) -> U8:
        """The person at twice the portrait's resolution, premultiplied RGBA, uint8 (1024, 1024, 4)."""
        return self._source

    def sketch(self, landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats | None = None) -> Sketch:
        """Sketch a frame. Arguments and errors as for ``render``."""
        canvas = _SketchCanvas()
        self.draw(canvas, landmarks, pose, gaze, torso)
        points = self.frame_points(landmarks)
        window = whole_frame() if self._size == IMAGE_SIZE else face_window(points)
        facial_map = np.empty((self._size, self._size), np.uint8)
        draw_map(points, window, facial_map)
        lines = np.flatnonzero(facial_map).astype(np.int32)
        places, pixels = canvas.patches()
        return Sketch(
            positions=canvas.positions,
            patch_places=places,
            patch_pixels=pixels,
            map_places=lines,
            map_values=facial_map.ravel()[lines],
            corner=np.array([window[0].start, window[1].start], np.int32),
        )

    def _draw_person(self, canvas: Canvas, positions: C64, economy: bool) -> None:
        """Leave it to the card."""
        assert isinstance(canvas, _SketchCanvas), "others draw with WarpRenderer"
        canvas.positions = as_pairs(np.ascontiguousarray(positions))


class _SketchCanvas:
    """Keeps the patches of one frame."""

    positions: F32

    def __init__(self) -> None:
        self._patches: list[tuple[Window, U8]] = []

    def paint(self, window: Window, picture: U8) -> None:
        """Keep the patch."""
        height, width = picture.shape[:2]
        patch = np.zeros((height, width, PATCH_CHANNELS), np.uint8)
        patch[..., :4] = picture
        self._patches.append((window, patch))

    def mark_mouth(self, window: Window, inner: F32) -> None:
        """Note it on the patch that was painted last, which is the same window."""
        self._patches[-1][1][..., 4] = inner * 255

    def mark_eye(self, window: Window, opening: F32) -> None:
        """The same of an eye."""
        self._patches[-1][1][..., 5] = opening * 255

    def patches(self) -> tuple[NDArray[np.int32], U8]:
        """Places and pixels of all patches; of those that overlap the last one's."""
        places, pixels = [], []
        for number, ((rows, columns), patch) in enumerate(self._patches):
            at_rows = np.arange(rows.start, rows.stop, dtype=np.int32)
            at_columns = np.arange(columns.start, columns.stop, dtype=np.int32)
            seen = np.ones(patch.shape[:2], bool)
            for (later_rows, later_columns), _ in self._patches[number + 1 :]:
                hidden_rows = (at_rows >= later_rows.start) & (at_rows < later_rows.stop)
                hidden_columns = (at_columns >= later_columns.start) & (at_columns < later_columns.stop)
                seen &= ~np.outer(hidden_rows, hidden_columns)
            where = at_rows[:, None] * np.int32(IMAGE_SIZE) + at_columns
            if seen.all():
                places.append(where.ravel())
                pixels.append(patch.reshape(-1, PATCH_CHANNELS))
            else:
                places.append(where[seen])
                pixels.append(patch[seen])
        return np.concatenate(places), np.concatenate(pixels)
