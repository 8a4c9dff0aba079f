"""Recipe of the manifold bank (paper 3.1): the features that every incoming feature is rebuilt from.

The bank should cover the manifold evenly and stay small enough to search in a fraction of a millisecond: k-means
over the encoder's features of augmented speech, started from random frames, gives its centres.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from models.apc import ApcEncoder
from models.spec import MANIFOLD_NEIGHBOURS, MELS_PER_MOTION
from training.prepared import PreparedData
from training.recipe import RecipeConfig, choose_device, load_weights

_SAMPLED_STRETCHES, _SAMPLED_FRAMES = 8, 300


class ManifoldConfig(RecipeConfig):
    """Options of the bank's recipe; ``steps`` counts passes of k-means."""

    steps: int = Field(12, ge=1)
    encoder: Path = Field(description="apc.safetensors of a trained encoder")
    size: int = Field(2048, ge=MANIFOLD_NEIGHBOURS + 1)
    samples: int = Field(120_000, ge=1000, description="features to cluster")


def train_manifold(config: ManifoldConfig) -> list[float]:
    """Cluster features; write ``manifold.npz`` with ``bank`` float16 (size, 512) into ``config.out``.

    Beside it lies ``mel`` float16 (n, 80), some of the speech, to which the export scales its integers.

    Returns:
        Mean squared distance to the nearest centre after every pass.

    Raises:
        ConfigError: Data, encoder or device cannot be used.
    """
    encoder = ApcEncoder()
    load_weights(encoder, config.encoder)
    encoder.to(choose_device(config.device)).eval()
    config.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(config.seed)
    data = PreparedData(config.data)
    features = collect_features(encoder, data, config.samples, rng)
    bank = features[torch.from_numpy(rng.choice(len(features), config.size, replace=False))].clone()
    history = []
    for _ in range(config.steps):
        nearest, distance = assign(features, bank)
        history.append(float(distance.mean()))
        counts = torch.bincount(nearest, minlength=config.size).float()
        sums = torch.zeros_like(bank).index_add_(0, nearest, features)
        empty = counts == 0
        bank = torch.where(empty[:, None], bank, sums / counts.clamp(min=1)[:, None])
        # A centre that lost all its features moves to where the bank fits worst.
        if empty.any():
            bank[empty] = features[distance.topk(int(empty.sum())).indices]
    starts = rng.integers(0, data.frames, _SAMPLED_STRETCHES)
    mel = np.concatenate([data.read("mel", int(start), _SAMPLED_FRAMES) for start in starts])
    np.savez_compressed(
        config.out / "manifold.npz", bank=bank.cpu().numpy().astype(np.float16), mel=mel.astype(np.float16)
    )
    return history


def collect_features(encoder: ApcEncoder, data: PreparedData, count: int, rng: np.random.Generator) -> Tensor:
    """About ``count`` features of frames spread over the data, float32 (n, 512)."""
    frames, batch, warm = 600, 32, 60
    gathered: list[Tensor] = []
    per_pass = 2000
    with torch.inference_mode():
        while sum(len(g) for g in gathered) < count:
            starts = rng.integers(0, data.frames, batch)
            mel = torch.from_numpy(np.stack([data.read("mel", int(s), frames) for s in starts]))
            device = encoder.head.weight.device
            features, _ = encoder(mel.to(device), encoder.init_state(batch))
            flat = features[:, warm * MELS_PER_MOTION :].reshape(-1, encoder.units)
            chosen = torch.from_numpy(rng.choice(len(flat), per_pass, replace=False)).to(device)
            gathered.append(flat[chosen].clone())
    return torch.cat(gathered)[:count]


def assign(features: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centre of each feature: index int64 (n,) and squared distance float32 (n,)."""
    square = bank.square().sum(1)
    indices, distances = [], []
    for part in torch.split(features, 8192):
        d = part.square().sum(1)[:, None] - 2 * part @ bank.T + square
        value, index = d.min(1)
        indices.append(index)
        distances.append(value.clamp(min=0))
    return torch.cat(indices), torch.cat(distances)


def project(features: Tensor, bank: Tensor, neighbours: int = MANIFOLD_NEIGHBOURS) -> Tensor:
    """Locally linear embedding: each feature as a sum-to-one mix of its nearest centres.

    Args:
        features: float32 (n, 512).
        bank: float32 (size, 512).
        neighbours: K.

    Returns:
        float32 (n, 512).
    """
    square = bank.square().sum(1)
    parts = []
    for part in torch.split(features, 4096):
        index = (square - 2 * part @ bank.T).topk(neighbours, largest=False).indices
        near = bank[index]
        offset = near - part[:, None]
        gram = offset @ offset.transpose(1, 2)
        trace = gram.diagonal(dim1=1, dim2=2).sum(1)
        gram = gram + (1e-3 * trace + 1e-9)[:, None, None] * torch.eye(neighbours, device=part.device)
        weights = torch.linalg.solve(gram, torch.ones_like(trace)[:, None].expand(-1, neighbours))
        weights = weights / weights.sum(1, keepdim=True)
        parts.append((weights[:, None] @ near)[:, 0])
    return torch.cat(parts)
