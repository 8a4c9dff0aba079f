"""Recipe of the audio encoder (paper 3.1): autoregressive predictive coding, with the articulation as a hint.

The pure method learns from sound alone. Synthesised speech comes with its articulation, and a feature that must
also tell how lips move generalises better to voices that were never heard: ``articulation_weight`` adds the motion
loss through a motion generator that is trained along and kept as the motion recipe's starting point. At 0 this is
the paper's encoder.
"""

from typing import Final

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from models.apc import ApcEncoder
from models.motion import MotionGenerator
from models.spec import APC_SHIFTS, MAX_LOOKAHEAD, MELS_PER_MOTION, MOTION_DIM, MOTION_SEQUENCE
from training.mel_augment import MelAugment
from training.motion_loss import delayed_targets, motion_loss
from training.prepared import PreparedData
from training.recipe import RecipeConfig, Trainer
from training.streams import augmented_mel, carried_state, draw_lookaheads

_HINT_LOOKAHEADS: Final = (2, 5, 10)


class ApcConfig(RecipeConfig):
    """Options of the encoder's recipe."""

    articulation_weight: float = Field(1.0, ge=0, description="0 trains on sound alone, as the paper does")
    augment: bool = Field(True, description="augment log-mel anew in every stretch")
    frames: int = Field(MOTION_SEQUENCE, ge=2, description="motion frames (60 Hz) a stretch")


def train_apc(config: ApcConfig) -> list[float]:
    """Train the encoder; write ``apc.safetensors`` (and ``motion_start.safetensors``) into ``config.out``.

    Returns:
        The loss of every step that was run.

    Raises:
        ConfigError: Data, device or checkpoint cannot be used.
    """
    data = PreparedData(config.data)
    torch.manual_seed(config.seed)
    encoder, motion = ApcEncoder(), MotionGenerator()
    with_motion = config.articulation_weight > 0
    # A linear reading of the features, at a few lookaheads: it teaches the encoder long before the deep generator
    # above it has learned to pass anything on. It is not kept.
    hint = nn.Linear(MELS_PER_MOTION * encoder.units, len(_HINT_LOOKAHEADS) * MOTION_DIM)
    modules: dict[str, nn.Module] = {"apc": encoder}
    trainer = Trainer(config, modules | ({"motion": motion, "hint": hint} if with_motion else {}))
    augment = MelAugment() if config.augment else None

    def losses(trainer: Trainer) -> dict[str, Tensor]:
        stretch = data.stretch(trainer.step, config.batch, config.frames, MAX_LOOKAHEAD)
        mel = augmented_mel(trainer, stretch.mel, augment)
        state = carried_state(trainer, "apc", encoder.init_state(config.batch), axis=1)
        features, state = encoder(mel, state)
        trainer.carried["apc"] = state.detach()
        future = mel[:, APC_SHIFTS:]
        predictive = (encoder.predict(features[:, :-APC_SHIFTS]).float() - future).abs().mean()
        if not with_motion:
            return {"predictive": predictive, "total": predictive}
        lookahead = draw_lookaheads(trainer, config.batch)
        zero_hidden, zero_cell = motion.init_state(config.batch)
        hidden = carried_state(trainer, "hidden", zero_hidden, axis=1)
        cell = carried_state(trainer, "cell", zero_cell, axis=1)
        pairs = features.reshape(config.batch, config.frames, -1)
        assert pairs.shape[2] == MELS_PER_MOTION * encoder.units
        predicted, hidden, cell = motion(pairs, lookahead, hidden, cell)
        trainer.carried |= {"hidden": hidden.detach(), "cell": cell.detach()}
        truth = torch.from_numpy(stretch.motion).to(trainer.device)
        parts = motion_loss(predicted, delayed_targets(truth, lookahead, config.frames))
        readings = torch.split(hint(pairs), MOTION_DIM, dim=2)
        hints = [
            motion_loss(reading, delayed_targets(truth, torch.full_like(lookahead, frames), config.frames))["motion"]
            for reading, frames in zip(readings, _HINT_LOOKAHEADS, strict=True)
        ]
        hinted = torch.stack(hints).mean()
        total = 10 * predictive + config.articulation_weight * (parts["motion"] + 0.5 * hinted)
        return {"predictive": predictive, **parts, "hint": hinted, "total": total}

    history = trainer.run(losses)
    save_file(trainer.averaged("apc"), config.out / "apc.safetensors")
    if with_motion:
        save_file(trainer.averaged("motion"), config.out / "motion_start.safetensors")
    return history
