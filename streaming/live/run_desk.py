"""Runs a desk: a server for its pages, the desk itself, and an orderly end of both."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.artefacts.avatar import Avatar
from engine.clock import Clock, MonotonicClock
from engine.lanes import Picture, ThreadLane
from engine.portrait.photo import load_photo
from engine.renderer.pixels import shrink
from models.spec import IMAGE_SIZE
from streaming.avatars import file_of, resolve_avatar, shipped_avatars
from streaming.live.audio_host import AudioHost
from streaming.live.desk import Desk, OnShown
from streaming.live.live_config import LiveConfig
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from streaming.serve.gallery import Gallery
from streaming.serve.run import serve

logger = logging.getLogger(__name__)

_WEEK_S: Final = 7 * 86_400.0

Make = Callable[[ServeConfig, Clock], Server]


def _make(config: ServeConfig, clock: Clock) -> Server:
    return create_server(config, clock=clock)


async def run_desk(
    config: LiveConfig,
    open_host: Callable[[], AudioHost],
    say: Callable[[str], None],
    *,
    make: Make = _make,
    clock: Clock | None = None,
    end: asyncio.Event | None = None,
    on_shown: OnShown | None = None,
    on_open: Callable[[Desk], None] | None = None,
) -> None:
    """Run a desk until it is told to end.

    Args:
        config: How.
        open_host: Gives the sound system; called on a thread.
        say: Told, in lines for people, where the pages are and what the latency is made of.
        make: Puts the server together.
        clock: The time; by default the machine's.
        end: Ends it when set, as Ctrl-C does.
        on_shown: See ``Desk``.
        on_open: Told once, when all is open.

    Raises:
        MienError: Something that it cannot begin without cannot be opened, or the session failed.
    """
    time, ending = clock or MonotonicClock(), end or asyncio.Event()
    asked = {"port": config.port, "max_sessions": 1, "limit_s": _WEEK_S, "drain_s": 0, "device": config.device}
    web = ServeConfig.model_validate(asked)
    image = None if config.output.image is None else _read_image(config.output.image)
    server = make(web, time)
    desk: Desk | None = None
    try:
        opening = ThreadLane("mien-open")
        try:
            avatar = await opening.run(_keep_avatars, server.rooms.gallery, config)
            host = await opening.run(open_host)
        finally:
            opening.close()
        desk = Desk(config, server.rooms, host, clock=time, ending=ending, image=image, on_shown=on_shown)
        await desk.open(avatar)
        for warning in desk.warnings:
            say(f"Warning: {warning}")
        say(desk.budget.table())
        _say_offsets(desk, say)
        if on_open is not None:
            on_open(desk)

        def addresses(text: str) -> None:
            base = text.removeprefix("Mien listens on ").split()[0]
            say(f"Desk: {base}desk   OBS browser source: {base}obs?background=transparent   (end with Ctrl-C)")

        running = asyncio.create_task(desk.run(), name="mien-desk")
        running.add_done_callback(lambda _: ending.set())
        try:
            await serve(web, addresses, make=lambda _: server, end=ending)
        finally:
            running.cancel()
            await asyncio.wait([running])
        if not running.cancelled() and (error := running.exception()) is not None:
            raise _first(error)
    finally:
        if desk is not None:
            await desk.close()
        await server.close()


def _first(error: BaseException) -> BaseException:
    """Of several failures at once the first stands for all."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _say_offsets(desk: Desk, say: Callable[[str], None]) -> None:
    budget = desk.budget
    if desk.voicing is not None and desk.voicing.device is not None:
        say(
            "Voice and picture leave together: in OBS or in the call choose the other end of "
            f"{desk.voicing.device.label} as microphone, with a sync offset of 0 ms."
        )
    else:
        say(f"Where OBS hears the bare microphone, set its sync offset to {budget.obs_offset_ms} ms.")


def _keep_avatars(gallery: Gallery, config: LiveConfig) -> str:
    """Offer all avatars of the configuration; gives the id of the first. Takes a while where one is a picture."""
    shipped = shipped_avatars()
    first = ""
    for wanted in (config.avatar, *config.avatars):
        key = wanted
        if wanted not in shipped:
            avatar: Avatar = resolve_avatar(wanted)
            key = Path(wanted).stem
            gallery.keep(key, avatar, file_of(Path(wanted)))
        first = first or key
    return first


def _read_image(path: Path) -> Picture:
    """The middle of a picture, as large as a frame."""
    whole = load_photo(path.expanduser()).rgb
    height, width = whole.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return shrink(whole[top : top + side, left : left + side], IMAGE_SIZE, IMAGE_SIZE)
