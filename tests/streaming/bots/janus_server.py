"""A real Janus with one folder of settings of its own, and a guest who joins its rooms with a voice."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from engine.clock import MonotonicClock
from streaming.bots.janus_bot import PLUGIN
from streaming.bots.janus_link import JanusLink, janus_link
from streaming.bots.janus_protocol import Json, News
from tests.streaming.serve.serve_fakes import Caller

ROOM, PIN_ROOM, PIN = 42, 43, "1234"
_PATIENCE_S = 30.0


def _library() -> Path | None:
    found = [*Path("/usr/lib").glob("*/janus"), *Path("/opt/janus/lib").glob("janus")]
    return next((folder for folder in found if (folder / "plugins" / "libjanus_videoroom.so").exists()), None)


def why_not() -> str | None:
    """Why there can be no Janus here; None if there can."""
    if shutil.which("janus") is None or _library() is None:
        return "Janus is not installed (Debian: apt-get install janus)"
    if not aioice.ice.get_host_addresses(True, False):
        return "this machine has no address but loopback, which Janus never offers"
    return None


def _disabled(folder: Path, kept: str) -> str:
    return ",".join(path.name for path in sorted(folder.glob("*.so")) if path.name != kept)


@dataclass
class JanusServer:
    """A process of Janus."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    _log: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, and return when it can be asked."""
        log = self.folder / f"janus-{len(self._log)}.log"
        self._log.append(log)
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                ["janus", "-F", str(self.folder), "-C", str(self.folder / "janus.jcfg")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"Janus did not start: {log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def make_janus(folder: Path) -> JanusServer:
    """Settings for a server with two rooms, one of them behind a PIN."""
    library = _library()
    assert library is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "janus.jcfg").write_text(
        f"""general: {{
  configs_folder = "{folder}"
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  events_folder = "{library}/none"
  loggers_folder = "{library}/none"
  debug_level = 4
  debug_colors = false
}}
media: {{ rtp_port_range = "31000-31400" }}
nat: {{ }}
plugins: {{ disable = "{_disabled(library / "plugins", "libjanus_videoroom.so")}" }}
transports: {{ disable = "{_disabled(library / "transports", "libjanus_websockets.so")}" }}
"""
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f"""general: {{ json = "compact" ws = true ws_port = {port} ws_ip = "127.0.0.1" wss = false }}
admin: {{ admin_ws = false admin_wss = false }}
"""
    )
    rooms = "".join(
        f"""room-{number}: {{
  description = "test" publishers = 6 bitrate = 3000000 record = false
  audiocodec = "opus" videocodec = "vp8,h264" {extra}
}}
"""
        for number, extra in ((ROOM, ""), (PIN_ROOM, f'pin = "{PIN}"'))
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(f"general: {{ }}\n{rooms}")
    return JanusServer(folder, port)


@dataclass
class Guest:
    """Another participant: says something, and sees and hears the others.

    Attributes:
        seen: What came of each feed, by its id.
        publishers: Display name by id of those who publish.
    """

    link: JanusLink
    publishers: dict[int, str] = field(default_factory=dict)
    seen: dict[int, Caller] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    voice: Caller | None = None
    handle: int = 0
    id: int = 0

    def told(self, news: News) -> None:
        self._note(news.data)

    def _note(self, data: Json) -> None:
        for publisher in data.get("publishers", ()):
            self.publishers[publisher["id"]] = publisher.get("display", "")
        for key in ("leaving", "unpublished"):
            if isinstance(data.get(key), int):
                self.publishers.pop(data[key], None)
                self.left.add(data[key])

    async def enter(self, name: str, room: int = ROOM) -> None:
        self.handle = await self.link.attach(PLUGIN, self.told)
        entry = {"request": "join", "ptype": "publisher", "room": room, "display": name}
        reply = await self.link.message(self.handle, entry)
        self.id = reply.data["id"]
        self._note(reply.data)

    async def publish(self, voice: MediaStreamTrack) -> None:
        connection = RTCPeerConnection(RTCConfiguration([]))
        self.voice = Caller(connection)
        connection.addTransceiver(voice, "sendonly")
        offer = {"type": "offer", "sdp": await self.voice.offer()}
        reply = await self.link.message(self.handle, {"request": "publish", "audio": True, "video": False}, offer)
        assert reply.jsep is not None
        await self.voice.accept(reply.jsep)

    async def unpublish(self) -> None:
        await self.link.message(self.handle, {"request": "unpublish"})
        assert self.voice is not None
        await self.voice.hang_up()

    async def watch(self, feed: int, room: int = ROOM) -> Caller:
        handle = await self.link.attach(PLUGIN, lambda _: None)
        entry = {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}]}
        offer = (await self.link.message(handle, entry)).jsep
        assert offer is not None
        caller = self.seen[feed] = Caller(RTCPeerConnection(RTCConfiguration([])))
        await caller.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await caller.connection.setLocalDescription(await caller.connection.createAnswer())
        answer = {"type": "answer", "sdp": caller.connection.localDescription.sdp}
        await self.link.message(handle, {"request": "start"}, answer)
        return caller

    def called(self, name: str) -> int | None:
        return next((number for number, display in self.publishers.items() if display == name), None)


@contextlib.asynccontextmanager
async def guest(server: JanusServer, name: str = "Guest") -> AsyncIterator[Guest]:
    """Somebody in the room."""
    async with janus_link(server.url, MonotonicClock()) as link:
        found = Guest(link)
        await found.enter(name)
        try:
            yield found
        finally:
            callers = [*found.seen.values(), *([found.voice] if found.voice else [])]
            await asyncio.gather(*(caller.hang_up() for caller in callers))
