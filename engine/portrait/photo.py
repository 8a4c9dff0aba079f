"""Reading a photo that a user hands in, whatever it turns out to be.

The size is read from the file's header and checked before anything is decoded, so a small file that unfolds to
gigabytes is refused and not opened.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import PortraitError

MAX_FILE_BYTES: Final = 128 << 20
MAX_PIXELS: Final = 64_000_000
MIN_SIDE_PX: Final = 64

_FRAME_SHARE = 0.03
"""A frame line drawn about a picture is at most this share of its size."""
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    Attributes:
        rgb: uint8 (H, W, 3). Where the file is transparent, over a plain studio background.
        alpha: uint8 (H, W), the file's own transparency, or None if it has none.
        sha256: Of the file, in hexadecimal.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    sha256: str


def load_photo(path: Path) -> Photo:
    """Read a PNG, JPEG, WebP, GIF (its first picture) or BMP file.

    Args:
        path: The file. EXIF orientation is applied; grey, CMYK, 16 bit and palettes become 8-bit RGB; plain frame
            lines at the edges are cut off.

    Returns:
        The photo.

    Raises:
        PortraitError: The file is missing, unreadable, truncated, too large, too small, or no picture.
    """
    try:
        if not path.is_file():
            missing = "is not a file" if path.exists() else "does not exist"
            raise PortraitError(f"The picture {path} {missing}.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PortraitError(f"{path} has more than {MAX_FILE_BYTES >> 20} MB; save a smaller picture.")
        data = path.read_bytes()
    except OSError as error:
        raise PortraitError(f"The picture {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise PortraitError(f"{str(path)!r} cannot name a picture.") from error
    return decode_photo(data, str(path))


def decode_photo(data: bytes, name: str = "The picture") -> Photo:
    """Decode the bytes of a picture file; see ``load_photo``.

    Args:
        data: The file's bytes.
        name: What to call it in messages.

    Raises:
        PortraitError: See ``load_photo``.
    """
    try:
        width, height = _header_size(data, name)
    except (struct.error, IndexError) as error:
        raise PortraitError(f"{name} is truncated or damaged; save it again.") from error
    if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
        raise PortraitError(f"{name} is {width} x {height} pixels; an avatar needs a larger picture.")
    if width * height > MAX_PIXELS:
        raise PortraitError(
            f"{name} is {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels; reduce it first."
        )
    bgr = _decode(data, cv2.IMREAD_COLOR)
    if bgr is None or bgr.ndim != 3 or bgr.shape[0] * bgr.shape[1] > MAX_PIXELS:
        raise PortraitError(f"{name} is damaged or of a kind that cannot be read; save it as PNG or JPEG.")
    rgb = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    alpha = _alpha(data, rgb.shape[:2])
    if alpha is not None:
        rgb = _over_studio(rgb, alpha)
    top, bottom, left, right = _without_frame(rgb)
    window = (slice(top, bottom), slice(left, right))
    cut = None if alpha is None else np.ascontiguousarray(alpha[window])
    return Photo(np.ascontiguousarray(rgb[window]), cut, hashlib.sha256(data).hexdigest())


def _header_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height as the header says; truncated files are refused here, for decoders fill them up with grey."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        size = _png_size(data)
    elif data.startswith(b"\xff\xd8\xff"):
        size = _jpeg_size(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        size = struct.unpack("<HH", data[6:10]) if b";" in data[-64:] else None
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = _webp_size(data)
    elif data[:2] == b"BM" and len(data) > 26 and data[6:10] == b"\0\0\0\0":
        columns, rows = struct.unpack("<ii", data[18:26])
        size = (abs(columns), abs(rows)) if len(data) >= struct.unpack("<I", data[2:6])[0] else None
    else:
        raise PortraitError(f"{name} {_what_it_is(data)}")
    if size is None:
        raise PortraitError(f"{name} is truncated or damaged; save it again.")
    return int(size[0]), int(size[1])


def _png_size(data: bytes) -> tuple[int, int] | None:
    size, place = None, 8
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IHDR":
            size = struct.unpack(">II", data[place + 8 : place + 16])
        if kind == b"IEND":
            return size
        place += 12 + length
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    size, place = None, 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            size = (width, height)
        if marker == 0xDA:
            # The end marker may be a few bytes before the end; a thumbnail's lies before the scan.
            return size if data.rfind(b"\xff\xd9") > place else None
        place += 2 + int(struct.unpack(">H", data[place + 2 : place + 4])[0])
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30 or len(data) < 8 + struct.unpack("<I", data[4:8])[0]:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _what_it_is(data: bytes) -> str:
    """The rest of the sentence about a file that is no picture we read."""
    advice = "save the portrait as PNG or JPEG."
    if not data:
        return "is empty."
    brand = data[8:12]
    if data[4:8] == b"ftyp":
        if brand in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"hevc"):
            return f"is a HEIC or AVIF picture, which is not read here; {advice}"
        return "is a video; hand in a single picture of the person."
    if data.startswith((b"\x1aE\xdf\xa3", b"FLV", b"\0\0\x01\xba", b"\0\0\x01\xb3")) or brand == b"AVI ":
        return "is a video; hand in a single picture of the person."
    if data.startswith((b"II*\0", b"MM\0*")):
        return f"is a TIFF or raw picture, which is not read here; {advice}"
    if data.lstrip()[:5].lower() in (b"<svg ", b"<?xml"):
        return f"is a drawing (SVG or XML), which is not read here; {advice}"
    return "is not a picture (PNG, JPEG, WebP, GIF or BMP)."


def _decode(data: bytes, flag: int) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)  # type: ignore[return-value]
    except cv2.error:
        return None


def _alpha(data: bytes, size: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The transparency of PNG, WebP and GIF files, if there is any."""
    if data.startswith((b"\xff\xd8", b"BM")):
        return None
    picture = _decode(data, cv2.IMREAD_UNCHANGED)
    # A picture that EXIF turns has other sides here than decoded in colour: its alpha would not fit.
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4 or picture.shape[:2] != size:
        return None
    plane = picture[..., 3]
    alpha = (plane >> 8 if plane.dtype == np.uint16 else plane).astype(np.uint8)
    return alpha if (alpha < 250).mean() > 0.005 else None


