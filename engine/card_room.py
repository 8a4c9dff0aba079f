"""Where many sessions are drawn on one card: each sketches its frames, one thread has all that are due drawn at once.

::

    session A ... sketch ─┐ (processes)        ┌─ picture ... A
    session B ... sketch ─┼─ waits ─ [launch] ─┼─ picture ... B
    session C ... sketch ─┘                    └─ picture ... C

A session has a process that sketches for it: geometry holds Python's lock too much for threads to share it.

Whatever waits when the card is free goes in one launch, and nothing ever waits to fill one: a session alone is as fast
as on a card of its own. Where more wait than one launch takes, every session's first frame goes before any session's
second, and the sessions go first that were drawn least lately: one that asks for much gets no more than others.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.picture_network import PictureNetwork
from engine.backends.device_network import BUCKETS, Bound
from engine.backends.painter import encode_static
from engine.care import Care
from engine.controls import Face
from engine.drawing import Drawing
from engine.errors import MienError, SessionError
from engine.lanes import FrameRenderer, Picture
from engine.process_renderer import ProcessRenderer
from engine.renderer.network_input import WINDOW_SIZE, source_input
from engine.renderer.pixels import U8
from engine.renderer.sketch import Sketch, SketchRenderer, unpack_sketch
from engine.scheduling import Role, take_role

AT_ONCE = 2
"""Frames that one session has on their way: one is sketched while another is drawn."""


class FramePainter(Protocol):
    """Draws frames of several sessions at once; see ``engine.backends.painter``."""

    def bind(self, source: U8, plate: U8, static: NDArray[np.float32] | None = None) -> Bound:
        """Put a portrait on the device."""
        ...

    def draw(self, sketches: Sequence[Sketch], who: Sequence[Bound]) -> list[U8]:
        """Draw frames."""
        ...


def pick(waiting: Sequence[Hashable], most: int, lately: Mapping[Hashable, int] | None = None) -> list[int]:
    """Which frames go in the next launch.

    Args:
        waiting: For each frame that waits, in the order in which they came, whose it is.
        most: Frames that one launch takes.
        lately: The more, the later a session was last chosen; those that are not named never were.

    Returns:
        Their numbers, in the order in which they are chosen.
    """
    seen, before = dict[Hashable, int](), lately or {}
    turns = []
    for number, session in enumerate(waiting):
        turns.append((seen.get(session, 0), before.get(session, -1), number))
        seen[session] = seen.get(session, 0) + 1
    return [number for _, _, number in sorted(turns)[:most]]


@dataclass
class _Waiting:
    """A sketch and who waits for its picture."""

    session: Hashable
    sketch: Sketch
    who: Bound
    drawn: "Future[Picture]"


class CardRoom:
    """One painter and the thread that has it draw."""

    def __init__(
        self,
        painter: FramePainter,
        network: PictureNetwork | None,
        *,
        most: int = BUCKETS[-1],
        sketcher: Callable[[Drawing], FrameRenderer] = lambda drawing: ProcessRenderer(drawing, 1),
    ) -> None:
        """Begin.

        Args:
            painter: What draws.
            network: The one that the painter has, for what it computes once of each portrait.
            most: Frames that one launch takes.
            sketcher: Gives what sketches for a session; by default a process.
        """
        self._painter, self._network, self._most, self._sketcher = painter, network, most, sketcher
        self._waiting: list[_Waiting] = []
        self._chosen = 0
        self._lately: dict[Hashable, int] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="mien-card", daemon=True)
        self._thread.start()

    def renderer(self, avatar: Avatar, patterns: U8 | None = None) -> "CardRenderer":
        """What draws one session's frames. Takes a second.

        Args:
            avatar: Whom to draw.
            patterns: uint8 (12, 256, 256), a style's own; by default the network's neutral ones.

        Raises:
            CapacityError: No more portraits fit on the card.
            SessionError: The room is closed.
        """
        drawing, who = self.seat(avatar, patterns)
        return CardRenderer(self, self._sketcher(drawing), who)

    def seat(self, avatar: Avatar, patterns: U8 | None = None) -> tuple[Drawing, Bound]:
        """Put a portrait on the card, as ``renderer`` does: what sketches it is to be told, and its place."""
        if self._closed:
            raise SessionError("The card's thread has ended: make a new engine.")
        size = WINDOW_SIZE if self._network is None else self._network.geometry.size
        static = None if self._network is None else encode_static(self._network, source_input(avatar, size), patterns)
        who = self._painter.bind(SketchRenderer(avatar).source, avatar.plate, static)
        return Drawing(avatar, sketched=size), who

    def draw(self, session: Hashable, sketch: Sketch, who: Bound) -> "Future[Picture]":
        """Let a frame be drawn in the next launch that has room.

        Raises:
            SessionError: The room is closed.
        """
        waiting = _Waiting(session, sketch, who, Future())
        with self._wake:
            if self._closed:
                raise SessionError("The card's thread has ended: make a new engine.")
            self._waiting.append(waiting)
            self._wake.notify()
        return waiting.drawn

    def close(self) -> None:
        """End the threads after what they are doing; what waits is cancelled. Closing twice is legal."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        for each in self._waiting:
            each.drawn.cancel()
        self._waiting.clear()

    def _run(self) -> None:
        """On the thread: one launch after another."""
        take_role(Role.DRAWS)
        while not self._closed:
            self._launch(self._take())

    def _take(self) -> list[_Waiting]:
        """Wait for frames and take those of the next launch; none where the room is closed."""
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            if self._closed:
                return []
            chosen = pick([each.session for each in self._waiting], self._most, self._lately)
            due = [self._waiting[number] for number in chosen]
            left = set(chosen)
            self._waiting = [each for number, each in enumerate(self._waiting) if number not in left]
            self._lately.update((each.session, self._chosen + place) for place, each in enumerate(due))
            self._chosen += len(due)
        return [each for each in due if each.drawn.set_running_or_notify_cancel()]

    def leave(self, session: Hashable) -> None:
        """Forget a session that draws no more."""
        with self._wake:
            self._lately.pop(session, None)

    def _launch(self, due: Sequence[_Waiting]) -> None:
        if not due:
            return
        try:
            pictures = self._painter.draw([each.sketch for each in due], [each.who for each in due])
        except Exception as error:
            for each in due:
                each.drawn.set_exception(error)
            return
        for each, picture in zip(due, pictures, strict=True):
            each.drawn.set_result(picture)


class CardRenderer:
    """Draws one session's frames: a ``FrameRenderer``."""

    workers = AT_ONCE

    def __init__(self, room: CardRoom, sketcher: FrameRenderer, who: Bound) -> None:
        """Keep what the session has on the card."""
        self._room, self._sketcher = room, sketcher
        self._who: Bound | None = who

    async def render(self, face: Face, care: Care = Care.FULL) -> Picture:
        """Draw ``face``. There is no less careful way: the card takes as long for it.

        Args:
            face: What to draw.
            care: Has no say.

        Raises:
            ConfigError: The face has an array of the wrong shape, or one that is not finite.
            MienError: This was closed, or the card failed.
        """
        who = self._who
        if who is None:
            raise MienError("The renderer was closed: make a new one.")
        sketch = unpack_sketch(await self._sketcher.render(face))
        return await asyncio.wrap_future(self._room.draw(id(self), sketch, who))

    def close(self) -> None:
        """Free the place on the card and end the process; closing twice is legal."""
        self._who = None
        self._sketcher.close()
        self._room.leave(id(self))
