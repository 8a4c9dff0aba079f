"""Recipe of the style mapping (paper, section 4.2), and the Intermediate Style Patterns it draws.

Pairs of frames of one person teach it: what is drawn with one frame's identity and the other's style must be the other
frame. Losses are those of the work the paper follows (arXiv 2011.15126): perceptual, adversarial, equivariance,
keypoint prior, pose, expression. Poses are known here, so the pose loss needs no other network's opinion.
"""

import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from engine.errors import ConfigError
from engine.images import encode_png
from models.discriminator import MultiscaleDiscriminator
from models.style_mapping import (
    KEYPOINTS,
    NEUTRAL_PICTURE,
    PICTURE_SIZE,
    WIDTH,
    StyleMapping,
    placed,
    rotation_matrices,
)
from training.generator_augment import Look
from training.generator_loss import PIXEL_WEIGHT, adversarial_loss, discriminator_loss, feature_matching
from training.generator_samples import ISP, PersonFrames, open_people
from training.perceptual import perceptual_loss
from training.recipe import RecipeConfig, Trainer

WEIGHTS: Final = "stylemap.safetensors"
NEUTRAL: Final = "neutral"
_APART: Final = 0.1
"""Distance below which two keypoints repel each other, in half sides of the picture."""
_LOSSES: Final = {
    "pixels": 100.0,
    "perceptual": 50.0,
    "equivariance": 20.0,
    "prior": 10.0,
    "pose": 20.0,
    "expression": 5.0,
}
"""Weights; those of the work followed, in the scale in which L1 has 100."""


class StyleMapConfig(RecipeConfig):
    """Options of the style mapping's recipe."""

    data: Path = Field(description="folder of prepared people, as `mien train frames` writes them")
    batch: int = Field(8, ge=1, description="pairs a step; the paper has 64")
    steps: int = Field(6000, ge=1)
    learning_rate: float = Field(4e-4, gt=0, description="the paper has 1e-4")
    average: float = Field(0.995, ge=0, lt=1)
    size: int = Field(PICTURE_SIZE, description="side of the pictures in px: 64, 128 or 256")
    width: int = Field(WIDTH, ge=12, multiple_of=12)
    keypoints: int = Field(KEYPOINTS, ge=3)
    adversarial: float = Field(1.0, ge=0, description="weight of the GAN; 0 trains without a discriminator")
    adversarial_from: float = Field(0.6, ge=0, le=1, description="share of the steps before the GAN begins")
    discriminator_width: int = Field(32, ge=4)
    vgg: Path | None = Field(None, description="safetensors of VGG-19 for the perceptual loss; see docs/renderer.md")


