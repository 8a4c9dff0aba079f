"""What a person's own film shows at other moments: what to hold a renderer's mouth against.

A renderer has seen one picture, in which the lips mostly touch. This has seen the person's open mouth: it takes the
frames whose lips were most alike and lays them in by the landmarks of both. What still differs from the truth is mostly
what landmarks do not tell: light, teeth, tongue, the tracker's error. It is a reference, not a bound.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import reenact_metrics as look
from benchmarks.quality.reenact_judge import Figures
from benchmarks.quality.reenact_metrics import Picture
from benchmarks.quality.tps_renderer import SMOOTHING
from engine.renderer.geometry import thin_plate
from engine.renderer.opening import CORNERS
from models.spec import MOUTH

OWN_FIGURES: Final = ("inside_l1", "lip_l1")
TAKEN: Final = {"nearest": 1, "mean of five": 5}
"""How many other frames are averaged, those first whose lips are most alike."""
_CONTROLS: Final = [*range(MOUTH.start, MOUTH.stop), *range(2, 15), 31, 33, 35]
"""Landmarks that carry one frame into another: the mouth, the jaw and the nose's base."""


@dataclass(frozen=True)
class _Seen:
    index: int
    corner: NDArray[np.float64]
    picture: Picture
    points: NDArray[np.float64]
    shape: NDArray[np.float64]


class OwnFrames:
    """Gathers a film's frames with an open mouth, then puts each together from others."""

    def __init__(self, apart: int) -> None:
        """Start.

        Args:
            apart: How many frames lie between a frame and those it may be put together from, at least.
        """
        self._apart = apart
        self._seen: list[_Seen] = []

    def add(self, index: int, truth: Picture, points: NDArray[np.float64], unit: float) -> None:
        """Remember the mouth of a frame.

        Args:
            index: Its number.
            truth: uint8 (H, W, 3) RGB.
            points: float64 (68, 2) px, where its landmarks are.
            unit: Pixels of a face unit.
        """
        rows, columns = look.mouth_window(points, truth.shape[:2])
        width = np.linalg.norm(points[CORNERS[1]] - points[CORNERS[0]])
        corner = np.array([columns.start, rows.start], np.float64)
        crop = np.ascontiguousarray(truth[rows, columns])
        self._seen.append(_Seen(index, corner, crop, points, np.array([*look.lip_gaps(points), width]) / unit))

    def figures(self) -> dict[str, Figures]:
        """By ``TAKEN`` the L1 inside the lips and on them, grey levels; None where no frame has others to take."""
        errors: dict[str, dict[str, list[float]]] = {name: {key: [] for key in OWN_FIGURES} for name in TAKEN}
        for one in self._seen:
            others = [other for other in self._seen if abs(other.index - one.index) >= self._apart]
            others.sort(key=lambda other: float(np.abs(other.shape - one.shape).sum()))
            if others:
                self._judge(one, others[: max(TAKEN.values())], errors)
        return {
            name: {key: float(np.mean(values)) if values else None for key, values in row.items()}
            for name, row in errors.items()
        }

    def _judge(self, one: _Seen, others: list[_Seen], errors: dict[str, dict[str, list[float]]]) -> None:
        points = one.points - one.corner
        shape = (one.picture.shape[0], one.picture.shape[1])
        for key, mask in zip(OWN_FIGURES, (look.inside_mask(points, shape), look.lip_mask(points, shape)), strict=True):
            if not mask.any():
                continue
            rows, columns = np.nonzero(mask)
            pixels = np.stack([columns, rows], 1).astype(np.float64)
            here = points[_CONTROLS]
            weights = thin_plate(here, pixels, SMOOTHING)
            drawn = np.stack([_carried(other, here, pixels, weights) for other in others])
            truth = one.picture[mask].astype(np.float64)
            for name, count in TAKEN.items():
                errors[name][key].append(float(np.abs(drawn[:count].mean(0) - truth).mean()))


def _carried(
    other: _Seen, here: NDArray[np.float64], pixels: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What ``other`` shows at ``pixels`` (n, 2) of a frame with controls ``here`` and their weights there: (n, 3)."""
    there = other.points[_CONTROLS] - other.corner
    where = (pixels + weights @ (there - here)).astype(np.float32)
    found = cv2.remap(
        other.picture, where[None, :, 0], where[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found[0], np.float64)
