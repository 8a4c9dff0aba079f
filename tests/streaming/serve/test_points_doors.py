"""Where points are looked at and corrected: over a real application, with real avatars."""

import asyncio
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine.artefacts.avatar import Avatar, load_avatar, save_avatar
from engine.errors import ArtefactError, ConfigError
from streaming.avatars import file_of, shipped_avatars
from streaming.serve.app import Server
from streaming.serve.points_page import correct_in_page
from tests.streaming.serve.serve_fakes import ORIGIN, PATIENCE_S, begin, play

ADA = load_avatar(shipped_avatars()["ada"])


def keep(server: Server, folder: Path) -> Path:
    """Offer Ada as somebody's own."""
    file = folder / "me & you.avatar"
    save_avatar(ADA, file)
    server.rooms.gallery.keep("me & you", ADA, file)
    return file


def lifted(points: list[list[float]], by: float = 3.0) -> list[list[float]]:
    """The right brow, higher."""
    return [[x, y - by if 17 <= i < 22 else y] for i, (x, y) in enumerate(points)]


def test_points_are_seen_moved_and_written(tmp_path: Path) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        file = keep(server, tmp_path)
        place = "/api/avatars/me%20%26%20you/points"
        seen = (await client.get(place)).json()
        np.testing.assert_allclose(seen["points"], ADA.source_points, atol=0.006)
        assert seen["file"] == str(file) and seen["locked"] is None
        assert sorted(i for line, _ in seen["lines"] for i in line) == list(range(68))
        assert len(seen["outline"][0]) > 50 and len(seen["irises"]) == 2 and len(seen["rest"]) == 68
        assert (await client.get(seen["picture"])).status_code == 200
        saved = await client.put(place, json={"points": lifted(seen["points"])})
        assert saved.status_code == 200, saved.text
        np.testing.assert_allclose(saved.json()["points"], lifted(seen["points"]), atol=0.006)
        written = load_avatar(file)
        np.testing.assert_allclose(written.source_points, lifted(seen["points"]), atol=1e-3)
        assert (written.template[19] - ADA.template[19])[1] < -0.01, "brows are higher at rest, too"
        np.testing.assert_array_equal(written.image, ADA.image)
        assert (await client.get(place)).json() == saved.json()

    play(script)


def test_sessions_that_are_the_avatar_go_on_with_its_new_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        keep(server, tmp_path)
        mine, other = await begin(client, avatar="me & you"), await begin(client, avatar="ravi")
        worn: dict[str, Avatar] = {}
        for name in (mine, other):
            session = server.rooms.get(name).session
            monkeypatch.setattr(session, "change_avatar", _kept(worn, name, session.change_avatar))
        points = lifted(ADA.source_points.tolist())
        assert (await client.put("/api/avatars/me & you/points", json={"points": points})).status_code == 200
        assert list(worn) == [mine]
        np.testing.assert_allclose(worn[mine].source_points, points, atol=1e-3)

    play(script)


def _kept(worn: dict[str, Avatar], name: str, change):
    async def change_avatar(avatar: Avatar) -> None:
        worn[name] = avatar
        await change(avatar)

    return change_avatar


def test_an_avatar_that_a_visitor_made_is_corrected_in_memory() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        key = server.rooms.gallery.add(ADA)
        points = lifted(ADA.source_points.tolist())
        saved = (await client.put(f"/api/avatars/{key}/points", json={"points": points})).json()
        assert (
            saved["file"] is None and saved["points"] != (await client.get("/api/avatars/ada/points")).json()["points"]
        )
        np.testing.assert_allclose((await server.rooms.gallery.load(key)).source_points, points, atol=1e-3)

    play(script)


def test_a_bad_save_is_refused_in_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        file = keep(server, tmp_path)
        before, points = file.read_bytes(), ADA.source_points.tolist()
        place = "/api/avatars/me & you/points"
        for sent, status, says in (
            ({"points": points[:67]}, 422, "points"),
            ({"points": [*points, [1, 1]]}, 422, "points"),
            ({"points": [*points[:67], [1, "x"]]}, 422, "points"),
            ({"points": [*points[:67], [1, 1e300]]}, 400, "Point 68"),
            ({"points": points[:36] + points[42:48] + points[36:42] + points[48:]}, 400, "far from"),
            ({"points": points, "file": "/etc/passwd"}, 422, "file"),
            ({}, 422, "points"),
        ):
            refused = await client.put(place, json=sent)
            assert refused.status_code == status and set(refused.json()) == {"message"}, refused.text
            assert says in refused.json()["message"] and "\n" not in refused.json()["message"]
        data = b'{"points": [' + b"[NaN, 1]," * 67 + b"[1, 1]]}"
        refused = await client.put(place, content=data, headers={"Content-Type": "application/json"})
        assert refused.status_code == 422, refused.text
        assert file.read_bytes() == before and (await server.rooms.gallery.load("me & you")) is ADA

    play(script)


