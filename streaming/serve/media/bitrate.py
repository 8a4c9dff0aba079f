"""How many bits a receiver is sent: few steps, seldom taken. Sans-IO.

A receiver's estimate (REMB) starts low, climbs for seconds, and trembles; a new rate costs a new codec and a whole
picture. So an estimate counts only where it says that *what is being sent* is too much, for a while; then one step
down. Up again goes a step at a time, after long peace.
"""

import itertools
from collections.abc import Sequence
from typing import Final

from engine.clock import NS_PER_S
from engine.errors import ConfigError

STEPS_BPS: Final = (2_500_000, 1_600_000, 1_000_000, 600_000, 350_000)

_WARM_UP_NS: Final = 5 * NS_PER_S
_TOO_MUCH_NS: Final = 2 * NS_PER_S
_PEACE_NS: Final = 20 * NS_PER_S
_LOSS: Final = 0.1
"""Of the packets; less is mended by retransmission and costs less than a lower rate."""


class BitratePolicy:
    """One receiver's rate.

    Attributes:
        step: Which of ``steps`` is sent now.
    """

    def __init__(self, now_ns: int, steps: Sequence[int] = STEPS_BPS) -> None:
        """Begin with the first, highest step.

        Raises:
            ConfigError: The steps do not fall.
        """
        if not steps or any(later >= earlier for earlier, later in itertools.pairwise(steps)):
            raise ConfigError(f"The bit rates must fall from step to step, not {tuple(steps)}.")
        self._steps = tuple(steps)
        self.step = 0
        self._began, self._changed = now_ns, now_ns
        self._trouble_since: int | None = None

    @property
    def bits_per_second(self) -> int:
        """What may be sent now."""
        return self._steps[self.step]

    def observe(self, now_ns: int, sent_bps: float, estimate_bps: float | None, loss: float) -> None:
        """Note what the receiver says; about once a second.

        Args:
            now_ns: The time.
            sent_bps: What was sent of late.
            estimate_bps: What the receiver believes to fit, if it said.
            loss: Share of packets that did not arrive of late, 0 to 1.
        """
        trouble = loss > _LOSS or (estimate_bps is not None and estimate_bps < 0.9 * sent_bps)
        if now_ns - self._began < _WARM_UP_NS or not trouble:
            self._trouble_since = None
            peaceful = now_ns - self._changed >= _PEACE_NS and not trouble
            roomy = self.step > 0 and (estimate_bps is None or estimate_bps > 1.2 * self._steps[self.step - 1])
            if peaceful and roomy:
                self._change(-1, now_ns)
            return
        if self._trouble_since is None:
            self._trouble_since = now_ns
        if now_ns - self._trouble_since >= _TOO_MUCH_NS and self.step < len(self._steps) - 1:
            self._change(1, now_ns)

    def _change(self, by: int, now_ns: int) -> None:
        self.step += by
        self._changed, self._trouble_since = now_ns, None
