"""From linear light to a picture as a camera gives it: exposure, white balance, tone curve, lens, grain."""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SKIN_LEVEL: Final = (0.33, 0.64)
"""Luminance of the brighter skin in a well exposed picture, from dark to fair skin, as a share of white."""


_LUMA: Final = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Grading:
    """A camera's rendering of light.

    Attributes:
        exposure: Factor on all light.
        balance: RGB factors.
        shadows: RGB added to the dark.
        film: 0 a linear sensor that clips, 1 a film's shoulder.
        contrast: 0 none, 1 an S-curve.
        saturation: 1 as it is.
        vignette: Loss at the corners.
        blur_px: Deviation of the lens' blur.
        halation: Share of the light that spreads wide.
        grain: Deviation of luminance noise, of 255.
        colour_grain: Deviation of chroma noise, of 255.
    """

    exposure: float
    balance: tuple[float, float, float]
    shadows: tuple[float, float, float]
    film: float
    contrast: float
    saturation: float
    vignette: float
    blur_px: float
    halation: float
    grain: float
    colour_grain: float

    def uniforms(self) -> dict[str, NDArray[np.float32]]:
        """What the grading shader takes."""
        values = {
            "gain": np.array(self.balance) * self.exposure,
            "shadows": self.shadows,
            "film": self.film,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "vignette": self.vignette,
        }
        return {name: np.asarray(value, np.float32) for name, value in values.items()}

    def expose(self, picture: NDArray[np.uint8], skin: NDArray[np.bool_], fairness: float) -> "Grading":
        """The same with the exposure that a photographer would choose for the skin in a trial picture.

        Args:
            picture: uint8 (H, W, 3), drawn with this grading.
            skin: bool (H, W), where skin is.
            fairness: 0 dark to 1 fair skin.
        """
        if not skin.any():
            return self
        level = float(np.percentile(picture[skin] @ _LUMA, 65)) / 255
        wanted = _SKIN_LEVEL[0] + (_SKIN_LEVEL[1] - _SKIN_LEVEL[0]) * fairness
        # The curve is near a power of 2.2 in the middle.
        return replace(self, exposure=self.exposure * float(np.clip((wanted / max(level, 0.02)) ** 2.0, 0.25, 4.0)))

    def finish(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Lens and grain.

        Args:
            picture: uint8 (H, W, 3).
            rng: Draws the grain; one frame's is not the next one's.
        """
        image = picture.astype(np.float32)
        if self.blur_px > 0.2:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur_px), np.float32)
        if self.halation > 0:
            image += self.halation * (np.asarray(cv2.GaussianBlur(image, (0, 0), 5.0), np.float32) - image)
        size = image.shape[:2]
        image += self.grain * rng.standard_normal(size, np.float32)[..., None]
        if self.colour_grain > 0:
            # Chroma noise of a sensor is coarser than its luminance noise.
            small = rng.standard_normal((size[0] // 2, size[1] // 2, 3), np.float32)
            image += self.colour_grain * np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR))
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def draw_grading(rng: np.random.Generator) -> Grading:
    """A random camera and taste."""
    warm = rng.normal(0, 0.05)
    toned = rng.random() < 0.35
    return Grading(
        exposure=1.0,
        balance=(1 + float(warm), 1.0, 1 - float(warm)),
        shadows=tuple(float(x) for x in (rng.normal(0, 0.02, 3) if toned else np.zeros(3))),  # type: ignore[arg-type]
        film=float(rng.uniform(0.4, 1.0)),
        contrast=float(rng.uniform(0.0, 0.45)),
        saturation=float(np.clip(rng.normal(1.0, 0.10), 0.75, 1.25)) if rng.random() > 0.03 else 0.0,
        vignette=float(rng.uniform(0, 0.5)) * float(rng.random() < 0.4),
        blur_px=float(rng.uniform(0.25, 0.85)),
        halation=float(rng.uniform(0.0, 0.2)),
        grain=float(np.abs(rng.normal(0, 1.2))) + 0.2,
        colour_grain=float(np.abs(rng.normal(0, 0.6))),
    )


def plain_grading() -> Grading:
    """A good camera without taste: that of the canonical neutral person."""
    return Grading(1.0, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 0.75, 0.1, 1.0, 0.0, 0.4, 0.05, 0.5, 0.0)
