"""The bot in a VideoRoom of a real Janus, with another participant whose media goes through the server too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming.bots import janus_bot
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.janus_bot import JanusAddress, JanusCall, JanusStay
from streaming.bots.janus_protocol import News
from streaming.bots.presence import Presence
from streaming.serve.app import Server
from streaming.serve.messages import NewSession
from streaming.serve.room import Room
from tests.streaming.bots.janus_server import PIN, PIN_ROOM, ROOM, JanusServer, guest, make_janus, why_not
from tests.streaming.bots.peaks import loudness, shade
from tests.streaming.serve.serve_fakes import Tone, make_server, until

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(scope="module")
def janus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JanusServer]:
    folder: Path = tmp_path_factory.mktemp("janus")
    server = make_janus(folder)
    server.start()
    yield server
    server.stop()


def play(script: Callable[[Room, Server], Awaitable[None]], mode: str = "pushed") -> None:
    async def main() -> None:
        server = make_server()
        try:
            asked = NewSession.model_validate({"avatar": "ada", "mode": mode, "lookahead": 0})
            await script(await server.rooms.open(asked), server)
        finally:
            await server.close()

    asyncio.run(main())


def test_it_is_seen_and_heard_and_speaks_what_another_says(janus: JanusServer) -> None:
    async def script(room: Room, server: Server) -> None:
        call = JanusCall(JanusAddress(janus.url, ROOM, display="Ada"), room, server.clock, listen="Guest")
        async with guest(janus) as other, call.join() as stay:
            attending = asyncio.create_task(stay.until_lost())
            await until(lambda: other.called("Ada"), "the bot is in the room")
            seen = await other.watch(other.called("Ada") or 0)
            await until(lambda: len(seen.frames) > 10, "it is seen")
            quiet = shade(seen.frames[-1])
            assert stay.hearing is None and seen.frames[-1].width == 512

            voice = Tone()
            await other.publish(voice)
            await until(lambda: stay.hearing is not None, "it hears the guest")
            await until(lambda: shade(seen.frames[-1]) > quiet + 30, "its lips answer the voice")
            await until(lambda: loudness(seen.sounds[-1]) > 4000, "it is heard to say the same")

            await other.unpublish()
            await until(lambda: stay.hearing is None, "it knows that the voice has gone")
            await until(lambda: shade(seen.frames[-1]) < quiet + 10, "its mouth closes")
            await other.publish(Tone())
            await until(lambda: shade(seen.frames[-1]) > quiet + 30, "it hears the guest who came back")
            attending.cancel()
            await asyncio.wait([attending])
            assert attending.cancelled()
        assert room.peers == 0

    play(script, "live")


def test_others_see_it_leave(janus: JanusServer) -> None:
    async def script(room: Room, server: Server) -> None:
        async with guest(janus) as other:
            async with JanusCall(JanusAddress(janus.url, ROOM), room, server.clock, voice=False).join() as stay:
                assert isinstance(stay, JanusStay)
                await until(lambda: other.called("Mien") == stay.id, "the bot is in the room")
            await until(lambda: stay.id in other.left, "it left")

    play(script)


def test_a_server_that_dies_and_comes_back_has_it_again(janus: JanusServer) -> None:
    async def script(room: Room, server: Server) -> None:
        joins: list[int] = []
        presence = Presence(
            JanusCall(JanusAddress(janus.url, ROOM), room, server.clock),
            server.clock,
            on_joined=lambda: joins.append(1),
        )
        keep = asyncio.create_task(presence.keep())
        await until(lambda: len(joins) == 1, "it is in")
        janus.stop()
        await until(lambda: not presence.joined.is_set(), "it knows that the server has gone")
        await asyncio.to_thread(janus.start)
        await until(lambda: len(joins) == 2, "it is in again")
        async with guest(janus) as other:
            seen = await other.watch(other.called("Mien") or 0)
            await until(lambda: seen.frames, "it is seen again")
        keep.cancel()
        await asyncio.wait([keep])
        assert keep.cancelled()

    play(script)


@pytest.mark.parametrize(
    ("room", "pin", "says"),
    [(99, None, "no room 99"), (PIN_ROOM, None, "--pin"), (PIN_ROOM, "0000", "--pin"), ("name", None, "refuses")],
)
def test_rooms_that_cannot_be_entered(janus: JanusServer, room: int | str, pin: str | None, says: str) -> None:
    async def script(shown: Room, server: Server) -> None:
        with pytest.raises(JoinRefused) as refused:
            async with JanusCall(JanusAddress(janus.url, room, pin), shown, server.clock).join():
                pass
        assert says in str(refused.value)

    play(script)


def test_a_room_behind_a_pin_and_one_that_puts_it_out(janus: JanusServer) -> None:
    async def script(room: Room, server: Server) -> None:
        call = JanusCall(JanusAddress(janus.url, PIN_ROOM, PIN), room, server.clock)
        async with call.join() as stay:
            assert stay.id is not None
            waiting = asyncio.create_task(stay.until_lost())
            # The room's secret is empty: anybody may kick.
            kick = {"request": "kick", "room": PIN_ROOM, "id": stay.id}
            await stay._link.message(stay._handle or 0, kick)
            with pytest.raises(JoinRefused, match="put out"):
                await waiting

    play(script)


def test_a_server_that_is_not_there() -> None:
    async def script(room: Room, server: Server) -> None:
        with pytest.raises(JoinUnavailable, match="cannot be reached"):
            async with JanusCall(JanusAddress("ws://127.0.0.1:9", ROOM), room, server.clock).join():
                pass

    play(script)


@pytest.mark.parametrize("told", [True, False])
def test_media_that_ends_before_the_server_says_why(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janus_bot, "WORDS_S", 5.0 if told else 0.02)

    class Gone:
        failure = None

        async def until_ended(self) -> None:
            await asyncio.Event().wait()

        async def lost(self) -> None:
            return

    async def main() -> None:
        gone: Any = Gone()
        room: Any = None
        stay = JanusStay(gone, gone, JanusAddress("ws://127.0.0.1:9", ROOM), room, None)
        waiting = asyncio.create_task(stay.until_lost())
        await asyncio.sleep(0.01)
        if told:
            stay._told(News("event", 1, {"leaving": "ok", "reason": "kicked"}, None))
        with pytest.raises(JoinRefused if told else JoinUnavailable, match="put out" if told else "was lost"):
            await waiting

    asyncio.run(main())
