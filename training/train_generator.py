"""Recipe of the style-aware generator (paper, section 4.3 and equations 7 to 9)."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from engine.errors import ConfigError
from engine.renderer.network_input import WINDOW_SIZE
from models.discriminator import MultiscaleDiscriminator
from models.generator import (
    LITE_PATTERN_SIZE,
    PAPER_CHANNELS,
    Alignment,
    LiteGenerator,
    PaperGenerator,
    StaticEncoder,
    refined,
)
from training.corpus.heads.mask_classes import MaskClass
from training.generator_loss import (
    FEATURE_WEIGHT,
    PERCEPTUAL_WEIGHT,
    PIXEL_WEIGHT,
    adversarial_loss,
    discriminator_loss,
    edge_loss,
    feature_matching,
    inside_mouth,
    region_weights,
    style_aware_loss,
    texture_loss,
    weighted_l1,
)
from training.generator_samples import Batch, FrameSamples, open_people
from training.perceptual import perceptual_loss
from training.recipe import RecipeConfig, Trainer

WEIGHTS: Final = "renderer.safetensors"
STATIC_WEIGHTS: Final = "renderer_static.safetensors"
_CONDITION_CHANNELS: Final = 3
"""Of the discriminator: inside of the mouth, eyeballs, facial map."""
_SMALLEST_MOUTH: Final = 20
"""Pixels of an opening from which its brightness can be told."""
_SHEET_ROWS: Final = 6


class GeneratorConfig(RecipeConfig):
    """Options of the image generator's recipe."""

    data: Path = Field(description="folder of prepared people, as `mien train frames` writes them")
    preset: Literal["lite", "paper"] = "lite"
    alignment: Alignment = Field("warp", description="what `paper` is given: the drawn frame, or the portrait itself")
    paper_channels: tuple[int, ...] = Field(PAPER_CHANNELS, description="of `paper`'s layers; others are for trials")
    batch: int = Field(12, ge=1, description="samples a step; the paper has 8")
    steps: int = Field(12000, ge=1)
    learning_rate: float = Field(4e-4, gt=0, description="the paper has 1e-5 for its own network")
    average: float = Field(0.998, ge=0, lt=1)
    size: int = Field(128, description="side of the samples in px; the paper's preset needs 512")
    patterns: bool = Field(True, description="give the network the intermediate style patterns")
    style_weight: float = Field(10.0, ge=0, description="of the style-aware photometric loss (eq. 9)")
    texture_weight: float = Field(50.0, ge=0, description="of the amount of detail about a pixel")
    tone_share: float = Field(
        0.7, ge=0, le=1, description="how far the true inside of the mouth is brought to the brightness that was drawn"
    )
    edge_weight: float = Field(50.0, ge=0, description="of first differences")
    adversarial: float = Field(1.0, ge=0, description="weight of the GAN; 0 trains without a discriminator")
    adversarial_from: float = Field(0.6, ge=0, le=1, description="share of the steps before the GAN begins")
    discriminator_width: int = Field(64, ge=4)
    vgg: Path | None = Field(None, description="safetensors of VGG-19 for the perceptual loss; see docs/renderer.md")
    figures: int = Field(48, ge=1, description="test samples that are judged at every checkpoint")


