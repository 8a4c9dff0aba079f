"""Which parts of a frame can show the person at all: the rest is background, and need not be drawn."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.renderer.inverse import C64, as_pairs
from engine.renderer.pixels import CELL as NODE_CELL
from engine.renderer.pixels import U8
from models.spec import IMAGE_SIZE

CELL: Final = 16
"""Pixels of a coarse cell."""
BAND: Final = 64
"""Rows of a band: few enough that all its pictures stay in the processor's own cache."""
REACH: Final = 1
"""Cells around the source of a cell's middle in which the sources of its pixels can come to lie."""
_COARSE: Final = IMAGE_SIZE // CELL


class Silhouette:
    """Finds the person in moved frames of one avatar."""

    def __init__(self, matte: U8) -> None:
        """Look where ``matte``, uint8 (512, 512), shows anything."""
        cells = matte.reshape(_COARSE, CELL, _COARSE, CELL).any((1, 3))
        seen = np.zeros((_COARSE + 2 * REACH,) * 2, bool)
        for y in range(2 * REACH + 1):
            for x in range(2 * REACH + 1):
                seen[y : y + _COARSE, x : x + _COARSE] |= cells
        self._seen = seen[REACH:-REACH, REACH:-REACH].copy()

    def bands(self, positions: C64) -> list[tuple[slice, slice]]:
        """Rows and columns of all that can show the person, on multiples of CELL.

        Args:
            positions: complex64 (130, 130) px, where the nodes of a lattice of 4 px come from, with one node beyond
                the picture on all sides.
        """
        step = CELL // NODE_CELL
        nodes = np.ascontiguousarray(positions[1 + step // 2 : -1 : step, 1 + step // 2 : -1 : step])
        cells = (as_pairs(nodes) * (1 / CELL)).astype(np.intp)
        cells = np.minimum(np.maximum(cells, 0, out=cells), _COARSE - 1, out=cells)
        at_cells: NDArray[np.bool_] = self._seen[cells[..., 1], cells[..., 0]]
        seen = np.asarray(at_cells.reshape(IMAGE_SIZE // BAND, -1, _COARSE).any(1))
        first, last = seen.argmax(1) * CELL, IMAGE_SIZE - seen[:, ::-1].argmax(1) * CELL
        return [
            (slice(row * BAND, (row + 1) * BAND), slice(int(first[row]), int(last[row])))
            for row in np.flatnonzero(seen.any(1)).tolist()
        ]
