"""How soft a portrait is: what is painted into it is made as soft, so that it does not look cut out."""

import itertools
from typing import Final

import cv2
import numpy as np

from engine.artefacts.avatar import Avatar
from engine.renderer.pixels import blur, convex_hull

RATIOS: Final = (0.95, 0.70)
"""Detail of 1 px over that of 2 px, from which down a portrait is less than sharp, and at which it is soft."""


def softness(avatar: Avatar) -> float:
    """How soft the picture of a face is: 0 for one as sharp as its pixels allow, 1 for one that was enlarged.

    A sharp picture has about as much detail of one pixel as of two; an enlarged one has less of the finer.
    """
    grey = cv2.cvtColor(avatar.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    face = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(face, np.rint(convex_hull(avatar.source_points.astype(np.float32))).astype(np.int32), 1)
    pictures = [grey, blur(grey, 1.0), blur(grey, 2.0)]
    fine, coarse = (float(np.abs(a - b)[face > 0].mean()) for a, b in itertools.pairwise(pictures))
    sharp, soft = RATIOS
    return float(np.clip((sharp - fine / max(coarse, 1e-3)) / (sharp - soft), 0, 1))
