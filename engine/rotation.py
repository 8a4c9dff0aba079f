"""Rotation vectors to matrices: what a head pose's first three numbers mean."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rotation_matrix(vector: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Rodrigues' formula: rotation vector (3,) in rad to float64 (3, 3)."""
    x, y, z = (float(value) for value in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # sin(a) / a and (1 - cos(a)) / a^2, both finite at 0.
    small = angle < 1e-6
    sine = 1.0 if small else math.sin(angle) / angle
    cosine = 0.5 if small else 2 * (math.sin(angle / 2) / angle) ** 2
    matrix: NDArray[np.float64] = np.eye(3) + sine * cross + cosine * (cross @ cross)
    return matrix
