"""The desk of somebody who streams: a microphone in; window, camera, cable, recording and pages out.

::

    microphone -> gain, mute -> session (gate, mouth, picture) -> fan-out -+-> window, camera   at due + hold
                                                                          +-> delayed voice    heard at due + hold
                                                                          +-> recording
                                                                          +-> pages and OBS, by WebRTC

The voice leaves the session before its picture by what it needs on its way out; where the lookahead leaves no room for
that, pictures wait for the rest, which is ``hold``. Nothing here ends because a
device goes: it is waited for, and the avatar idles.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import Clock, ms_to_ticks, ns_to_ticks, ticks_to_ns
from engine.errors import MienError, SessionError
from engine.lanes import Lane, ThreadLane
from engine.session import Session
from models.spec import MEDIA_HZ
from streaming.live.audio_host import AudioHost, SoundStream
from streaming.live.camera import VirtualCamera
from streaming.live.devices import Device
from streaming.live.hotkeys import read_action
from streaming.live.latencies import DeskBudget
from streaming.live.lifeline import Lifeline
from streaming.live.live_config import LiveConfig
from streaming.live.microphone import Microphone
from streaming.live.recorder import Recorder
from streaming.live.screens import Screen, ScreenThread
from streaming.live.voice_player import HOLD_MS, VoicePlayer
from streaming.live.window import Window
from streaming.serve.commands import Background, DeskCommand, Gain, Key, Mute, PushToTalk, Record, Talk
from streaming.serve.media.backdrop import Picture
from streaming.serve.media.fanout import Feed
from streaming.serve.messages import NewSession
from streaming.serve.room import Room, present
from streaming.serve.rooms import OwnVoice, Rooms

logger = logging.getLogger(__name__)

ROOM: Final = "live"
"""The id of the desk's session in all addresses."""
BLOCK_MS: Final = 10.0
_SOCKETS: Final = 1000
_MOST_AHEAD_MS: Final = 200.0

OnShown = Callable[[str, int, int], None]
"""Told of a screen's name, a picture's media time, and when it was shown."""


