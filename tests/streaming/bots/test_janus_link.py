"""A connection's replies, silences and end, on a virtual clock and a wire of our own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from engine.clock import NS_PER_S, VirtualClock
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.janus_link import JanusLink, JanusRefusal, janus_link
from streaming.bots.janus_protocol import JanusProtocol, News


class FakeWire:
    """Keeps what is sent; gives what a test says."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._coming: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.answers: dict[str, dict[str, Any]] = {}
        """By the kind of request, answered at once."""

    async def send(self, message: str) -> None:
        request = json.loads(message)
        self.sent.append(request)
        answer = self.answers.get(request["janus"])
        if answer is not None:
            self.say({"transaction": request["transaction"], **answer})

    async def recv(self) -> str:
        found = await self._coming.get()
        if isinstance(found, Exception):
            raise found
        return found

    def say(self, message: dict[str, Any] | Exception) -> None:
        self._coming.put_nowait(message if isinstance(message, Exception) else json.dumps(message))


Script = Callable[[JanusLink, FakeWire, VirtualClock], Awaitable[None]]


def play(script: Script) -> None:
    clock = VirtualClock()

    async def main() -> None:
        wire = FakeWire()
        link = JanusLink(wire, JanusProtocol(), clock)
        tasks = [asyncio.create_task(link.read()), asyncio.create_task(link.live())]
        try:
            await script(link, wire, clock)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    clock.run(main())


def test_replies_find_their_requests_in_any_order() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        asked = [asyncio.create_task(link.request("message", handle=7, body={"n": n})) for n in range(3)]
        await clock.sleep_until(1)
        for request in reversed(wire.sent):
            data = {"n": request["body"]["n"]}
            wire.say(
                {"janus": "event", "sender": 7, "transaction": request["transaction"], "plugindata": {"data": data}}
            )
        assert [reply.data["n"] for reply in await asyncio.gather(*asked)] == [0, 1, 2]

    play(script)


def test_silence_is_not_waited_for_for_ever() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        wire.answers["message"] = {"janus": "ack"}  # taken in, and nothing comes of it
        with pytest.raises(JoinUnavailable, match="did not answer `message` within 10 s"):
            await link.request("message", handle=7, body={})
        assert clock.now_ns() == 10 * NS_PER_S

    play(script)


def test_signs_of_life_are_given_and_a_server_that_gives_none_is_gone() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        wire.answers["keepalive"] = {"janus": "ack"}
        await clock.sleep_until(80 * NS_PER_S)
        assert [request["janus"] for request in wire.sent] == ["keepalive"] * 3
        wire.answers.clear()
        with pytest.raises(JoinUnavailable, match="did not answer `keepalive`"):
            await link.until_ended()
        with pytest.raises(JoinUnavailable, match="keepalive"):
            await link.request("attach")

    play(script)


def test_a_wire_that_is_cut_fails_what_waits() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        asked = asyncio.create_task(link.request("attach"))
        await clock.sleep_until(1)
        wire.say(ConnectionClosedError(None, None))
        with pytest.raises(JoinUnavailable, match="has ended"):
            await asked
        assert clock.now_ns() == 1

    play(script)


@pytest.mark.parametrize("message", [{"janus": "timeout", "session_id": 1}, {"no": "janus"}])
def test_a_session_that_was_forgotten_and_a_server_that_raves(message: dict[str, Any]) -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        wire.say(message)
        with pytest.raises(JoinUnavailable):
            await link.until_ended()

    play(script)


def test_news_go_to_the_handle_that_they_are_about() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        heard: list[News] = []
        wire.answers |= {"attach": {"janus": "success", "data": {"id": 7}}, "detach": {"janus": "success"}}
        assert await link.attach("plugin", heard.append) == 7
        for sender in (8, 7):
            wire.say({"janus": "webrtcup", "sender": sender})
        await clock.sleep_until(NS_PER_S)
        assert [(news.kind, news.handle) for news in heard] == [("webrtcup", 7)]
        await link.detach(7)
        wire.say({"janus": "webrtcup", "sender": 7})
        await clock.sleep_until(2 * NS_PER_S)
        assert len(heard) == 1

    play(script)


def test_a_refusal_says_why() -> None:
    async def script(link: JanusLink, wire: FakeWire, clock: VirtualClock) -> None:
        wire.answers["attach"] = {"janus": "error", "error": {"code": 460, "reason": "No such plugin 'x'"}}
        with pytest.raises(JanusRefusal, match=r"No such plugin 'x' \(460\)"):
            await link.attach("x", lambda _: None)

    play(script)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:8188", "ws://", ""])
def test_addresses_that_are_none(url: str) -> None:
    async def main() -> None:
        async with janus_link(url, VirtualClock()):
            pass

    with pytest.raises(JoinRefused, match="no address of a Janus server"):
        asyncio.run(main())


def test_a_websocket_of_something_else() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with janus_link(f"ws://127.0.0.1:{port}", VirtualClock()):
                pass

    with pytest.raises(JoinRefused, match="does not speak the Janus API"):
        asyncio.run(main())
