"""How long to wait before a call that was lost is joined again. Sans-IO."""

import random
from typing import Final

MOST_S: Final = 30.0


class Backoff:
    """Waits that double, each shortened at random, so that a server that comes back is not met by all at once."""

    def __init__(self, rng: random.Random, first_s: float = 0.5, most_s: float = MOST_S) -> None:
        """Begin with the shortest wait.

        Args:
            rng: Where chance comes from.
            first_s: The first wait at the longest.
            most_s: No wait of ours is longer.
        """
        self._rng, self._first_s, self._most_s = rng, first_s, most_s
        self._tries = 0

    def next_s(self, asked_s: float | None = None) -> float:
        """The next wait, s.

        Args:
            asked_s: What the server asked for (``Retry-After``): we come no sooner, and at most a quarter later.
        """
        longest = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        if asked_s is not None:
            return max(0.0, asked_s) + self._rng.uniform(0, 0.25) * max(longest, asked_s)
        return longest * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The call stood: begin anew with short waits."""
        self._tries = 0
