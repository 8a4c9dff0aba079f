"""The sound side of a session: from the intake to what is heard by the pipeline and what is played. Sans-IO.

Both modes keep one order: sound leaves the intake once, and goes to the track (48 kHz, to be played) and to the
pipeline (16 kHz, as an order for ``Hearing``, which works elsewhere) for the same place on the media clock.

*Live* sound follows a clock: it is taken as it comes, and concealed where it is due and missing. *Pushed* sound has
none: it waits until an utterance may begin, is then laid on the clock from there on, and taken as it falls due.
"""

from collections.abc import Callable
from typing import Any, Literal

from numpy.typing import NDArray

from engine.clock import ms_to_ticks
from engine.hearing import Hearing
from engine.intake import Intake
from engine.resampling import Sound
from engine.sound_track import SoundTrack
from models.spec import TICKS_PER_SAMPLE

Mode = Literal["live", "pushed"]
Order = Callable[[Hearing], bool]
"""Something for the pipeline's side; says whether motion goes on from another face."""

_AHEAD_TICKS = ms_to_ticks(100)
"""How far ahead of the clock a live source's sound is taken: the rest waits in the bounded intake."""
_HOLD_TICKS = ms_to_ticks(250)
"""An utterance that comes so slowly that its lookahead is still missing begins after this time."""


class LiveSound:
    """A source with a clock."""

    def __init__(self, intake: Intake) -> None:
        self.intake, self.track = intake, SoundTrack()
        self._orders: list[Order] = []

    @property
    def known_ticks(self) -> int:
        """All that left the intake."""
        return self.intake.position_ticks

    def push(self, samples: NDArray[Any], rate_hz: int, now_ticks: int) -> None:
        """Take in a chunk that arrived at ``now_ticks``."""
        self.intake.push(samples, rate_hz, now_ticks)

    def advance(self, until_ticks: int, now_ticks: int) -> None:
        """Take what has come, up to a little ahead of the clock."""
        self._pass(self.intake.read(max(until_ticks, now_ticks + _AHEAD_TICKS) - self.known_ticks))

    def force(self, until_ticks: int) -> None:
        """Conceal what is missing up to ``until_ticks``."""
        missing = _whole(until_ticks) - self.known_ticks
        if missing > self.intake.queued_ticks:
            self._pass(self.intake.take(_whole(until_ticks)))
        elif missing > 0:
            self._pass(self.intake.read(missing))

    def orders(self) -> list[Order]:
        """Sound for the pipeline."""
        orders, self._orders = self._orders, []
        return orders

    def drop(self) -> None:
        """Silence in the place of all that has come and was not played."""
        self.intake.clear()
        self.track.drop(keep_time=True)

    def _pass(self, sound: Sound) -> None:
        if sound.ticks:
            self.track.append(sound.sound)
            self._orders.append(lambda hearing: hearing.append(sound.speech))


class PushedSound:
    """Utterances, each laid on the clock where it may begin."""

    def __init__(self, intake: Intake, lookahead_ticks: int) -> None:
        """Begin in silence.

        Args:
            intake: In pushed mode.
            lookahead_ticks: Sound that the first frame of an utterance wants to hear.
        """
        self.intake, self.track = intake, SoundTrack()
        self._lookahead = lookahead_ticks
        self._orders: list[Order] = []
        self._known = 0
        self._speaking = False
        self._finished = False
        self._since: int | None = None
        self._dropped = False
        self.underruns = 0

    @property
    def known_ticks(self) -> int:
        """All that was laid on the clock."""
        return self._known

    @property
    def unsaid(self) -> bool:
        """Whether speech waits or is still to be played."""
        return bool(self.intake.queued_ticks) or (self._speaking and self._known > self.track.next_ticks)

    @property
    def hold_until(self) -> int | None:
        """Media time at which the speech that waits begins, however little it is; None if none waits."""
        if self._since is None or self._speaking or not self.intake.queued_ticks:
            return None
        return self._since + _HOLD_TICKS

    def push(self, samples: NDArray[Any], rate_hz: int, now_ticks: int) -> None:
        """Queue a chunk of the utterance that is being said, or of the next."""
        self._end_if_run_dry()
        self.intake.push(samples, rate_hz)
        if len(samples):
            self._finished = False
            if self._since is None and not self._speaking:
                self._since = now_ticks

    def finish(self) -> None:
        """The utterance is complete."""
        self.intake.finish()
        self._finished = True

    def may_begin(self, now_ticks: int) -> bool:
        """Whether an utterance waits that should begin."""
        waiting = self.intake.queued_ticks
        if self._speaking or not waiting:
            return False
        held = self._since is not None and now_ticks - self._since >= _HOLD_TICKS
        return self._finished or held or waiting >= self._lookahead

    def begin(self, media_ticks: int) -> None:
        """Lay what waits on the clock from ``media_ticks`` on, rounded down to a 16 kHz sample."""
        place = _whole(media_ticks)
        self.track.skip_to(place)
        self._known, self._speaking, self._since, self._dropped = place, True, None, False
        self._orders.append(lambda hearing: _skip(hearing, place))

    def advance(self, until_ticks: int, now_ticks: int) -> None:
        """Take what is needed of the utterance up to ``until_ticks``."""
        self._end_if_run_dry()
        if self._speaking:
            self._pass(self.intake.read(until_ticks + TICKS_PER_SAMPLE - self._known))

    def force(self, until_ticks: int) -> None:
        """Take what there is; where there is nothing the track is silent."""
        self.advance(until_ticks, until_ticks)

    def orders(self) -> list[Order]:
        """Sound for the pipeline, and where it lies.

        None when first asked after speech was dropped: that is for a frame whose mouth is shut whatever is heard, and
        which must not wait until silence was heard in the place of speech.
        """
        if self._dropped:
            self._dropped = False
            return []
        orders, self._orders = self._orders, []
        return orders

    def drop(self, media_ticks: int) -> None:
        """Forget all speech that was not played; the pipeline forgets it from ``media_ticks`` on."""
        self.intake.clear()
        self.track.drop(keep_time=False)
        self._speaking, self._since = False, None
        self._known = min(self._known, media_ticks)
        self._orders.append(lambda hearing: hearing.cut(media_ticks))
        self._dropped = True

    def _pass(self, sound: Sound) -> None:
        if sound.ticks:
            self.track.append(sound.sound)
            self._known += sound.ticks
            self._orders.append(lambda hearing: hearing.append(sound.speech))

    def _end_if_run_dry(self) -> None:
        """Where silence had to be played already, what comes next is an utterance of its own."""
        if self._speaking and self._known < self.track.next_ticks:
            self._speaking = False
            self.underruns += not self._finished


def _skip(hearing: Hearing, media_ticks: int) -> bool:
    hearing.skip_to(media_ticks)
    # What follows is heard in the place of silence that was assumed; the going back tells of itself.
    return False


def _whole(media_ticks: int) -> int:
    return media_ticks - media_ticks % TICKS_PER_SAMPLE
