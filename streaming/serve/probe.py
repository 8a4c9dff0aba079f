"""Time blocks in the picture, for whoever measures from voice to glass: ``mien serve --probe``.

Two codes of 16 bits are drawn over the picture's upper and lower edge, in blocks of 32x16 pixels that survive VP8::

    y   0 ..  15   CAPTURE, most significant bit at the left: bit b is the block x = 32*(15-b) .. 32*(15-b)+31
    y  16 ..  31   the same, inverted
    y 480 .. 495   ONSET, in the same order
    y 496 .. 511   the same, inverted

A white block (255) is 1, a black one (0) is 0; read a block by the mean of its middle 16x8 pixels against 128. A code
whose inverse does not fit is damaged, and to be left out.

CAPTURE is the frame's media time in ms, modulo 65536: ``ticks // 48 % 65536``, the time of the sound that is spoken in
it. ONSET is the media time, in the same unit, at which the last onset in the sound began, up to the frame's own time;
65535 while there was none. An onset is the first sample beyond a tenth of full scale (-20 dBFS) after 300 ms in which
none was.

So of a frame that was presented at P with capture C and onset O, the frame of the onset itself would have been
presented at P - (C - O). If the onset was heard at the microphone at M and in the received sound at S, all on the
receiver's clock, then ::

    mouth to glass   P - (C - O) - M
    A/V offset       P - (C - O) - S     above 0 where the picture is late
"""

from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.outlet import AudioBlock, Item, VideoFrame
from models.spec import MEDIA_HZ

NONE: Final = 0xFFFF
_BITS: Final = 16
_WIDTH: Final = 32
_HEIGHT: Final = 16
_TICKS_PER_MS: Final = MEDIA_HZ // 1000
_LOUD: Final = 3277
_PAUSE_TICKS: Final = 300 * _TICKS_PER_MS
_KEPT: Final = 4
"""Onsets, of which the last may be later than the frame: sound leaves before its picture."""


class Onsets:
    """Finds where sound begins after silence. Sans-IO."""

    def __init__(self) -> None:
        self._found: deque[int] = deque(maxlen=_KEPT)
        self._loud_ticks = -_PAUSE_TICKS

    def last(self, ticks: int) -> int | None:
        """Media time of the last onset up to ``ticks``; sound may have been heard that is later."""
        return next((onset for onset in reversed(self._found) if onset <= ticks), None)

    def hear(self, block: AudioBlock) -> None:
        """Note the next block of sound."""
        loud = np.flatnonzero(np.abs(block.samples.astype(np.int32)) > _LOUD)
        if not len(loud):
            return
        # A block is shorter than the pause: only its first loud sample can be an onset.
        first = block.ticks + int(loud[0])
        if first - self._loud_ticks >= _PAUSE_TICKS:
            self._found.append(first)
        self._loud_ticks = block.ticks + int(loud[-1])


class Probe:
    """Draws the codes into the frames of one session; a ``Retouch`` of its fan-out."""

    def __init__(self) -> None:
        self._onsets = Onsets()

    def __call__(self, item: Item) -> Item:
        """The item, a frame with its codes."""
        if isinstance(item, AudioBlock):
            self._onsets.hear(item)
            return item
        onset = self._onsets.last(item.ticks)
        return replace(item, picture=mark(item, NONE if onset is None else onset // _TICKS_PER_MS % 0x10000))


def mark(frame: VideoFrame, onset: int = NONE) -> NDArray[np.uint8]:
    """The frame's picture with both codes, uint8 (512, 512, 3)."""
    picture = frame.picture.copy()
    for top, code in ((0, frame.ticks // _TICKS_PER_MS % 0x10000), (picture.shape[0] - 2 * _HEIGHT, onset)):
        bits = np.array([code >> (_BITS - 1 - bit) & 1 for bit in range(_BITS)], np.uint8) * 255
        row = np.repeat(bits, _WIDTH)[np.newaxis, :, np.newaxis]
        picture[top : top + _HEIGHT] = row
        picture[top + _HEIGHT : top + 2 * _HEIGHT] = 255 - row
    return picture


def read_marks(picture: NDArray[np.uint8]) -> tuple[int | None, int | None]:
    """Capture and onset of a received picture, each None where it is damaged.

    Args:
        picture: uint8 (512, 512, 3) or (512, 512) luma.
    """
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    capture, onset = (_read(grey, top) for top in (0, grey.shape[0] - 2 * _HEIGHT))
    return capture, onset


def _read(grey: NDArray[np.floating] | NDArray[np.uint8], top: int) -> int | None:
    rows = []
    for row in (top, top + _HEIGHT):
        blocks = grey[row + 4 : row + 12, : _BITS * _WIDTH].reshape(8, _BITS, _WIDTH)[:, :, 8:24]
        rows.append(blocks.mean(axis=(0, 2)) > 128)
    if not (rows[0] ^ rows[1]).all():
        return None
    return int("".join("1" if bit else "0" for bit in rows[0]), 2)
