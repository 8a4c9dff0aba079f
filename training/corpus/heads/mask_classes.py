"""What a pixel of a parsing mask can be, and masks as PNG with these classes as palette."""

import struct
import zlib
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError


class MaskClass(IntEnum):
    """Classes of the parsing masks."""

    BACKGROUND = 0
    SKIN = 1
    UPPER_LIP = 2
    LOWER_LIP = 3
    INNER_MOUTH = 4
    TEETH = 5
    TONGUE = 6
    EYE = 7
    BROW = 8
    HAIR = 9
    NECK = 10
    CLOTH = 11


PALETTE: Final = np.array(
    [
        (0, 0, 0),
        (222, 170, 136),
        (214, 68, 92),
        (170, 32, 64),
        (64, 8, 16),
        (255, 255, 240),
        (240, 128, 160),
        (64, 160, 255),
        (120, 72, 24),
        (255, 200, 0),
        (180, 128, 100),
        (48, 112, 80),
    ],
    np.uint8,
)
"""RGB of each class, for people who look at a mask."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """A mask uint8 (H, W) of ``MaskClass`` as an indexed PNG."""
    height, width = mask.shape
    # Filter type 0 in front of every row: rows as they are.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), mask], axis=1)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", PALETTE.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Read what ``encode_mask`` wrote.

    Returns:
        uint8 (H, W) of ``MaskClass``.

    Raises:
        ArtefactError: It is another file or damaged.
    """
    try:
        if not data.startswith(_SIGNATURE):
            raise ValueError("no PNG")
        width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
        packed, position = b"", len(_SIGNATURE)
        while position < len(data):
            (length,) = struct.unpack(">I", data[position : position + 4])
            if data[position + 4 : position + 8] == b"IDAT":
                packed += data[position + 8 : position + 8 + length]
            position += length + 12
        rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width + 1)
        if (depth, kind) != (8, 3) or rows[:, 0].any():
            raise ValueError("another kind of PNG")
    except (ValueError, struct.error, zlib.error) as error:
        raise ArtefactError(f"A parsing mask cannot be read: {error}; render its person again.") from error
    return rows[:, 1:].copy()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
