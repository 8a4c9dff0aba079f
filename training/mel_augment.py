"""Augmentation of log-mel features while training: what differs between rooms, microphones and vocal tracts.

Waveform augmentation (training.corpus.augment) is done once per utterance when data is prepared; this one is drawn
anew for every stretch of every stream, so that no network sees the same spectrum twice.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.spec import MEL_BANDS, MEL_FLOOR

SCALE: Final = -math.log(MEL_FLOOR)
"""Log-mel features are ln(magnitude) / SCALE + 1: one decibel is about 0.01."""
DB: Final = math.log(10) / 20 / SCALE


@dataclass(frozen=True)
class MelAugment:
    """How strongly to augment; each field is a range or a probability.

    Attributes:
        gain_db: Deviation of the overall gain.
        equalizer_db: Deviation of a smooth random curve over the bands.
        warp: Largest stretch of the frequency axis: other vocal-tract lengths.
        noise: Share of streams with a steady noise floor.
        blur: Share of streams whose bands are blurred, which hides the harmonics of the voice.
        mask: Share of streams with masked bands.
        dropout: Share of streams with short gaps.
        roughness: Largest deviation of noise added to every value.
    """

    gain_db: float = 5.0
    equalizer_db: float = 5.0
    warp: float = 0.12
    noise: float = 0.4
    blur: float = 0.3
    mask: float = 0.3
    dropout: float = 0.1
    roughness: float = 0.02

    def apply(self, mel: Tensor, generators: list[np.random.Generator]) -> Tensor:
        """Augment each stream by its own generator.

        Args:
            mel: float32 (streams, frames, 80).
            generators: One a stream; the same generator state gives the same augmentation.

        Returns:
            float32 (streams, frames, 80).
        """
        streams, frames, bands = mel.shape
        assert bands == MEL_BANDS and len(generators) == streams
        position = np.empty((streams, bands), np.float32)
        offset = np.empty((streams, bands), np.float32)
        floor = np.empty((streams, bands), np.float32)
        blur = np.zeros(streams, np.float32)
        keep = np.ones((streams, bands), np.float32)
        rough = np.empty(streams, np.float32)
        gaps = np.ones((streams, frames), np.float32)
        for row, rng in enumerate(generators):
            stretch = 1 + rng.uniform(-self.warp, self.warp)
            position[row] = np.clip(np.arange(bands) * stretch, 0, bands - 1.001)
            curve = self.equalizer_db * _smooth_curve(rng, bands)
            tilt = rng.normal(0, 0.5 * self.equalizer_db) * np.linspace(-1, 1, bands)
            offset[row] = DB * (rng.normal(0, self.gain_db) + curve + tilt)
            if rng.random() < self.noise:
                shape = 6 * _smooth_curve(rng, bands) + rng.normal(0, 6) * np.linspace(-1, 1, bands)
                floor[row] = DB * (rng.uniform(-75, -38) + shape) + 1
            else:
                floor[row] = -1
            if rng.random() < self.blur:
                blur[row] = rng.uniform(0.4, 1.0)
            if rng.random() < self.mask:
                for _ in range(rng.integers(1, 3)):
                    width = int(rng.integers(2, 14))
                    first = int(rng.integers(0, bands - width))
                    keep[row, first : first + width] = rng.uniform(0, 0.6)
            rough[row] = rng.uniform(0, self.roughness)
            if rng.random() < self.dropout:
                width = int(rng.integers(2, 10))
                first = int(rng.integers(0, max(frames - width, 1)))
                gaps[row, first : first + width] = rng.uniform(0, 0.3)
        device = mel.device
        place = torch.from_numpy(position).to(device)[:, None, :].expand(-1, frames, -1)
        lower = place.floor().long()
        share = place - lower
        warped = torch.gather(mel, 2, lower) * (1 - share) + torch.gather(mel, 2, lower + 1) * share
        blurred = torch.nn.functional.avg_pool1d(warped, 5, 1, 2, count_include_pad=False)
        amount = torch.from_numpy(blur).to(device)[:, None, None]
        x = warped + amount * (blurred - warped) + torch.from_numpy(offset).to(device)[:, None, :]
        seed = int(generators[0].integers(1 << 62))
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(device)
        base = torch.from_numpy(floor).to(device)[:, None, :] + 0.035 * noise
        x = torch.logaddexp(x * SCALE, base * SCALE) / SCALE
        x = x + torch.from_numpy(rough).to(device)[:, None, None] * noise.flip(1)
        x = x * torch.from_numpy(keep).to(device)[:, None, :] * torch.from_numpy(gaps).to(device)[:, :, None]
        return x.clamp(0, 1.4)


def _smooth_curve(rng: np.random.Generator, bands: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A random curve of unit deviation with a handful of bends."""
    knots = rng.normal(size=7)
    return np.interp(np.linspace(0, 6, bands), np.arange(7), knots)
