"""What an overloaded session does without, and when it takes it back: frame rate and care, by declared steps.

Sound and motion are never skipped; only fewer pictures are drawn, and in the end cheaper ones. Stepping down is
quick, climbing back is slow and becomes slower each time it failed, so that a machine at its edge does not swing.
"""

from dataclasses import dataclass, replace
from typing import Final

from engine.care import Care
from engine.errors import ConfigError
from models.spec import MEDIA_HZ


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        fps: Pictures a second.
        care: With which they are drawn.
    """

    fps: int
    care: Care = Care.FULL

    @property
    def economy(self) -> bool:
        """Whether pictures are drawn with the least care."""
        return self.care is Care.ECONOMY

    def __str__(self) -> str:
        """As it is logged."""
        return f"{self.fps} fps{_SAID[self.care]}"


_SAID: Final = {Care.FULL: "", Care.PLAIN: ", without the network", Care.ECONOMY: ", cheaper drawing"}
LADDERS: Final = {
    60: (Rung(60), Rung(30), Rung(20), Rung(20, Care.ECONOMY)),
    30: (Rung(30), Rung(20), Rung(20, Care.ECONOMY)),
    25: (Rung(25), Rung(20), Rung(20, Care.ECONOMY)),
    20: (Rung(20), Rung(20, Care.ECONOMY)),
}
"""What a session of each full rate steps down through where the geometric renderer draws alone."""


def refined_ladder(fps: int) -> tuple[Rung, ...]:
    """The same where a network refines the pictures: that goes first, and motion stays as smooth as it is."""
    plain = (Rung(rung.fps, max(rung.care, Care.PLAIN)) for rung in LADDERS[fps])
    return (Rung(fps), *plain)


_WINDOW_TICKS = MEDIA_HZ
_TOO_MANY = 0.1
"""Share of a window's frames that missed from which a step down is taken."""
_CLIMB_TICKS = 5 * MEDIA_HZ
_CLIMB_LIMIT_TICKS = 80 * MEDIA_HZ
_ROOM = 0.75
"""Of the machine, what the next higher rung may at most be expected to use."""
_ECONOMY_COST = 0.85
"""What a picture drawn with less care costs, as a share of a plain one: measured on one core, one thread."""
_REFINED_COST = 3.0
"""What one that a network refines costs, likewise."""


@dataclass(frozen=True)
class LadderState:
    """Where a session stands.

    Attributes:
        rung: Index into its ladder, 0 the full rate.
        window_start: Media time at which the present window began.
        frames: Frames due in it.
        missed: Of them, those that were not ready.
        busy_ticks: Time that drawing them took.
        quiet_since: Media time since which nothing was missed beyond measure.
        climb_after: Quiet ticks that are asked for before a climb.
        climbed_at: Media time of the last climb; -1 if there was none.
    """

    rung: int = 0
    window_start: int = 0
    frames: int = 0
    missed: int = 0
    busy_ticks: int = 0
    quiet_since: int = 0
    climb_after: int = _CLIMB_TICKS
    climbed_at: int = -1


class Ladder:
    """The steps of one session: a pure function of what became of its frames."""

    def __init__(self, fps: int, workers: int = 1, *, refined: bool = False) -> None:
        """Set up.

        Args:
            fps: The session's full rate.
            workers: Pictures that are drawn at once.
            refined: Whether a network refines them at full care.

        Raises:
            ConfigError: There is no ladder for this rate.
        """
        if fps not in LADDERS:
            raise ConfigError(f"The frame rate is {', '.join(map(str, LADDERS))} fps, not {fps}.")
        self.rungs = refined_ladder(fps) if refined else LADDERS[fps]
        self._full_cost = _REFINED_COST if refined else 1.0
        self._workers = workers

    def rung(self, state: LadderState) -> Rung:
        """How pictures are drawn now."""
        return self.rungs[state.rung]

    def step(self, state: LadderState, media_ticks: int, *, missed: bool, busy_ticks: int) -> LadderState:
        """Account for one frame that was due.

        Args:
            state: As ``LadderState()`` or from the last step.
            media_ticks: The frame's media time.
            missed: Whether its picture was not ready.
            busy_ticks: How long a worker drew since the last frame.

        Returns:
            The next state, one rung further at most.
        """
        state = replace(
            state,
            frames=state.frames + 1,
            missed=state.missed + missed,
            busy_ticks=state.busy_ticks + busy_ticks,
        )
        elapsed = media_ticks - state.window_start
        if elapsed < _WINDOW_TICKS:
            return state
        overloaded = state.missed > _TOO_MANY * state.frames
        used = state.busy_ticks / (elapsed * self._workers)
        fresh = replace(state, window_start=media_ticks, frames=0, missed=0, busy_ticks=0)
        if overloaded:
            return self._down(fresh, media_ticks)
        quiet = media_ticks - state.quiet_since >= state.climb_after
        if state.rung > 0 and quiet and used * self._cost(state.rung - 1) / self._cost(state.rung) <= _ROOM:
            return replace(fresh, rung=state.rung - 1, quiet_since=media_ticks, climbed_at=media_ticks)
        return fresh

    def _down(self, state: LadderState, media_ticks: int) -> LadderState:
        """One rung lower; after a climb that did not last the next one must wait twice as long."""
        failed = 0 <= state.climbed_at and media_ticks - state.climbed_at < 2 * _CLIMB_TICKS
        wait = min(_CLIMB_LIMIT_TICKS, 2 * state.climb_after) if failed else _CLIMB_TICKS
        rung = min(len(self.rungs) - 1, state.rung + 1)
        return replace(state, rung=rung, quiet_since=media_ticks, climb_after=wait, climbed_at=-1)

    def _cost(self, number: int) -> float:
        """Of a rung, in plain pictures a second."""
        rung = self.rungs[number]
        return rung.fps * {Care.FULL: self._full_cost, Care.PLAIN: 1.0, Care.ECONOMY: _ECONOMY_COST}[rung.care]


class LadderWalk:
    """A session on its ladder.

    Attributes:
        down: Steps that it took down.
        up: Steps back.
    """

    def __init__(self, fps: int, workers: int, *, refined: bool = False) -> None:
        """Begin at the top; see ``Ladder``."""
        self._ladder, self._state = Ladder(fps, workers, refined=refined), LadderState()
        self.down, self.up = 0, 0

    @property
    def rung(self) -> Rung:
        """How pictures are drawn now."""
        return self._ladder.rung(self._state)

    def step(self, media_ticks: int, *, missed: bool, busy_ticks: int) -> str:
        """Account for one frame that was due, as ``Ladder.step``; the step that it led to, in words, empty if none."""
        before, rung = self._state.rung, self.rung
        self._state = self._ladder.step(self._state, media_ticks, missed=missed, busy_ticks=busy_ticks)
        if self._state.rung == before:
            return ""
        overloaded = self._state.rung > before
        self.down, self.up = self.down + overloaded, self.up + (not overloaded)
        return f"{'overloaded' if overloaded else 'free'}: {rung} -> {self.rung}"
