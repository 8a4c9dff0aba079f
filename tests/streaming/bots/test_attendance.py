"""A bot from beginning to end: what it is given to say arrives in the call, and it leaves as it should."""

import asyncio
import json
import os
import socket
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import Response
from websockets.asyncio.client import connect

from engine.errors import AudioError, CapacityError, ConfigError
from engine.lanes import ThreadLane
from models.spec import MEDIA_HZ
from streaming.avatars import AVATARS
from streaming.bots.attendance import Attended, BotOptions, attend
from streaming.bots.bot_errors import JoinRefused
from streaming.bots.presence import Call
from streaming.bots.speech import FileSpeech, PcmSpeech, Speech
from streaming.bots.whip_bot import WhipCall
from streaming.bots.whip_client import WhipClient
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from streaming.serve.room import Room
from tests.streaming.bots.peaks import loudness
from tests.streaming.bots.whip_server import WhipServer, whip_server
from tests.streaming.serve.serve_fakes import cheap_engine, until

TONE = (12_000 * np.sin(2 * np.pi * 440 * np.arange(12_000) / 24_000)).astype(np.int16)
DEMO = AVATARS.parent / "demo" / "hello.flac"


def cheap_server(config: ServeConfig) -> Server:
    return create_server(config, make_engine=cheap_engine)


def calling(http: httpx.AsyncClient) -> Callable[[Room, Server], Call]:
    return lambda room, _: WhipCall(WhipClient("http://whip.test/in", None, http), room)


def loudest(server: WhipServer) -> int:
    return int(max((loudness(sound) for caller in server.callers for sound in caller.sounds), default=0))


async def say(server: WhipServer, http: httpx.AsyncClient, speech: Speech | None, **more: Any) -> Attended:
    options = BotOptions("ada", lookahead=0, **more.pop("options", {}))
    return await attend(options, "pushed", calling(http), speech, make_server=cheap_server, **more)


def test_a_recording_is_said_and_then_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(TONE.tobytes())

    async def main() -> None:
        lane = ThreadLane("test-speech")
        async with whip_server() as (server, http):
            done = await say(server, http, FileSpeech(path, lane))
            assert (done.stays, server.asked[-1][0]) == (1, "DELETE")
            assert done.frames > 10 and loudest(server) > 8000
        lane.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_pcm_is_said_as_it_comes(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        lane = ThreadLane("test-speech")
        data = TONE.tobytes() + b"\x01"  # half a sample at the end is nothing
        if kind == "pipe":
            reading, writing = os.pipe()
            stream = os.fdopen(reading, "rb")
            feeding = asyncio.create_task(asyncio.to_thread(_feed, writing, data))
        else:
            (tmp_path / "pcm").write_bytes(data)
            stream, feeding = (tmp_path / "pcm").open("rb"), asyncio.create_task(asyncio.sleep(0))
        async with whip_server() as (server, http):
            await say(server, http, PcmSpeech(stream, 24_000, lane))
            assert loudest(server) > 8000
        await feeding
        stream.close()
        lane.close()

    asyncio.run(main())


def _feed(writing: int, data: bytes) -> None:
    with os.fdopen(writing, "wb") as pipe:
        for start in range(0, len(data), 1001):
            pipe.write(data[start : start + 1001])


def test_silence_on_the_standard_input_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "pcm").touch()
        lane = ThreadLane("test-speech")
        with (tmp_path / "pcm").open("rb") as stream:
            async with whip_server() as (server, http):
                with pytest.raises(AudioError, match="no sound on the standard input"):
                    await say(server, http, PcmSpeech(stream, 24_000, lane))
                assert server.asked[-1][0] == "DELETE"
            with pytest.raises(AudioError, match="--rate"):
                PcmSpeech(stream, 7999, lane)
        lane.close()

    asyncio.run(main())


def test_other_programs_push_speech_until_it_is_told_to_leave() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def main() -> None:
        said: list[str] = []
        stop = asyncio.Event()
        async with whip_server() as (server, http):
            bot = asyncio.create_task(say(server, http, None, options={"door": port}, say=said.append, stop=stop))
            await until(lambda: "in the call" in said, "it is in the call")
            address = next(line for line in said if "ws://" in line).split()[-1]
            async with connect(address) as agent:
                await agent.send(json.dumps({"type": "start", "rate_hz": 24_000}))
                await agent.send(TONE.tobytes())
                await agent.send('{"type": "flush"}')
                while json.loads(await agent.recv())["type"] != "flushed":
                    pass
            assert loudest(server) > 8000
            stop.set()
            assert (await bot).stays == 1
            assert server.asked[-1][0] == "DELETE"

    asyncio.run(main())


def test_a_call_that_refuses_ends_it() -> None:
    async def main() -> None:
        async with whip_server(Response(status_code=401)) as (server, http):
            with pytest.raises(JoinRefused, match="--token"):
                await say(server, http, None)
            assert len(server.asked) == 1

    asyncio.run(main())


def test_the_shipped_networks_speak_in_a_call() -> None:
    async def main() -> None:
        lane = ThreadLane("test-speech")
        async with whip_server() as (server, http):
            options = BotOptions("ada", fps=20, lookahead=6)
            try:
                done = await attend(options, "pushed", calling(http), FileSpeech(DEMO, lane))
            except (CapacityError, ConfigError) as error:
                pytest.skip(f"this machine is too busy for a live face now: {error}")
            finally:
                lane.close()
            seen = server.callers[0]
            pictures = np.stack([frame.to_ndarray(format="gray")[250:400, 150:360] for frame in seen.frames[::4]])
            heard = np.concatenate([sound.to_ndarray().ravel() for sound in seen.sounds])
            assert done.frames > 40 and len(pictures) > 5
            assert float(pictures.astype(np.float32).std(axis=0).max()) > 15, "the mouth moves"
            assert np.abs(heard).max() > 3000 and len(heard) > MEDIA_HZ

    asyncio.run(main())
