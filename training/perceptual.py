"""Perceptual loss: distance of pictures in the features of a convolutional network (paper, section 4.3).

The paper takes VGG-19's. Those weights come from photographs of real people under terms of their own, so none ship;
whoever has them (torchvision's ``vgg19`` state saved as safetensors) names the file. Without it stand-ins that need no
training are used: a Laplacian pyramid, which weighs detail of every size, and a network of fixed random filters, whose
features answer to edges and their combinations much as early trained ones do.
"""

from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import ConfigError

VGG_LAYERS: Final = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""Channels of VGG-19's convolutions; 0 is pooling."""
VGG_TAPS: Final = (0, 2, 4, 8, 12)
"""Convolutions after which features are compared: relu1_1, 2_1, 3_1, 4_1, 5_1."""
VGG_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RANDOM_CHANNELS: Final = (16, 32, 48)
_RANDOM_SEED: Final = 20_230_309
_LEVELS: Final = 4


def perceptual_loss(vgg: Path | None) -> nn.Module:
    """The loss: called with two pictures (B, 3, H, W), 0..1, it gives a scalar.

    Args:
        vgg: safetensors of torchvision's ``vgg19``; None for the stand-ins.

    Raises:
        ConfigError: The file is missing, damaged or of another network.
    """
    return VggLoss(vgg) if vgg else SubstituteLoss()


class VggLoss(nn.Module):
    """L1 of VGG-19's features, weighted as pix2pixHD does."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, file: Path) -> None:
        """Read the weights.

        Raises:
            ConfigError: The file is missing, damaged or of another network.
        """
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in VGG_LAYERS[: _last_layer() + 1]:
            if outputs:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        try:
            state = load_file(file)
            self.features.load_state_dict(
                {key.removeprefix("features."): state[key] for key in _wanted(self.features, state)}
            )
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise ConfigError(f"{file} does not hold VGG-19's weights as safetensors; see docs/renderer.md.") from error
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Distance of two pictures (B, 3, H, W), 0..1."""
        pairs = (torch.cat([made, true]) - self.mean) / self.deviation
        total = made.new_zeros(())
        convolution = -1
        weights = dict(zip(VGG_TAPS, VGG_WEIGHTS, strict=True))
        for layer in self.features:
            pairs = layer(pairs)
            if isinstance(layer, nn.Conv2d):
                convolution += 1
            elif isinstance(layer, nn.ReLU) and convolution in weights:
                one, other = pairs.chunk(2)
                total = total + weights[convolution] * (one - other.detach()).abs().mean()
        return total


class SubstituteLoss(nn.Module):
    """Sum of the stand-ins for VGG."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid, self.random = PyramidLoss(), RandomFeatureLoss()

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Distance of two pictures (B, 3, H, W), 0..1."""
        result: Tensor = self.pyramid(made, true) + self.random(made, true)
        return result


class PyramidLoss(nn.Module):
    """L1 of the levels of a Laplacian pyramid, coarse ones counting as much as fine ones."""

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Distance of two pictures (B, 3, H, W), 0..1; both sides at least 16."""
        # The pyramid is linear: that of the difference is the difference of both.
        level = made - true
        total = made.new_zeros(())
        for _ in range(_LEVELS - 1):
            coarse = functional.avg_pool2d(level, 2)
            total = total + (level - functional.interpolate(coarse, scale_factor=2, mode="nearest")).abs().mean()
            level = coarse
        return total + level.abs().mean()


class RandomFeatureLoss(nn.Module):
    """L1 of the features of a small network whose filters were drawn once and never change."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_RANDOM_SEED)
        self.layers = nn.ModuleList()
        inputs = 3
        for outputs in _RANDOM_CHANNELS:
            layer = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            with torch.no_grad():
                filters = torch.randn(layer.weight.shape, generator=generator)
                # Without a mean a filter answers to structure, not to tone; each gives as much as it takes.
                filters = filters - filters.mean((2, 3), keepdim=True)
                layer.weight.copy_(filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
            self.layers.append(layer)
            inputs = outputs
        self.requires_grad_(False)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Distance of two pictures (B, 3, H, W), 0..1."""
        pairs = torch.cat([made, true])
        total = made.new_zeros(())
        for layer in self.layers:
            pairs = torch.relu(layer(pairs))
            one, other = pairs.chunk(2)
            total = total + (one - other.detach()).abs().mean()
        return total


def _last_layer() -> int:
    """Index in ``VGG_LAYERS`` of the last convolution that is needed."""
    convolutions = [index for index, channels in enumerate(VGG_LAYERS) if channels]
    return convolutions[VGG_TAPS[-1]]


def _wanted(features: nn.Module, state: dict[str, Tensor]) -> list[str]:
    prefix = "features." if any(key.startswith("features.") for key in state) else ""
    return [prefix + key for key in features.state_dict()]
