"""Losses of the style-aware generator (paper, section 4.3, equations 7 to 9)."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from training.corpus.heads.mask_classes import MaskClass

PIXEL_WEIGHT: Final = 100.0
PERCEPTUAL_WEIGHT: Final = 10.0
FEATURE_WEIGHT: Final = 1.0
"""Of L1, perceptual and feature matching loss against the adversarial one (eq. 8, section 6.4)."""
MOUTH_WEIGHT: Final = 5.0
EYE_WEIGHT: Final = 3.0
SKIN_WEIGHT: Final = 1.0
"""Of regions in the style-aware loss (eq. 9); others have none."""
STYLE_REACH_PX: Final = 1.5
"""Mean distance of landmarks over which the matched style image loses its say by a factor e."""
_TEXTURE_PX: Final = 9

_MOUTH = (MaskClass.UPPER_LIP, MaskClass.LOWER_LIP, MaskClass.INNER_MOUTH, MaskClass.TEETH, MaskClass.TONGUE)


def region_weights(regions: Tensor) -> Tensor:
    """The weighting mask W of eq. 9: 5 for the mouth, 3 for eyes, 1 for skin, 0 for all else.

    Args:
        regions: int64 (B, H, W) of ``MaskClass``.

    Returns:
        float32 (B, 1, H, W).
    """
    table = torch.zeros(len(MaskClass), device=regions.device)
    table[MaskClass.SKIN] = SKIN_WEIGHT
    table[MaskClass.EYE] = EYE_WEIGHT
    for kind in _MOUTH:
        table[kind] = MOUTH_WEIGHT
    return table[regions][:, None]


def inside_mouth(regions: Tensor) -> Tensor:
    """Bool (B, 1, H, W): what lies between the lips."""
    return ((regions >= MaskClass.INNER_MOUTH) & (regions <= MaskClass.TONGUE))[:, None]


def discriminator_loss(true: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """LSGAN (eq. 7), mean over scales: true patches towards 1, made ones towards 0.

    The equation names them the other way round, which the adversarial loss of eq. 8 contradicts.
    """
    losses = [((one[-1] - 1) ** 2).mean() + (other[-1] ** 2).mean() for one, other in zip(true, made, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(made: list[list[Tensor]]) -> Tensor:
    """The generator's side of LSGAN: made patches towards 1, mean over scales."""
    return torch.stack([((scale[-1] - 1) ** 2).mean() for scale in made]).mean()


def feature_matching(true: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """L1 of the discriminator's features, mean over stages and scales."""
    losses = [
        (one.detach() - other).abs().mean()
        for one_scale, other_scale in zip(true, made, strict=True)
        for one, other in zip(one_scale[:-1], other_scale[:-1], strict=True)
    ]
    return torch.stack(losses).mean()


def weighted_l1(made: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Mean of |made - true| by weight (B, 1, H, W), a scalar; 0 where all weights are."""
    return ((made - true).abs() * weight).sum() / (weight.sum() * made.shape[1]).clamp(min=1)


def style_aware_loss(made: Tensor, style: Tensor, distance: Tensor, regions: Tensor) -> Tensor:
    """The style-aware photometric loss (eq. 9) against the matched style image.

    The matched image shows another moment. The further its landmarks lie from the frame's, the less its pixels can
    say, so it counts by exp(-distance / STYLE_REACH_PX).

    Args:
        made: float32 (B, 3, H, W).
        style: float32 (B, 3, H, W), the matched style image laid over the frame's face.
        distance: float32 (B,), mean distance of their landmarks in px.
        regions: int64 (B, H, W) of ``MaskClass``.
    """
    trust = torch.exp(-distance / STYLE_REACH_PX).view(-1, 1, 1, 1)
    error = (region_weights(regions) * (made - style)).abs() * trust
    return error.mean()


def texture_loss(made: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Difference of how much detail there is around each pixel, wherever exactly it lies.

    A pixel loss alone smooths what is misplaced by a pixel: skin, lashes, teeth. Here only the mean gradient of a
    neighbourhood counts.

    Args:
        made: float32 (B, 3, H, W).
        true: The same.
        weight: float32 (B, 1, H, W).
    """
    pairs = torch.cat([made, true.detach()]).mean(1, keepdim=True)
    across = functional.pad((pairs[..., 1:] - pairs[..., :-1]).abs(), (0, 1))
    along = functional.pad((pairs[..., 1:, :] - pairs[..., :-1, :]).abs(), (0, 0, 0, 1))
    energy = functional.avg_pool2d(across + along, _TEXTURE_PX, 1, _TEXTURE_PX // 2)
    one, other = energy.chunk(2)
    return weighted_l1(one, other, weight)


def edge_loss(made: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """L1 of first differences, by weight (B, 1, H, W)."""
    difference = made - true
    across = difference[..., 1:] - difference[..., :-1]
    along = difference[..., 1:, :] - difference[..., :-1, :]
    zero = torch.zeros((), device=made.device)
    return weighted_l1(across, zero, weight[..., 1:]) + weighted_l1(along, zero, weight[..., 1:, :])
