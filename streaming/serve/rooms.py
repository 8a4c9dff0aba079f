"""All sessions of a server: who may begin one, and when they end.

A room ends when asked to, when nobody has been there for a while, when its time is up, or when its session fails.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Final

from engine.clock import NS_PER_S, Clock
from engine.engine import Engine
from engine.errors import CapacityError
from engine.lanes import Lane, Picture
from engine.stages.voice_gate import VoiceGateSettings
from streaming.serve.gallery import Gallery
from streaming.serve.media.backdrop import Backdrop
from streaming.serve.media.encoders import VideoCodec
from streaming.serve.media.fanout import Retouch
from streaming.serve.messages import NewSession
from streaming.serve.peers import IceServer
from streaming.serve.room import Room
from streaming.serve.serve_errors import RequestError
from streaming.serve.steering import Steering
from streaming.serve.wardrobe import Wardrobe

logger = logging.getLogger(__name__)

_CHUNK_MS: Final = 20.0
_SOUND_AHEAD_MS: Final = 40.0
"""Players show a picture when it comes (see ``aiortc_doors``), and hold sound back for 40 to 90 ms: packets of 20 ms,
and a buffer against their jitter. Devices of this machine do not."""
_WATCH_S: Final = 1.0


@dataclasses.dataclass(frozen=True)
class RoomLimits:
    """What rooms may take.

    Attributes:
        sessions: At once.
        peers: Of one session.
        sockets: Of one session.
        idle_s: A session in which nobody is ends after this time.
        total_s: No session is longer.
    """

    sessions: int = 4
    peers: int = 8
    sockets: int = 4
    idle_s: float = 60.0
    total_s: float = 4 * 3600.0


@dataclasses.dataclass(frozen=True)
class OwnVoice:
    """A session that speaks from a microphone of this machine, and whose avatar is drawn without its background.

    Attributes:
        id: What it is called, in place of an id that cannot be guessed.
        chunk_ms: Sound that the microphone hands over at once, and what it may be late by.
        gate: Of the microphone.
        sound_ahead_ms: What the delayed voice needs on its way out.
        background: See ``Backdrop``.
        image: uint8 (512, 512, 3) RGB, for the background ``image``.
    """

    id: str
    chunk_ms: float
    gate: VoiceGateSettings | None = None
    sound_ahead_ms: float = 0.0
    background: str = "original"
    image: Picture | None = None


class Rooms:
    """All sessions of a server.

    Attributes:
        gallery: Knows avatars.
        wardrobe: Knows styles.
        draining: Whether no more sessions are taken.
        opened: Sessions begun so far.
        refused: Sessions refused so far for want of a place.
        failed: Sessions that ended so far because something broke.
    """

    def __init__(
        self,
        engine: Engine,
        gallery: Gallery,
        wardrobe: Wardrobe,
        limits: RoomLimits,
        *,
        clock: Clock,
        lane: Lane,
        ice_servers: tuple[IceServer, ...] = (),
        codec: VideoCodec = "VP8",
        retouch: Callable[[], Retouch] | None = None,
    ) -> None:
        """Prepare.

        Args:
            engine: Opens sessions.
            gallery: Knows avatars.
            wardrobe: Knows styles.
            limits: What rooms may take.
            clock: The engine's.
            lane: Where pictures are encoded.
            ice_servers: For all calls.
            codec: Of the picture, if a peer takes it.
            retouch: Makes what sees every item of one session on its way out.
        """
        self._engine, self._limits = engine, limits
        self.gallery, self.wardrobe = gallery, wardrobe
        self._clock, self._lane = clock, lane
        self._ice_servers, self._codec, self._retouch = ice_servers, codec, retouch
        self._rooms: dict[str, Room] = {}
        self._steerings: dict[str, Steering] = {}
        self._beginning = 0
        self._watches: set[asyncio.Task[None]] = set()
        self.draining = False
        self.opened, self.refused, self.failed = 0, 0, 0

    @property
    def limits(self) -> RoomLimits:
        """What rooms may take."""
        return self._limits

    def __iter__(self) -> Iterator[Room]:
        """The rooms that are open."""
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        """How many are open."""
        return len(self._rooms)

    def get(self, name: str) -> Room:
        """A room by its id.

        Raises:
            RequestError: 404: there is none.
        """
        found = self._rooms.get(name)
        if found is None:
            raise RequestError(404, "There is no such session: it has ended, or never was.")
        return found

    def steering(self, room: Room) -> Steering:
        """What steers a room's face; one for all that do."""
        return self._steerings[room.id]

    async def open(self, asked: NewSession, own: OwnVoice | None = None) -> Room:
        """Begin a session.

        Args:
            asked: What it is to be.
            own: Its voice, if it has one of its own.

        Raises:
            CapacityError: There is no place for it.
            MienError: It cannot be.
        """
        if self.draining:
            raise CapacityError("The server is shutting down: ask another one.")
        if len(self._rooms) + self._beginning >= self._limits.sessions:
            self.refused += 1
            raise CapacityError(f"{self._limits.sessions} sessions run, as many as this server takes: try again later.")
        self._beginning += 1
        try:
            room = await self._begin(asked, own)
        except CapacityError:
            self.refused += 1
            raise
        finally:
            self._beginning -= 1
        if self.draining:
            await room.close()
            raise CapacityError("The server is shutting down: ask another one.")
        self._rooms[room.id] = room
        self._steerings[room.id] = Steering(room, self.gallery, self.wardrobe)
        self.opened += 1
        watch = asyncio.create_task(self._watch(room), name="mien-watch")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return room

    async def close(self, room: Room) -> None:
        """End a session."""
        self.failed += self._rooms.pop(room.id, None) is not None and room.failed
        steering = self._steerings.pop(room.id, None)
        if steering is not None:
            steering.close()
        await room.close()

    async def drain(self, patience_s: float) -> None:
        """Take no new session; end those that run when they have ended by themselves, or after ``patience_s``."""
        self.draining = True
        deadline = self._clock.now_ns() + round(patience_s * NS_PER_S)
        while self._rooms and self._clock.now_ns() < deadline:
            await self._clock.sleep_until(min(deadline, self._clock.now_ns() + NS_PER_S // 10))
        await self.close_all()

    async def close_all(self) -> None:
        """End all sessions now."""
        self.draining = True
        await asyncio.gather(*(self.close(room) for room in list(self._rooms.values())))
        if self._watches:
            await asyncio.wait(set(self._watches))

    async def _begin(self, asked: NewSession, own: OwnVoice | None) -> Room:
        avatar = await self.gallery.load(asked.avatar)
        live = asked.mode == "live"
        session = self._engine.session(
            avatar=avatar,
            style=await self.wardrobe.load(asked.style),
            intensity=asked.intensity,
            fps=asked.fps,
            lookahead=asked.lookahead,
            latency=asked.latency,
            mode=asked.mode,
            seed=asked.seed,
            renderer=asked.renderer,
            sound_ahead_ms=own.sound_ahead_ms if own else _SOUND_AHEAD_MS,
            gate=own.gate if own else None,
            transparent=own is not None,
            chunk_ms=own.chunk_ms if own else _CHUNK_MS + (asked.jitter_ms if live else 0.0),
        )
        room = Room(
            asked,
            session,
            clock=self._clock,
            lane=self._lane,
            ice_servers=self._ice_servers,
            codec=self._codec,
            max_peers=self._limits.peers,
            retouch=self._retouch() if self._retouch else None,
            backdrop=Backdrop(avatar.plate, own.background, own.image) if own else Backdrop(avatar.plate),
            own=own.id if own else None,
        )
        await room.begin()
        return room

    async def _watch(self, room: Room) -> None:
        """End a room when its time has come."""
        while not room.ended.is_set():
            try:
                await asyncio.wait_for(room.ended.wait(), _WATCH_S)
            except TimeoutError:
                if room.idle_s > self._limits.idle_s:
                    logger.info("session %s: nobody was there for %.0f s", room.id, self._limits.idle_s)
                    break
                if room.age_s > self._limits.total_s:
                    logger.info("session %s: its %.0f s are over", room.id, self._limits.total_s)
                    break
        await self.close(room)
