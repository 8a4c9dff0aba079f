"""Displacements to the landmarks of a person, posed in face coordinates.

The person's template plus the completed displacement, lips kept from passing through each other, lids closed on
the person's own eye, then the head pose about the origin (models.spec). The camera comes with the facial map.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.rotation import rotation_matrix
from models.spec import EYES, INNER_LIP_PAIRS, LANDMARKS, MOTION_POINTS

UPPER_LIDS = np.array([37, 38, 43, 44])
LOWER_LIDS = np.array([41, 40, 47, 46])
"""The points below ``UPPER_LIDS``, one by one."""
_CLOSING_LINE = 0.68
"""Where lids meet, from the upper (0) to the lower one (1): the upper lid makes most of the way."""
_CONTACT = 0.015
"""Opening in fu below which lips begin to seal."""


@dataclass(frozen=True)
class GeometryInput:
    """One frame's motion.

    Attributes:
        displacement: float32 (41, 3) fu, of the nose, eyes and mouth, before any pose.
        openness: 0 (mouth, jaw and nose at rest) to 1 (as displaced).
        closure: Of the lids, 0 as displaced, 1 shut, slightly negative for wider.
        pose: float32 (6,), rotation vector in rad and translation in fu.
        rest: float32 (68, 3) fu, a resting expression, there whether the mouth moves or not; None for a neutral one.
    """

    displacement: NDArray[np.float32]
    openness: float
    closure: float
    pose: NDArray[np.float32]
    rest: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Shape:
    """One frame's face.

    Attributes:
        landmarks: float32 (68, 3) fu, posed.
        displacement: float32 (68, 3) fu, against the template, before the pose.
    """

    landmarks: NDArray[np.float32]
    displacement: NDArray[np.float32]


@dataclass(frozen=True)
class GeometryState:
    """Nothing: a frame depends on itself alone."""


class Geometry:
    """Motion of a frame in, landmarks of the person out."""

    lookahead_ticks = 0

    def __init__(self, template: NDArray[np.float32], completion: NDArray[np.float32]) -> None:
        """Set up for one person.

        Args:
            template: float32 (68, 3) fu, the person at rest.
            completion: float32 (204, 123), as in the bundle.
        """
        self._template = template
        rest = np.ones((LANDMARKS, 1), np.float32)
        rest[EYES] = 0
        self._rests = rest[MOTION_POINTS]
        # The points that the network moves are its own; the matrix speaks for the others.
        matrix = completion.copy().reshape(LANDMARKS, 3, -1)
        matrix[MOTION_POINTS] = np.eye(matrix.shape[2], dtype=np.float32).reshape(-1, 3, matrix.shape[2])
        self._completion = matrix.reshape(3 * LANDMARKS, -1)
        upper, lower = np.array(INNER_LIP_PAIRS).T
        self._upper_lip, self._lower_lip = upper, lower
        gap = template[lower, 1] - template[upper, 1]
        # Sealing must not alter the rest: a face whose lips are apart at rest begins below that.
        self._contact = np.clip(gap, 0, _CONTACT)

    def init_state(self) -> GeometryState:
        """The empty state."""
        return GeometryState()

    def step(self, x: GeometryInput, state: GeometryState) -> tuple[Shape, GeometryState]:
        """Shape the person's face for one frame."""
        openness = np.float32(x.openness)
        moved = x.displacement * (1 + (openness - 1) * self._rests)
        face = self._template + (self._completion @ moved.reshape(-1)).reshape(LANDMARKS, 3)
        if x.rest is not None:
            face += x.rest
        self._seal_lips(face)
        _close_lids(face, x.closure)
        posed = face @ rotation_matrix(x.pose[:3]).astype(np.float32).T + x.pose[3:]
        return Shape(posed.astype(np.float32), face - self._template), state

    def flush(self, state: GeometryState) -> None:
        """Nothing is held back."""

    def _seal_lips(self, face: NDArray[np.float32]) -> None:
        """Keep the inner lips from crossing: near contact they approach ever more slowly, and at zero they stay."""
        gap = face[self._lower_lip, 1] - face[self._upper_lip, 1]
        share = np.clip(gap / np.maximum(self._contact, 1e-9), 0, 1)
        sealed = np.where(gap < self._contact, self._contact * (2 - share) * share**2, gap)
        half = (np.maximum(sealed, 0) - gap) / 2
        face[self._lower_lip, 1] += half
        # Taken from the lower lip, so that rounding cannot leave the two crossed.
        face[self._upper_lip, 1] = np.minimum(face[self._upper_lip, 1] - half, face[self._lower_lip, 1])


def _close_lids(face: NDArray[np.float32], closure: float) -> None:
    """Move the lids of the face as it is towards the line where they meet."""
    upper, lower = face[UPPER_LIDS], face[LOWER_LIDS]
    line = upper + np.float32(_CLOSING_LINE) * (lower - upper)
    amount = np.float32(min(closure, 1.0))
    face[UPPER_LIDS] = upper + amount * (line - upper)
    # Wide eyes are the upper lid's; the lower one only ever rises.
    face[LOWER_LIDS] = lower + max(amount, np.float32(0)) * (line - lower)
