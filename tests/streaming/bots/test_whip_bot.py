"""The avatar published to WHIP servers: media over real connections, on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from fastapi import Response

from streaming.bots.bot_errors import JoinRefused
from streaming.bots.outgoing import OutgoingPeer
from streaming.bots.presence import Presence
from streaming.bots.whip_bot import WhipCall, WhipStay
from streaming.bots.whip_client import WhipClient
from streaming.serve.messages import NewSession
from streaming.serve.room import Room
from tests.streaming.bots.peaks import Peak, loudness, shade
from tests.streaming.bots.whip_server import whip_server
from tests.streaming.serve.serve_fakes import begin, make_server, until, visiting

URL = "http://whip.test/in"


def in_a_room(script: Callable[[Room], Awaitable[None]], **asked: Any) -> None:
    """Run ``script`` beside a session with cheap faces."""

    async def main() -> None:
        server = make_server()
        try:
            room = await server.rooms.open(NewSession(**{"avatar": "ada", "mode": "pushed", "lookahead": 0, **asked}))
            await script(room)
        finally:
            await server.close()

    asyncio.run(main())


def test_picture_and_voice_arrive_and_the_session_is_ended() -> None:
    async def script(room: Room) -> None:
        async with whip_server() as (server, http):
            async with WhipCall(WhipClient(URL, "secret", http), room).join() as stay:
                assert isinstance(stay, WhipStay) and isinstance(stay.peer, OutgoingPeer)
                seen = server.callers[0]
                await until(lambda: len(seen.frames) > 5, "pictures arrive")
                quiet = shade(seen.frames[-1])
                loudest, brightest = Peak(seen.sounds, loudness), Peak(seen.frames, shade)
                tone = (12_000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16)
                await room.session.push(tone, 48_000)
                await until(lambda: loudest() > 8000 and brightest() > quiet + 30, "the voice and an open mouth")
                assert seen.frames[-1].width == 512
            assert server.asked == [
                ("POST", "/in", "Bearer secret", "application/sdp"),
                ("DELETE", "/made/0", "Bearer secret", None),
            ]

    in_a_room(script)


def test_a_connection_that_breaks_is_made_again() -> None:
    async def script(room: Room) -> None:
        async with whip_server(Response(status_code=503, headers={"Retry-After": "0"})) as (server, http):
            presence = Presence(WhipCall(WhipClient(URL, None, http), room), room.call_settings().clock)
            keep = asyncio.create_task(presence.keep())
            await until(lambda: server.callers and server.callers[0].frames, "pictures arrive after the 503")
            await server.callers[0].hang_up()
            await until(lambda: len(server.callers) > 1 and server.callers[1].frames, "they arrive again")
            keep.cancel()
            await asyncio.wait([keep])
            assert keep.cancelled()
            assert [method for method, *_ in server.asked] == ["POST", "POST", "DELETE", "POST", "DELETE"]

    in_a_room(script)


def test_an_answer_that_is_none_is_told_and_the_session_is_ended() -> None:
    async def script(room: Room) -> None:
        nonsense = Response("v=0\r\nnonsense", 201, {"Location": "/made/0"}, "application/sdp")
        async with whip_server(nonsense) as (server, http):
            with pytest.raises(JoinRefused, match="malformed"):
                async with WhipCall(WhipClient(URL, None, http), room).join():
                    pass
            assert [path for _, path, *_ in server.asked] == ["/in", "/made/0"]

    in_a_room(script)


def test_our_own_whip_door_takes_it() -> None:
    async def main() -> None:
        server = make_server()
        async with visiting(server) as client:
            heard = await begin(client)
            shown = server.rooms.get(await begin(client, mode="pushed"))
            endpoint = f"http://127.0.0.1:8000/whip/{heard}"
            async with WhipCall(WhipClient(endpoint, None, client), shown).join():
                room = server.rooms.get(heard)
                await until(lambda: room.view().peers[0]["voice"]["packets"] > 10, "the voice arrives")  # type: ignore[index]
            await until(lambda: room.peers == 0, "it was ended")

    asyncio.run(main())
