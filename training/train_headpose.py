"""Recipe of the head-pose generator (paper 3.2, eq. 3)."""

from pathlib import Path

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from models.apc import ApcEncoder
from models.headpose import HeadPoseNet, pose_loss
from models.spec import MELS_PER_MOTION, MOTION_SEQUENCE
from training.mel_augment import MelAugment
from training.prepared import PreparedData
from training.recipe import RecipeConfig, Trainer, load_weights
from training.streams import augmented_mel, carried_state


class HeadPoseConfig(RecipeConfig):
    """Options of the head-pose generator's recipe."""

    encoder: Path = Field(description="apc.safetensors of a trained encoder")
    augment: bool = True
    frames: int = Field(MOTION_SEQUENCE, ge=2)
    pose_noise: float = Field(
        0.15,
        ge=0,
        description="noise on the poses heard from, in steps' deviations, so that sampling does not drift",
    )


def train_headpose(config: HeadPoseConfig) -> list[float]:
    """Train the generator; write ``headpose.safetensors`` into ``config.out``.

    Returns:
        The loss of every step that was run.

    Raises:
        ConfigError: Data, device, encoder or checkpoint cannot be used.
    """
    data = PreparedData(config.data)
    torch.manual_seed(config.seed)
    encoder, net = ApcEncoder(), HeadPoseNet()
    load_weights(encoder, config.encoder)
    probe = torch.from_numpy(data.read("pose", 0, min(data.frames, 200_000)))
    net.pose_scale.copy_(probe.std(0))
    net.step_scale.copy_(probe.diff(dim=0).std(0))
    trainer = Trainer(config, {"headpose": net})
    encoder.to(trainer.device).eval().requires_grad_(False)
    augment = MelAugment() if config.augment else None

    def losses(trainer: Trainer) -> dict[str, Tensor]:
        stretch = data.stretch(trainer.step, config.batch, config.frames, 2)
        mel = augmented_mel(trainer, stretch.mel, augment)
        with torch.no_grad():
            state = carried_state(trainer, "apc", encoder.init_state(config.batch), axis=1)
            features, state = encoder(mel, state)
        heard = features[:, 1::MELS_PER_MOTION].float()
        poses = torch.from_numpy(stretch.pose).to(trainer.device)
        steps = poses.diff(dim=1)
        noise = torch.randn_like(steps[:, :-1]) * net.step_scale * config.pose_noise
        inputs = torch.cat([poses[:, 1:-1] + noise, steps[:, :-1] + noise], dim=2)
        caches = [
            carried_state(trainer, f"cache{i}", zero, axis=0) for i, zero in enumerate(net.init_state(config.batch))
        ]
        mean, sigma, *caches = net(inputs, heard, *caches)
        trainer.carried |= {f"cache{i}": cache.detach() for i, cache in enumerate(caches)}
        trainer.carried["apc"] = state
        # The step is learned from where the noisy pose stands: it leads back to the path.
        target = (steps[:, 1:] - noise) / net.step_scale
        loss = pose_loss(mean.float() / net.step_scale, sigma.float() / net.step_scale, target)
        return {"likelihood": loss, "total": loss}

    history = trainer.run(losses)
    save_file(trainer.averaged("headpose"), config.out / "headpose.safetensors")
    return history
