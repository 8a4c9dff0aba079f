"""Faces in pictures and clips: the tracker for video and the thorough search for stills."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.portrait.face_detector import Detection, FaceDetector, box_overlap
from engine.portrait.face_mesh import FaceMesh, Region, ibug68

_PRESENCE = 0.5
_SAME_FACE = 0.3


@dataclass(frozen=True)
class Face:
    """A measured face.

    Attributes:
        mesh: float32 (478, 3) px; z towards the camera negative.
        points68: float32 (68, 2) px, iBUG's order, image-left first.
        score: Probability that it is a face, 0..1.
    """

    mesh: NDArray[np.float32]
    points68: NDArray[np.float32]
    score: float

    @classmethod
    def of_mesh(cls, mesh: NDArray[np.float32], score: float) -> "Face":
        """A face from its mesh (478, 3)."""
        return cls(mesh, np.ascontiguousarray(ibug68(mesh)[:, :2], np.float32), score)

    @property
    def box(self) -> NDArray[np.float32]:
        """float32 (4,) px: left, top, right, bottom of the mesh."""
        return np.concatenate([self.mesh[:468, :2].min(0), self.mesh[:468, :2].max(0)])

    @property
    def size(self) -> float:
        """Larger side of the box in px."""
        box = self.box
        return float(max(box[2] - box[0], box[3] - box[1]))


class FaceTracker:
    """Follows the largest face of a clip, or finds it anew in every picture (``static``).

    It has a state (where the face was), so each clip needs its own, or a call of ``reset``.
    """

    def __init__(self, threads: int = 1, static: bool = False) -> None:
        """Open the models.

        Args:
            threads: Threads of each inference.
            static: Detect in every picture instead of following.

        Raises:
            MissingExtraError: The face models are not there and cannot be fetched.
        """
        self._threads = threads
        self._static = static
        self._mesh = FaceMesh(threads)
        self._near = FaceDetector("short", threads)
        self._far: FaceDetector | None = None
        self._region: Region | None = None

    def reset(self) -> None:
        """Forget where the face was, as before the first frame of a clip."""
        self._region = None

    def track(self, rgb: NDArray[np.uint8]) -> Face | None:
        """Measure the face of the next frame.

        Args:
            rgb: uint8 (H, W, 3).

        Returns:
            The face, or None where there is none.
        """
        if self._region is not None and not self._static:
            mesh, score = self._mesh.measure(rgb, self._region)
            if score > _PRESENCE:
                self._region = Region.of_mesh(mesh)
                return Face.of_mesh(mesh, score)
        self._region = None
        for detection in self._candidates(rgb):
            face = self._measure(rgb, detection)
            if face is not None:
                self._region = Region.of_mesh(face.mesh)
                return face
        return None

    def detect_all(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """All faces of a still picture.

        Args:
            rgb: uint8 (H, W, 3).

        Returns:
            The faces, largest first.
        """
        faces: list[Face] = []
        found = self._near.detect(rgb) + self._full().detect(rgb)
        for detection in found or list(self._search(rgb)):
            if any(box_overlap(detection.box, face.box) > _SAME_FACE for face in faces):
                continue
            face = self._measure(rgb, detection)
            if face is not None and not any(box_overlap(face.box, other.box) > _SAME_FACE for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.size)

    def _measure(self, rgb: NDArray[np.uint8], detection: Detection) -> Face | None:
        mesh, score = self._mesh.measure(rgb, Region.of_detection(detection))
        if score <= _PRESENCE:
            return None
        # A second look on the tighter, better aligned region of the first.
        again, score_again = self._mesh.measure(rgb, Region.of_mesh(mesh))
        return Face.of_mesh(again, score_again) if score_again > _PRESENCE else Face.of_mesh(mesh, score)

    def _full(self) -> FaceDetector:
        if self._far is None:
            self._far = FaceDetector("full", self._threads)
        return self._far

    def _candidates(self, rgb: NDArray[np.uint8]) -> Iterator[Detection]:
        """Detections to try, from the cheapest search to the most thorough."""
        yield from _largest(self._near.detect(rgb))
        yield from _largest(self._full().detect(rgb))
        yield from self._search(rgb)

    def _search(self, rgb: NDArray[np.uint8]) -> Iterator[Detection]:
        """Look in overlapping windows, then with a low threshold: for small, odd or painted faces."""
        height, width = rgb.shape[:2]
        for share in (0.7, 0.5):
            side = max(1, int(share * max(height, width)))
            window_h, window_w = min(side, height), min(side, width)
            found = [
                detection
                for y in np.unique(np.linspace(0, height - window_h, 3).astype(int))
                for x in np.unique(np.linspace(0, width - window_w, 3).astype(int))
                for detection in self._near.detect(rgb, 0.4, (int(x), int(y), int(x + window_w), int(y + window_h)))
            ]
            if found:
                yield from _largest(found)
                break
        for detector in (self._near, self._full()):
            yield from _largest(detector.detect(rgb, 0.15))


def detect_all(rgb: NDArray[np.uint8], threads: int = 1) -> list[Face]:
    """All faces of one still picture, largest first; see ``FaceTracker.detect_all``."""
    return FaceTracker(threads, static=True).detect_all(rgb)


def _largest(detections: list[Detection], count: int = 2) -> list[Detection]:
    return sorted(detections, key=lambda face: -face.area * face.score)[:count]
