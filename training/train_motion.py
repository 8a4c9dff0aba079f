"""Recipe of the motion generator (paper 3.2, eq. 2) on features of a trained encoder, projected on the manifold."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from models.apc import ApcEncoder
from models.motion import MotionGenerator
from models.spec import JAW, MAX_LOOKAHEAD, MOTION_DIM, MOTION_POINTS, MOTION_SEQUENCE
from training.mel_augment import MelAugment
from training.motion_loss import DISPLACEMENT_SCALE, delayed_targets, motion_loss
from training.prepared import PreparedData
from training.recipe import RecipeConfig, Trainer, load_bank, load_weights
from training.streams import augmented_mel, carried_state, draw_lookaheads
from training.train_manifold import project


class MotionConfig(RecipeConfig):
    """Options of the motion generator's recipe."""

    encoder: Path = Field(description="apc.safetensors of a trained encoder")
    manifold: Path | None = Field(None, description="manifold.npz; without it features are used as they are")
    manifold_strength: float = Field(0.3, ge=0, le=1, description="share of the projection in the feature")
    start: Path | None = Field(None, description="motion.safetensors to start from")
    augment: bool = True
    frames: int = Field(MOTION_SEQUENCE, ge=2)


def train_motion(config: MotionConfig) -> list[float]:
    """Train the generator; write ``motion.safetensors`` and ``motion_extras.npz`` into ``config.out``.

    Returns:
        The loss of every step that was run.

    Raises:
        ConfigError: Data, device, encoder or checkpoint cannot be used.
    """
    data = PreparedData(config.data)
    torch.manual_seed(config.seed)
    encoder, motion = ApcEncoder(), MotionGenerator()
    load_weights(encoder, config.encoder)
    if config.start:
        load_weights(motion, config.start)
    trainer = Trainer(config, {"motion": motion})
    encoder.to(trainer.device).eval().requires_grad_(False)
    bank = None
    if config.manifold and config.manifold_strength:
        bank = load_bank(config.manifold, trainer.device)
    augment = MelAugment() if config.augment else None

    def losses(trainer: Trainer) -> dict[str, Tensor]:
        stretch = data.stretch(trainer.step, config.batch, config.frames, MAX_LOOKAHEAD)
        mel = augmented_mel(trainer, stretch.mel, augment)
        with torch.no_grad():
            state = carried_state(trainer, "apc", encoder.init_state(config.batch), axis=1)
            features, state = encoder(mel, state)
            if bank is not None:
                flat = features.reshape(-1, encoder.units).float()
                projected = project(flat, bank).view_as(features)
                features = features + config.manifold_strength * (projected - features)
        lookahead = draw_lookaheads(trainer, config.batch)
        zero_hidden, zero_cell = motion.init_state(config.batch)
        hidden = carried_state(trainer, "hidden", zero_hidden, axis=1)
        cell = carried_state(trainer, "cell", zero_cell, axis=1)
        pairs = features.reshape(config.batch, config.frames, -1)
        predicted, hidden, cell = motion(pairs, lookahead, hidden, cell)
        trainer.carried |= {"apc": state, "hidden": hidden.detach(), "cell": cell.detach()}
        target = delayed_targets(torch.from_numpy(stretch.motion).to(trainer.device), lookahead, config.frames)
        parts = motion_loss(predicted, target)
        return {**parts, "total": parts["motion"]}

    history = trainer.run(losses)
    save_file(trainer.averaged("motion"), config.out / "motion.safetensors")
    np.savez_compressed(
        config.out / "motion_extras.npz",
        completion=fit_completion(data),
        mean=np.zeros(MOTION_DIM, np.float32),
        scale=np.float32(DISPLACEMENT_SCALE),
    )
    return history


def fit_completion(data: PreparedData, samples: int = 40_000) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The linear map from the 41 generated points to all 68, fitted to the teacher's motion.

    Jaw and brows are not generated (the paper moves 41 points): they follow from the mouth and the lids.

    Returns:
        float32 (204, 123): identity on the 41 points, ridge regression on jaw and brows. The jaw is fitted
        to the mouth alone, the brows to the eyes alone, so that a word never lifts a brow.
    """
    rng = np.random.default_rng(0)
    starts = rng.integers(0, data.frames, samples // 50)
    motion = np.concatenate([data.read("motion", int(s), 50) for s in starts]).reshape(-1, 68, 3)
    first = MOTION_POINTS.start
    completion = np.zeros((68, 3, MOTION_POINTS.stop - first, 3), np.float32)
    for point in range(first, MOTION_POINTS.stop):
        completion[point, :, point - first] = np.eye(3)
    for targets, sources in ((JAW, slice(48, 68)), (slice(17, 27), slice(36, 48))):
        x = motion[:, sources].reshape(len(motion), -1).astype(np.float64)
        y = motion[:, targets].reshape(len(motion), -1).astype(np.float64)
        gram = x.T @ x
        gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
        fit = np.linalg.solve(gram, x.T @ y).T.reshape(targets.stop - targets.start, 3, -1, 3)
        completion[targets, :, sources.start - first : sources.stop - first] = fit
    return completion.reshape(204, MOTION_DIM)
