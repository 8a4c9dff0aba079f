"""Textures of the head renderer: decoded, mended where a card would filter them badly, and made."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError, OutputError

Picture = NDArray[np.uint8]
_SKIN_PX: Final = 2048


def decode(data: bytes, name: str) -> Picture:
    """A picture as uint8 (H, W, 4) RGBA.

    Raises:
        ArtefactError: It is none.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if picture is None:
        raise ArtefactError(f"{name} is not a readable picture.")
    if picture.dtype != np.uint8:
        raise ArtefactError(f"{name} has {picture.dtype} pixels; textures have 8 bits.")
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGRA)
    elif picture.shape[2] == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA).astype(np.uint8, copy=False)


def encode_jpeg(picture: Picture, quality: int) -> bytes:
    """RGB uint8 (H, W, 3) as JPEG without chroma subsampling: lips and teeth are thin and coloured.

    Raises:
        OutputError: The codec refused it.
    """
    settings = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    if not ok:
        raise OutputError("A frame could not be encoded as JPEG.")
    return data.tobytes()


def decode_jpeg(data: bytes) -> Picture:
    """RGB uint8 (H, W, 3) of a JPEG.

    Raises:
        ArtefactError: It is none.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise ArtefactError("A frame cannot be read; render its person again.")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def bleed(picture: Picture) -> Picture:
    """Push colour into transparent texels, so that filtering draws no dark rim around hair."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    colour, weight = picture[..., :3] * alpha, alpha.copy()
    for width in (5, 17, 61):
        spread, share = cv2.blur(colour, (width, width)), cv2.blur(weight, (width, width))[..., None]
        reach = np.minimum(share * 50, 1)
        empty = weight < 0.05
        colour = np.where(empty, spread / np.maximum(share, 1e-4) * reach, colour)
        weight = np.where(empty, reach, weight)
    filled = picture.copy()
    mean = np.where(weight > 0, colour / np.maximum(weight, 1e-3), 0)
    filled[..., :3] = np.clip(np.where(alpha > 0.3, picture[..., :3], mean), 0, 255)
    return filled


def sharpen_skin(picture: Picture) -> Picture:
    """A skin texture enlarged and sharpened: bilinear filtering of the small original shows its texels."""
    size = max(_SKIN_PX, picture.shape[0])
    large = cv2.resize(picture[..., :3].astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    large += 0.5 * (large - cv2.GaussianBlur(large, (0, 0), 3)) + 0.15 * (large - cv2.GaussianBlur(large, (0, 0), 14))
    return np.dstack([np.clip(large, 0, 255), np.full((size, size), 255.0)]).astype(np.uint8)


def skin_mean(picture: Picture) -> NDArray[np.float64]:
    """Mean linear RGB (3,) of a skin texture without its darkest parts (mouth, lashes) and its lightest."""
    linear = (picture[..., :3].reshape(-1, 3) / 255.0) ** 2.2
    level = linear.sum(1)
    low, high = np.percentile(level, (30, 90))
    return np.asarray(np.maximum(linear[(level >= low) & (level <= high)].mean(0), 1e-3))


def mute(picture: Picture, share: float) -> Picture:
    """Colours drawn towards grey: ``share`` of the saturation stays."""
    grey = picture[..., :3].mean(-1, keepdims=True)
    muted = picture.copy()
    muted[..., :3] = np.clip(grey + (picture[..., :3] - grey) * share, 0, 255)
    return muted


@lru_cache(maxsize=1)
def skin_detail() -> Picture:
    """A tile of pores: slopes in red and green, mottling in blue, uint8 (512, 512, 4)."""
    size = 512
    rng = np.random.default_rng(0)
    pores, fine = _band(rng, size, 70, 0.35), _band(rng, size, 120, 0.3)
    height = -(np.maximum(pores - 0.2, 0) ** 1.3) + 0.25 * fine + 0.3 * _band(rng, size, 30, 0.4)
    across, down = np.roll(height, -1, 1) - np.roll(height, 1, 1), np.roll(height, -1, 0) - np.roll(height, 1, 0)
    scale = 0.5 / (3 * np.std(across))
    spots = 0.5 + 0.12 * (0.5 - np.maximum(pores, 0)) + 0.05 * fine + 0.06 * _band(rng, size, 40, 0.5)
    mottling = 0.5 + 0.16 * (0.7 * _band(rng, size, 9, 0.7) + 0.5 * _band(rng, size, 25, 0.6))
    layers = [0.5 + across * scale, 0.5 + down * scale, 0.5 * (spots + mottling), np.ones((size, size))]
    return (np.clip(np.stack(layers, -1), 0, 1) * 255).astype(np.uint8)


def _band(rng: np.random.Generator, size: int, cycles: float, spread: float) -> NDArray[np.float64]:
    """Seamless noise of unit deviation about ``cycles`` a tile."""
    step = np.fft.fftfreq(size)
    frequency = np.hypot(step[:, None], step[None]) * size
    spectrum = np.fft.fft2(rng.normal(size=(size, size))) * np.exp(-(((frequency - cycles) / (cycles * spread)) ** 2))
    noise: NDArray[np.float64] = np.fft.ifft2(spectrum).real
    return np.asarray(noise / noise.std())
