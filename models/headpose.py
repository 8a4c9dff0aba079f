"""The conditional probabilistic generator of head pose (paper 3.2, eq. 3): a WaveNet over the last 255 poses."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        """One cache a layer: float32 (batch, dilation, 128), the inputs that the convolution still needs."""
        weight = self.inlet.weight
        return [weight.new_zeros(batch, dilation, RESIDUAL) for dilation in self.dilations]

    def forward(self, pose: Tensor, features: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Distribution of the next step after each pose; called with one frame at a time when streaming.

        Convolutions are written as matrix products over (batch, frames, channels), those of all layers that see
        the same input as one: a streaming step is then a fifth of what it costs as convolutions of one column.

        Args:
            pose: float32 (batch, frames, 12), the last pose (rad, fu) and the step that led to it.
            features: float32 (batch, frames, 512), the encoder's feature at the frame to be generated.
            caches: As from ``init_state``.

        Returns:
            Mean and deviation of the next step, each float32 (batch, frames, 6) in rad and fu, then next caches.
        """
        scale = torch.cat([self.pose_scale, self.step_scale])
        x = _mix(self.inlet, pose / scale)
        condition = torch.tanh(_mix(self.condition, features))
        # The filters' biases ride on the conditions', to be added once.
        filters, conditions = _layers(self.filters), _layers(self.conditions)
        biases = [_bias(cond) + _bias(filt) for cond, filt in zip(conditions, filters, strict=True)]
        weights = torch.cat([cond.weight for cond in conditions])[:, :, 0]
        conditioned = functional.linear(condition, weights, torch.cat(biases))
        outputs: list[Tensor] = []
        following: list[Tensor] = []
        for cache, dilation, filt, added, residual in zip(
            caches,
            self.dilations,
            filters,
            torch.split(conditioned, 2 * RESIDUAL, dim=2),
            self.residuals,
            strict=True,
        ):
            seen = torch.cat([cache, x], dim=1)
            following.append(seen[:, -dilation:])
            taps = torch.cat([seen[:, :-dilation], x], dim=2)
            filtered = functional.linear(taps, torch.cat([filt.weight[:, :, 0], filt.weight[:, :, 1]], dim=1))
            gate, value = torch.split(filtered + added, RESIDUAL, dim=2)
            z = torch.sigmoid(gate) * torch.tanh(value)
            outputs.append(z)
            x = (x + _mix(residual, z)) * math.sqrt(0.5)
        skips = _layers(self.skips)
        weights = torch.cat([skip.weight for skip in skips], dim=1)[:, :, 0]
        total = functional.linear(
            torch.cat(outputs, dim=2), weights, torch.stack([_bias(skip) for skip in skips]).sum(0)
        )
        hidden = torch.relu(_mix(self.outlet[1], torch.relu(total)))
        mean, spread = torch.split(_mix(self.outlet[3], hidden), POSE_DIM, dim=2)
        sigma = MIN_SIGMA + functional.softplus(spread)
        return (mean * self.step_scale, sigma * self.step_scale, *following)


def _mix(layer: nn.Module, x: Tensor) -> Tensor:
    """A convolution of width one over (batch, frames, channels)."""
    return functional.linear(x, cast(nn.Conv1d, layer).weight[:, :, 0], _bias(layer))


def _layers(layers: nn.ModuleList) -> list[nn.Conv1d]:
    return [cast(nn.Conv1d, layer) for layer in layers]


def _bias(layer: nn.Module) -> Tensor:
    return cast(Tensor, layer.bias)


def pose_loss(mean: Tensor, sigma: Tensor, step: Tensor) -> Tensor:
    """Gaussian negative log-likelihood of the true steps (eq. 3), a scalar mean.

    Args:
        mean: float32 (batch, frames, 6).
        sigma: float32 (batch, frames, 6), positive.
        step: float32 (batch, frames, 6), x_t - x_{t-1}.
    """
    return (torch.log(sigma) + 0.5 * ((step - mean) / sigma) ** 2).mean()
