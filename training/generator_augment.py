"""Domain randomisation: rendered people made to vary as photographs and paintings do.

What is changed is changed in the drawn frame, the true frame, the portrait and the style image alike, so that the task
stays the same: a network that refines must leave what it need not change.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
_SHADE = 0.15
"""Deviation of the logarithm of a patch's light."""


@dataclass(frozen=True)
class Placement:
    """Where in the face's window a sample is cut: an affine map from its pixels to the window's, and a flip."""

    matrix: NDArray[np.float64]
    size: int
    plain: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, focus: NDArray[np.floating[Any]], size: int, window: int) -> "Placement":
        """Choose around ``focus`` (2,) px; half of the samples keep the window's own pixels, whole and unturned."""
        plain = rng.random() < 0.5
        zoom = 1.0 if plain else float(np.exp(rng.uniform(np.log(0.85), np.log(1.5))))
        angle = 0.0 if plain else float(np.clip(rng.normal(0, 0.08), -0.2, 0.2))
        flip = rng.random() < 0.5
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        middle = np.array([(size - 1) / 2] * 2)
        shift = focus - turn @ middle
        if plain:
            shift = np.clip(np.rint(shift), 0, window - size)
        matrix = np.column_stack([turn, shift])
        if flip:
            matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]], np.float64)
        return cls(matrix, size, plain)

    def cut(self, channels: U8, labels: bool = False) -> U8:
        """Cut uint8 (C, H, W) to (C, size, size); ``labels`` are not mixed."""
        if self.plain:
            x, y = (int(value) for value in self.matrix[:, 2])
            if self.matrix[0, 0] < 0:
                return channels[:, y : y + self.size, x - self.size + 1 : x + 1][:, :, ::-1]
            return channels[:, y : y + self.size, x : x + self.size]
        kind = cv2.INTER_NEAREST if labels else cv2.INTER_LINEAR
        flags = kind | cv2.WARP_INVERSE_MAP
        planes = [
            cv2.warpAffine(plane, self.matrix, (self.size, self.size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for plane in channels
        ]
        return np.stack(planes).astype(np.uint8)


@dataclass(frozen=True)
class Look:
    """How a picture is changed: colours, light, blur and grain."""

    colours: NDArray[np.float64]
    gamma: float
    light: tuple[float, float]
    blur: float
    grain: float
    grain_px: float
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, detail: bool = True) -> "Look":
        """Choose; without ``detail`` there is neither blur nor grain."""
        mixing = np.eye(3) + rng.normal(0, 0.06, (3, 3))
        saturation = float(np.clip(rng.normal(1, 0.25), 0, 1.7))
        grey = np.full((3, 3), 1 / 3)
        gains = np.exp(rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.18))
        colours = np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) * grey) @ mixing
        return cls(
            colours=colours,
            gamma=float(np.exp(rng.normal(0, 0.18))),
            light=(float(rng.normal(0, 0.2)), float(rng.normal(0, 0.2))),
            blur=detail * float(max(0.0, rng.uniform(-1.0, 1.1))),
            grain=detail * float(max(0.0, rng.uniform(-0.02, 0.03))),
            grain_px=float(rng.uniform(0, 1.2)),
            seed=int(rng.integers(1 << 31)),
        )

    def apply(self, pictures: U8) -> F32:
        """Change pictures of one face: uint8 (N, 3, H, W) to float32 (N, 3, H, W), 0..1. All get the same grain."""
        count, _, height, width = pictures.shape
        curve = (np.arange(256, dtype=np.float32) / np.float32(255)) ** np.float32(self.gamma)
        x = np.matmul(self.colours.astype(np.float32), curve[pictures].reshape(count, 3, -1))
        x = x.reshape(count, 3, height, width)
        across, along = (
            np.exp(slope * np.linspace(-1, 1, side, dtype=np.float32))
            for slope, side in zip(self.light, (width, height), strict=True)
        )
        x *= across[None] * along[:, None]
        if self.blur > 0:
            x = np.stack([[cv2.GaussianBlur(plane, (0, 0), self.blur + 0.2) for plane in each] for each in x])
        if self.grain > 0:
            noise = np.random.default_rng(self.seed).standard_normal((height, width), np.float32)
            if self.grain_px > 0.3:
                noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), self.grain_px), np.float32)
                noise /= noise.std() + np.float32(1e-6)
            x += np.float32(self.grain) * noise
        result: F32 = np.clip(x, 0, 1, out=x)
        return result


def shade(pictures: F32, rng: np.random.Generator) -> None:
    """Darken or light a soft patch of pictures (N, 3, H, W) in place, the same one in all.

    Of the drawn and the true frame alone: what light the geometric renderer put somewhere is to be left there.
    """
    height, width = pictures.shape[-2:]
    middle, reach = rng.uniform(0, (width, height)), rng.uniform(5, 32, 2)
    amount = np.float32(rng.normal(0, _SHADE))
    across, along = (
        np.exp(-0.5 * np.square((np.arange(side, dtype=np.float32) - np.float32(at)) / np.float32(far)))
        for side, at, far in zip((width, height), middle, reach, strict=True)
    )
    pictures *= np.exp(amount * np.outer(along, across))
    np.clip(pictures, 0, 1, out=pictures)
