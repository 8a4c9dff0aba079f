"""From the nodes of a lattice to the pixels of a picture.

A window's picture needs the nodes in it and one more on each side: those are ``lattice(window)`` of the positions
that ``geometry.fine_positions`` gives.
"""

from typing import cast

import numpy as np

from engine.renderer.canvas import Window
from engine.renderer.inverse import C64, as_pairs
from engine.renderer.pixels import CELL, F32, U8, enlarge, remap


def lattice(window: Window) -> Window:
    """The nodes for a window on multiples of CELL, in a lattice that has one node beyond the picture on all sides."""
    rows, columns = window
    return (
        slice(rows.start // CELL, rows.stop // CELL + 2),
        slice(columns.start // CELL, columns.stop // CELL + 2),
    )


def enlarged(nodes: C64, scale: int = 1) -> F32:
    """Positions of a window's pixels.

    Args:
        nodes: complex64 (h / CELL + 2, w / CELL + 2) px, positions of the window's ``lattice``.
        scale: Of the source in which they are looked up: its pixels for a pixel of the portrait.

    Returns:
        float32 (h, w, 2).
    """
    height, width = nodes.shape
    large = enlarge(as_pairs(nodes * scale), width * CELL, height * CELL)
    return cast(F32, large[CELL:-CELL, CELL:-CELL])


def sampled(doubled: U8, nodes: C64) -> U8:
    """A window's picture (h, w, C) from a source of twice its resolution; ``nodes`` as for ``enlarged``."""
    return cast(U8, remap(doubled, enlarged(nodes, 2)))


def half_sampled(soft: U8, nodes: C64) -> U8:
    """The same from every other pixel, with a source of the frame's resolution that holds no finer detail."""
    height, width = nodes.shape
    half = CELL // 2
    positions = enlarge(as_pairs(np.ascontiguousarray(nodes)), width * half, height * half)
    # One pixel more on each side, so that windows beside each other meet without a step.
    small = remap(soft, positions[half - 1 : 1 - half, half - 1 : 1 - half])
    large = enlarge(small, 2 * small.shape[1], 2 * small.shape[0])
    return cast(U8, large[2:-2, 2:-2])
