"""A server whose faces are cheap, and the peers that call it: real connections over loopback."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from engine.artefacts.avatar import Avatar
from engine.budget import Measurement
from engine.care import Care
from engine.clock import NS_PER_S, Clock, MonotonicClock
from engine.controls import Face
from engine.engine import Engine
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from streaming.serve.throttle import Rate
from tests.bundles import face_template
from tests.engine.session_fakes import LIP, FakePipeline
from tests.standstill import StoodStill, run_again_if_it_stood_still

ORIGIN = "http://127.0.0.1:8000"
PATIENCE_S = 40.0
"""On a machine that is busy with other things a second of media may take many."""


class GreyRenderer:
    """A plain picture as bright as the mouth is open; it takes no time."""

    workers = 2

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        opening = float(face.landmarks[LIP, 1] - face_template()[LIP, 1])
        return np.full((512, 512, 3), round(60 + 180 * min(1.0, max(0.0, opening))), np.uint8)

    def close(self) -> None:
        pass


def cheap_engine(clock: Clock, busy: float = 0.01) -> Engine:
    async def measure(*_: Any) -> Measurement:
        return Measurement([5.0] * 60, busy)

    def renderer(_: Avatar, *__: Any) -> GreyRenderer:
        return GreyRenderer()

    def pipeline(_: Avatar, lookahead: int, seed: int, *__: Any) -> FakePipeline:
        return FakePipeline(lookahead)

    return Engine(
        clock=clock, cores=8, workers=2, renderer_factory=renderer, pipeline_factory=pipeline, measure=measure
    )


PLENTY = Rate(10_000, 10_000)


def make_server(**changes: Any) -> Server:
    """A server with a cheap engine; to be used on the running event loop."""
    rates = {name: changes.pop(name, PLENTY) for name in ("requests", "costly")}
    engine = changes.pop("make_engine", cheap_engine)
    return create_server(ServeConfig(**changes), make_engine=engine, clock=MonotonicClock(), **rates)


@asynccontextmanager
async def visiting(server: Server, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the server, in this process; the server is closed behind it."""
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=PATIENCE_S, **options) as client:
        try:
            yield client
        finally:
            await server.close()


async def begin(client: httpx.AsyncClient, **asked: Any) -> str:
    """A session's id."""
    made = await client.post("/api/sessions", json={"avatar": "ada", "lookahead": 0, "fps": 20, **asked})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def until(true: Callable[[], Any], what: str) -> None:
    """Wait for something to come true; the only thing that a test may wait for."""
    clock = MonotonicClock()
    deadline = clock.now_ns() + round(PATIENCE_S * NS_PER_S)
    while not true():
        assert clock.now_ns() < deadline, f"never: {what}"
        await asyncio.sleep(0.05)


class Tone(MediaStreamTrack):
    """A microphone: 20 ms of a tone at a time, on an absolute schedule."""

    kind = "audio"

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level, self.sent = level, 0
        self._clock = MonotonicClock()
        self._origin_ns: int | None = None

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._origin_ns = self._clock.now_ns() if self._origin_ns is None else self._origin_ns
        await self._clock.sleep_until(self._origin_ns + self.sent * NS_PER_S // 50)
        phase = 2 * np.pi * 440 * (np.arange(960) + 960 * self.sent) / 48_000
        samples = (32767 * self.level * np.sin(phase)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * self.sent, Fraction(1, 48_000)
        self.sent += 1
        return frame


@dataclass
class Caller:
    """A real peer that keeps what it receives."""

    connection: RTCPeerConnection
    frames: list[av.VideoFrame] = field(default_factory=list)
    sounds: list[av.AudioFrame] = field(default_factory=list)
    _listening: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection.on("track", self._listen)

    def _listen(self, track: MediaStreamTrack) -> None:
        kept: list[Any] = self.frames if track.kind == "video" else self.sounds
        self._listening.append(asyncio.create_task(self._keep(track, kept)))

    @staticmethod
    async def _keep(track: MediaStreamTrack, kept: list[Any]) -> None:
        try:
            while True:
                kept.append(await track.recv())
        except MediaStreamError:
            return

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def hang_up(self) -> None:
        await self.connection.close()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)


@asynccontextmanager
async def caller(voice: MediaStreamTrack | None = None, *, shown: bool = True) -> AsyncIterator[Caller]:
    """A peer that gives a voice, wants to be shown the avatar, or both."""
    connection = RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    if voice is not None:
        connection.addTransceiver(voice, "sendrecv" if shown else "sendonly")
    elif shown:
        connection.addTransceiver("audio", "recvonly")
    if shown:
        connection.addTransceiver("video", "recvonly")
    found = Caller(connection)
    try:
        yield found
    finally:
        await found.hang_up()


Script = Callable[[httpx.AsyncClient, Server], Awaitable[None]]


@contextmanager
def excused(*failures: type[Exception]) -> Iterator[None]:
    """These failures are the machine's, if it stood still meanwhile and nothing else ended a session.

    Raises:
        StoodStill: They were.
    """

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "failed" in record.msg:
                told.append(record.getMessage())

    told: list[str] = []
    listener, logger = Listener(), logging.getLogger("streaming.serve.room")
    logger.addHandler(listener)
    try:
        yield
    except failures as error:
        if told and all("the process stood still" in words for words in told):
            raise StoodStill from error
        raise
    finally:
        logger.removeHandler(listener)


def play(script: Script, **changes: Any) -> None:
    """Run a script against a server; again, if the machine stood still meanwhile."""

    async def main() -> None:
        server = make_server(**changes)
        with excused(AssertionError, KeyError):
            async with visiting(server) as client:
                await script(client, server)

    run_again_if_it_stood_still(main)
