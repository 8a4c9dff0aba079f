"""How soft a portrait is: what is painted into it is made as soft, so that it does not look cut out."""

import itertools
from typing import Final

import numpy as np

from engine.artefacts.avatar import Avatar
from engine.renderer.colour import LUMA
from engine.renderer.pixels import blur, convex_hull, fill
from models.spec import IMAGE_SIZE

RATIOS: Final = (0.95, 0.70)
"""Detail of 1 px over that of 2 px, from which down a portrait is less than sharp, and at which it is soft."""


def softness(avatar: Avatar) -> float:
    """How soft the picture of a face is: 0 for one as sharp as its pixels allow, 1 for one that was enlarged.

    A sharp picture has about as much detail of one pixel as of two; an enlarged one has less of the finer.
    """
    grey = avatar.image.astype(np.float32) @ LUMA.astype(np.float32)
    face = fill((IMAGE_SIZE, IMAGE_SIZE), convex_hull(avatar.source_points.astype(np.float32))) > 0.5
    pictures = [grey, blur(grey, 1.0), blur(grey, 2.0)]
    fine, coarse = (float(np.abs(a - b)[face].mean()) for a, b in itertools.pairwise(pictures))
    sharp, soft = RATIOS
    return float(np.clip((sharp - fine / max(coarse, 1e-3)) / (sharp - soft), 0, 1))
