"""One avatar's picture giving way to another's."""

import numpy as np

from engine.lanes import Picture
from models.spec import MEDIA_HZ

FADE_TICKS = MEDIA_HZ // 4


def fade_share(media_ticks: int, begun_ticks: int) -> float:
    """How much of the new avatar is seen, 0 to 1, at a media time, where the fade began at ``begun_ticks``."""
    return min(1.0, max(0.0, (media_ticks - begun_ticks) / FADE_TICKS))


def mix(before: Picture, after: Picture, share: float) -> Picture:
    """A picture that is ``share`` of the way from ``before`` to ``after``.

    All are uint8 (512, 512, 3) RGB, or (512, 512, 4) premultiplied RGBA.
    """
    mixed = before + np.float32(share) * (after.astype(np.float32) - before)
    return np.rint(mixed).astype(np.uint8)