def test_what_ships_stays_and_nobody_is_made_up() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        seen = (await client.get("/api/avatars/ada/points")).json()
        assert "ships with Mien" in seen["locked"]
        for name, status in (("ada", 403), ("nobody", 404)):
            refused = await client.put(f"/api/avatars/{name}/points", json={"points": seen["points"]})
            assert refused.status_code == status and "message" in refused.json()
        assert (await client.get("/api/avatars/nobody/points")).status_code == 404

    play(script)


def test_a_file_that_cannot_be_written_leaves_the_avatar_as_it_was(tmp_path: Path) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        (tmp_path / "file").write_text("")
        server.rooms.gallery.keep("me", ADA, tmp_path / "file" / "me.avatar")
        points = lifted(ADA.source_points.tolist())
        refused = await client.put("/api/avatars/me/points", json={"points": points})
        assert refused.status_code == 507 and "me.avatar" in refused.json()["message"]
        assert (await server.rooms.gallery.load("me")) is ADA

    play(script)


def test_only_this_machine_and_our_own_page_may_save(tmp_path: Path) -> None:
    points = {"points": lifted(ADA.source_points.tolist())}

    async def elsewhere(client: httpx.AsyncClient, server: Server) -> None:
        file = keep(server, tmp_path)
        before = file.read_bytes()
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Host": "evil.example:8000"}, 421),
            ({"Origin": "null"}, 403),
        ):
            refused = await client.put("/api/avatars/me & you/points", json=points, headers=headers)
            assert refused.status_code == status, headers
        assert file.read_bytes() == before
        own = await client.put("/api/avatars/me & you/points", json=points, headers={"Origin": ORIGIN})
        assert own.status_code == 200 and file.read_bytes() != before

    async def open_to_others(client: httpx.AsyncClient, server: Server) -> None:
        keep(server, tmp_path)
        shown = {"Authorization": "Bearer a-secret-of-ours"}
        assert (await client.get("/api/avatars/me & you/points")).status_code == 401
        seen = await client.get("/api/avatars/me & you/points", headers=shown)
        assert "on the machine" in seen.json()["locked"]
        refused = await client.put("/api/avatars/me & you/points", json=points, headers=shown)
        assert refused.status_code == 403 and "on the machine" in refused.json()["message"]

    play(elsewhere)
    play(open_to_others, token="a-secret-of-ours")


def test_the_page_of_one_avatar(tmp_path: Path) -> None:
    file = tmp_path / "me.avatar"
    save_avatar(ADA, file)

    async def main() -> None:
        end, said = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(correct_in_page(file, said.set_result, end=end))
        words = await asyncio.wait_for(said, PATIENCE_S)
        address = words.split()[3]
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            assert address.endswith("/points?avatar=me") and (await client.get(address)).status_code == 200
            base = address.partition("/points")[0]
            points = lifted(ADA.source_points.tolist())
            saved = await client.put(f"{base}/api/avatars/me/points", json={"points": points})
            assert saved.status_code == 200
        end.set()
        await running
        np.testing.assert_allclose(load_avatar(file).source_points, points, atol=1e-3)

    asyncio.run(main())


def test_the_page_is_of_an_avatar_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_bytes(b"")
    (tmp_path / "broken.avatar").write_bytes(b"no zip")
    for name, error, says in (
        ("me.jpg", ConfigError, "mien avatar create"),
        ("broken.avatar", ArtefactError, "not an avatar"),
        ("nobody.avatar", ArtefactError, "no avatar"),
    ):
        with pytest.raises(error, match=says):
            asyncio.run(correct_in_page(tmp_path / name, print))
    with pytest.raises(ConfigError, match="port"):
        asyncio.run(correct_in_page(tmp_path / "me.avatar", print, port=70_000))


def test_where_a_changed_avatar_is_written(tmp_path: Path) -> None:
    assert file_of(tmp_path / "me.avatar") == tmp_path / "me.avatar" and file_of(tmp_path) == tmp_path
    assert file_of(tmp_path / "me.jpg") == tmp_path / "me.avatar"
    (tmp_path / "me.avatar").write_bytes(b"of somebody else")
    assert file_of(tmp_path / "me.jpg") is None
