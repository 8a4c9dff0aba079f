"""How often somebody may ask: a bucket of permits each, filled at a steady rate. Sans-IO, in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_KNOWN: Final = 4096


@dataclass(frozen=True)
class Rate:
    """Permits.

    Attributes:
        per_second: That are added.
        burst: That a full bucket holds.
    """

    per_second: float
    burst: float


class Throttle:
    """Buckets by name; of more than 4096 names the one that was not seen for longest is forgotten."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now_s: float, permits: float = 1.0) -> float:
        """Take permits.

        Args:
            name: Who asks.
            now_s: The time, s.
            permits: How many.

        Returns:
            0 if they were there and have been taken; else in how many seconds they will be.
        """
        level, seen = self._buckets.pop(name, (self._rate.burst, now_s))
        level = min(self._rate.burst, level + (now_s - seen) * self._rate.per_second)
        enough = level >= permits
        self._buckets[name] = (level - permits if enough else level, now_s)
        if len(self._buckets) > _KNOWN:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (permits - level) / self._rate.per_second
