"""The avatar as a participant of a Janus VideoRoom: seen, heard, and, if asked to, all ears for one of the others."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import Clock
from models.spec import MEDIA_HZ
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.janus_link import JanusLink, JanusRefusal, janus_link
from streaming.bots.janus_people import Participant, People
from streaming.bots.janus_protocol import Json, News
from streaming.bots.outgoing import OutgoingPeer
from streaming.serve.peers import Peer
from streaming.serve.room import Room
from streaming.serve.serve_errors import RequestError

logger = logging.getLogger(__name__)

PLUGIN: Final = "janus.plugin.videoroom"
WORDS_S: Final = 1.0
"""How long a server whose media has ended may take to say why."""
_NO_SUCH_ROOM: Final = 426
_UNAUTHORIZED: Final = 433
_FULL: Final = 432
_MISSING: Final = 429


@dataclass(frozen=True)
class JanusAddress:
    """A room, and how to enter it.

    Attributes:
        url: Of the server's WebSocket transport.
        room: A number, or text where the server is set up so.
        pin: Of the room.
        display: What we are called there.
        token: Of servers with tokens.
        secret: Of servers with an API secret.
    """

    url: str
    room: int | str
    pin: str | None = None
    display: str = "Mien"
    token: str | None = None
    secret: str | None = None


class JanusCall:
    """See ``streaming.bots.presence.Call``."""

    def __init__(
        self, address: JanusAddress, room: Room, clock: Clock, *, listen: str | None = None, voice: bool = True
    ) -> None:
        """Prepare.

        Args:
            address: Where to.
            room: What is shown there, and hears whom we listen to.
            clock: The time.
            listen: Whose words to speak: a display name, an id, or ``*`` for whoever it is.
            voice: Whether our sound is sent beside the picture.
        """
        self._address, self._room, self._clock = address, room, clock
        self._listen, self._voice = listen, voice

    @asynccontextmanager
    async def join(self) -> AsyncIterator["JanusStay"]:
        """Enter the room and publish; leaves it in any case.

        Raises:
            JoinRefused: The server or the room will not have us.
            JoinUnavailable: It cannot be reached, is full, or no media reaches it.
        """
        address = self._address
        async with janus_link(address.url, self._clock, token=address.token, secret=address.secret) as link:
            peer = OutgoingPeer(self._room.call_settings(), self._room.watch(), voice=self._voice)
            stay = JanusStay(link, peer, address, self._room, self._listen)
            try:
                await stay.enter(voice=self._voice)
                yield stay
            finally:
                await stay.leave()


class JanusStay:
    """One time in the room.

    Attributes:
        id: What the room calls us.
        people: Who else publishes.
        hearing: Whom we listen to now.
    """

    def __init__(
        self, link: JanusLink, peer: OutgoingPeer, address: JanusAddress, room: Room, listen: str | None
    ) -> None:
        self._link, self.peer, self._address, self._room, self._listen = link, peer, address, room, listen
        self._handle: int | None = None
        self._private: int | None = None
        self._trickled: set[asyncio.Task[None]] = set()
        self._news, self._put_out = asyncio.Event(), asyncio.Event()
        self._gone: str | None = None
        self._removed = False
        self.id: int | str | None = None
        self.people = People()
        self.hearing: Participant | None = None

    async def enter(self, *, voice: bool) -> None:
        """Join the room, and publish.

        Raises:
            JoinRefused: See ``JanusCall.join``.
            JoinUnavailable: The same.
        """
        link, address = self._link, self._address
        try:
            self._handle = handle = await link.attach(PLUGIN, self._told)
            joined = await link.message(handle, self._entry("publisher") | {"display": address.display})
            if joined.data.get("videoroom") != "joined":
                raise JoinUnavailable("The Janus room did not let us in, and did not say why.")
            self.id, self._private = joined.data.get("id"), joined.data.get("private_id")
            self.people.hear(joined.data)
            offer = {"type": "offer", "sdp": await self.peer.offer()}
            published = await link.message(handle, {"request": "publish", "audio": voice, "video": True}, offer)
            await link.request("trickle", handle=handle, candidate={"completed": True})
        except JanusRefusal as error:
            raise self._explained(error) from error
        if published.jsep is None:
            raise JoinUnavailable("The Janus room took us in, but did not answer our offer.")
        await self.peer.accept(published.jsep)
        await self.peer.connected()

    async def until_lost(self) -> None:
        """Stay, and hear whom we listen to whenever he is there, until the call has ended without our doing.

        Raises:
            JoinRefused: We were put out of the room.
            JoinUnavailable: The server has gone, or our media does not reach it any more.
        """
        work = [self._link.until_ended(), self._until_put_out(), self.peer.lost()]
        if self._listen is not None:
            work.append(self._attend(self._listen))
        tasks = [asyncio.ensure_future(part) for part in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Media may end a moment before the server says why, and whoever was put out is not to come back.
            await asyncio.wait(tasks[:2], timeout=WORDS_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                await task
        raise JoinUnavailable(self._gone or "The connection to the Janus room's media was lost.")

    async def leave(self) -> None:
        """Leave the room and hang up."""
        if self._handle is not None and self._link.failure is None:
            try:
                await self._link.message(self._handle, {"request": "leave"})
            except (JanusRefusal, JoinUnavailable) as error:
                logger.debug("the room was not left: %s", error)
            await self._link.detach(self._handle)
        for task in self._trickled:
            task.cancel()
        await self.peer.close()

    async def _attend(self, wanted: str) -> None:
        """Hear one of the others: him who is wanted, whenever he is there and anew when he comes back."""
        while True:
            self._news.clear()
            person = self.people.find(wanted)
            if person is None:
                await self._news.wait()
                continue
            try:
                await self._hear(person, wanted)
            except (JanusRefusal, RequestError) as error:
                # He may have gone while we asked; if not, the next news of the room is a reason to ask again.
                logger.info("%s cannot be heard: %s", person.display or person.id, error)
                await self._news.wait()

    async def _hear(self, person: Participant, wanted: str) -> None:
        """Hear one of the others until he is heard no more."""
        ended, speaker = asyncio.Event(), object()

        async def hear(samples: NDArray[np.int16]) -> None:
            await self._room.hear(speaker, samples, MEDIA_HZ)

        def told(news: News) -> None:
            # Any change of his streams is met by asking for them anew.
            if news.kind in ("hangup", "detached") or news.data.get("videoroom") in ("updated", "destroyed"):
                ended.set()

        peer = Peer("whip", self._room.call_settings(), feed=None, hear=hear, on_gone=ended.set)
        handle = await self._link.attach(PLUGIN, told)
        try:
            streams = [{"feed": person.id, "mid": person.audio_mid}]
            entry = self._entry("subscriber") | {"streams": streams}
            if self._private is not None:
                entry["private_id"] = self._private
            attached = await self._link.message(handle, entry)
            if attached.jsep is None:
                raise JoinUnavailable("The Janus room let us listen, but did not offer what to.")
            answer = {"type": "answer", "sdp": await peer.answer(attached.jsep)}
            await self._link.message(handle, {"request": "start"}, answer)
            await self._link.request("trickle", handle=handle, candidate={"completed": True})
            self._room.take_floor(speaker)
            self.hearing = person
            while not ended.is_set() and self.people.find(wanted) == person:
                self._news.clear()
                waits = [asyncio.ensure_future(event.wait()) for event in (ended, self._news)]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
        finally:
            self.hearing = None
            await peer.close()
            if self._link.failure is None:
                await self._link.detach(handle)

    def _told(self, news: News) -> None:
        """News of our own handle."""
        if news.kind == "trickle":
            self._trickle(news.data.get("candidate"))
        elif news.kind == "hangup":
            reason = news.data.get("reason")
            self._end(f"The Janus server has hung up ({reason if isinstance(reason, str) else 'no reason given'}).")
        elif news.kind == "detached":
            self._end("The Janus server has ended our place in the room.")
        elif news.kind == "event":
            self.people.hear(news.data)
            if news.data.get("videoroom") == "destroyed":
                self._end("The Janus room was closed.", removed=True)
            elif news.data.get("leaving") == "ok" and news.data.get("reason") == "kicked":
                self._end("We were put out of the Janus room.", removed=True)
        self._news.set()

    def _end(self, why: str, *, removed: bool = False) -> None:
        """The stay has ended; what was told first is why."""
        if self._gone is None:
            self._gone, self._removed = why, removed
            self._put_out.set()

    def _trickle(self, candidate: Any) -> None:
        """A candidate of a server that trickles its own."""
        if isinstance(candidate, dict) and isinstance(candidate.get("candidate"), str):
            mid = candidate.get("sdpMid")
            task = asyncio.create_task(self.peer.trickle(candidate["candidate"], mid if isinstance(mid, str) else None))
            self._trickled.add(task)
            task.add_done_callback(self._trickled.discard)

    async def _until_put_out(self) -> None:
        await self._put_out.wait()
        if self._removed:
            raise JoinRefused(self._gone or "We were put out of the Janus room.")

    def _entry(self, kind: str) -> Json:
        entry: Json = {"request": "join", "ptype": kind, "room": self._address.room}
        return entry if self._address.pin is None else entry | {"pin": self._address.pin}

    def _explained(self, error: JanusRefusal) -> JoinRefused | JoinUnavailable:
        """What a refusal means for us."""
        place = f"room {self._address.room} of {self._address.url}"
        if error.code == _NO_SUCH_ROOM:
            return JoinRefused(f"There is no {place}: check --room.")
        if error.code == _UNAUTHORIZED or (error.code == _MISSING and "(pin)" in error.reason):
            return JoinRefused(f"The {place} asks for a PIN: give the right one with --pin.")
        if error.code == _FULL:
            return JoinUnavailable(f"The {place} is full.")
        return error