def train_stylemap(config: StyleMapConfig) -> list[float]:
    """Train; write ``stylemap.safetensors`` and ``neutral.png`` into ``config.out``, ``isp.npy`` into ``config.data``.

    Returns:
        The loss of every step that was run.

    Raises:
        ConfigError: Data, device, VGG's file or checkpoint cannot be used, or the neutral person was not prepared.
    """
    if config.size not in (64, 128, 256):
        raise ConfigError(f"The style mapping's pictures have a side of 64, 128 or 256 px, not {config.size}.")
    people = open_people(config.data, "train")
    torch.manual_seed(config.seed)
    mapping = StyleMapping(config.width, config.keypoints)
    rivals: dict[str, nn.Module] = {}
    if config.adversarial:
        rivals["discriminator"] = MultiscaleDiscriminator(3, config.discriminator_width)
    trainer = Trainer(config, {"stylemap": mapping}, rivals)
    perceptual = perceptual_loss(config.vgg).to(trainer.device)
    judge = rivals.get("discriminator")
    drawn: dict[str, Tensor] = {}

    def losses(trainer: Trainer) -> dict[str, Tensor]:
        rng = trainer.generator()
        source, target, turned = (part.to(trainer.device) for part in _pairs(people, rng, config))
        made, keypoints, style = mapping(source, target)
        made = made.float()
        parts = {
            "pixels": (made - target).abs().mean(),
            "perceptual": perceptual(made, target),
            "equivariance": _equivariance(mapping, source, target, keypoints, trainer),
            "prior": _prior(keypoints),
            "pose": (style.rotation - rotation_matrices(turned)).abs().mean(),
            "expression": style.expression.abs().mean(),
        }
        parts = {name: _LOSSES[name] * part for name, part in parts.items()}
        if judge is not None and trainer.step >= config.adversarial_from * config.steps:
            nothing = made[:, :0]
            of_made, of_true = judge(made, nothing), judge(target, nothing)
            parts["adversarial"] = config.adversarial * adversarial_loss(of_made)
            parts["features"] = config.adversarial * feature_matching(of_true, of_made)
            drawn.update(made=made.detach(), target=target)
        return parts | {"total": torch.stack([part.float() for part in parts.values()]).sum() / PIXEL_WEIGHT}

    def rival_losses(_: Trainer) -> dict[str, Tensor]:
        if judge is None or not drawn:
            return {}
        nothing = drawn["made"][:, :0]
        loss = discriminator_loss(judge(drawn["target"], nothing), judge(drawn["made"], nothing))
        drawn.clear()
        return {"lsgan": loss, "total": loss}

    def show(trainer: Trainer, writer: SummaryWriter) -> None:
        _show(trainer, writer, people, config)

    history = trainer.run(losses, rival_losses if rivals else None, show)
    save_file(trainer.averaged("stylemap"), config.out / WEIGHTS)
    mapping.load_state_dict(trainer.averaged("stylemap"))
    write_patterns(mapping, config.data, config.size, trainer.device)
    seen = _resized(neutral_face(open_people(config.data), config.data), config.size)
    (config.out / NEUTRAL_PICTURE).write_bytes(encode_png(np.ascontiguousarray(seen.transpose(1, 2, 0))))
    return history


def write_patterns(mapping: StyleMapping, folder: Path, size: int, device: torch.device) -> int:
    """Draw every prepared person's four Intermediate Style Patterns into ``isp.npy`` beside its frames.

    The identity is the canonical neutral person's; the style that of the person's four style reference images.

    Args:
        mapping: The trained network.
        folder: Prepared people, the neutral one among them.
        size: Side of the pictures that it was trained with.
        device: Where to draw.

    Returns:
        How many people got patterns.

    Raises:
        ConfigError: The neutral person was not prepared.
    """
    people = open_people(folder)
    identity = neutral_face(people, folder)
    for person in people:
        references = person.faces[person.rows["style_frames"]]
        patterns = style_patterns(mapping, identity, references, size, device)
        partial = person.folder / f".{ISP}"
        with partial.open("wb") as file:
            np.save(file, patterns.reshape(-1, *patterns.shape[-2:]))
        os.replace(partial, person.folder / ISP)
    return len(people)


def neutral_face(people: list[PersonFrames], folder: Path) -> NDArray[np.uint8]:
    """The canonical neutral person's calmest face among the prepared ``people`` of ``folder``, uint8 (3, 256, 256).

    Raises:
        ConfigError: The neutral person was not prepared.
    """
    neutral = next((person for person in people if person.folder.name == NEUTRAL), None)
    if neutral is None:
        raise ConfigError(f"{folder} lacks the neutral person: `mien train heads` renders it unless told not to.")
    return np.asarray(neutral.faces[_calmest(neutral)])


@torch.no_grad()
def style_patterns(
    mapping: StyleMapping, neutral: NDArray[np.uint8], references: NDArray[np.uint8], size: int, device: torch.device
) -> NDArray[np.uint8]:
    """Intermediate Style Patterns.

    Args:
        mapping: The trained network.
        neutral: uint8 (3, 256, 256), the neutral face in its window.
        references: uint8 (n, 3, 256, 256), style reference images in theirs.
        size: Side that the network draws.
        device: Where to draw.

    Returns:
        uint8 (n, 3, 256, 256).
    """
    mapping.to(device).eval()
    small = torch.from_numpy(np.stack([_resized(face, size) for face in (neutral, *references)])).to(device)
    source = small[:1].expand(len(references), -1, -1, -1)
    made = mapping(source.float() / 255, small[1:].float() / 255)[0].float()
    large = functional.interpolate(made, neutral.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)
    return np.asarray((255 * large).round().cpu().numpy().astype(np.uint8))


