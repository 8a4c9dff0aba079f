"""Recipe of the audio encoder (paper 3.1): autoregressive predictive coding, with the articulation as a hint.

The pure method learns from sound alone. Synthesised speech comes with its articulation, and a feature that must
also tell how lips move generalises better to voices that were never heard: ``articulation_weight`` adds the motion
loss through a motion generator that is trained along and kept as the motion recipe's starting point. At 0 this is
the paper's encoder.
"""

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from models.apc import ApcEncoder
from models.motion import MotionGenerator
from models.spec import APC_SHIFTS, MAX_LOOKAHEAD, MELS_PER_MOTION, MOTION_SEQUENCE
from training.mel_augment import MelAugment
from training.motion_loss import delayed_targets, motion_loss
from training.prepared import PreparedData
from training.recipe import RecipeConfig, Trainer
from training.streams import augmented_mel, carried_state, draw_lookaheads


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
    trainer = Trainer(config, {"apc": encoder, "motion": motion} if with_motion else {"apc": encoder})
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
        target = delayed_targets(torch.from_numpy(stretch.motion).to(trainer.device), lookahead, config.frames)
        parts = motion_loss(predicted, target)
        total = 10 * predictive + config.articulation_weight * parts["motion"]
        return {"predictive": predictive, **parts, "total": total}

    history = trainer.run(losses)
    save_file(encoder.state_dict(), config.out / "apc.safetensors")
    if with_motion:
        save_file(motion.state_dict(), config.out / "motion_start.safetensors")
    return history
