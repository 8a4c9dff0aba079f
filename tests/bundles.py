"""A bundle with random weights, for tests of what surrounds them."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.spec import APC_UNITS, LANDMARKS, MEL_BANDS, MOTION_DIM, MOTION_POINT_COUNT, MOTION_POINTS

if TYPE_CHECKING:
    from export.bundle import Trained


def random_completion() -> np.ndarray:
    """A completion matrix in which the chin follows the lower lip."""
    matrix = np.zeros((LANDMARKS, 3, MOTION_POINT_COUNT, 3), np.float32)
    points = np.arange(LANDMARKS)[MOTION_POINTS]
    for number, point in enumerate(points):
        matrix[point, :, number] = np.eye(3)
    matrix[8, 1, 57 - points[0], 1] = 0.9
    return matrix.reshape(3 * LANDMARKS, MOTION_DIM)


def random_trained(seed: int = 0) -> "Trained":
    """Untrained networks and random arrays, as training would leave them; needs torch."""
    torch = pytest.importorskip("torch", reason="a random bundle is exported with torch, which is not installed")
    from export.bundle import Trained
    from models.apc import ApcEncoder
    from models.headpose import HeadPoseNet
    from models.motion import MotionGenerator

    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        headpose = HeadPoseNet().eval()
        headpose.pose_scale.fill_(0.05)
        headpose.step_scale.fill_(0.002)
        return Trained(
            apc=ApcEncoder().eval(),
            motion=MotionGenerator().eval(),
            headpose=headpose,
            mel=0.35 + 0.25 * rng.standard_normal((240, MEL_BANDS)),
            bank=0.1 * rng.standard_normal((64, APC_UNITS)),
            completion=random_completion(),
            motion_mean=0.01 * rng.standard_normal(MOTION_DIM),
            motion_scale=0.2,
        )


def face_template() -> np.ndarray:
    """A plain face at rest, float32 (68, 3) fu, lips just touching, eyes open."""
    points = np.zeros((LANDMARKS, 3), np.float32)
    angles = np.linspace(0, np.pi, 17)
    points[:17] = np.stack([-0.75 * np.cos(angles), -0.5 + 0.95 * np.sin(angles), -0.4 + 0 * angles], 1)
    points[17:22] = [(-0.6 + 0.11 * i, -0.78 - 0.04 * np.sin(i), -0.95) for i in range(5)]
    points[22:27] = [(0.16 + 0.11 * i, -0.78 - 0.04 * np.sin(i), -0.95) for i in range(5)]
    points[27:31] = [(0, -0.55 + 0.12 * i, -1.0 - 0.06 * i) for i in range(4)]
    points[31:36] = [(-0.12 + 0.06 * i, -0.12, -1.0) for i in range(5)]
    eye = np.array(
        [(-0.17, 0, 0), (-0.06, -0.06, 0), (0.06, -0.06, 0), (0.17, 0, 0), (0.06, 0.05, 0), (-0.06, 0.05, 0)]
    )
    points[36:42] = eye + np.array([-0.33, -0.55, -0.93])
    points[42:48] = eye + np.array([0.33, -0.55, -0.93])
    outer = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points[48:60] = np.stack([-0.28 * np.cos(outer), 0.12 - 0.09 * np.sin(outer), -1.02 + 0 * outer], 1)
    inner_x = [-0.24, -0.12, 0, 0.12, 0.24, 0.12, 0, -0.12]
    points[60:68] = [(x, 0.12, -1.02) for x in inner_x]
    return points
