"""What is behind a head: smooth studio walls, blurred rooms, points of light out of focus."""

import colorsys
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE: Final = 160


def draw_background(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random background, uint8 (160, 160, 4) RGBA, smooth enough to be enlarged."""
    maker = (_wall, _room, _lights, _plain)[int(rng.choice(4, p=[0.3, 0.35, 0.2, 0.15]))]
    picture = np.clip(maker(rng), 0, 1) * 255
    return np.dstack([picture, np.full((_SIZE, _SIZE), 255.0)]).astype(np.uint8)


def studio_background() -> NDArray[np.uint8]:
    """An even grey wall, uint8 (160, 160, 4) RGBA."""
    picture = np.full((_SIZE, _SIZE, 4), 150, np.uint8)
    picture[..., 3] = 255
    return picture


def _wall(rng: np.random.Generator) -> NDArray[np.float64]:
    light = _hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.12, 0.9))
    dark = light * rng.uniform(0.3, 0.9)
    x, y = rng.uniform(0.2, 0.8, 2)
    rows, columns = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    far = np.clip(np.hypot(columns - x, rows - y) / rng.uniform(0.6, 1.1), 0, 1)[..., None]
    return np.asarray(light * (1 - far) + dark * far)


def _plain(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.full((_SIZE, _SIZE, 3), _hsv(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.05, 0.98)))


def _room(rng: np.random.Generator) -> NDArray[np.float64]:
    wall = _hsv(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.25, 0.85))
    picture = np.full((_SIZE, _SIZE, 3), wall)
    for _ in range(int(rng.integers(6, 24))):
        x, y = rng.integers(-12, _SIZE, 2)
        width, height = rng.integers(7, 75, 2)
        thing = _hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.05, 1))
        picture[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = 0.6 * thing + 0.4 * wall
    return _blur(picture, rng.uniform(1.5, 10))


def _lights(rng: np.random.Generator) -> NDArray[np.float64]:
    picture = np.full((_SIZE, _SIZE, 3), _hsv(rng.random(), rng.uniform(0.1, 0.4), rng.uniform(0.08, 0.35)))
    for _ in range(int(rng.integers(10, 40))):
        spot = np.zeros((_SIZE, _SIZE, 3), np.float32)
        colour = _hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.9))
        centre = int(rng.integers(0, _SIZE)), int(rng.integers(0, _SIZE))
        cv2.circle(spot, centre, int(rng.integers(4, 18)), [float(c) for c in colour], -1)
        picture = picture + 0.35 * spot
    return _blur(picture, rng.uniform(1.2, 4))


def _hsv(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _blur(picture: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.float64)