def _pairs(people: list[PersonFrames], rng: np.random.Generator, config: StyleMapConfig) -> tuple[Tensor, ...]:
    """Two frames each of random people, float32 (B, 3, S, S), and the rotation vector of the second (B, 3)."""
    sources, targets, turns = [], [], []
    for _ in range(config.batch):
        person = people[rng.integers(len(people))]
        one, other = rng.choice(len(person.faces), 2, replace=False)
        pair = np.stack([_resized(person.faces[frame], config.size) for frame in (one, other)])
        turn = person.rows["face_pose"][other, :3].copy()
        if rng.random() < 0.5:
            pair = pair[..., ::-1]
            turn *= np.array([1, -1, -1], np.float32)
        source, target = Look.draw(rng, detail=False).apply(pair)
        sources.append(source)
        targets.append(target)
        turns.append(turn)
    return tuple(torch.from_numpy(np.stack(part).astype(np.float32)) for part in (sources, targets, turns))


def _resized(face: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 (3, H, W) to (3, size, size)."""
    pixels = np.ascontiguousarray(face.transpose(1, 2, 0))
    small = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1)).astype(np.uint8)


def _equivariance(mapping: StyleMapping, source: Tensor, target: Tensor, keypoints: Tensor, trainer: Trainer) -> Tensor:
    """Keypoints of a shifted, turned and scaled picture must be the shifted, turned and scaled keypoints."""
    rng = np.random.default_rng((trainer.config.seed, trainer.step, 1))
    count = len(target)
    angle, scale = rng.normal(0, 0.15, count), np.exp(rng.normal(0, 0.08, count))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    matrix = np.concatenate([turn * scale[:, None, None], rng.normal(0, 0.08, (count, 2, 1))], -1)
    known = torch.from_numpy(matrix.astype(np.float32)).to(target.device)
    places = functional.affine_grid(known, list(target.shape), align_corners=False)
    changed = functional.grid_sample(target, places, align_corners=False, padding_mode="border")
    found = placed(mapping.keypoints(source), mapping.state(changed))[..., :2]
    # The grid says where a place of the changed picture comes from.
    back = torch.einsum("bij,bkj->bki", known[:, :, :2], found) + known[:, None, :, 2]
    return (back - keypoints[..., :2]).abs().mean()


def _prior(keypoints: Tensor) -> Tensor:
    """Keypoints keep apart, and lie around depth 0."""
    flat = keypoints[..., :2]
    squared = ((flat[:, :, None] - flat[:, None]) ** 2).sum(-1)
    crowded = (_APART**2 - squared).clamp(min=0) / _APART**2
    others = 1 - torch.eye(flat.shape[1], device=flat.device)
    return (crowded * others).sum((1, 2)).mean() / flat.shape[1] + keypoints[..., 2].mean(1).abs().mean()


def _calmest(person: PersonFrames) -> int:
    """The frame with the least expression and turn."""
    away = np.linalg.norm(person.rows["face_displacement"], axis=-1).max(1)
    return int(np.argmin(away + np.linalg.norm(person.rows["face_pose"][:, :3], axis=1) + person.rows["face_closure"]))


@torch.no_grad()
def _show(trainer: Trainer, writer: SummaryWriter, people: list[PersonFrames], config: StyleMapConfig) -> None:
    """Source, reference and what is drawn: of one person above, of two below."""
    mapping = StyleMapping(config.width, config.keypoints)
    mapping.load_state_dict(trainer.averaged("stylemap"))
    mapping.to(trainer.device).eval()
    rng = np.random.default_rng(0)
    source, target, _ = (part.to(trainer.device) for part in _pairs(people, rng, config))
    columns = [torch.cat([source, source]), torch.cat([target, target.roll(1, 0)])]
    columns.append(mapping(columns[0], columns[1])[0].float())
    rows = [torch.cat([column[row] for column in columns], 2) for row in range(len(columns[0]))]
    writer.add_image("source, reference, drawn", torch.cat(rows, 1).clamp(0, 1), trainer.step)
