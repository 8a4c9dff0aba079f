"""BlazeFace: where faces are in a picture, with six key points each."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.portrait.face_models import open_model

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in px."""

_OVERLAP = 0.3


@dataclass(frozen=True)
class Detection:
    """A face as the detector sees it.

    Attributes:
        score: 0..1.
        box: float32 (4,) px: left, top, right, bottom of the face without the hair.
        keypoints: float32 (6, 2) px: image-left eye, image-right eye, nose tip, mouth, image-left and
            image-right ear.
    """

    score: float
    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]

    @property
    def area(self) -> float:
        """Area of the box in px^2."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class FaceDetector:
    """The detector for near faces (over about a fifth of the picture) or for far ones."""

    def __init__(self, reach: Literal["short", "full"] = "short", threads: int = 1) -> None:
        """Open the model.

        Raises:
            MissingExtraError: The face models are not there and cannot be fetched.
        """
        name, self._size, strides = (
            ("face_detection_short_range", 128, (8, 16, 16, 16))
            if reach == "short"
            else ("face_detection_full_range_sparse", 192, (4,))
        )
        self._session = open_model(name, threads)
        self._input = self._session.get_inputs()[0].name
        self._anchors = _anchors(self._size, strides)

    def detect(self, rgb: NDArray[np.uint8], threshold: float = 0.5, window: Box | None = None) -> list[Detection]:
        """Find faces.

        Args:
            rgb: uint8 (H, W, 3).
            threshold: Least score.
            window: Part of the picture to look at; the whole by default.

        Returns:
            Faces in px of ``rgb``, best score first, overlapping ones merged.
        """
        left, top, right, bottom = window or (0, 0, rgb.shape[1], rgb.shape[0])
        part = rgb[top:bottom, left:right]
        height, width = part.shape[:2]
        scale = self._size / max(height, width)
        inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
        offset_x, offset_y = (self._size - inner_w) // 2, (self._size - inner_h) // 2
        x = np.zeros((1, self._size, self._size, 3), np.float32)
        resized = cv2.resize(part, (inner_w, inner_h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        x[0, offset_y : offset_y + inner_h, offset_x : offset_x + inner_w] = resized / np.float32(127.5) - 1
        regressors, logits = self._session.run(None, {self._input: x})
        if regressors.shape[-1] == 1:
            regressors, logits = logits, regressors
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))
        keep = scores > threshold
        if not keep.any():
            return []
        points = (regressors[0][keep] / self._size).reshape(-1, 8, 2)
        centres = points[:, 0] + self._anchors[keep]
        half = points[:, 1] / 2
        corners = np.stack([centres - half, centres + half], 1)
        shapes = np.concatenate([corners, points[:, 2:] + self._anchors[keep][:, None]], 1)
        origin = np.array([left, top], np.float32)
        faces = []
        for score, shape in _merge(scores[keep], shapes):
            pixels = ((shape * self._size - [offset_x, offset_y]) / scale + origin).astype(np.float32)
            faces.append(Detection(score, pixels[:2].reshape(4), pixels[2:]))
        return faces


def box_overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    inner = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(inner, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0


def _merge(scores: NDArray[np.float32], shapes: NDArray[np.float32]) -> list[tuple[float, NDArray[np.float32]]]:
    """Weighted non-maximum suppression of shapes (n, 8, 2) whose first two points are the box's corners."""
    merged = []
    left = np.argsort(-scores)
    while len(left):
        boxes = shapes[left, :2].reshape(-1, 4)
        group = np.array([box_overlap(boxes[0], box) > _OVERLAP for box in boxes])
        group[0] = True
        weights = scores[left][group]
        shape = (shapes[left][group] * weights[:, None, None]).sum(0) / weights.sum()
        merged.append((float(scores[left[0]]), shape.astype(np.float32)))
        left = left[~group]
    return merged


def _anchors(size: int, strides: tuple[int, ...]) -> NDArray[np.float32]:
    """Anchor centres (n, 2) in 0..1; layers of equal stride share a grid, with two anchors per layer."""
    grids = []
    first = 0
    while first < len(strides):
        last = first
        while last < len(strides) and strides[last] == strides[first]:
            last += 1
        cells = -(-size // strides[first])
        per_cell = 2 * (last - first) if len(strides) > 1 else 1
        yy, xx = np.mgrid[:cells, :cells]
        centres = np.stack([(xx + 0.5) / cells, (yy + 0.5) / cells], -1).reshape(-1, 2)
        grids.append(np.repeat(centres, per_cell, 0))
        first = last
    return np.concatenate(grids).astype(np.float32)