class Desk:
    """One microphone's avatar, with all that shows it.

    Attributes:
        config: As it was set up.
        microphone: What is heard.
        hearing: Keeps the microphone open.
        voicing: Keeps the voice's output open, if there is one.
        player: The delayed voice.
        recorder: Writes recordings.
        screens: What shows pictures.
        warnings: What could not be opened, and is done without.
    """

    def __init__(
        self,
        config: LiveConfig,
        rooms: Rooms,
        host: AudioHost,
        *,
        clock: Clock,
        ending: asyncio.Event,
        image: Picture | None = None,
        on_shown: OnShown | None = None,
        lane: Lane | None = None,
        files: Lane | None = None,
    ) -> None:
        """Prepare; nothing is opened before ``open``.

        Args:
            config: How.
            rooms: Of the server whose session this is.
            host: The sound system; closed with the desk.
            clock: The engine's.
            ending: Set when a hotkey asks for the end.
            image: uint8 (512, 512, 3) RGB, for the background ``image``.
            on_shown: Told of every picture that a window or camera showed, on that screen's thread.
            lane: One thread, on which the sound system is used; by default one of the desk's own.
            files: Where files are begun and completed; likewise.
        """
        self.config, self._rooms, self._host, self._clock = config, rooms, host, clock
        self._ending, self._image, self._on_shown = ending, image, on_shown
        self._lane = lane or ThreadLane("mien-portaudio")
        self._files = files or ThreadLane("mien-files")
        heard = config.microphone
        self.microphone = Microphone(
            self._push, gain_db=heard.gain_db, channel=heard.channel, push_to_talk=heard.push_to_talk
        )
        self.hearing = Lifeline(host, "input", heard.device, self._open_input, clock=clock, lane=self._lane)
        self.player = VoicePlayer()
        self.voicing = (
            None
            if config.output.voice is None
            else Lifeline(host, "output", config.output.voice, self._open_output, clock=clock, lane=self._lane)
        )
        self.screens: list[ScreenThread] = []
        self.recorder = Recorder(config.output, config.fps, self._lay_for_recordings)
        self._room: Room | None = None
        self._session: Session | None = None
        self._keys = {key.casefold(): read_action(action) for key, action in config.hotkeys.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.warnings: list[str] = []

    @property
    def budget(self) -> DeskBudget:
        """From the mouth to the picture; known once it is open."""
        assert self._session is not None
        return DeskBudget(
            microphone_ms=self.hearing.latency_ms,
            engine=self._session.budget,
            voice_hold_ms=0.0 if self.voicing is None else HOLD_MS,
            voice_out_ms=0.0 if self.voicing is None else self.voicing.latency_ms,
            ahead_ms=self._session.sound_ahead_ticks * 1000 / MEDIA_HZ,
        )

    @property
    def session(self) -> Session:
        """What makes the pictures; known once it is open."""
        assert self._session is not None
        return self._session

    async def open(self, avatar: str) -> None:
        """Open microphone, voice, session and screens.

        Args:
            avatar: Its id in the gallery.

        Raises:
            MienError: One of them cannot be opened; ``close`` must be called all the same.
        """
        self._loop = asyncio.get_running_loop()
        await self.hearing.open()
        if self.voicing is not None:
            await self.voicing.open()
        config = self.config
        asked = NewSession.model_validate(
            {
                "avatar": avatar,
                "style": config.style,
                "intensity": config.intensity,
                "fps": config.fps,
                "lookahead": config.lookahead,
                "latency": config.latency,
                "renderer": config.renderer,
                "jitter_ms": config.microphone.jitter_ms,
            }
        )
        own = OwnVoice(
            id=ROOM,
            chunk_ms=BLOCK_MS + config.microphone.jitter_ms,
            gate=config.gate.settings(),
            sound_ahead_ms=0.0 if self.voicing is None else min(_MOST_AHEAD_MS, HOLD_MS + self.voicing.latency_ms),
            background=config.output.background,
            image=self._image,
        )
        self._room = await self._rooms.open(asked, own)
        self._rooms.steering(self._room).desk = self
        self._session = self._room.session
        for make in self._screen_makers():
            try:
                self.add_screen(await self._lane.run(make))
            except MienError as error:
                # Somebody who streams goes on without a preview.
                self.warnings.append(str(error))

    async def run(self) -> None:
        """Carry sound and pictures until the session ends or this is cancelled.

        Raises:
            MienError: The session ended because something failed.
        """
        assert self._room is not None
        with present(self._room, self, _SOCKETS):
            feed = self._room.watch()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.hearing.run(), name="mien-microphone")]
                if self.voicing is not None:
                    tasks.append(group.create_task(self.voicing.run(), name="mien-voice"))
                carrying = [group.create_task(carry(feed), name="mien-desk") for carry in (self._frames, self._blocks)]
                try:
                    await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    feed.close()
                    for task in tasks:
                        task.cancel()
        if self._room.failed:
            raise SessionError("The session ended because something failed; see the log, and start again.")

    async def close(self) -> None:
        """Close all that was opened; closing twice is legal."""
        for task in self._tasks:
            task.cancel()
        if self._closed:
            return
        self._closed = True
        for close in (*(screen.close for screen in self.screens), self.recorder.close):
            await self._files.run(close)
        await self._lane.run(self._host.close)
        self._files.close()
        self._lane.close()

    def add_screen(self, screen: Screen) -> None:
        """Show pictures on one more screen, until the desk is closed; known once it is open."""
        assert self._room is not None
        name, shown = screen.name, self._on_shown
        told = None if shown is None else lambda ticks, at_ns: shown(name, ticks, at_ns)
        self.screens.append(ScreenThread(screen, self._room.backdrop, self._due_ns, self._clock.now_ns, told))

    def watch(self) -> Feed:
        """All that the session gives from now on, for whoever measures it; known once it is open."""
        assert self._room is not None
        return self._room.watch()

    def forget(self) -> None:
        """Nothing waits here to be pushed."""

    # What others ask for.

    async def obey(self, command: DeskCommand) -> None:
        """See ``streaming.serve.steering.Desk``."""
        match command:
            case Mute():
                self.microphone.mute(_toggled(command.on, self.microphone.muted))
            case Talk():
                self.microphone.talk(command.on)
            case PushToTalk():
                self.microphone.use_push_to_talk(_toggled(command.on, self.microphone.push_to_talk))
            case Gain():
                self.microphone.set_gain(command.gain_db)
            case Background():
                assert self._room is not None
                self._room.backdrop.change(command.background)
            case Record():
                if _toggled(command.on, self.recorder.running):
                    await self._files.run(self.recorder.begin)
                else:
                    await self._files.run(self.recorder.finish)
            case Key():
                await self.key(command.key, command.down)

    async def key(self, key: str, down: bool) -> None:
        """A key of the window or the page went down or up.

        Raises:
            MienError: What it does cannot be done.
        """
        action = self._keys.get(key.casefold())
        if key == "close" or (action is not None and action.down is None):
            if down:
                self._ending.set()
            return
        command = None if action is None else action.down if down else action.up
        if command is not None:
            assert self._room is not None
            await self._rooms.steering(self._room).obey(command)

    def view(self) -> dict[str, Any]:
        """What the desk does now, for JSON; see ``docs/live.md``."""
        assert self._room is not None
        level, heard, budget = self.microphone.level, self.hearing, self.budget
        return {
            "microphone": {
                "state": heard.state,
                "name": heard.device.label if heard.device else "",
                "why": heard.why,
                "rms_db": round(level.rms_db, 1),
                "peak_db": round(level.peak_db, 1),
                "clipped": level.clipped,
                "gain_db": self.microphone.gain_db,
                "gate_db": self.config.gate.threshold_db if self.config.gate.on else None,
                "muted": self.microphone.muted,
                "push_to_talk": self.microphone.push_to_talk,
                "heard": self.microphone.heard,
                "xruns": heard.xruns,
                "losses": heard.losses,
            },
            "voice": None if self.voicing is None else self._voice_view(self.voicing),
            "screens": [
                {"name": screen.name, "shown": screen.shown, "dropped": screen.dropped, "error": screen.error}
                for screen in self.screens
            ],
            "recording": self.recorder.view(),
            "background": self._room.backdrop.background,
            "avatar": self._room.avatar,
            "style": self._room.style,
            "hotkeys": self.config.hotkeys,
            "latency_ms": round(budget.total_ms, 1),
            "hold_ms": round(budget.hold_ms, 1),
            "obs_offset_ms": budget.obs_offset_ms,
        }

    def _voice_view(self, voicing: Lifeline) -> dict[str, Any]:
        return {
            "state": voicing.state,
            "name": voicing.device.label if voicing.device else "",
            "why": voicing.why,
            "error_ms": round(self.player.error_ms, 2),
            "underruns": self.player.underruns,
            "missing_ms": round(self.player.missing_ms, 1),
            "jumps": self.player.jumps,
            "xruns": voicing.xruns,
            "losses": voicing.losses,
        }

    # Sound, on the sound system's threads.

    def _open_input(self, device: Device) -> SoundStream:
        return self._host.open_input(device, self.microphone.on_sound)

    def _open_output(self, device: Device) -> SoundStream:
        self.player.restart()
        return self._host.open_output(device, self._fill)

    def _push(self, samples: NDArray[np.float32], rate_hz: int) -> None:
        session = self._session
        if session is not None:
            with contextlib.suppress(SessionError):  # it has ended, and this microphone will be closed in a moment
                session.push_threadsafe(samples, rate_hz)

    def _fill(self, frames: int, delay_ms: float) -> NDArray[np.float32]:
        """What is heard in ``delay_ms``: the voice of pictures that are seen then."""
        session = self._session
        if session is None:
            return np.zeros(frames, np.float32)
        heard = ns_to_ticks(self._clock.now_ns() - session.origin_ns) + ms_to_ticks(delay_ms)
        return self.player.fill(frames, heard - session.budget.total_ticks - ms_to_ticks(self.budget.hold_ms))

    # Pictures.

    def _screen_makers(self) -> list[Callable[[], Screen]]:
        output = self.config.output
        makers: list[Callable[[], Screen]] = []
        if output.window:
            makers.append(lambda: Window(self._pressed))
        if output.camera:
            makers.append(lambda: VirtualCamera(self.config.fps, output.camera_device))
        return makers

    def _due_ns(self, ticks: int) -> int:
        """When a picture is to be seen: with its sound."""
        session = self.session
        return session.origin_ns + ticks_to_ns(ticks + session.budget.total_ticks + ms_to_ticks(self.budget.hold_ms))

    def _lay_for_recordings(self, picture: Picture, ticks: int) -> Picture:
        assert self._room is not None
        return self._room.backdrop.lay(picture, ticks)

    def _pressed(self, key: str, down: bool) -> None:
        """On the window's thread."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._begin_key, key, down)

    def _begin_key(self, key: str, down: bool) -> None:
        task = asyncio.create_task(self._try_key(key, down), name="mien-key")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try_key(self, key: str, down: bool) -> None:
        try:
            await self.key(key, down)
        except MienError as error:
            logger.warning("key %s: %s", key, error)

    async def _frames(self, feed: Feed) -> None:
        async for frame in _each(feed.frame):
            for screen in self.screens:
                screen.put(frame)
            self.recorder.put(frame)

    async def _blocks(self, feed: Feed) -> None:
        async for block in _each(feed.block):
            self.player.put(block)
            self.recorder.put(block)


async def _each(fetch: Callable[[], Any]) -> AsyncIterator[Any]:
    """What ``fetch`` gives, until it ends."""
    while True:
        try:
            item = await fetch()
        except StopAsyncIteration:
            return
        yield item


def _toggled(on: bool | None, now: bool) -> bool:
    return not now if on is None else on
