"""A bot from its beginning to its end: an engine with one session, something to say, and a call to say it in."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from engine.backends.devices import Device
from engine.errors import SessionError
from engine.intake import Mode
from engine.lanes import ThreadLane
from streaming.avatars import resolve_avatar, shipped_avatars
from streaming.bots.presence import Call, Presence
from streaming.bots.speech import Speech
from streaming.endings import ended_by_signals
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from streaming.serve.media.encoders import VideoCodec
from streaming.serve.messages import NewSession
from streaming.serve.room import Room
from streaming.serve.run import serve

logger = logging.getLogger(__name__)

_FOR_EVER_S: Final = 1e9
_JITTER_MS: Final = 40.0


@dataclass(frozen=True)
class BotOptions:
    """Who comes.

    Attributes:
        avatar: A shipped avatar's name, an avatar file, or a picture.
        style: How to move; the id of a style that ships, or ``none``.
        intensity: Of the style, 0 to 1.5.
        fps: 60, 30, 25 or 20.
        lookahead: 0 to 18 motion frames that the mouth hears ahead; None for the mode's own.
        seed: Of the head's motion.
        codec: Of the picture, if the other side takes it.
        ice_servers: See ``ServeConfig``.
        bundle: Networks that were trained elsewhere.
        device: What computes; see ``engine.backends.devices``.
        patience_s: A call that cannot be joined for so long is given up.
        stay: Whether to stay in the call when all was said.
        door: A port of this machine on which other programs push speech (WebSocket); None for none.
    """

    avatar: str
    style: str = "none"
    intensity: float = 1.0
    fps: Literal[60, 30, 25, 20] = 30
    lookahead: int | None = None
    seed: int = 0
    codec: VideoCodec = "VP8"
    ice_servers: tuple[str, ...] = ()
    bundle: Path | None = None
    device: Device = "cpu"
    patience_s: float = 60.0
    stay: bool = False
    door: int | None = None


@dataclass(frozen=True)
class Attended:
    """How it was.

    Attributes:
        stays: Times that the call was joined.
        frames: Pictures that were due.
        missed: Of them, those that were not ready.
        latency_ms: L.
    """

    stays: int
    frames: int
    missed: int
    latency_ms: float


async def attend(
    options: BotOptions,
    mode: Mode,
    make_call: Callable[[Room, Server], Call],
    speech: Speech | None,
    *,
    say: Callable[[str], None] = lambda _: None,
    make_server: Callable[[ServeConfig], Server] = create_server,
    stop: asyncio.Event | None = None,
) -> Attended:
    """Be in a call until all was said, the process is asked to end, or the call is given up.

    Args:
        options: Who comes.
        mode: ``live`` for the voice of somebody in the call, ``pushed`` for what is given to us.
        make_call: Gives the call, for the session's room.
        speech: What to say once we are in; None to be there, and say what is pushed or heard.
        say: Told, in a sentence, of what matters.
        make_server: Gives engine and room.
        stop: Set by whoever wants us to leave; signals do so too.

    Returns:
        How it was.

    Raises:
        MienError: The avatar cannot be had, the session or the call cannot be.
    """
    ending = stop or asyncio.Event()
    settings: dict[str, Any] = {} if options.door is None else {"port": options.door}
    config = ServeConfig(
        ice_servers=options.ice_servers,
        codec=options.codec,
        bundle=options.bundle,
        device=options.device,
        idle_s=_FOR_EVER_S,
        limit_s=_FOR_EVER_S,
        drain_s=0,
        **settings,
    )
    server = make_server(config)
    try:
        room = await server.rooms.open(
            NewSession(
                avatar=await _key(server, options.avatar),
                style=options.style,
                intensity=options.intensity,
                fps=options.fps,
                lookahead=options.lookahead,
                mode=mode,
                jitter_ms=_JITTER_MS,
                seed=options.seed,
            )
        )
        budget = room.session.budget
        say(f"{options.avatar} is ready: {options.fps} fps, latency {budget.total_ms:.0f} ms")
        presence = Presence(
            make_call(room, server),
            server.clock,
            patience_s=options.patience_s,
            on_joined=lambda: say("in the call"),
        )
        with ended_by_signals(ending.set) if options.door is None else contextlib.nullcontext():
            await _be_there(options, room, server, presence, speech, ending, say)
        stats = room.session.stats()
        if room.failed:
            raise SessionError("The session failed, and the call was left: the log says why.")
        return Attended(presence.stays, stats.frames, stats.missed, budget.total_ms)
    finally:
        if speech is not None:
            speech.close()
        await server.close()


async def _be_there(
    options: BotOptions,
    room: Room,
    server: Server,
    presence: Presence,
    speech: Speech | None,
    ending: asyncio.Event,
    say: Callable[[str], None],
) -> None:
    """Whatever ends first ends all; what failed is raised."""
    keep = asyncio.ensure_future(presence.keep())
    tasks = [keep, asyncio.ensure_future(ending.wait()), asyncio.ensure_future(room.ended.wait())]
    if speech is not None:
        tasks.append(asyncio.ensure_future(_speak(options, room, presence, speech)))
    if options.door is not None:
        say(f"speech is taken at ws://127.0.0.1:{options.door}/ws/{room.id}")
        tasks.append(asyncio.ensure_future(serve(server.config, lambda _: None, make=lambda _: server)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # The call is left first, while the session can still be seen in it.
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _speak(options: BotOptions, room: Room, presence: Presence, speech: Speech) -> None:
    """Say it once we are in; then leave, unless we are to stay."""
    await presence.joined.wait()
    await speech.speak(room)
    if options.stay:
        await room.ended.wait()


async def _key(server: Server, avatar: str) -> str:
    """What the server's gallery calls an avatar that ships, or one that is opened or made now."""
    if avatar in shipped_avatars():
        return avatar
    lane = ThreadLane("mien-avatar")
    try:
        return server.rooms.gallery.add(await lane.run(resolve_avatar, avatar))
    finally:
        lane.close()
