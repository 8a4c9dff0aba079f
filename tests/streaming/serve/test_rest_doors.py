import asyncio

import httpx
import numpy as np
import pytest

from engine.errors import PortraitError
from engine.images import decode_png, encode_png
from streaming.serve import gallery as galleries
from streaming.serve.app import Server
from tests.engine.session_fakes import fake_avatar
from tests.streaming.serve.serve_fakes import begin, cheap_engine, play, until


def test_a_session_from_its_beginning_to_its_end() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        made = await client.post("/api/sessions", json={"avatar": "ada", "lookahead": 6, "fps": 25, "jitter_ms": 10})
        assert made.status_code == 201
        told = made.json()
        budget = told["budget"]
        assert budget["chunk_ms"] == pytest.approx(33) and budget["jitter_ms"] == 10
        parts = sum(budget[part] for part in ("lookahead_ms", "chunk_ms", "compute_ms", "output_ms"))
        assert budget["total_ms"] == pytest.approx(parts)
        assert told["token"] is None and told["ice_servers"] == [] and len(told["id"]) >= 16
        place = f"/api/sessions/{told['id']}"
        changed = await client.patch(place, json={"controls": {"gaze_yaw": 0.2}, "mute": True, "avatar": "ravi"})
        assert changed.status_code == 200, changed.text
        view = changed.json()
        assert view["controls"]["gaze_yaw"] == 0.2 and view["mute"] and view["avatar"] == "ravi" and view["fps"] == 25
        await until(lambda: server.rooms.get(told["id"]).session.stats().frames > 3, "frames are given")
        view = (await client.get(place)).json()
        assert view["stats"]["frames"] > 3 and {"p50", "p95", "p99", "max"} == set(view["stages"]["render"])
        assert (await client.post(f"{place}/interrupt")).status_code == 204
        assert (await client.delete(place)).status_code == 204
        gone = await client.get(place)
        assert gone.status_code == 404 and "no such session" in gone.json()["message"]

    play(script)


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({}, 422, "avatar"),
        ({"avatar": "nobody"}, 404, "there are ada"),
        ({"avatar": "../../etc/passwd"}, 404, "no avatar"),
        ({"avatar": "ada", "style": "none of these"}, 404, "no style"),
        ({"avatar": "ada", "fps": 24}, 422, "fps"),
        ({"avatar": "ada", "lookahead": 19}, 422, "lookahead"),
        ({"avatar": "ada", "latency": 20}, 400, "cannot be held"),
        ({"avatar": "ada", "latency": "fast"}, 422, "latency"),
        ({"avatar": "ada", "bogus": 1}, 422, "bogus"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(asked: dict[str, object], status: int, says: str) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        refused = await client.post("/api/sessions", json=asked)
        assert refused.status_code == status, refused.text
        assert set(refused.json()) == {"message"} and says in refused.json()["message"]
        assert len(server.rooms) == 0 and server.engine.sessions == 0

    play(script)


def test_a_change_that_cannot_be_leaves_the_session_as_it_was() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        place = f"/api/sessions/{await begin(client)}"
        for change, status in (
            ({"controls": {"gaze_yaw": 3}}, 400),
            ({"avatar": "nobody"}, 404),
            ({"style": "nothing"}, 404),
            ({"controls": {"nose": 1}}, 422),
            ({"controls": {"mouth": "wide"}}, 422),
        ):
            assert (await client.patch(place, json=change)).status_code == status, change
        view = (await client.get(place)).json()
        assert view["avatar"] == "ada" and view["controls"]["gaze_yaw"] == 0

    play(script)


def test_a_full_server_says_when_to_come_again() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        assert (await client.get("/readyz")).status_code == 200
        first = await begin(client)
        # Two at once, and one place.
        answers = await asyncio.gather(*(client.post("/api/sessions", json={"avatar": "ada"}) for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [201, 503]
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert int(refused.headers["retry-after"]) > 0 and "2 sessions run" in refused.json()["message"]
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "full")
        await client.delete(f"/api/sessions/{first}")
        assert (await client.get("/readyz")).status_code == 200

    play(script, max_sessions=2)


def test_a_machine_that_is_full_refuses_too() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        await begin(client)
        refused = await client.post("/api/sessions", json={"avatar": "ada"})
        assert refused.status_code == 503 and "cores" in refused.json()["message"] and "retry-after" in refused.headers

    play(script, make_engine=lambda clock: cheap_engine(clock, busy=5.0))


def test_a_session_in_which_nobody_is_ends() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        await begin(client)
        await until(lambda: not len(server.rooms) and not server.engine.sessions, "the session ends")

    play(script, idle_s=0.2)


def test_no_session_is_longer_than_its_limit() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        room = server.rooms.get(await begin(client))
        with_somebody = asyncio.create_task(_stay(room))
        await until(lambda: not len(server.rooms), "the session ends")
        with_somebody.cancel()

    async def _stay(room: object) -> None:
        while True:
            room.touch()  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)

    play(script, limit_s=0.3)


def test_the_shipped_avatars_are_shown() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        avatars = (await client.get("/api/avatars")).json()
        assert {"ada", "imani", "ravi"} <= {avatar["id"] for avatar in avatars}
        picture = await client.get(avatars[0]["picture"])
        assert picture.headers["content-type"] == "image/png" and decode_png(picture.content).shape == (512, 512, 3)
        assert (await client.get("/api/avatars/..%2Fada/picture.png")).status_code == 404
        assert (await client.get("/api/styles")).json()[0] == {"id": "none", "name": "As taught"}

    play(script)


def test_a_visitors_picture_becomes_an_avatar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The making of it, which has tests of its own, is left out."""

    def build(data: bytes, name: str) -> object:
        if data == b"no face":
            raise PortraitError("There is no face in the picture.")
        return fake_avatar(name)

    monkeypatch.setattr(galleries, "_build", build)

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        picture = encode_png(np.zeros((64, 64, 3), np.uint8))
        made = await client.post("/api/avatars", files={"picture": ("../<b>me</b>.jpeg", picture, "image/jpeg")})
        assert made.status_code == 201, made.text
        assert made.json()["name"] == "b" and made.json()["id"].startswith("made-")
        assert made.json() in (await client.get("/api/avatars")).json()
        assert (await client.get(made.json()["picture"])).status_code == 200
        await begin(client, avatar=made.json()["id"])
        for data, status in ((b"no face", 400), (bytes(12 * 2**20 + 1), 413), (bytes(14 * 2**20), 413)):
            refused = await client.post("/api/avatars", files={"picture": ("me.png", data, "image/png")})
            assert refused.status_code == status and "message" in refused.json()
        assert (await client.post("/api/avatars", data={"name": "me"})).status_code == 422

    play(script)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(30), b"<svg xmlns='x'/>"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        refused = await client.post("/api/avatars", files={"picture": ("me.png", data, "image/png")})
        assert refused.status_code == 400 and "picture" in refused.json()["message"].lower()

    play(script)
