"""Habits by which one speaker moves differently from another."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Speaker:
    """A speaker's habits; ``draw`` makes one from a random generator.

    Attributes:
        reach: Size of all mouth movement, about 1.
        jaw_share: How much of the opening the jaw does rather than the lips, about 1.
        rounding: How far lips round and protrude, about 1.
        lead_s: How much earlier than the sound the lips move, s.
        haste: Factor on the flanks of coarticulation: small for crisp speakers.
        crooked: Left-right imbalance of the mouth, -1..1.
        expressive: How much brows and head follow the prosody, about 1.
        sway: Size of slow head movement, about 1.
    """

    reach: float = 1.0
    jaw_share: float = 1.0
    rounding: float = 1.0
    lead_s: float = 0.005
    haste: float = 1.0
    crooked: float = 0.0
    expressive: float = 1.0
    sway: float = 1.0

    @staticmethod
    def draw(rng: np.random.Generator) -> "Speaker":
        """A random speaker. Reach varies little: sound does not tell it, and what sound does not tell is noise."""
        return Speaker(
            reach=float(np.exp(rng.normal(0, 0.10))),
            jaw_share=float(np.exp(rng.normal(0, 0.12))),
            rounding=float(np.exp(rng.normal(0, 0.15))),
            lead_s=float(np.clip(rng.normal(0.005, 0.008), -0.015, 0.025)),
            haste=float(np.exp(rng.normal(0, 0.15))),
            crooked=float(np.clip(rng.normal(0, 0.35), -1, 1)),
            expressive=float(np.exp(rng.normal(0, 0.35))),
            sway=float(np.exp(rng.normal(0, 0.35))),
        )
