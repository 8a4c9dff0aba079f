"""How a smooth motion of the picture is turned round.

A *forward* field says by how much a source node moves; a picture is drawn with positions that a frame's pixels come
from. Points and motions are complex numbers, x + iy, in units of the field's nodes: one number a point keeps the
arithmetic, which runs on few points and is all overhead, in few calls.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.renderer.pixels import F32, framed, remap

C64: TypeAlias = NDArray[np.complex64]

STEEPEST = 0.3
"""A fold has no inverse: what it maps keeps at least this share of its width and height."""
SMALLEST = 0.15
"""And this share of its area."""
LONGEST_STEP = 3.0
"""Nodes that one step of the iteration may go along either axis."""
STEPS = 2


def as_pairs(points: C64) -> F32:
    """The same memory as float32 (..., 2), x and y."""
    return points.view(np.float32).reshape(*points.shape, 2)


def as_points(pairs: F32) -> C64:
    """The same memory as complex64 (...); ``pairs`` is contiguous float32 (..., 2)."""
    return pairs.view(np.complex64)[..., 0]


def invert(field: C64, targets: C64, at_targets: C64 | None = None) -> C64:
    """Find where ``targets`` come from, by Newton steps that share one slope.

    Args:
        field: complex64 (h, w): node x goes to x + field(x). Beyond its edge it repeats.
        targets: complex64 (m, n), any points, in an order that suits the cache.
        at_targets: complex64 (m, n), the field there, where it is known.

    Returns:
        complex64 (m, n), the points x for which x + field(x) is the target.
    """
    motion = as_pairs(field)
    x = targets - (as_points(remap(motion, as_pairs(targets))) if at_targets is None else at_targets)
    slope = remap(_slopes(motion), as_pairs(x)).view(np.complex64)
    turning, shearing = slope[..., 0], slope[..., 1]
    area = np.square(slope.view(np.float32)).reshape(*x.shape, 4) @ _AREA
    scale = (1 / np.maximum(area, SMALLEST)).astype(np.complex64)
    along, across = np.conj(turning) * scale, shearing * scale
    for _ in range(STEPS):
        error = x + as_points(remap(motion, as_pairs(x))) - targets
        step = along * error - across * np.conj(error)
        pairs = step.view(np.float32)
        np.minimum(np.maximum(pairs, -LONGEST_STEP, out=pairs), LONGEST_STEP, out=pairs)
        x -= step
    return x


_AREA = np.array([1, 1, -1, -1], np.float32)


def _slopes(motion: F32) -> F32:
    """Slope of x + motion(x), as a change dx of x changes it: p dx + q conj(dx); float32 (h, w, 4) holds p and q."""
    around = as_points(framed(motion, 1))
    right, down = around[1:-1, 2:] - around[1:-1, :-2], around[2:, 1:-1] - around[:-2, 1:-1]
    # These are differences over two nodes, and p and q take half of each.
    np.maximum(right.real, 2 * (STEEPEST - 1), out=right.real)
    np.maximum(down.imag, 2 * (STEEPEST - 1), out=down.imag)
    down *= 0.25j
    right *= 0.25
    slopes = np.empty((*right.shape, 2), np.complex64)
    np.add(right, down, out=slopes[..., 1])
    right += 1
    np.subtract(right, down, out=slopes[..., 0])
    return slopes.view(np.float32)
