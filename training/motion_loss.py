"""The loss of mouth, eye and nose motion (eq. 2), with two terms that a viewer's eye weighs most."""

from typing import Final

import torch
from torch import Tensor

from models.spec import INNER_LIP_PAIRS, MAX_LOOKAHEAD, MOTION_POINT_COUNT, MOTION_POINTS

DISPLACEMENT_SCALE: Final = 0.05
"""fu of displacement for one unit of the network's output."""
_FIRST = MOTION_POINTS.start
_UPPER = [upper - _FIRST for upper, _ in INNER_LIP_PAIRS]
_LOWER = [lower - _FIRST for _, lower in INNER_LIP_PAIRS]


def delayed_targets(motion: Tensor, lookahead: Tensor, frames: int) -> Tensor:
    """What the network should say at each input frame: the motion ``lookahead`` frames earlier.

    Args:
        motion: float32 (batch, 18 + frames, 204) fu, beginning 18 frames before the input does.
        lookahead: int64 (batch,).
        frames: Input frames.

    Returns:
        float32 (batch, frames, 123), in units of the network's output.
    """
    batch = len(motion)
    points = motion.view(batch, -1, 68, 3)[:, :, MOTION_POINTS].reshape(batch, -1, 3 * MOTION_POINT_COUNT)
    index = torch.arange(frames, device=motion.device)[None] + MAX_LOOKAHEAD - lookahead[:, None]
    return torch.gather(points, 1, index[..., None].expand(-1, -1, points.shape[2])) / DISPLACEMENT_SCALE


def motion_loss(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Squared error of displacements (eq. 2), of the lips' opening and of velocity.

    Args:
        predicted: float32 (batch, frames, 123).
        target: float32 (batch, frames, 123).

    Returns:
        Scalars ``displacement``, ``opening`` and ``velocity``, and their weighted sum ``motion``.
    """
    error = predicted.float() - target
    displacement = error.square().sum(-1).mean() / MOTION_POINT_COUNT
    points = error.view(*error.shape[:-1], MOTION_POINT_COUNT, 3)
    opening = (points[:, :, _LOWER, 1] - points[:, :, _UPPER, 1]).square().mean()
    velocity = (error[:, 1:] - error[:, :-1]).square().sum(-1).mean() / MOTION_POINT_COUNT
    return {
        "displacement": displacement,
        "opening": opening,
        "velocity": velocity,
        "motion": displacement + 0.5 * opening + 2.0 * velocity,
    }
