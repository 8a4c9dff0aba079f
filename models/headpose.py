"""The conditional probabilistic generator of head pose (paper 3.2, eq. 3): a WaveNet over the last 255 poses."""

import math

import torch
from torch import Tensor, nn

from models.spec import APC_UNITS, POSE_DIM

BLOCKS = 2
DILATIONS = (1, 2, 4, 8, 16, 32, 64)
RESIDUAL = 128
SKIP = 256
MIN_SIGMA = 0.03
"""Floor of the predicted deviation, in units of a training pose step's deviation."""


class HeadPoseNet(nn.Module):
    """Two blocks of seven gated causal convolutions, kernel 2: a receptive field of 255 frames.

    It models p(x_t | x_{t-255..t-1}, h_t) as a Gaussian over the step x_t - x_{t-1}: the density is the paper's,
    and the mean then lies near zero whatever the pose is, which keeps sampled motion smooth.

    Poses are normalised per dimension before they enter: ``pose_scale`` holds the deviation of poses,
    ``step_scale`` that of their steps; both are set from the training data and exported with the network.
    """

    pose_scale: Tensor
    step_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.dilations = DILATIONS * BLOCKS
        self.inlet = nn.Conv1d(2 * POSE_DIM, RESIDUAL, 1)
        self.condition = nn.Conv1d(APC_UNITS, RESIDUAL, 1)
        self.filters = nn.ModuleList(
            nn.Conv1d(RESIDUAL, 2 * RESIDUAL, 2, dilation=dilation) for dilation in self.dilations
        )
        self.conditions = nn.ModuleList(nn.Conv1d(RESIDUAL, 2 * RESIDUAL, 1) for _ in self.dilations)
        self.residuals = nn.ModuleList(nn.Conv1d(RESIDUAL, RESIDUAL, 1) for _ in self.dilations)
        self.skips = nn.ModuleList(nn.Conv1d(RESIDUAL, SKIP, 1) for _ in self.dilations)
        self.outlet = nn.Sequential(nn.ReLU(), nn.Conv1d(SKIP, SKIP, 1), nn.ReLU(), nn.Conv1d(SKIP, 2 * POSE_DIM, 1))
        self.register_buffer("pose_scale", torch.ones(POSE_DIM))
        self.register_buffer("step_scale", torch.ones(POSE_DIM))

    def init_state(self, batch: int) -> list[Tensor]:
        """One cache a layer: float32 (batch, 128, dilation), the inputs that the convolution still needs."""
        weight = self.inlet.weight
        return [weight.new_zeros(batch, RESIDUAL, dilation) for dilation in self.dilations]

    def forward(self, pose: Tensor, features: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Distribution of the next step after each pose; called with one frame at a time when streaming.

        Args:
            pose: float32 (batch, frames, 12), the last pose (rad, fu) and the step that led to it.
            features: float32 (batch, frames, 512), the encoder's feature at the frame to be generated.
            caches: As from ``init_state``.

        Returns:
            Mean and deviation of the next step, each float32 (batch, frames, 6) in rad and fu, then next caches.
        """
        scale = torch.cat([self.pose_scale, self.step_scale])
        x = self.inlet((pose / scale).transpose(1, 2))
        condition = torch.tanh(self.condition(features.transpose(1, 2)))
        skip: Tensor | None = None
        following: list[Tensor] = []
        for cache, dilation, filt, cond, residual, skipper in zip(
            caches, self.dilations, self.filters, self.conditions, self.residuals, self.skips, strict=True
        ):
            seen = torch.cat([cache, x], dim=2)
            following.append(seen[:, :, -dilation:])
            gate, value = (filt(seen) + cond(condition)).chunk(2, dim=1)
            z = torch.sigmoid(gate) * torch.tanh(value)
            skip = skipper(z) if skip is None else skip + skipper(z)
            x = (x + residual(z)) * math.sqrt(0.5)
        assert skip is not None
        mean, spread = self.outlet(skip).transpose(1, 2).chunk(2, dim=2)
        sigma = MIN_SIGMA + nn.functional.softplus(spread)
        return (mean * self.step_scale, sigma * self.step_scale, *following)


def pose_loss(mean: Tensor, sigma: Tensor, step: Tensor) -> Tensor:
    """Gaussian negative log-likelihood of the true steps (eq. 3), a scalar mean.

    Args:
        mean: float32 (batch, frames, 6).
        sigma: float32 (batch, frames, 6), positive.
        step: float32 (batch, frames, 6), x_t - x_{t-1}.
    """
    return (torch.log(sigma) + 0.5 * ((step - mean) / sigma) ** 2).mean()
