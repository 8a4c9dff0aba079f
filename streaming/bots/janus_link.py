"""A connection to a Janus server: requests with their replies, news to whom it concerns, and the signs of life."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from engine.clock import NS_PER_S, Clock
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.janus_protocol import MAX_MESSAGE_BYTES, JanusProtocol, Json, News, Refusal, Reply

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 25.0
"""A server forgets a session that it has not heard of for 60 s."""
_UNAUTHORIZED: Final = 403

OnNews = Callable[[News], None]


class JanusRefusal(JoinRefused):
    """A request was refused.

    Attributes:
        code: Janus's or the plugin's number for why.
        reason: The same in words.
    """

    def __init__(self, message: str, code: int, reason: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Wire(Protocol):
    """Text messages, both ways."""

    async def send(self, message: str) -> None:
        """Send one."""
        ...

    async def recv(self) -> str | bytes:
        """The next that comes."""
        ...


class JanusLink:
    """One session on a server.

    Attributes:
        failure: What ended it, if it has ended of itself.
    """

    def __init__(self, wire: Wire, protocol: JanusProtocol, clock: Clock) -> None:
        self._wire, self._protocol, self._clock = wire, protocol, clock
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._handles: dict[int, OnNews] = {}
        self._ended = asyncio.Event()
        self.failure: JoinUnavailable | None = None

    async def request(self, kind: str, **parts: Any) -> Reply:
        """Ask, and wait for what comes of it.

        Args:
            kind: See ``JanusProtocol.request``.
            parts: The same.

        Raises:
            JanusRefusal: The server or the plugin refuses.
            JoinUnavailable: The connection has ended, or there is no reply within 10 s.
        """
        if self.failure is not None:
            raise JoinUnavailable(str(self.failure))
        transaction, text = self._protocol.request(kind, **parts)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = reply
        limit = asyncio.ensure_future(self._clock.sleep_until(self._clock.now_ns() + round(TIMEOUT_S * NS_PER_S)))
        try:
            await self._wire.send(text)
            both: list[asyncio.Future[Any]] = [reply, limit]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                raise JoinUnavailable(f"The Janus server did not answer `{kind}` within {TIMEOUT_S:.0f} s.")
            return reply.result()
        except (WebSocketException, OSError) as error:
            raise JoinUnavailable(f"The connection to the Janus server has ended: {error}.") from error
        finally:
            limit.cancel()
            if not reply.cancel() and not reply.cancelled():
                reply.exception()  # met, whoever gave up waiting for it
            self._waiting.pop(transaction, None)
            self._protocol.forget(transaction)

    async def attach(self, plugin: str, on_news: OnNews) -> int:
        """A handle on a plugin; its news go to ``on_news``, which must not wait.

        Raises:
            JanusRefusal: The server has no such plugin.
            JoinUnavailable: See ``request``.
        """
        reply = await self.request("attach", plugin=plugin)
        handle = reply.data.get("id")
        if not isinstance(handle, int):
            raise JoinUnavailable("What the server sends is not the Janus API: it has no handle id.")
        self._handles[handle] = on_news
        return handle

    async def message(self, handle: int, body: Json, jsep: Json | None = None) -> Reply:
        """Ask a plugin; errors as of ``request``."""
        return await self.request("message", handle=handle, body=body, jsep=jsep)

    async def detach(self, handle: int) -> None:
        """Give a handle back; one that is gone already is no fault."""
        self._handles.pop(handle, None)
        try:
            await self.request("detach", handle=handle)
        except (JanusRefusal, JoinUnavailable) as error:
            logger.debug("a handle was not given back: %s", error)

    async def until_ended(self) -> None:
        """Wait until the connection or the session has ended of itself.

        Raises:
            JoinUnavailable: Why.
        """
        await self._ended.wait()
        assert self.failure is not None
        raise JoinUnavailable(str(self.failure))

    async def read(self) -> None:
        """Take messages in until the connection ends."""
        try:
            while True:
                self._take(await self._wire.recv())
        except (WebSocketException, OSError) as error:
            self._fail(f"The connection to the Janus server has ended: {error}")
        except JoinUnavailable as error:
            self._fail(str(error).rstrip("."))

    async def live(self) -> None:
        """Tell the server, time and again, that we are there."""
        try:
            while True:
                await self._clock.sleep_until(self._clock.now_ns() + round(KEEPALIVE_S * NS_PER_S))
                await self.request("keepalive")
        except (JoinUnavailable, JanusRefusal) as error:
            self._fail(str(error).rstrip("."))

    def _take(self, text: str | bytes) -> None:
        found = self._protocol.receive(text)
        if isinstance(found, News):
            if found.kind == "timeout" and found.handle is None:
                self._fail("The Janus server has forgotten the session")
            elif found.handle in self._handles:
                self._handles[found.handle](found)
        elif found is not None:
            reply = self._waiting.get(found.transaction)
            if reply is None or reply.done():
                return
            if isinstance(found, Refusal):
                words = f"The Janus server refuses: {found.reason.rstrip('.')} ({found.code})."
                reply.set_exception(JanusRefusal(words, found.code, found.reason))
            else:
                reply.set_result(found)

    def _fail(self, message: str) -> None:
        if self.failure is None:
            self.failure = JoinUnavailable(f"{message}.")
            self._ended.set()
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(JoinUnavailable(str(self.failure)))


@asynccontextmanager
async def janus_link(
    url: str, clock: Clock, *, token: str | None = None, secret: str | None = None
) -> AsyncIterator[JanusLink]:
    """A session on a server, destroyed in the end.

    Args:
        url: ``ws://`` or ``wss://``, of Janus's WebSocket transport.
        clock: The time.
        token: Of servers with tokens.
        secret: Of servers with an API secret.

    Raises:
        JoinRefused: That is no Janus server, or it does not let us in.
        JoinUnavailable: It cannot be reached.
    """
    if not url.startswith(("ws://", "wss://")):
        raise JoinRefused(f"{url[:200]!r} is no address of a Janus server: write ws://host:port or wss://host/path.")
    try:
        socket = await connect(
            url,
            subprotocols=[Subprotocol("janus-protocol")],
            open_timeout=TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            close_timeout=2,
        )
    except InvalidURI as error:
        raise JoinRefused(f"{url[:200]!r} is no address of a Janus server: write ws://host:port.") from error
    except InvalidStatus as error:
        status = error.response.status_code
        if status >= 500:
            raise JoinUnavailable(f"{url} has no place now ({status}).") from error
        raise JoinRefused(f"{url} is no WebSocket of a Janus server: it answers {status}.") from error
    except InvalidHandshake as error:
        raise JoinRefused(f"{url} is no WebSocket of a Janus server: {error}.") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise JoinUnavailable(f"{url} cannot be reached: {str(error).rstrip('.') or 'no answer'}.") from error
    async with socket:
        if socket.subprotocol != "janus-protocol":
            raise JoinRefused(f"{url} does not speak the Janus API (subprotocol janus-protocol).")
        link = JanusLink(socket, JanusProtocol(token=token, secret=secret), clock)
        tasks = [asyncio.create_task(work, name="mien-janus") for work in (link.read(), link.live())]
        try:
            await link.request("create")
            yield link
        except JanusRefusal as error:
            if error.code == _UNAUTHORIZED:
                raise JoinRefused(
                    "The Janus server asks for its API secret or a token: give --secret or --token."
                ) from error
            raise
        finally:
            if link.failure is None:
                try:
                    await link.request("destroy")
                except (JanusRefusal, JoinUnavailable) as error:
                    logger.debug("the session was not ended: %s", error)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
