"""The media times of a session's frames, handed out by number to who draws them and to who shows them.

A frame's time, once handed out, is fixed; a change of rate or of phase holds for those after it.

::

    number        0     1     2     3     4     5      30 fps, then 20 fps from what was not yet planned
    ticks         0  1600  3200  4800  7200  9600
"""

from collections import OrderedDict

from engine.pacing import next_slot, period_ticks
from models.spec import TICKS_PER_MOTION


class Schedule:
    """Frame numbers to media times. Only the frames that somebody still needs are kept."""

    def __init__(self, fps: int) -> None:
        """Begin at media time 0.

        Raises:
            ConfigError: The rate is not one of ``engine.pacing.FRAME_RATES``.
        """
        self._period = period_ticks(fps)
        self._phase = 0
        self._slots: OrderedDict[int, int] = OrderedDict({0: 0})

    @property
    def period(self) -> int:
        """Ticks between the frames that are planned now."""
        return self._period

    def at(self, number: int) -> int:
        """Media time of frame ``number``, planned now if it was not; it must not have been forgotten."""
        while number not in self._slots:
            last, ticks = next(reversed(self._slots.items()))
            self._slots[last + 1] = next_slot(ticks - self._phase, self._period) + self._phase
        return self._slots[number]

    def forget(self, before: int) -> None:
        """Frames before ``before`` are needed no more."""
        while len(self._slots) > 1 and next(iter(self._slots)) < before:
            self._slots.popitem(last=False)

    def change_rate(self, fps: int) -> None:
        """Plan on at ``fps``."""
        self._period = period_ticks(fps)

    def start_at(self, number: int, earliest_ticks: int) -> int:
        """Plan frame ``number`` anew, as early as may be, and the later ones a period apart from it.

        Args:
            number: The first frame that nobody has worked on.
            earliest_ticks: Media time before which it must not lie.

        Returns:
            Its media time, on the grid of the motion (60 Hz) and after the frame before it.
        """
        after = self.at(number - 1) if number - 1 in self._slots else -1
        begin = max(earliest_ticks, after + 1)
        ticks = -(-begin // TICKS_PER_MOTION) * TICKS_PER_MOTION
        for later in [planned for planned in self._slots if planned >= number]:
            del self._slots[later]
        self._slots[number] = ticks
        self._phase = ticks % self._period
        return ticks
