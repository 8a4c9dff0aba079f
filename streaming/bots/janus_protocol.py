"""The Janus API as messages in and out (https://janus.conf.meetecho.com/docs/rest.html). Sans-IO.

::

    us -> {"janus": "message", "transaction": "t1", "session_id", "handle_id", "body": {...}, "jsep": {...}}
    ->    {"janus": "ack", "transaction": "t1"}                            taken in, the plugin works on it
    ->    {"janus": "event", "transaction": "t1", "plugindata": {...}}     what came of it

A request is done with ``success``, ``error``, an ``event`` of its own, or, for requests that no plugin works on, an
``ack``. All else is news: about a connection (``webrtcup``, ``hangup``, ``media``, ``slowlink``, ``trickle``), a handle
(``detached``), the session (``timeout``), or from the plugin (``event``).
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from streaming.bots.bot_errors import JoinUnavailable

MAX_MESSAGE_BYTES: Final = 256 << 10
_PENDING: Final = 64
_ACK_IS_ALL: Final = frozenset({"keepalive", "trickle"})
_NEWS: Final = frozenset({"webrtcup", "hangup", "media", "slowlink", "trickle", "detached", "timeout"})

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """A request is done.

    Attributes:
        transaction: Which.
        data: What the server or the plugin says.
        jsep: Its offer or answer, SDP.
    """

    transaction: str
    data: Json
    jsep: str | None


@dataclass(frozen=True)
class Refusal:
    """A request was refused.

    Attributes:
        transaction: Which.
        code: Janus's or the plugin's number for why.
        reason: The same in words.
    """

    transaction: str
    code: int
    reason: str


@dataclass(frozen=True)
class News:
    """What nobody asked for.

    Attributes:
        kind: ``event`` from the plugin, or see the module.
        handle: Whom it is about; None for the session.
        data: What it says.
        jsep: An offer that comes with it, SDP.
    """

    kind: str
    handle: int | None
    data: Json
    jsep: str | None


Incoming = Reply | Refusal | News


class JanusProtocol:
    """One connection's messages."""

    def __init__(self, *, token: str | None = None, secret: str | None = None) -> None:
        """Begin.

        Args:
            token: Of servers with stored or signed tokens.
            secret: Of servers with an API secret.
        """
        self._shown = {"token": token, "apisecret": secret}
        self._pending: dict[str, str] = {}
        self._count = 0
        self.session: int | None = None

    @property
    def pending(self) -> int:
        """Requests that are not done."""
        return len(self._pending)

    def request(
        self,
        kind: str,
        *,
        handle: int | None = None,
        body: Json | None = None,
        jsep: Json | None = None,
        **fields: Any,
    ) -> tuple[str, str]:
        """A request.

        Args:
            kind: ``create``, ``attach``, ``message``, ``trickle``, ``keepalive``, ``detach`` or ``destroy``.
            handle: Whom it is about.
            body: For the plugin.
            jsep: An offer or answer.
            fields: More of the message, by Janus's names.

        Returns:
            Its transaction, and the text to be sent.

        Raises:
            JoinUnavailable: The server has left too many requests undone.
        """
        if len(self._pending) >= _PENDING:
            raise JoinUnavailable(f"The Janus server has left {_PENDING} requests unanswered.")
        self._count += 1
        transaction = f"mien-{self._count}"
        message: Json = {"janus": kind, "transaction": transaction, **fields}
        message |= {name: value for name, value in self._shown.items() if value is not None}
        named = {"session_id": self.session, "handle_id": handle, "body": body, "jsep": jsep}
        message |= {name: value for name, value in named.items() if value is not None}
        self._pending[transaction] = kind
        return transaction, json.dumps(message)

    def forget(self, transaction: str) -> None:
        """Nobody waits for that any more."""
        self._pending.pop(transaction, None)

    def receive(self, text: str | bytes) -> Incoming | None:
        """What a message means; None if it says nothing new.

        Raises:
            JoinUnavailable: It is no message of Janus.
        """
        try:
            message = json.loads(text)
            kind = message["janus"]
            handle = message.get("sender")
            if not isinstance(kind, str) or not isinstance(handle, int | None):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise JoinUnavailable("What the server sends is not the Janus API.") from error
        transaction = message.get("transaction")
        known = self._pending.get(transaction) if isinstance(transaction, str) else None
        if known is None:
            return self._news(kind, handle, message)
        if kind == "ack":
            return self._done(transaction, {}, None) if known in _ACK_IS_ALL else None
        if kind == "error":
            self.forget(transaction)
            return Refusal(transaction, *_why(message.get("error")))
        if kind not in ("success", "event"):
            return self._news(kind, handle, message)
        data, jsep = _plugin_data(message), _sdp(message)
        if "error_code" in data:
            self.forget(transaction)
            return Refusal(transaction, *_why({"code": data["error_code"], "reason": data.get("error")}))
        if known == "create":
            self.session = _number(data.get("id"))
        return self._done(transaction, data, jsep)

    def _done(self, transaction: str, data: Json, jsep: str | None) -> Reply:
        self.forget(transaction)
        return Reply(transaction, data, jsep)

    @staticmethod
    def _news(kind: str, handle: int | None, message: Json) -> News | None:
        if kind == "event":
            return News(kind, handle, _plugin_data(message), _sdp(message))
        return News(kind, handle, message, None) if kind in _NEWS else None


def _plugin_data(message: Json) -> Json:
    """What the plugin says, or, where there is none, the server."""
    wrapped = message.get("plugindata")
    data = wrapped.get("data") if isinstance(wrapped, dict) else message.get("data")
    return data if isinstance(data, dict) else {}


def _sdp(message: Json) -> str | None:
    jsep = message.get("jsep")
    sdp = jsep.get("sdp") if isinstance(jsep, dict) else None
    return sdp if isinstance(sdp, str) else None


def _why(error: Any) -> tuple[int, str]:
    found = error if isinstance(error, dict) else {}
    code, reason = found.get("code"), found.get("reason")
    words = " ".join(str(reason).split())[:200] if isinstance(reason, str) and reason else "no reason given"
    return (code if isinstance(code, int) else 0), words


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise JoinUnavailable("What the server sends is not the Janus API: it has no session id.")
    return value
