"""How a drawn frame of self-reenactment is judged against the filmed one: figures, sums, regions."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import reenact_metrics as look
from benchmarks.quality.landmark_metrics import mouth_distances
from benchmarks.quality.picture_metrics import ssim
from benchmarks.quality.sharpness import cpbd
from benchmarks.quality.tracks import Picture

FIGURES: Final = {
    "inside_l1": "L1 inside the inner lips of the truth, grey levels 0..255",
    "lip_l1": "L1 on the ring of the lips, grey levels",
    "mouth_l1": "L1 in the mouth crop, grey levels",
    "mouth_ssim": "SSIM of the mouth crop's luma, -1 to 1",
    "sharpness": "mean gradient of the mouth crop over the truth's; 1 is as sharp",
    "eyes_l1": "L1 of both eyes with their lids, grey levels",
    "face_l1": "L1 within the hull of the 68 landmarks, grey levels",
    "lmd": "distance of the re-detected mouth points, about their centroid, from the truth's, px",
    "cpbd_ratio": "CPBD of the face over the truth's",
    "flicker_ratio": "flicker of the face over the truth's, on three sampled frames in a row",
}
HIGHER: Final = ("mouth_ssim",)
_RATIOS: Final = ("sharpness", "cpbd_ratio", "flicker_ratio")

Figures = dict[str, float | None]


@dataclass
class Tally:
    """Sums of one renderer's figures; ratios are of sums, so that a flat frame does not weigh more than others."""

    values: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    truths: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _RATIOS})

    def add(self, name: str, value: float | None) -> None:
        """Count a value, if there is one."""
        if value is not None:
            self.values[name].append(value)

    def ratio(self, name: str, drawn: float, truth: float) -> None:
        """Count the two sides of a ratio."""
        self.values[name].append(drawn)
        self.truths[name].append(truth)

    def figures(self) -> Figures:
        """Means, and ratios of means; None where nothing was counted."""
        figures: Figures = {}
        for name, values in self.values.items():
            below = float(np.mean(self.truths[name])) if self.truths.get(name) else 1.0
            figures[name] = float(np.mean(values)) / below if values and below > 0 else None
        return figures


@dataclass(frozen=True)
class Truth:
    """A filmed frame and where it is looked at.

    Attributes:
        picture: uint8 (512, 512, 3) RGB.
        grey: Its luma.
        measured: (68, 2) px, the landmarks as the tracker finds them.
        masks: Regions by figure.
        mouth: Window of the mouth crop.
        face_window: Window of the face.
    """

    picture: Picture
    grey: Picture
    measured: NDArray[np.floating[Any]]
    masks: dict[str, look.Mask]
    mouth: look.Window
    face_window: look.Window

    @classmethod
    def of(
        cls, picture: Picture, points: NDArray[np.float64], measured: NDArray[np.floating[Any]] | None = None
    ) -> "Truth":
        """Look at ``picture``, whose landmarks are ``points``; ``measured`` if the tracker finds others."""
        shape = (picture.shape[0], picture.shape[1])
        masks = {
            "inside_l1": look.inside_mask(points, shape),
            "lip_l1": look.lip_mask(points, shape),
            "eyes_l1": look.eyes_mask(points, shape),
            "face_l1": look.face_mask(points, shape),
        }
        windows = look.mouth_window(points, shape), look.face_window(points, shape)
        return cls(picture, look.grey_of(picture), points if measured is None else measured, masks, *windows)


def judge(tally: Tally, truth: Truth, picture: Picture, grey: Picture, found: NDArray[np.floating[Any]] | None) -> None:
    """Count one drawn frame; ``found`` are its re-detected landmarks (68, 2) px, if any."""
    for name, mask in truth.masks.items():
        tally.add(name, look.l1(truth.picture, picture, mask))
    mouth, face = truth.mouth, truth.face_window
    tally.add("mouth_l1", look.l1(truth.picture[mouth], picture[mouth]))
    tally.add("mouth_ssim", ssim(truth.grey[mouth], grey[mouth]))
    tally.ratio("sharpness", look.gradient(grey[mouth]), look.gradient(truth.grey[mouth]))
    tally.ratio("cpbd_ratio", cpbd(grey[face]), cpbd(truth.grey[face]))
    if found is not None:
        tally.add("lmd", float(mouth_distances(truth.measured[None], found[None])[0]))
