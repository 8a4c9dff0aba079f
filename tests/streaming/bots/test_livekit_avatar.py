"""Mien under LiveKit's own ``AvatarRunner``, audio queue and native media sources; only the room is a stand-in."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from engine.clock import MonotonicClock
from tests.engine.session_fakes import AVATAR
from tests.streaming.bots.peaks import Peak
from tests.streaming.serve.serve_fakes import cheap_engine, until

agents = pytest.importorskip("livekit.agents", reason="LiveKit's agents library is not installed (extra [livekit])")

from livekit import rtc  # noqa: E402
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput  # noqa: E402

from streaming.bots.livekit_avatar import MienVideoGenerator, avatar_options  # noqa: E402

RATE_HZ = 24_000


@dataclass
class StandInRoom:
    """Takes tracks, and looks at what flows through them."""

    frames: list[Any] = field(default_factory=list)
    sounds: list[Any] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def local_participant(self) -> "StandInRoom":
        return self

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None: ...

    def off(self, *_: Any) -> None: ...

    async def publish_track(self, track: Any, options: Any) -> "StandInRoom":
        self.published.append(track.name)
        stream: Any = (
            rtc.VideoStream(track, format=rtc.VideoBufferType.I420) if "video" in track.name else rtc.AudioStream(track)
        )
        kept = self.frames if "video" in track.name else self.sounds
        self.tasks.append(asyncio.create_task(self._keep(stream, kept)))
        return self

    async def wait_for_subscription(self) -> None: ...

    @staticmethod
    async def _keep(stream: Any, kept: list[Any]) -> None:
        try:
            async for event in stream:
                kept.append(event.frame)
        finally:
            await stream.aclose()


@dataclass
class Scene:
    room: StandInRoom
    voice: QueueAudioOutput
    finished: list[Any]

    async def say(self, ms: int, channels: int = 1) -> None:
        count = RATE_HZ * ms // 1000
        tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(count) / RATE_HZ)).astype(np.int16)
        for part in np.array_split(tone, max(1, ms // 50)):
            data = np.repeat(part[:, np.newaxis], channels, axis=1).tobytes()
            await self.voice.capture_frame(rtc.AudioFrame(data, RATE_HZ, channels, len(part)))


def play(script: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        room, voice, finished = StandInRoom(), QueueAudioOutput(sample_rate=RATE_HZ), []
        async with (
            cheap_engine(MonotonicClock()) as engine,
            engine.session(avatar=AVATAR, mode="pushed", lookahead=0) as session,
        ):
            generator = MienVideoGenerator(session)
            runner = AvatarRunner(room, audio_recv=voice, video_gen=generator, options=avatar_options(30))
            voice.on("playback_finished", finished.append)
            await runner.start()
            try:
                await script(Scene(room, voice, finished))
            finally:
                await runner.aclose()
                for task in room.tasks:
                    task.cancel()
                await asyncio.gather(*room.tasks, return_exceptions=True)

    asyncio.run(main())


def shade(frame: Any) -> float:
    return float(np.frombuffer(frame.data, np.uint8)[: 512 * 512 : 997].mean())  # of I420: the brightness comes first


def loudness(sound: Any) -> float:
    return float(np.abs(np.frombuffer(sound.data, np.int16)).max())


def test_a_segment_is_seen_heard_and_counted() -> None:
    async def script(scene: Scene) -> None:
        room = scene.room
        await until(lambda: len(room.frames) > 5, "pictures flow before anything is said")
        assert sorted(room.published) == ["avatar_audio", "avatar_video"]
        assert (room.frames[0].width, room.frames[0].height) == (512, 512)
        loudest = Peak(room.sounds, loudness)
        quiet, brightest = shade(room.frames[-1]), Peak(room.frames, shade)
        await scene.say(600, channels=2)
        scene.voice.flush()
        await until(lambda: brightest() > quiet + 20, "the mouth opens")
        await until(lambda: scene.finished, "the segment ends")
        assert not scene.finished[0].interrupted
        assert 0.58 <= scene.finished[0].playback_position <= 0.63
        await until(lambda: loudest() > 5000, "it is heard")
        await until(lambda: shade(room.frames[-1]) < quiet + 5, "the mouth closes")

    play(script)


def test_an_interruption_stops_it_and_tells_how_far_it_came() -> None:
    async def script(scene: Scene) -> None:
        room = scene.room
        loudest = Peak(room.sounds, loudness)
        await scene.say(8000)
        await until(lambda: loudest() > 5000, "it is heard")
        scene.voice.clear_buffer()
        await until(lambda: scene.finished, "the interruption is told")
        assert scene.finished[0].interrupted and 0 < scene.finished[0].playback_position < 8
        scene.voice.flush()
        await scene.say(300)
        scene.voice.flush()
        await until(lambda: len(scene.finished) == 2, "the next segment is whole")
        assert not scene.finished[1].interrupted
        assert 0.28 <= scene.finished[1].playback_position <= 0.33
        assert room.frames

    play(script)
