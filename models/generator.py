"""The style-aware generator (paper, section 4.3) in two sizes.

``LiteGenerator`` refines what the geometric renderer drew, on the face's window of 256x256, for a CPU. What it knows of
the portrait and of the style is encoded once by ``StaticEncoder``. ``PaperGenerator`` has exactly the paper's layers on
512x512; it draws the picture itself (``raw``) or refines as well (``warp``).
"""

import itertools
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

DYNAMIC_CHANNELS: Final = 6
"""RGB of the geometric renderer, inside of the mouth, eyeballs, facial map: ``engine.renderer.network_input``."""
SOURCE_CHANNELS: Final = 4
"""RGB of the portrait and its facial map."""
STYLE_PATTERNS: Final = 4
PATTERN_CHANNELS: Final = 3 * STYLE_PATTERNS
LITE_PATTERN_SIZE: Final = 64
"""Side to which the small preset reduces the patterns before it looks at them."""
STATIC_CHANNELS: Final = 16
LITE_CHANNELS: Final = (32, 48, 64, 96)
"""At 64x64, 32x32, 16x16 and 8x8."""
PAPER_CHANNELS: Final = (64, 128, 256, 512, 512, 512, 512, 512)
"""At 256x256, 128x128 ... 2x2."""
PAPER_INPUTS: Final = 6 + PATTERN_CHANNELS
"""Picture, facial map (three times, as an image) and four style patterns."""
CLOSED_AREA_PX: Final = 60.0
OPEN_AREA_PX: Final = 240.0
"""Pixels of the inside of the mouth between which ``lite`` begins to refine."""
_SHUFFLE: Final = 4
_CLOSED: Final = -0.5
"""Bias of the mask. Smaller ones keep an untrained network quieter, and learn more slowly."""

Alignment = Literal["warp", "raw"]


def refined(frame: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
    """What the viewer sees: ``frame`` (B, 3, H, W) 0..1 with the masked residual added, within 0..1."""
    return (frame + mask * residual).clamp(0, 1)


def openness(dynamic: Tensor) -> Tensor:
    """Whether the mouth is open enough to be refined: (B, 1, 1, 1), 0 for closed lips, 1 from a small opening on.

    What the geometric renderer draws of closed lips is the portrait's own; the small preset does not better it.

    Args:
        dynamic: float32 (B, 6, 256, 256), 0..1, a whole window.
    """
    area = dynamic[:, 3:4].sum((2, 3), keepdim=True)
    return ((area - CLOSED_AREA_PX) * (1 / (OPEN_AREA_PX - CLOSED_AREA_PX))).clamp(0, 1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity; the second starts at zero, so the block starts as the identity."""

    def __init__(self, channels: int, normalise: bool = False) -> None:
        super().__init__()
        self.first = _conv(channels, channels, normalise)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, C, H, W) to the same."""
        result: Tensor = torch.relu(x + self.second(self.first(x)))
        return result


def _conv(inputs: int, outputs: int, normalise: bool = False, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation if asked for, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not normalise)]
    if normalise:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU())