def _over_studio(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a cut-out picture over a plain grey background, brighter in the middle, as in a studio."""
    height, width = alpha.shape
    yy, xx = np.ogrid[:height, :width]
    falloff = ((xx / width - 0.5) ** 2 + (yy / height - 0.4) ** 2).astype(np.float32)
    tone = np.array([112, 118, 126], np.float32) * (1.05 - 0.9 * falloff)[..., None]
    opacity = alpha.astype(np.float32)[..., None] / 255
    mixed: NDArray[np.float32] = rgb * opacity + tone * (1 - opacity)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _without_frame(rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right) without the plain lines that scans of paintings end with."""
    height, width = rgb.shape[:2]
    top = _frame_lines(rgb)
    bottom = height - _frame_lines(rgb[::-1])
    columns = rgb.transpose(1, 0, 2)
    return top, bottom, _frame_lines(columns), width - _frame_lines(columns[::-1])


def _frame_lines(lines: NDArray[np.uint8]) -> int:
    """How many of the first lines (n, m, 3) are a frame: of one colour, and unlike the picture beside them."""
    limit = int(_FRAME_SHARE * len(lines))
    inner = lines[limit].astype(np.float32)
    frame = 0
    for i in range(limit):
        line = lines[i].astype(np.float32)
        colour = np.median(line, axis=0)
        plain = np.median(np.abs(line - colour).max(-1)) < 10
        if plain and np.median(np.abs(inner - colour).mean(-1)) > 40:
            frame = i + 1
    # Resampling and compression have mixed the next line with the frame.
    return frame + 1 if frame else 0
