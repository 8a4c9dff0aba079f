"""A session that others reach by a name: with its voice, its viewers and its end.

A room is one running session. It has one speaker at a time - who last began to speak; others are left unheard - and
any number of viewers up to a limit.
"""

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.budget import Budget
from engine.clock import NS_PER_S, Clock, ms_to_ticks, ns_to_ticks, ticks_to_ns
from engine.lanes import Lane
from engine.session import Session
from models.spec import MEDIA_HZ
from streaming.serve.gallery import Gallery
from streaming.serve.media.aiortc_doors import WallClock
from streaming.serve.media.backdrop import Backdrop, PictureKind
from streaming.serve.media.encoders import VideoCodec
from streaming.serve.media.fanout import Fanout, Feed, Retouch
from streaming.serve.messages import BudgetView, Change, ControlValues, NewSession, SessionMade, SessionView
from streaming.serve.peers import CallSettings, IceServer, Peer, Role
from streaming.serve.serve_errors import RETRY_AFTER_S, RequestError
from streaming.serve.wardrobe import Wardrobe

logger = logging.getLogger(__name__)


class Waiting(Protocol):
    """Holds sound that waits to be pushed."""

    def forget(self) -> None:
        """Leave it out."""
        ...


class Room:
    """One session, reached by many.

    Attributes:
        id: Not to be guessed, or the name of a session that has its own voice.
        token: Opens this session's doors.
        asked: What the session is.
        avatar: Who it is now.
        style: How it moves now.
        has_own_voice: Whether it speaks from a microphone of this machine, and hears nobody else.
        backdrop: What is behind the avatar, where it is drawn alone.
        muted: Whether the voice is heard as silence.
        sockets: Those that push, each with sound of its own that waits.
        failed: Whether something broke, and ended it.
    """

    def __init__(
        self,
        asked: NewSession,
        session: Session,
        *,
        clock: Clock,
        lane: Lane,
        ice_servers: tuple[IceServer, ...],
        codec: VideoCodec,
        max_peers: int,
        retouch: Retouch | None,
        backdrop: Backdrop,
        own: str | None = None,
    ) -> None:
        self.id, self.token = own or secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        self.has_own_voice = own is not None
        self.asked, self.avatar, self.style = asked, asked.avatar, asked.style
        self.session, self.backdrop = session, backdrop
        self.muted = False
        self.sockets: set[Waiting] = set()
        self._clock, self._lane = clock, lane
        self._ice_servers, self._codec, self._max_peers = ice_servers, codec, max_peers
        self._fanout = Fanout(session, retouch)
        self._peers: dict[str, Peer] = {}
        self._speaker: object = None
        self._began_ns = self._used_ns = clock.now_ns()
        self.ended = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self.failed = False

    @property
    def age_s(self) -> float:
        """Since when it runs."""
        return (self._clock.now_ns() - self._began_ns) / NS_PER_S

    @property
    def idle_s(self) -> float:
        """Since when nobody is there; 0 while somebody is."""
        if self._peers or self.sockets:
            self.touch()
        return (self._clock.now_ns() - self._used_ns) / NS_PER_S

    @property
    def peers(self) -> int:
        """Connections."""
        return len(self._peers)

    def touch(self) -> None:
        """Somebody was there."""
        self._used_ns = self._clock.now_ns()

    async def begin(self) -> None:
        """Begin the session, which measures the machine and may be refused.

        Raises:
            MienError: See ``Session.__aenter__``.
        """
        await self.session.__aenter__()
        self._began_ns = self._used_ns = self._clock.now_ns()
        self._wall = WallClock(self._began_ns)
        self._run = asyncio.create_task(self._hand_out(), name="mien-room")

    async def close(self) -> None:
        """End the session and hang up on everybody; closing twice is legal."""
        await asyncio.gather(*(peer.close() for peer in list(self._peers.values())))
        await self.session.close()
        if self._run is not None:
            await asyncio.wait([self._run])
        self.ended.set()

    def budget(self) -> BudgetView:
        """What the latency is made of."""
        found: Budget = self.session.budget
        jitter = self.asked.jitter_ms if self.asked.mode == "live" else 0.0
        ahead = self.session.sound_ahead_ticks * 1000 / MEDIA_HZ
        return BudgetView(**dataclasses.asdict(found), jitter_ms=jitter, total_ms=found.total_ms, sound_ahead_ms=ahead)

    def made(self, *, with_token: bool) -> SessionMade:
        """For whoever asked for it."""
        servers = [
            {"urls": server.url}
            | ({"username": server.username} if server.username else {})
            | ({"credential": server.credential} if server.credential else {})
            for server in self._ice_servers
        ]
        return SessionMade(
            id=self.id,
            label=self.session.label,
            avatar=self.avatar,
            style=self.style,
            mode=self.asked.mode,
            fps=self.asked.fps,
            budget=self.budget(),
            token=self.token if with_token else None,
            ice_servers=servers,
        )

    def view(self) -> SessionView:
        """What there is to know."""
        return SessionView(
            id=self.id,
            label=self.session.label,
            avatar=self.avatar,
            style=self.style,
            mode=self.asked.mode,
            fps=self.asked.fps,
            age_s=round(self.age_s, 3),
            budget=self.budget(),
            stats=dataclasses.asdict(self.session.stats()),
            stages=self.session.instruments.stages_ms(),
            controls=dataclasses.asdict(self.session.set()),
            mute=self.muted,
            peers=[peer.stats() for peer in self._peers.values()],
            sockets=len(self.sockets),
        )

    async def change(self, change: Change, gallery: Gallery, wardrobe: Wardrobe) -> None:
        """Change the running session.

        Raises:
            MienError: It cannot be; what was changed before that stays.
        """
        self.touch()
        if change.controls is not None:
            self.steer(change.controls)
        if change.mute is not None:
            self.muted = change.mute
        if change.avatar is not None:
            await self.become(change.avatar, gallery)
        if change.style is not None:
            await self.wear(change.style, wardrobe)

    def steer(self, controls: ControlValues) -> dict[str, float]:
        """Steer the face; gives all controls as they now are.

        Raises:
            ConfigError: A value leaves its range.
        """
        return dataclasses.asdict(self.session.set(**controls.model_dump(exclude_none=True)))

    async def become(self, avatar: str, gallery: Gallery) -> None:
        """Go on as another person.

        Raises:
            MienError: There is no such avatar.
        """
        person = await gallery.load(avatar)
        await self.session.change_avatar(person)
        # The first picture of the new one is about to be drawn: all its sound has been heard.
        drawn_ns = self._clock.now_ns() - self.session.origin_ns
        lookahead = ms_to_ticks(self.session.budget.lookahead_ms)
        self.backdrop.become(person.plate, ns_to_ticks(drawn_ns) - lookahead)
        self.avatar = avatar

    async def wear(self, style: str, wardrobe: Wardrobe, second: str | None = None, part: float = 0.5) -> None:
        """Go on in another style, or in a mix of two, in which the second has ``part``.

        Raises:
            MienError: There is no such style, or it belongs to other networks.
        """
        beside = None if second is None else await wardrobe.load(second)
        await self.session.change_style(await wardrobe.load(style), second=beside, part=part)
        self.style = style

    async def interrupt(self) -> None:
        """Break off (barge-in): what waits anywhere is forgotten, and the mouth closes."""
        self.touch()
        for socket in self.sockets:
            socket.forget()
        await self.session.interrupt()

    def take_floor(self, speaker: object) -> None:
        """From now on it is ``speaker`` who is heard.

        Raises:
            RequestError: 409: the session has a voice of its own.
        """
        if self.has_own_voice:
            raise RequestError(409, "This session speaks from the microphone of its own machine, and hears no other.")
        self._speaker = speaker

    async def hear(self, speaker: object, samples: NDArray[np.int16], rate_hz: int) -> None:
        """Sound of a speaker; of anyone but the one who has the floor it is left out.

        Raises:
            MienError: It is no sound, or the session has ended.
        """
        if self._speaker is speaker:
            self.touch()
            await self.session.push(np.zeros_like(samples) if self.muted else samples, rate_hz)

    async def join(self, role: Role, offer: str, *, picture: PictureKind = "desk") -> tuple[Peer, str]:
        """Connect a peer.

        Args:
            role: What it asked for.
            offer: Its offer.
            picture: Which it is shown; see ``streaming.serve.media.backdrop``.

        Returns:
            The peer, and the answer to its offer.

        Raises:
            RequestError: The offer cannot be met, or there is no room.
        """
        if len(self._peers) >= self._max_peers:
            raise RequestError(
                503,
                f"This session has {len(self._peers)} connections, as many as it may.",
                {"Retry-After": str(RETRY_AFTER_S)},
            )
        listens = role != "whep" and self.asked.mode == "live" and not self.has_own_voice
        if role == "whip" and not listens:
            raise RequestError(409, "This session speaks what is pushed to it; make a live one to give it a voice.")
        feed = None if role == "whip" else self._fanout.subscribe()
        speaker = object()

        async def hear(samples: NDArray[np.int16]) -> None:
            await self.hear(speaker, samples, MEDIA_HZ)

        settings = dataclasses.replace(self.call_settings(), lay=self.backdrop.layer(picture))
        peer = Peer(role, settings, feed=feed, hear=hear if listens else None, on_gone=lambda: self._leave(peer))
        self._peers[peer.id] = peer
        try:
            answer = await peer.answer(offer)
        except BaseException:
            await peer.close()
            raise
        if peer.voice is not None:
            self.take_floor(speaker)
        return peer, answer

    def peer(self, name: str, role: Role) -> Peer:
        """A connection by its id.

        Raises:
            RequestError: 404: there is none.
        """
        found = self._peers.get(name)
        if found is None or found.role != role:
            raise RequestError(404, "There is no such connection: it has ended, or never was.")
        return found

    def watch(self) -> Feed:
        """What the room shows from now on, for a call that we make ourselves; the caller closes it."""
        return self._fanout.subscribe()

    def call_settings(self) -> CallSettings:
        """How calls of this session are made; known once it has begun."""
        origin_ns, latency_ns = self.session.origin_ns, ticks_to_ns(self.session.budget.total_ticks)
        return CallSettings(
            fps=self.asked.fps,
            due_ns=lambda ticks: origin_ns + ticks_to_ns(ticks) + latency_ns,
            clock=self._clock,
            lane=self._lane,
            wall=self._wall,
            note=self.session.instruments.add,
            sound_ahead_ns=ticks_to_ns(self.session.sound_ahead_ticks),
            ice_servers=self._ice_servers,
            codec=self._codec,
            allowance_ms=self.asked.jitter_ms,
            lay=self.backdrop.lay,
        )

    def _leave(self, peer: Peer) -> None:
        self._peers.pop(peer.id, None)
        self.touch()

    async def _hand_out(self) -> None:
        try:
            await self._fanout.run()
        except Exception as error:
            self.failed = True
            logger.warning("session %s failed: %s", self.id, error)
        finally:
            self.ended.set()


@contextmanager
def present(room: Room, socket: Waiting, limit: int) -> Iterator[None]:
    """Be in a room with a socket.

    Raises:
        RequestError: 503: there are too many already.
    """
    if len(room.sockets) >= limit:
        raise RequestError(503, f"This session has {limit} sockets, as many as it may.")
    room.sockets.add(socket)
    try:
        yield
    finally:
        room.sockets.discard(socket)
        room.touch()
