"""What a WHIP client makes of every answer (RFC 9725)."""

import asyncio
import email.utils
import time
from collections.abc import Callable

import httpx
import pytest

from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.whip_client import MAX_ANSWER_BYTES, WhipClient, WhipResource

URL = "https://live.example/whip/room"
MADE = {"content-type": "application/sdp", "location": "/made/1", "etag": '"a"'}

Handler = Callable[[httpx.Request], httpx.Response]


def publish(handler: Handler, url: str = URL, token: str | None = "secret") -> WhipResource:
    async def main() -> WhipResource:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            return await WhipClient(url, token, http).publish("v=0\r\n")

    return asyncio.run(main())


def answering(status: int, text: str = "", **headers: str) -> Handler:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, text=text, headers=given)


def test_a_session_is_begun_as_the_rfc_says() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(201, text="v=0 answer", headers=MADE)

    made = publish(handler)
    assert made == WhipResource("https://live.example/made/1", "v=0 answer", '"a"')
    assert asked[0].method == "POST" and asked[0].content == b"v=0\r\n"
    assert asked[0].headers["content-type"] == "application/sdp"
    assert asked[0].headers["authorization"] == "Bearer secret"


def test_a_redirect_keeps_method_body_and_token_and_moves_the_session() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "live.example":
            return httpx.Response(307, headers={"location": "https://edge.example/w?x=1"})
        return httpx.Response(201, text="v=0", headers={**MADE, "location": "s/2"})

    assert publish(handler).url == "https://edge.example/s/2"
    last = asked[-1]
    assert (last.method, last.content, last.headers["authorization"]) == ("POST", b"v=0\r\n", "Bearer secret")


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (answering(307, location="http://live.example/w"), "not encrypted"),
        (answering(307, location=URL), "more than 5 times"),
        (answering(308), "without saying where"),
        (answering(302, location="/w"), "WHIP forbids"),
        (answering(200, "<html>", content_type="text/html"), "as no WHIP endpoint does"),
        (answering(201, "v=0", content_type="application/sdp"), "without Location"),
        (answering(201, "v=0", content_type="text/plain", location="/x"), "without SDP answer"),
        (answering(201, " ", content_type="application/sdp", location="/x"), "without SDP answer"),
        (answering(201, "v=0", content_type="application/sdp", location="ftp://x"), "no address"),
        (answering(401), "--token"),
        (answering(404), "no WHIP endpoint at that address"),
        (answering(406, "no \x1b[2J codec", content_type="text/plain"), 'It says: "no [2J codec"'),
        (answering(200, "x" * (MAX_ANSWER_BYTES + 1)), "more than 64 KB"),
    ],
)
def test_what_no_second_try_mends_is_refused(handler: Handler, says: str) -> None:
    with pytest.raises(JoinRefused) as refused:
        publish(handler)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("status", "retry", "seconds"),
    [(503, "7", 7.0), (429, "99999999", 3600.0), (503, "soon", None), (500, None, None)],
)
def test_a_server_without_a_place_says_when_to_come_again(
    status: int, retry: str | None, seconds: float | None
) -> None:
    with pytest.raises(JoinUnavailable) as full:
        publish(answering(status, **({} if retry is None else {"retry_after": retry})))
    assert full.value.retry_after_s == seconds


def test_retry_after_may_be_a_date() -> None:
    with pytest.raises(JoinUnavailable) as full:
        publish(answering(503, retry_after=email.utils.formatdate(time.time() + 1000, usegmt=True)))
    assert full.value.retry_after_s is not None and 0 < full.value.retry_after_s <= 1000


def test_a_server_that_is_not_there_may_be_there_later() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(JoinUnavailable, match="cannot be reached: refused"):
        publish(handler)


@pytest.mark.parametrize("url", ["", "live.example", "ftp://x/y", "http://", "http://[::1", "http://x:99999/"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(JoinRefused, match="no address of a WHIP endpoint"):
        publish(answering(201), url)


def test_a_token_that_no_header_carries() -> None:
    with pytest.raises(JoinRefused, match="token"):
        publish(answering(201), token="a\r\nb: c")


def test_ending_never_fails() -> None:
    seen: list[tuple[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, str(request.url)))
        if len(seen) == 1:
            return httpx.Response(500)
        raise httpx.ReadTimeout("late", request=request)

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            client = WhipClient(URL, None, http)
            await client.end(WhipResource("https://live.example/made/1", "", None))
            await client.end(WhipResource("https://live.example/made/1", "", None))

    asyncio.run(main())
    assert seen == [("DELETE", "https://live.example/made/1")] * 2
