"""The greatest of what has come, each item looked at once: a test that waits must not hold up what it waits for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Peak:
    """Call it for the greatest value so far of a list that grows."""

    def __init__(self, items: Sequence[Any], value: Callable[[Any], float]) -> None:
        """Look at what comes from now on."""
        self._items, self._value, self._seen, self._peak = items, value, len(items), 0.0

    def __call__(self) -> float:
        for item in self._items[self._seen :]:
            self._peak = max(self._peak, self._value(item))
            self._seen += 1
        return self._peak


def loudness(sound: Any) -> float:
    """Of an ``av.AudioFrame``."""
    return float(np.abs(sound.to_ndarray()).max())


def shade(frame: Any) -> float:
    """Of an ``av.VideoFrame``: the brightness of its middle."""
    return float(frame.reformat(width=16, height=16, format="gray").to_ndarray()[8, 8])
