"""Teeth and tongue put where a person's lips need them.

MakeHuman's upper teeth end where the resting upper lip does, more or less so from face to face, so that hardly any open
mouth shows them; its lower teeth stand behind them and its tongue fills the mouth.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.corpus.heads.base_head import LOWER_TEETH, TONGUE, UPPER_TEETH, BaseHead
from training.corpus.heads.proxy import Proxy

_UPPER_LIP_EDGE: Final = 62
"""The landmark in the middle of the upper lip's lower edge."""
_FRONT: Final = 0.08
"""Depth in decimetres of the teeth that count as incisors."""
_OVERLAP: Final = 0.012
"""Decimetres that the upper incisors stand over the lower ones."""
_MOST: Final = 0.15
"""Decimetres that anything is moved at most."""
_TONGUE: Final = (0.03, 0.03)
"""Decimetres that the tongue lies lower and further back beside the lower teeth."""


def seat_teeth(points: NDArray[np.float32], base: BaseHead, teeth: Proxy, show: float) -> NDArray[np.float32]:
    """Move the helper vertices that carry teeth and tongue.

    Args:
        points: float32 (V, 3) decimetres, a person at rest.
        base: The mesh.
        teeth: The person's teeth.
        show: Decimetres of the upper incisors below the lip's edge.

    Returns:
        float32 (V, 3). The teeth's scale is that of ``points``: measured across both jaws, it would change here.
    """
    fitted = teeth.fit(points, teeth.scale(points))
    front = fitted[:, 2] > fitted[:, 2].max(initial=-np.inf) - _FRONT
    upper = front & (teeth.anchors >= UPPER_TEETH.start).all(1)
    lower = front & ~upper
    edge = float(base.landmarks(points)[_UPPER_LIP_EDGE, 1]) - show
    seated = points.copy()
    if upper.any():
        seated[UPPER_TEETH, 1] += np.clip(edge - fitted[upper, 1].min(), -_MOST, _MOST)
    if lower.any():
        move = float(np.clip(edge + _OVERLAP - fitted[lower, 1].max(), -_MOST, _MOST))
        seated[LOWER_TEETH, 1] += move
        seated[TONGUE] += np.array([0, move - _TONGUE[0], -_TONGUE[1]], np.float32)
    return seated
