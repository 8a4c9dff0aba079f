"""The WebSocket's protocol, over a real server."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from streaming.serve.app import Server
from streaming.serve.config import ServeConfig
from streaming.serve.run import serve
from tests.standstill import run_again_if_it_stood_still
from tests.streaming.serve.serve_fakes import PATIENCE_S, begin, excused, make_server, until


@asynccontextmanager
async def listening(**changes: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Server, str]]:
    """A server on a port of its own: a client, what it holds, and the address of its sockets."""
    made: list[Server] = []
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def make(config: ServeConfig) -> Server:
        made.append(make_server(**config.model_dump()))
        return made[0]

    config = ServeConfig(**{"port": 0, "drain_s": 0.0, **changes})
    end = asyncio.Event()
    running = asyncio.create_task(serve(config, said.set_result, make=make, end=end))
    where = (await asyncio.wait_for(said, PATIENCE_S)).split()[3].rstrip("/")
    async with httpx.AsyncClient(base_url=where, timeout=PATIENCE_S) as client:
        try:
            yield client, made[0], where.replace("http", "ws") + "/ws"
        finally:
            end.set()
            await asyncio.wait_for(running, PATIENCE_S)


def play_socket(script: Callable[[ClientConnection, httpx.AsyncClient, Server], Awaitable[None]], **asked: Any) -> None:
    """Run a script with a socket of a session."""

    async def main() -> None:
        async with listening() as (client, server, sockets):
            session = await begin(client, **asked)
            with excused(AssertionError, websockets.ConnectionClosed, KeyError):
                async with connect(f"{sockets}/{session}") as socket:
                    await script(socket, client, server)
                await until(lambda: not server.rooms.get(session).sockets, "the socket is gone")

    run_again_if_it_stood_still(main)


async def answer(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of a kind; those before it are passed over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


def speech(seconds: float, rate_hz: int = 16_000) -> bytes:
    return (12_000 * np.sin(np.arange(round(seconds * rate_hz)) / 5)).astype("<i2").tobytes()


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


def test_an_utterance_is_spoken_and_its_end_is_told() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        await say(socket, type="start", rate_hz=24_000)
        begun = await answer(socket, "started")
        assert begun["rate_hz"] == 24_000 and begun["latency_ms"] > 0
        data = speech(1.0, 24_000)
        for start in range(0, len(data), 5000):
            await socket.send(data[start : start + 5000])
        await say(socket, type="flush")
        await answer(socket, "flushed")
        stats = await answer(socket, "stats")
        assert stats["waiting_ms"] == 0 and stats["audio_blocks"] >= 45 and stats["frames"] > 5

    play_socket(script, mode="pushed")


def test_an_interruption_is_met_though_much_speech_waits() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        await say(socket, type="start", rate_hz=16_000)
        for _ in range(50):  # 50 s, beyond what the session itself keeps waiting
            await socket.send(speech(1.0))
        await say(socket, type="flush")
        await say(socket, type="interrupt")
        await answer(socket, "interrupted")
        (room,) = server.rooms
        await until(lambda: room.session.stats().intake_ms == 0, "nothing waits")
        # And goes on: what comes next is spoken at once.
        await socket.send(speech(0.2))
        await say(socket, type="flush")
        await answer(socket, "flushed")
        assert (await client.post(f"/api/sessions/{room.id}/interrupt")).status_code == 204

    play_socket(script, mode="pushed")


def test_a_live_voice_moves_the_mouth_and_faster_than_life_is_refused() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        await say(socket, type="start", rate_hz=16_000)
        for _ in range(3):
            await socket.send(speech(1.0))
        assert "real time" in (await _flood(socket))["message"]
        await say(socket, type="flush")
        await answer(socket, "flushed")

    async def _flood(socket: ClientConnection) -> dict[str, Any]:
        for _ in range(3):
            await socket.send(speech(1.5))
        return await answer(socket, "error")

    play_socket(script)


def test_the_face_is_steered() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        await say(socket, type="set", controls={"gaze_yaw": 0.3})
        assert (await answer(socket, "controls"))["controls"]["gaze_yaw"] == 0.3
        await say(socket, type="change_avatar", avatar="imani")
        assert (await answer(socket, "avatar"))["avatar"] == "imani"
        await say(socket, type="change_style", style="none")
        assert (await answer(socket, "style"))["style"] == "none"

    play_socket(script)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"\0\0", "Begin with"),
        ("", "JSON"),
        ("[]", "object"),
        ('{"type": "start"}', "rate_hz"),
        ('{"type": "start", "rate_hz": 100}', "rate_hz"),
        ('{"type": "start", "rate_hz": 16000, "more": 1}', "more"),
        ('{"type": "sing"}', "start"),
        ('{"type": "set", "controls": {"gaze_yaw": 9}}', "gaze_yaw"),
        ('{"type": "set", "controls": {"gaze_yaw": NaN}}', "finite"),
        ('{"type": "change_avatar", "avatar": "nobody"}', "no avatar"),
        ('{"type": "' + "x" * 5000 + '"}', "4 KB"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_socket_goes_on(message: bytes | str, says: str) -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        await socket.send(message)
        error = await answer(socket, "error")
        assert set(error) == {"type", "message"} and says in error["message"], error
        await say(socket, type="start", rate_hz=16_000)
        await answer(socket, "started")
        await socket.send(b"\0")
        assert "whole samples" in (await answer(socket, "error"))["message"]

    play_socket(script)


def test_who_only_makes_mistakes_is_shown_out() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            for _ in range(1000):
                await socket.send("nonsense")
                await asyncio.sleep(0)
            await answer(socket, "never")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008

    play_socket(script)


def test_any_bytes_leave_the_session_alive() -> None:
    chance = random.Random(7)
    pieces = [
        '{"type":',
        '"start"',
        '"set"',
        ',"rate_hz":',
        "16000",
        "1e999",
        "}",
        '{"controls":{}}',
        "[",
        "null",
        "\0",
    ]

    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        (room,) = server.rooms
        where = str(client.base_url).rstrip("/").replace("http", "ws") + f"/ws/{room.id}"
        for _ in range(2):
            async with connect(where, close_timeout=0.2) as other:
                try:
                    for _ in range(30):
                        if chance.random() < 0.5:
                            await other.send("".join(chance.choices(pieces, k=chance.randint(0, 8))))
                        else:
                            await other.send(chance.randbytes(chance.choice((0, 1, 2, 999))))
                except websockets.ConnectionClosed:
                    pass
            # What is too large for any message ends that socket alone.
            async with connect(where, close_timeout=0.2) as other:
                with pytest.raises(websockets.ConnectionClosed):
                    await other.send(bytes(400_000))
                    await answer(other, "never")
        await say(socket, type="start", rate_hz=8000)
        await answer(socket, "started")

    play_socket(script)


def test_a_session_has_so_many_sockets_and_no_more() -> None:
    async def script(socket: ClientConnection, client: httpx.AsyncClient, server: Server) -> None:
        (room,) = server.rooms
        where = str(client.base_url).rstrip("/").replace("http", "ws") + f"/ws/{room.id}"
        async with connect(where), connect(where), connect(where):
            with pytest.raises(websockets.InvalidStatus):
                await connect(where)
        assert (await client.delete(f"/api/sessions/{room.id}")).status_code == 204
        await answer(socket, "ended")
        with pytest.raises(websockets.InvalidStatus):
            await connect(where)
        room.sockets.clear()
        server.rooms._rooms[room.id] = room  # for the fixture, which asks for it

    play_socket(script)


def test_a_browsers_socket_shows_its_token_in_the_address() -> None:
    async def main() -> None:
        async with listening(token="open-sesame") as (client, _, sockets):
            client.headers["Authorization"] = "Bearer open-sesame"
            made = (await client.post("/api/sessions", json={"avatar": "ada"})).json()
            for shown in ("", "?token=wrong-token"):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connect(f"{sockets}/{made['id']}{shown}")
                assert refused.value.response.status_code == 403
            with pytest.raises(websockets.InvalidStatus):
                await connect(f"{sockets}/{made['id']}?token={made['token']}", origin="https://evil.example")
            async with connect(f"{sockets}/{made['id']}?token={made['token']}") as socket:
                await say(socket, type="start", rate_hz=16_000)
                await answer(socket, "started")

    asyncio.run(main())