class Drawer(Protocol):
    """Draws a batch: gives the picture and its mask, (B, 3, H, W) and (B, 1, H, W), 0..1."""

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Draw."""
        ...


def train_generator(config: GeneratorConfig) -> list[float]:
    """Train; write ``renderer.safetensors``, for ``lite`` ``renderer_static.safetensors`` too, into ``config.out``.

    Returns:
        The loss of every step that was run.

    Raises:
        ConfigError: Data, device, VGG's file or checkpoint cannot be used.
    """
    pattern_size = LITE_PATTERN_SIZE if config.preset == "lite" else WINDOW_SIZE
    samples = FrameSamples(open_people(config.data, "train"), config.size, config.patterns, pattern_size=pattern_size)
    judged = _judged_samples(config)
    torch.manual_seed(config.seed)
    modules = _modules(config)
    rivals: dict[str, nn.Module] = {}
    if config.adversarial:
        rivals["discriminator"] = MultiscaleDiscriminator(3 + _CONDITION_CHANNELS, config.discriminator_width)
    perceptual = perceptual_loss(config.vgg)
    trainer = Trainer(config, modules, rivals)
    perceptual.to(trainer.device)
    draw = drawer(modules, config.alignment)
    judge = rivals.get("discriminator")
    drawn: dict[str, Tensor] = {}

    def losses(trainer: Trainer) -> dict[str, Tensor]:
        batch = samples.draw(trainer.generator(), config.batch).to(trainer.device)
        made, mask = draw(batch)
        target = true_or_drawn(batch, config)
        parts = photometric_losses(made.float(), target, batch, config, perceptual)
        if judge is not None and trainer.step >= config.adversarial_from * config.steps:
            condition = batch.dynamic[:, 3:]
            of_made, of_true = judge(made, condition), judge(target, condition)
            parts["adversarial"] = config.adversarial * adversarial_loss(of_made)
            parts["features"] = FEATURE_WEIGHT * config.adversarial * feature_matching(of_true, of_made)
            drawn.update(made=made.detach(), target=target, condition=condition)
        # Only the parts' ratios matter: in this scale gradients are seldom clipped.
        total = torch.stack([part.float() for part in parts.values()]).sum() / PIXEL_WEIGHT
        return parts | {"mask": mask.detach().mean(), "total": total}

    def rival_losses(_: Trainer) -> dict[str, Tensor]:
        if judge is None or not drawn:
            return {}
        loss = discriminator_loss(judge(drawn["target"], drawn["condition"]), judge(drawn["made"], drawn["condition"]))
        drawn.clear()
        return {"lsgan": loss, "total": loss}

    def show(trainer: Trainer, writer: SummaryWriter) -> None:
        _show(trainer, writer, judged, config)

    history = trainer.run(losses, rival_losses if rivals else None, show)
    save_file(trainer.averaged("generator"), config.out / WEIGHTS, {"preset": config.preset})
    if config.preset == "lite":
        save_file(trainer.averaged("static"), config.out / STATIC_WEIGHTS, {"preset": config.preset})
    return history


def _modules(config: GeneratorConfig) -> dict[str, nn.Module]:
    if config.preset == "paper":
        return {"generator": PaperGenerator(config.alignment, config.paper_channels)}
    return {"generator": LiteGenerator(), "static": StaticEncoder()}


def drawer(modules: dict[str, nn.Module], alignment: Alignment) -> Drawer:
    """How the modules of a preset draw a batch."""
    generator, static = modules["generator"], modules.get("static")

    def lite(batch: Batch) -> tuple[Tensor, Tensor]:
        assert static is not None
        residual, mask = generator(batch.dynamic, static(batch.source, batch.isp))
        return refined(batch.dynamic[:, :3], residual, mask), mask

    def paper(batch: Batch) -> tuple[Tensor, Tensor]:
        side = batch.dynamic.shape[-2:]
        isp = functional.interpolate(batch.isp, side, mode="bilinear", align_corners=False)
        lines = batch.dynamic[:, 5:].expand(-1, 3, -1, -1)
        picture = batch.source[:, :3] if alignment == "raw" else batch.dynamic[:, :3]
        first, mask = generator(picture, lines, isp)
        return (first if alignment == "raw" else refined(picture, first, mask)), mask

    return paper if static is None else lite


def true_or_drawn(batch: Batch, config: GeneratorConfig) -> Tensor:
    """What is to be drawn: the true frame, and where no person is, what the geometric renderer drew.

    What lies behind a person cannot be known, and in a session it is the viewer's own background. A network that draws
    the picture itself has to draw that too.

    How bright teeth are in rendered people says little of other people's, so the true inside of the mouth is mostly
    brought to the brightness that the geometric renderer gave it for this portrait.
    """
    if config.alignment == "raw" and config.preset == "paper":
        return batch.target
    frame = batch.dynamic[:, :3]
    inside = inside_mouth(batch.regions).float()
    area = inside.sum((1, 2, 3))
    drawn, true = ((inside * picture).sum((1, 2, 3)) for picture in (frame, batch.target))
    gain = torch.where(area > _SMALLEST_MOUTH, drawn / true.clamp(min=1e-3), 1).clamp(0.4, 2.0) ** config.tone_share
    soft = functional.avg_pool2d(inside, 3, 1, 1)
    target = batch.target * (1 + soft * (gain.view(-1, 1, 1, 1) - 1))
    person = (batch.regions != MaskClass.BACKGROUND)[:, None]
    return torch.where(person, target.clamp(max=1), frame)


def photometric_losses(
    made: Tensor,
    target: Tensor,
    batch: Batch,
    config: GeneratorConfig,
    perceptual: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """All but the adversarial terms of eq. 8 and eq. 9, by name, weighted."""
    weight = 0.3 + region_weights(batch.regions) + 2 * batch.dynamic[:, 3:4] + 1 * batch.dynamic[:, 4:5]
    parts = {
        "pixels": PIXEL_WEIGHT * weighted_l1(made, target, weight),
        "perceptual": PERCEPTUAL_WEIGHT * perceptual(made, target),
    }
    if config.edge_weight:
        parts["edges"] = config.edge_weight * edge_loss(made, target, weight)
    if config.texture_weight:
        parts["texture"] = config.texture_weight * texture_loss(made, target, weight)
    if config.style_weight:
        parts["style"] = config.style_weight * style_aware_loss(made, batch.style, batch.style_distance, batch.regions)
    return parts


def _judged_samples(config: GeneratorConfig) -> Batch | None:
    """The same test samples at every checkpoint, whole windows; None if nobody was kept for testing."""
    try:
        people = open_people(config.data, "test")
    except ConfigError:
        return None
    side = people[0].dynamic.shape[-1]
    samples = FrameSamples(people, side, config.patterns, augment=False)
    chosen = np.linspace(0, len(samples) - 1, min(config.figures, len(samples))).astype(int)
    return samples.batch(chosen, np.random.default_rng(0))


@torch.no_grad()
def figures(made: Tensor, batch: Batch) -> dict[str, float]:
    """L1 in grey levels (0..255) of what was drawn, and of the geometric renderer's frame it is to better.

    Args:
        made: float32 (B, 3, H, W).
        batch: What it was drawn from.

    Returns:
        ``inside``, ``lips``, ``eyes``, ``skin``, each also as ``warp inside`` ...
    """
    lips = ((batch.regions == MaskClass.UPPER_LIP) | (batch.regions == MaskClass.LOWER_LIP))[:, None]
    masks = {
        "inside": inside_mouth(batch.regions),
        "lips": lips,
        "eyes": (batch.regions == MaskClass.EYE)[:, None],
        "skin": (batch.regions == MaskClass.SKIN)[:, None],
    }
    result = {}
    for name, mask in masks.items():
        for prefix, picture in (("", made), ("warp ", batch.dynamic[:, :3])):
            result[prefix + name] = 255 * float(weighted_l1(picture, batch.target, mask.float()))
    return result


@torch.no_grad()
def _show(trainer: Trainer, writer: SummaryWriter, judged: Batch | None, config: GeneratorConfig) -> None:
    """A sheet and the figures of the averaged weights on people that training never saw."""
    if judged is None:
        return
    modules = _modules(config)
    for name, module in modules.items():
        module.load_state_dict(trainer.averaged(name))
        module.to(trainer.device).eval()
    draw = drawer(modules, config.alignment)
    parts = [draw(_part(judged, first).to(trainer.device)) for first in range(0, len(judged.dynamic), 8)]
    made, mask = (torch.cat([part[index].cpu() for part in parts]) for index in (0, 1))
    for name, value in figures(made, judged).items():
        writer.add_scalar(f"test/{name}", value, trainer.step)
    rows = np.linspace(0, len(made) - 1, min(_SHEET_ROWS, len(made))).astype(int)
    sheet = [judged.dynamic[rows, :3], made[rows], judged.target[rows], mask[rows].expand(-1, 3, -1, -1)]
    lines = [torch.cat([column[row] for column in sheet], 2) for row in range(len(rows))]
    writer.add_image("drawn, refined, true, mask", torch.cat(lines, 1), trainer.step)


def _part(batch: Batch, first: int, count: int = 8) -> Batch:
    return Batch(*(getattr(batch, name)[first : first + count] for name in batch.__dataclass_fields__))
