import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from streaming.serve.app import Server
from streaming.serve.throttle import Rate
from tests.streaming.serve.serve_fakes import begin, play

TOKEN = "open-sesame"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_every_answer_carries_the_headers_that_keep_a_page_safe() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        for path in ("/healthz", "/api/avatars", "/api/sessions/none", "/nothing"):
            headers = (await client.get(path)).headers
            assert "default-src 'self'" in headers["content-security-policy"], path
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"

    play(script)


def test_a_token_guards_all_but_the_page_and_the_health() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        assert (await client.get("/healthz")).status_code == 200
        for path in ("/api/avatars", "/metrics", "/openapi.json"):
            refused = await client.get(path)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
            assert (await client.get(path, headers=bearer("wrong-token"))).status_code == 403
            assert (await client.get(path, headers=bearer(TOKEN))).status_code == 200
        assert (await client.get("/api/avatars", headers={"Authorization": "Basic eA=="})).status_code == 401
        # Pictures are shown by <img>, which cannot show a token.
        assert (await client.get("/api/avatars/ada/picture.png")).status_code == 200

    play(script, token=TOKEN)


def test_a_sessions_token_opens_that_session_alone() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        first, second = [
            (await client.post("/api/sessions", json={"avatar": "ada"}, headers=bearer(TOKEN))).json() for _ in range(2)
        ]
        own = bearer(first["token"])
        assert (await client.get(f"/api/sessions/{first['id']}", headers=own)).status_code == 200
        assert (await client.get(f"/api/sessions/{second['id']}", headers=own)).status_code == 403
        assert (await client.post("/api/sessions", json={"avatar": "ada"}, headers=own)).status_code == 403
        assert (await client.post(f"/whip/{second['id']}", headers=own)).status_code == 403
        assert (await client.post(f"/whip/{first['id']}", headers=own)).status_code == 415

    play(script, token=TOKEN, max_sessions=4)


def test_pages_of_other_sites_are_turned_away_unless_allowed() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        for origin, status in (
            (None, 200),
            ("http://127.0.0.1:8000", 200),
            ("https://good.example", 200),
            ("https://evil.example", 403),
            ("null", 403),
            ("http://[", 403),
            ("http://127.0.0.1:9000", 403),
        ):
            answer = await client.get("/api/avatars", headers={} if origin is None else {"Origin": origin})
            assert answer.status_code == status, origin
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == ("https://good.example" if origin == "https://good.example" else None)
            assert status == 403 or "Origin" in answer.headers["vary"]
        asked = {"Origin": "https://good.example", "Access-Control-Request-Method": "PATCH"}
        preflight = await client.options("/api/sessions/x", headers=asked)
        assert preflight.status_code == 204 and "PATCH" in preflight.headers["access-control-allow-methods"]
        assert "Authorization" in preflight.headers["access-control-allow-headers"]

    play(script, origins=("https://good.example",))


def test_a_name_that_points_to_us_is_not_ours() -> None:
    """DNS rebinding: the browser believes that it still talks to the other site."""

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        for host, status in (("evil.example:8000", 421), ("localhost:8000", 200), ("[::1]:8000", 200), ("[", 421)):
            assert (await client.get("/healthz", headers={"Host": host})).status_code == status, host

    play(script)


def test_bodies_are_bounded_whatever_their_headers_say() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="me.png"\r\n\r\n'

    async def endless(begin: bytes = b"") -> AsyncIterator[bytes]:
        yield begin
        while True:
            yield bytes(1 << 16)
            await asyncio.sleep(0)

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        for path, begun, kind in (
            ("/api/sessions", b"{", "application/json"),
            ("/api/avatars", form, "multipart/form-data; boundary=x"),
        ):
            refused = await client.post(path, content=endless(begun), headers={"Content-Type": kind})
            assert refused.status_code == 413 and "KB" in refused.json()["message"]
        session = await begin(client)
        refused = await client.post(f"/whip/{session}", content=endless(), headers={"Content-Type": "application/sdp"})
        assert refused.status_code == 413
        refused = await client.post("/api/sessions", content=bytes(1 << 20))
        assert refused.status_code == 413

    play(script)


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        answers = [await client.post("/api/sessions", json={"avatar": "nobody"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await client.get("/api/avatars")).status_code == 200
        assert (await client.get("/healthz")).status_code == 200

    play(script, costly=Rate(0.01, 3))


def test_a_fault_of_ours_is_told_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        def broken() -> None:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr(server.rooms.gallery, "views", broken)
        answer = await client.get("/api/avatars")
        assert answer.status_code == 500 and set(answer.json()) == {"message"} and "secret" not in answer.text
        assert (await client.get("/healthz")).status_code == 200

    play(script)
