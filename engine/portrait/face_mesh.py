"""The dense face mesh: 478 points with refined lips, eyes and irises, and its 68 iBUG landmarks."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.portrait.face_detector import Detection
from engine.portrait.face_models import model_metadata, open_model
from models.spec import LANDMARKS

MESH_POINTS: Final = 478
RIGHT_IRIS: Final = slice(468, 473)
"""The person's right iris (image-left): its centre, then four points of its edge."""
LEFT_IRIS: Final = slice(473, 478)

_CROP = 192
_MARGIN = 1.5
_RIGHT_EYE, _LEFT_EYE = 33, 263
"""Outer eye corners, which give the face's roll."""

# The usual list for iBUG's 68, image-left first, but for the jaw: this one starts at the height of the eyes and is
# evenly spaced, as iBUG defines it.
_IBUG = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
IBUG_INDEX: Final[NDArray[np.int64]] = np.array(_IBUG, np.int64)
assert len(IBUG_INDEX) == LANDMARKS


def ibug68(mesh: NDArray[np.floating]) -> NDArray[np.floating]:
    """Pick the 68 iBUG landmarks out of a mesh (..., 478, k); point 36 is the image-left outer eye corner."""
    return mesh[..., IBUG_INDEX, :]


@dataclass(frozen=True)
class Region:
    """The rotated square that the mesh network looks at.

    Attributes:
        x: Centre in px.
        y: Centre in px.
        size: Side in px.
        angle: Roll of the eye line in rad, clockwise in the picture.
    """

    x: float
    y: float
    size: float
    angle: float

    @classmethod
    def of_detection(cls, face: Detection) -> "Region":
        """The region of a face that was detected."""
        across = face.keypoints[1] - face.keypoints[0]
        box = face.box
        side = float(max(box[2] - box[0], box[3] - box[1]))
        angle = float(np.arctan2(across[1], across[0]))
        return cls(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, _MARGIN * side, angle)

    @classmethod
    def of_mesh(cls, mesh: NDArray[np.float32]) -> "Region":
        """The region of a face whose mesh is known, in the same or the frame before."""
        across = mesh[_LEFT_EYE, :2] - mesh[_RIGHT_EYE, :2]
        angle = float(np.arctan2(across[1], across[0]))
        cosine, sine = np.cos(angle), np.sin(angle)
        upright = np.array([[cosine, sine], [-sine, cosine]])
        points = mesh[:468, :2] @ upright.T
        low, high = points.min(0), points.max(0)
        x, y = upright.T @ ((low + high) / 2)
        return cls(float(x), float(y), _MARGIN * float((high - low).max()), angle)


class FaceMesh:
    """The attention mesh network."""

    def __init__(self, threads: int = 1) -> None:
        """Open the model.

        Raises:
            MissingExtraError: The face models are not there and cannot be fetched.
        """
        self._session = open_model("face_landmark_with_attention", threads)
        self._input = self._session.get_inputs()[0].name
        self._refined = [np.array(part, np.int64) for part in model_metadata(self._session)["subset_idxs"]]

    def measure(self, rgb: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float32], float]:
        """Measure one face.

        Args:
            rgb: uint8 (H, W, 3).
            region: Where the face is.

        Returns:
            float32 (478, 3) px, z towards the camera negative and about in the scale of x; and the probability
            that a face is there.
        """
        scale = region.size / _CROP
        cosine, sine = np.cos(region.angle), np.sin(region.angle)
        linear = np.array([[cosine, -sine], [sine, cosine]]) * scale
        shift = np.array([region.x, region.y]) - linear @ np.full(2, _CROP / 2)
        crop = _sample(rgb, linear, shift, scale)
        # float32 and contiguous: onnxruntime would silently copy anything else, or refuse it.
        x = np.ascontiguousarray(crop[None], np.float32) / np.float32(255)
        outputs = self._session.run(None, {self._input: x})
        mesh = np.zeros((MESH_POINTS, 3), np.float32)
        mesh[:468] = outputs[0].reshape(-1, 3)
        for values, index in zip(outputs[1:4], self._refined, strict=True):
            mesh[index, :2] = values.reshape(-1, 2)
        for values, iris, eye in ((outputs[4], RIGHT_IRIS, 1), (outputs[5], LEFT_IRIS, 2)):
            mesh[iris, :2] = values.reshape(-1, 2)
            mesh[iris, 2] = mesh[self._refined[eye][:16], 2].mean()
        score = float(1 / (1 + np.exp(-np.clip(outputs[-1].reshape(-1)[0], -80, 80))))
        xy = mesh[:, :2] @ linear.T + shift
        return np.column_stack([xy, mesh[:, 2] * scale]).astype(np.float32), score


def _sample(
    rgb: NDArray[np.uint8], linear: NDArray[np.float64], shift: NDArray[np.float64], scale: float
) -> NDArray[np.uint8]:
    """Cut the region out at 192x192 px; a large face is reduced first, for warpAffine alone would alias."""
    matrix = np.column_stack([linear, shift])
    if scale > 2:
        # Only the part that is seen: reducing the whole of a large photo would take longer than the network.
        corners = np.array([[0, 0], [_CROP, 0], [0, _CROP], [_CROP, _CROP]]) @ linear.T + shift
        extent = np.array(rgb.shape[1::-1])
        left, top = np.clip(np.floor(corners.min(0)) - 8, 0, extent - 1).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(0)) + 8, [left + 1, top + 1], extent).astype(int)
        part = np.array([right - left, bottom - top])
        size = np.maximum(np.round(part * 1.5 / scale), 1).astype(int)
        rgb = cv2.resize(rgb[top:bottom, left:right], size.tolist(), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        # Pixel centres: x' + 0.5 = ratio (x + 0.5).
        ratio = size / part
        matrix[:, 2] = (matrix[:, 2] - [left, top] + 0.5) * ratio - 0.5
        matrix[:, :2] *= ratio[:, None]
    crop = cv2.warpAffine(
        rgb,
        matrix,
        (_CROP, _CROP),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return crop.astype(np.uint8, copy=False)
