"""A WHIP client's HTTP (RFC 9725): offer to answer, and the end. Media is elsewhere.

::

    POST   endpoint    application/sdp, offer  -> 201, answer, Location
    DELETE Location                            -> 200

An offer carries all candidates, so nothing is left to be trickled by PATCH. Redirects are followed as the RFC allows
(307, 308); the bearer token goes along, since the endpoint that we trust names the next one, but never from https down
to http.
"""

import email.utils
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from streaming.bots.bot_errors import JoinRefused, JoinUnavailable

logger = logging.getLogger(__name__)

SDP: Final = "application/sdp"
MAX_ANSWER_BYTES: Final = 64 << 10
TIMEOUT_S: Final = 15.0
_REDIRECTS: Final = 5
_LONGEST_RETRY_S: Final = 3600.0
_WHY: Final = {
    400: "it calls the offer malformed",
    401: "it asks for a token: give it with --token",
    403: "the token does not open it",
    404: "there is no WHIP endpoint at that address",
    405: "that address is no WHIP endpoint",
    406: "it does not take what is offered (Opus, and VP8 or H.264)",
    409: "somebody publishes there already",
    415: "it does not take SDP: it is no WHIP endpoint",
    422: "it does not take what is offered (Opus, and VP8 or H.264)",
}


@dataclass(frozen=True)
class WhipResource:
    """A session on the server.

    Attributes:
        url: To end it with.
        answer: To our offer, SDP.
        etag: Of its ICE session, if the server told one.
    """

    url: str
    answer: str
    etag: str | None


class WhipClient:
    """One endpoint."""

    def __init__(self, endpoint: str, token: str | None, http: httpx.AsyncClient) -> None:
        """Prepare.

        Args:
            endpoint: Its address.
            token: To be shown as a bearer token.
            http: Sends requests; the caller's to close.

        Raises:
            JoinRefused: That is no address, or no token.
        """
        self._endpoint, self._token, self._http = _checked(endpoint), token, http
        if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
            raise JoinRefused("The token has letters that no HTTP header may have.")

    async def publish(self, offer: str) -> WhipResource:
        """Begin a session.

        Raises:
            JoinRefused: The server will not have us.
            JoinUnavailable: It cannot be reached, or has no place now.
        """
        url = self._endpoint
        for _ in range(_REDIRECTS + 1):
            status, headers, body = await self._ask("POST", url, offer)
            if status not in (307, 308):
                return self._begun(url, status, headers, body)
            target = headers.get("location")
            if not target:
                raise JoinRefused(f"{url} redirects without saying where to.")
            following = _checked(urljoin(url, target))
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme == "http":
                raise JoinRefused(f"{url} redirects to {following}, which is not encrypted: it is not followed.")
            url = following
        raise JoinRefused(f"{self._endpoint} redirects more than {_REDIRECTS} times.")

    async def end(self, resource: WhipResource) -> None:
        """End a session; a server that does not answer has ended it, or will when our media stops."""
        try:
            status, _, _ = await self._ask("DELETE", resource.url, None)
        except JoinUnavailable as error:
            logger.info("the WHIP session could not be ended: %s", error)
            return
        if status not in (200, 202, 204, 404, 410):
            logger.info("the WHIP server answered %d to the end of the session", status)

    def _begun(self, url: str, status: int, headers: Mapping[str, str], body: str) -> WhipResource:
        if status != 201:
            _refuse(url, status, headers, body)
        location = headers.get("location")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not location or kind != SDP or not body.strip():
            what = "Location" if not location else "SDP answer"
            raise JoinRefused(f"{url} answered 201 without {what}: it is no WHIP endpoint.")
        return WhipResource(_checked(urljoin(url, location)), body, headers.get("etag"))

    async def _ask(self, method: str, url: str, body: str | None) -> tuple[int, Mapping[str, str], str]:
        """One request; at most 64 KB of its answer are read."""
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        if body is not None:
            headers |= {"Content-Type": SDP, "Accept": SDP}
        try:
            async with self._http.stream(
                method, url, content=body, headers=headers, follow_redirects=False, timeout=TIMEOUT_S
            ) as response:
                received = b""
                async for part in response.aiter_bytes():
                    received += part
                    if len(received) > MAX_ANSWER_BYTES:
                        raise JoinRefused(f"{url} answers with more than {MAX_ANSWER_BYTES >> 10} KB: no WHIP answer.")
                return response.status_code, response.headers, received.decode("utf-8", "replace")
        except httpx.TimeoutException as error:
            raise JoinUnavailable(f"{url} did not answer within {TIMEOUT_S:.0f} s.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise JoinUnavailable(f"{url} cannot be reached: {why}.") from error


def _refuse(url: str, status: int, headers: Mapping[str, str], body: str) -> None:
    """Say why a session was not begun."""
    said = _plain(body) if headers.get("content-type", "").startswith(("text/plain", "application/")) else ""
    detail = f' It says: "{said}".' if said else ""
    if status in (429, 503) or status >= 500:
        wait = _retry_after_s(headers.get("retry-after"))
        raise JoinUnavailable(f"{url} has no place now ({status}).{detail}", wait)
    if status in (301, 302, 303):
        raise JoinRefused(f"{url} redirects with {status}, which WHIP forbids; ask {headers.get('location')} itself.")
    why = _WHY.get(status, "it answers as no WHIP endpoint does")
    raise JoinRefused(f"{url} refuses ({status}): {why}.{detail}")


def _retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After, which is a number or a date; None if it is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal() and len(text) < 12:
        return min(_LONGEST_RETRY_S, float(text))
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return min(_LONGEST_RETRY_S, max(0.0, (when - datetime.now(UTC)).total_seconds()))


def _plain(body: str) -> str:
    """The beginning of a server's words, fit for a terminal."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in body[:400]).split())
    return words[:200]


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise JoinRefused(f"{url[:200]!r} is no address of a WHIP endpoint: write http(s)://host/path.")
    return url
