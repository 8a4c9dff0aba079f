"""What every request meets before any of our handlers does, and what every answer is given on its way out. Pure ASGI.

::

    request -> host and origin -> how often -> token -> size of the body -> handlers -> headers -> answer

Without a token a server listens on loopback alone; then a page of another site could still reach it through the
visitor's browser, by its address or by a name that points to it. The checks of ``Origin`` and ``Host`` are for that.
"""

import json
import logging
import math
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.clock import NS_PER_S, Clock
from streaming.serve.serve_errors import RequestError
from streaming.serve.throttle import Rate, Throttle

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 128 << 10
MAX_UPLOAD_BODY_BYTES: Final = 13 << 20
"""A picture and the form about it."""
FAULT: Final = "Something went wrong on the server; it has been logged there."
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_REQUESTS: Final = Rate(50, 200)
_COSTLY: Final = Rate(1, 20)
_UPLOAD: Final = ("POST", "/api/avatars")
_SAFE: Final = frozenset({"GET", "HEAD"})
_GUARDED: Final = ("/api/", "/whip/", "/whep/", "/ws/", "/metrics", "/openapi.json")
_OF_SESSIONS: Final = ("/api/sessions/", "/whip/", "/whep/", "/ws/")
_HEADERS: Final = {
    "content-security-policy": "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob: mediastream:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}
_CORS: Final = {
    "access-control-allow-methods": "GET, HEAD, POST, PATCH, DELETE, OPTIONS",
    "access-control-allow-headers": "Authorization, Content-Type, If-Match",
    "access-control-expose-headers": "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Retry-After",
    "access-control-max-age": "600",
    "vary": "Origin",
}


@dataclass(frozen=True)
class Doors:
    """Who may come in.

    Attributes:
        token: That must be shown; None for no one needs one.
        origins: Of pages beside our own that may ask; ``*`` for all.
        hosts: Names by which the server may be asked for; empty for any.
        requests: How often one address may ask at all.
        costly: How often for what takes long, which is any POST but an interruption: a session, an avatar, a call.
    """

    token: str | None = None
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    requests: Rate = _REQUESTS
    costly: Rate = _COSTLY


class Guard:
    """The outermost application."""

    def __init__(self, app: ASGIApp, doors: Doors, clock: Clock, session_token: Callable[[str], str | None]) -> None:
        """Stand before ``app``.

        Args:
            app: What is guarded.
            doors: Who may come in.
            clock: For how often.
            session_token: The token of a session by its id, which opens that session's doors.
        """
        self._app, self._doors, self._clock, self._session_token = app, doors, clock, session_token
        self._requests, self._costly = Throttle(doors.requests), Throttle(doors.costly)
        self.turned_away = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = _Answer(send)
        try:
            answer.headers |= self._admit(scope, headers)
            if scope["type"] == "http":
                if scope["method"] == "OPTIONS" and scope["path"].startswith("/api/"):
                    await answer.give(204, None, {})
                    return
                receive = _limited(receive, headers, _body_limit(scope), answer)
            await self._app(scope, receive, answer.send)
        except RequestError as error:
            self.turned_away += 1
            if scope["type"] == "websocket":
                await _refuse_socket(receive, send, error)
            else:
                await answer.give(error.status, str(error), error.headers)
        except Exception:
            logger.exception("a request failed: %s %s", scope.get("method", "WebSocket"), scope["path"])
            if scope["type"] == "http":
                await answer.give(500, FAULT, {})

    def _admit(self, scope: Scope, headers: dict[str, str]) -> dict[str, str]:
        """Check everything but the body; gives headers for the answer."""
        method = scope.get("method", "GET")
        socket = scope["type"] == "websocket"
        host = headers.get("host", "")
        name = _host_name(host)
        if self._doors.hosts and name not in self._doors.hosts:
            raise RequestError(421, "This server is not known by that name: ask for it by its address.")
        allowed = self._origin(headers.get("origin"), host)
        if self._guarded(scope["path"]):
            self._throttle(scope, method)
        open_to_all = method == "OPTIONS" or (method in _SAFE and not socket and scope["path"].endswith("/picture.png"))
        if self._doors.token is not None and self._guarded(scope["path"]) and not open_to_all:
            self._check_token(scope, headers, socket=socket)
        return allowed

    @staticmethod
    def _guarded(path: str) -> bool:
        return path.startswith(_GUARDED)

    def _origin(self, origin: str | None, host: str) -> dict[str, str]:
        """Headers for a page of an allowed origin; none for our own."""
        if origin is None or _place(origin) == host:
            return {"vary": "Origin"}
        if "*" in self._doors.origins or origin in self._doors.origins:
            return {**_CORS, "access-control-allow-origin": origin}
        raise RequestError(403, f"Pages of {origin[:100]} may not use this server: allow it with --origin.")

    def _throttle(self, scope: Scope, method: str) -> None:
        client = scope.get("client") or ("unknown", 0)
        now_s = self._clock.now_ns() / NS_PER_S
        wait = self._requests.take(client[0], now_s)
        if not wait and method == "POST" and not scope["path"].endswith("/interrupt"):
            wait = self._costly.take(client[0], now_s)
        if wait:
            raise RequestError(429, "Too many requests: slow down.", {"Retry-After": str(math.ceil(wait))})

    def _check_token(self, scope: Scope, headers: dict[str, str], *, socket: bool) -> None:
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            shown = ""
        if socket and not shown:  # a browser cannot give a socket a header
            shown = (parse_qs(scope["query_string"].decode("latin-1")).get("token") or [""])[0]
        if not shown:
            asks = {"WWW-Authenticate": "Bearer"}
            raise RequestError(401, "This server asks for a token (Authorization: Bearer).", asks)
        assert self._doors.token is not None
        fitting = [self._doors.token]
        if scope["path"].startswith(_OF_SESSIONS):
            own = self._session_token(_session_of(scope["path"]))
            fitting += [own] if own is not None else []
        if not any(secrets.compare_digest(shown.encode(), token.encode()) for token in fitting):
            raise RequestError(403, "That token does not open this door.")


def _session_of(path: str) -> str:
    parts = path.split("/")
    return parts[3] if path.startswith("/api/") else parts[2]


def _place(origin: str) -> str | None:
    """Host and port of an origin."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _body_limit(scope: Scope) -> int:
    return MAX_UPLOAD_BODY_BYTES if (scope["method"], scope["path"]) == _UPLOAD else MAX_BODY_BYTES


class _Answer:
    """What goes out on one request: once, with our headers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers = dict(_HEADERS)
        self.refusal: RequestError | None = None
        """Takes the place of whatever the application makes of a body that was cut off."""
        self._started, self._given = False, False

    async def send(self, message: Message) -> None:
        """The application's messages."""
        if self._given:
            return
        if message["type"] == "http.response.start":
            if self.refusal is not None:
                await self.give(self.refusal.status, str(self.refusal), self.refusal.headers)
                return
            self._started = True
            message["headers"] = _merged(message.get("headers", ()), self.headers)
        await self._send(message)

    async def give(self, status: int, message: str | None, headers: dict[str, str]) -> None:
        """An answer of our own, unless one was begun."""
        if self._started or self._given:
            return
        self._given = True
        body = b"" if message is None else json.dumps({"message": message}).encode()
        sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if message is not None:
            sent += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": _merged(sent, self.headers)})
        await self._send({"type": "http.response.body", "body": body})


def _limited(receive: Receive, headers: dict[str, str], limit: int, answer: _Answer) -> Receive:
    """``receive``, which refuses more than ``limit`` bytes, whatever the headers say."""
    too_large = RequestError(413, f"The body has more than {limit >> 10} KB.")
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            answer.refusal = too_large
            raise too_large
        return message

    return limited


def _merged(headers: Iterable[Any], extra: dict[str, str]) -> list[tuple[bytes, bytes]]:
    given = [(bytes(name), bytes(value)) for name, value in headers]
    names = {name.lower() for name, _ in given}
    return given + [
        (name.encode(), value.encode("latin-1", "replace"))
        for name, value in extra.items()
        if name.encode() not in names
    ]


async def _refuse_socket(receive: Receive, send: Send, error: RequestError) -> None:
    """Closing before accepting answers the handshake with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
