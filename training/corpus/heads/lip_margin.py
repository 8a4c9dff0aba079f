"""Where lips end to one who looks at them: the inner-lip landmarks as people mark them in pictures.

A vertex of the mesh does not stay there: as the mouth opens, lips roll, and the vertex at the margin of closed lips
ends up on the red of open ones, a tenth of the opening away from what can be seen.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import INNER_LIP_PAIRS
from training.corpus.heads.base_head import BaseHead

_REACH: Final = 0.1
"""fu around a landmark of the face at rest in which its lip's margin can come to lie."""
_BESIDE: Final = 0.025
"""fu beside a landmark of the face at rest: what is wider slopes, and its highest point is not the landmark's."""
_SHARP: Final = 0.002
"""fu from the outermost point at which a point of the lip counts e times less."""


class LipMargin:
    """Finds the margin of one person's lips."""

    def __init__(self, base: BaseHead, skin: NDArray[np.float32], marks: NDArray[np.float32]) -> None:
        """Choose the points among which margins lie.

        Args:
            base: The mesh.
            skin: float32 (S, 3) fu, the surface at rest.
            marks: float32 (68, 3) fu, the landmarks at rest.
        """
        self._held: dict[int, NDArray[np.int64]] = {}
        for pair in INNER_LIP_PAIRS:
            for mark, side in zip(pair, (base.lower_lip < 0.5, base.lower_lip >= 0.5), strict=True):
                away = skin - marks[mark]
                near = (np.abs(away[:, 0]) < _BESIDE) & (np.linalg.norm(away, axis=1) < _REACH)
                self._held[mark] = np.flatnonzero((base.lip > 0.5) & side & near)

    def place(self, marks: NDArray[np.float32], skin: NDArray[np.float32]) -> NDArray[np.float32]:
        """Landmarks float32 (68, 3) fu with the inner lips' at their margins, for a surface (S, 3) fu."""
        placed = marks.copy()
        for upper, lower in INNER_LIP_PAIRS:
            # +y is down: the upper lip ends at its lowest point, the lower one at its highest.
            for mark, way in ((upper, 1), (lower, -1)):
                points = skin[self._held[mark]]
                if len(points):
                    level = way * points[:, 1] / _SHARP
                    share = np.exp(level - level.max())
                    placed[mark, 1:] = share @ points[:, 1:] / share.sum()
            if placed[upper, 1] > placed[lower, 1]:
                # Lips that press against each other overlap; they are seen to meet half way.
                placed[[upper, lower], 1] = placed[[upper, lower], 1].mean()
        return placed
