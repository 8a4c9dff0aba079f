"""Reading photos: every kind we promise, and every kind of file that a user or an attacker may hand in instead."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import PortraitError
from engine.portrait.photo import MAX_PIXELS, decode_photo, load_photo

WIDTH, HEIGHT = 160, 120


def picture() -> np.ndarray:
    """RGB with a red top-left corner, a blue right side and a slope of green, so that turning it shows."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 1] = np.linspace(0, 200, WIDTH).astype(np.uint8)
    rgb[: HEIGHT // 2, : WIDTH // 2, 0] = 255
    rgb[:, WIDTH // 2 :, 2] = 255
    return rgb


def encode(suffix: str, image: np.ndarray) -> bytes:
    if image.ndim == 3:
        image = np.concatenate([image[..., 2::-1], image[..., 3:]], -1)
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*chunk) for chunk in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_reads_the_common_kinds(suffix: str) -> None:
    photo = decode_photo(encode(suffix, picture()))
    assert photo.alpha is None
    assert photo.rgb.dtype == np.uint8
    assert np.abs(photo.rgb.astype(int) - picture()).mean() < 6


def test_sixteen_bit_and_grey_become_eight_bit_rgb() -> None:
    deep = decode_photo(encode(".png", picture().astype(np.uint16) * 257))
    assert np.array_equal(deep.rgb, picture())
    grey = decode_photo(encode(".png", picture()[..., 1]))
    assert grey.rgb.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(grey.rgb[..., 0], picture()[..., 1])


def test_exif_orientation_is_applied() -> None:
    turned = decode_photo(with_orientation(encode(".jpg", picture()), 6)).rgb
    assert turned.shape == (WIDTH, HEIGHT, 3)
    # Orientation 6 turns by 90 degrees clockwise: top left goes to top right.
    assert turned[8, -8, 0] > 200 > 100 > turned[8, 8, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_is_kept_and_laid_over_a_background(dtype: type) -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :40] = 0
    rgba = np.dstack([picture(), alpha])
    photo = decode_photo(encode(".png", rgba if dtype is np.uint8 else rgba.astype(np.uint16) * 257))
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, alpha)
    assert np.array_equal(photo.rgb[:, 40:], picture()[:, 40:])
    assert 60 < photo.rgb[:, :40].mean() < 140


def test_opaque_alpha_is_no_matte() -> None:
    opaque = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert decode_photo(encode(".png", opaque)).alpha is None


def test_frame_lines_are_cut_off() -> None:
    rng = np.random.default_rng(1)
    framed = rng.integers(60, 180, (400, 300, 3), dtype=np.uint8)
    framed[-4:] = 255
    framed[:, :3] = 0
    assert decode_photo(encode(".png", framed)).rgb.shape == (395, 296, 3)
    plain = np.full((400, 300, 3), 255, np.uint8)
    assert decode_photo(encode(".png", plain)).rgb.shape == plain.shape


def test_a_picture_that_unfolds_to_gigabytes_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    bomb = png(side, side, zlib.compress(b"\0" * 1_000_000))
    with pytest.raises(PortraitError, match="megapixels"):
        decode_photo(bomb)
    with pytest.raises(PortraitError, match="megapixels"):
        decode_photo(png(2**31 - 1, 2**31 - 1, b""))


def test_a_small_header_over_wrong_data_is_refused() -> None:
    with pytest.raises(PortraitError, match=r"damaged|kind"):
        decode_photo(png(200, 200, b"not zlib"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files_are_refused(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    data = encode(suffix, noise)
    with pytest.raises(PortraitError, match=r"truncated|damaged|not a picture"):
        decode_photo(data[: max(3, int(share * len(data)))])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture"),
        (bytes(range(256)) * 40, "not a picture"),
        (b"\0\0\0\x20ftypisom" + bytes(200), "video"),
        (b"\0\0\0\x18ftypheic" + bytes(200), "HEIC"),
        (b"\x1aE\xdf\xa3" + bytes(200), "video"),
        (b"RIFF\0\1\0\0AVI LIST" + bytes(200), "video"),
        (b"RIFF\0\1\0\0WAVEfmt " + bytes(200), "not a picture"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"II*\0" + bytes(200), "TIFF"),
        (b"GIF89a\x40\x01\xf0\x00", "truncated"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "truncated"),
        (b"\xff\xd8\xff\xc0", "truncated"),
        (b"BM" + bytes(8), "not a picture"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, says: str) -> None:
    with pytest.raises(PortraitError, match=says) as caught:
        decode_photo(data, "x.png")
    assert "\n" not in str(caught.value)


def test_random_damage_never_gives_anything_but_a_photo_or_our_error() -> None:
    rng = np.random.default_rng(3)
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        data = bytearray(encode(suffix, picture()))
        for _ in range(25):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 6):
                broken[place] = int(rng.integers(256))
            try:
                assert decode_photo(bytes(broken)).rgb.ndim == 3
            except PortraitError:
                continue


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match="does not exist"):
        load_photo(tmp_path / "none.png")
    with pytest.raises(PortraitError, match="not a file"):
        load_photo(tmp_path)
    tiny = tmp_path / "tiny.png"
    tiny.write_bytes(encode(".png", picture()[:20, :20]))
    with pytest.raises(PortraitError, match="20 x 20"):
        load_photo(tiny)
