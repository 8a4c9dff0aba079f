"""Random numbers as a pure function of (seed, stream, counter): Philox, a counter-based generator.

A stage that draws keeps a counter instead of a generator, so its state is two integers, can be saved anywhere and
draws the same after being restored. Raw bits are turned into numbers here and not by numpy's distributions, whose
streams may change between versions.
"""

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def uniforms(seed: int, stream: int, counter: int, count: int) -> NDArray[np.float64]:
    """Independent uniform numbers.

    Args:
        seed: Any integer; its low 64 bits count.
        stream: What the numbers are for; streams are independent of each other.
        counter: Which draw; draws are independent of each other.
        count: How many numbers.

    Returns:
        float64 (count,) in the open interval (0, 1).
    """
    key = np.array([seed & _MASK, stream & _MASK], np.uint64)
    start = np.array([0, counter & _MASK, 0, 0], np.uint64)
    bits = np.random.Philox(key=key, counter=start).random_raw(count)
    numbers: NDArray[np.float64] = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers


def normals(seed: int, stream: int, counter: int, count: int) -> NDArray[np.float64]:
    """Independent standard normal numbers, float64 (count,), by Box and Muller's method; arguments as above."""
    radius, angle = uniforms(seed, stream, counter, 2 * count).reshape(2, count)
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
    return numbers
