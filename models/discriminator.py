"""PatchGAN on several scales (paper, section 4.3): is each patch of a picture true, given what it should show?"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SCALES = 2
WIDTH = 64
LAYERS = 3


class PatchDiscriminator(nn.Module):
    """One scale: convolutions of 4x4, ``LAYERS`` of them with stride 2, each result kept for feature matching."""

    def __init__(self, inputs: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = inputs
        for layer in range(layers + 1):
            after = min(width * 2**layer, 8 * width)
            norm = nn.Identity() if layer == 0 else nn.InstanceNorm2d(after)
            stride = 2 if layer < layers else 1
            stages.append(nn.Sequential(nn.Conv2d(before, after, 4, stride, 2), norm, nn.LeakyReLU(0.2)))
            before = after
        stages.append(nn.Conv2d(before, 1, 4, 1, 2))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of every stage, the last being the patches' scores (B, 1, h, w)."""
        results = []
        for stage in self.stages:
            x = stage(x)
            results.append(x)
        return results


class MultiscaleDiscriminator(nn.Module):
    """The same network on the picture and on its halves, each scale with weights of its own."""

    def __init__(self, inputs: int, width: int = WIDTH, layers: int = LAYERS, scales: int = SCALES) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(inputs, width, layers) for _ in range(scales))

    def forward(self, picture: Tensor, condition: Tensor) -> list[list[Tensor]]:
        """Judge.

        Args:
            picture: float32 (B, 3, H, W), 0..1.
            condition: float32 (B, C, H, W), what the picture is asked to show: the facial map, or more.

        Returns:
            For each scale the features of every stage, the last being the scores.
        """
        x = torch.cat([picture, condition], 1)
        results = []
        for scale in self.scales:
            results.append(scale(x))
            x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return results