class StaticEncoder(nn.Module):
    """Encodes what does not change during a session: portrait and intermediate style patterns.

    Patterns show another person in another place, so they enter as what they say about the whole face, pooled; the
    portrait enters place by place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(SOURCE_CHANNELS * _SHUFFLE**2, STATIC_CHANNELS, 1)
        self.wide = nn.Sequential(
            _conv(SOURCE_CHANNELS * (2 * _SHUFFLE) ** 2, 48, kernel=1), ResidualBlock(48), nn.Conv2d(48, 16, 1)
        )
        self.patterns = nn.Sequential(
            nn.AdaptiveAvgPool2d(LITE_PATTERN_SIZE),
            nn.PixelUnshuffle(_SHUFFLE),
            # Leaky: many samples come without patterns, and on zeros alone units with a flat side die for good.
            nn.Sequential(nn.Conv2d(PATTERN_CHANNELS * _SHUFFLE**2, 32, 1), nn.LeakyReLU(0.2)),
            nn.Sequential(nn.Conv2d(32, 48, 3, 2, 1), nn.LeakyReLU(0.2)),
            nn.Sequential(nn.Conv2d(48, 48, 3, 2, 1), nn.LeakyReLU(0.2)),
        )
        self.style = nn.Linear(48, STATIC_CHANNELS)
        nn.init.zeros_(self.style.weight)

    def forward(self, source: Tensor, isp: Tensor) -> Tensor:
        """Encode once a session.

        Args:
            source: float32 (B, 4, H, W), 0..1, the portrait and its facial map in its face window.
            isp: float32 (B, 12, h, w), 0..1, four style patterns; zeros say that there is none.

        Returns:
            float32 (B, 16, H / 4, W / 4).
        """
        near: Tensor = self.near(functional.pixel_unshuffle(source, _SHUFFLE))
        wide = self.wide(functional.pixel_unshuffle(source, 2 * _SHUFFLE))
        told = self.style(self.patterns(isp).mean((2, 3)))
        wide = wide + told[:, :, None, None]
        return torch.relu(near + functional.interpolate(wide, scale_factor=2, mode="nearest"))


class LiteGenerator(nn.Module):
    """A U-Net of 0.33 GMAC on the face's window: sixteen pixels at a time, four scales, skips and residual blocks.

    Its mask is closed where the geometric renderer drew the inside of the mouth. Landmarks do not say which teeth show,
    and what so small a network, taught by rendered people, put there was worse than the drawn layer on filmed people.
    """

    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = LITE_CHANNELS
        self.stem = _conv(DYNAMIC_CHANNELS * _SHUFFLE**2 + STATIC_CHANNELS, full, kernel=1)
        self.first = ResidualBlock(full)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(above, below, stride=2), ResidualBlock(below))
            for above, below in ((full, half), (half, quarter), (quarter, eighth))
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(below, above, 1) for above, below in ((quarter, eighth), (half, quarter), (full, half))
        )
        self.merge = nn.ModuleList(_conv(channels, channels) for channels in (quarter, half, full))
        self.outlet = nn.Conv2d(full, 4 * _SHUFFLE**2, 3, padding=1)
        with torch.no_grad():
            self.outlet.weight.mul_(0.1)
            self.outlet.bias.zero_()  # type: ignore[union-attr]
            self.outlet.bias[3 * _SHUFFLE**2 :] = _CLOSED  # type: ignore[index]

    def forward(self, dynamic: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
        """Draw.

        Args:
            dynamic: float32 (B, 6, H, W), 0..1, ``network_input``; sides are multiples of 32.
            static: float32 (B, 16, H / 4, W / 4) of ``StaticEncoder``.

        Returns:
            residual float32 (B, 3, H, W), -1..1, and mask (B, 1, H, W), 0..1; see ``refined``.
        """
        x = self.first(self.stem(torch.cat([functional.pixel_unshuffle(dynamic, _SHUFFLE), static], 1)))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for reduce, merge in zip(self.reduce, self.merge, strict=True):
            x = merge(functional.interpolate(reduce(x), scale_factor=2, mode="nearest") + skips.pop())
        drawn = functional.pixel_shuffle(self.outlet(x), _SHUFFLE)
        # A pixel more on all sides: a rim that is smoothed makes the opening look smaller than it is.
        inside = functional.max_pool2d(dynamic[:, 3:4], 3, 1, 1)
        return torch.tanh(drawn[:, :3]), torch.sigmoid(drawn[:, 3:]) * (1 - inside)


class PaperGenerator(nn.Module):
    """The paper's U-Net: eight layers of stride 2, residual blocks in all but the first, a symmetric decoder, skips."""

    def __init__(self, alignment: Alignment = "warp", channels: tuple[int, ...] = PAPER_CHANNELS) -> None:
        """Make the layers.

        Args:
            alignment: ``raw`` is given the portrait as it is and draws the picture; ``warp`` is given the geometric
                renderer's frame and refines it.
            channels: Of the layers; others than the paper's are for tests. The input's sides are multiples of
                2 ** len(channels).
        """
        super().__init__()
        self.alignment = alignment
        layers: list[nn.Module] = [_conv(PAPER_INPUTS, channels[0], True, stride=2)]
        for above, below in itertools.pairwise(channels):
            layers.append(nn.Sequential(_conv(above, below, True, stride=2), ResidualBlock(below, True)))
        self.encoder = nn.ModuleList(layers)
        decoder: list[nn.Module] = []
        inputs = channels[-1]
        for outputs in channels[-2::-1]:
            decoder.append(nn.Sequential(_conv(inputs, outputs, True), ResidualBlock(outputs, True)))
            inputs = 2 * outputs
        self.decoder = nn.ModuleList(decoder)
        self.outlet = nn.Conv2d(inputs, 3 if alignment == "raw" else 4, 3, padding=1)

    def forward(self, picture: Tensor, facial_map: Tensor, isp: Tensor) -> tuple[Tensor, Tensor]:
        """Draw.

        Args:
            picture: float32 (B, 3, 512, 512), 0..1: the portrait for ``raw``, the geometric renderer's frame for
                ``warp``.
            facial_map: float32 (B, 3, 512, 512), 0..1.
            isp: float32 (B, 12, 512, 512), 0..1.

        Returns:
            For ``warp`` residual (B, 3, 512, 512), -1..1, and mask (B, 1, 512, 512), 0..1; for ``raw`` the picture,
            0..1, and a mask of ones.
        """
        x = torch.cat([picture, facial_map, isp], 1)
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.decoder:
            x = layer(functional.interpolate(x, scale_factor=2, mode="nearest"))
            x = torch.cat([x, skips.pop()], 1)
        drawn = self.outlet(functional.interpolate(x, scale_factor=2, mode="nearest"))
        if self.alignment == "raw":
            return 0.5 + 0.5 * torch.tanh(drawn), torch.ones_like(drawn[:, :1])
        return torch.tanh(drawn[:, :3]), torch.sigmoid(drawn[:, 3:] + _CLOSED)
