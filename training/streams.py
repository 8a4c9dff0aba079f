"""Carrying recurrent state from one stretch of a stream to the next, with planned fresh starts."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.spec import MAX_LOOKAHEAD
from training.mel_augment import MelAugment
from training.recipe import Trainer

BLOCK: Final = 16
"""Stretches between two fresh starts of a stream; also how long its augmentation and its lookahead hold."""
_FULL_LOOKAHEAD_SHARE: Final = 0.25


def block_generators(trainer: Trainer, batch: int, purpose: int) -> list[np.random.Generator]:
    """One random generator a stream, the same for all stretches of a block.

    Args:
        trainer: Gives seed and step.
        batch: Streams.
        purpose: A number that keeps the draws of different uses apart.
    """
    return [
        np.random.default_rng((trainer.config.seed, purpose, row, (trainer.step + row) // BLOCK))
        for row in range(batch)
    ]


def carried_state(trainer: Trainer, name: str, initial: Tensor, axis: int) -> Tensor:
    """The state that the last stretch left, zero where a block begins.

    Args:
        trainer: Holds the state under ``name``.
        name: Which state.
        initial: Zero state; its ``axis`` counts streams.
        axis: The axis of the streams.
    """
    state = trainer.carried.get(name)
    if state is None:
        return initial
    fresh = torch.tensor([(trainer.step + row) % BLOCK == 0 for row in range(initial.shape[axis])])
    shape = [1] * initial.dim()
    shape[axis] = -1
    return torch.where(fresh.view(shape).to(initial.device), initial, state.to(initial))


def draw_lookaheads(trainer: Trainer, batch: int) -> Tensor:
    """Each stream's lookahead, int64 (batch,): often the full one, else any."""
    draws = [
        MAX_LOOKAHEAD if rng.random() < _FULL_LOOKAHEAD_SHARE else int(rng.integers(0, MAX_LOOKAHEAD))
        for rng in block_generators(trainer, batch, 1)
    ]
    return torch.tensor(draws, device=trainer.device)


def augmented_mel(trainer: Trainer, mel: np.ndarray, augment: MelAugment | None) -> Tensor:
    """Log-mel of a stretch on the trainer's device, float32 (batch, frames, 80), augmented if asked."""
    tensor = torch.from_numpy(mel).to(trainer.device)
    return augment.apply(tensor, block_generators(trainer, len(mel), 2)) if augment else tensor
