"""RFC 9725 and the WHEP draft by raw HTTP, statuses and headers, and a real publisher and player."""

import httpx
import pytest

from streaming.serve.app import Server
from tests.streaming.serve.serve_fakes import Tone, begin, caller, play, until

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "candidate:1 1 udp 2122260223 127.0.0.1 61764 typ host"


def test_a_publisher_and_a_player() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller(Tone(), shown=False) as publisher, caller() as player:
            for peer, role in ((publisher, "whip"), (player, "whep")):
                made = await client.post(f"/{role}/{session}", content=await peer.offer(), headers=SDP)
                assert made.status_code == 201, made.text
                assert made.headers["content-type"].startswith("application/sdp")
                assert made.headers["etag"].startswith('"') and "a=candidate:" in made.text
                assert ("a=recvonly" if role == "whip" else "a=sendonly") in made.text and "a=sendrecv" not in made.text
                await peer.accept(made.text)
                peer.place = made.headers["location"]  # type: ignore[attr-defined]
            await until(lambda: player.frames and player.sounds, "the avatar is played")
            (heard,) = [peer.voice for peer in server.rooms.get(session)._peers.values() if peer.voice]
            await until(lambda: heard.stats.packets > 10, "the voice is heard")
            for peer in (publisher, player):
                ended = await client.delete(peer.place)  # type: ignore[attr-defined]
                assert ended.status_code == 200
                assert (await client.delete(peer.place)).status_code == 404  # type: ignore[attr-defined]
            assert server.rooms.get(session).peers == 0

    play(script)


@pytest.mark.parametrize("role", ["whip", "whep"])
def test_every_status_and_header(role: str) -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        door = f"/{role}/{await begin(client)}"
        async with caller(Tone() if role == "whip" else None, shown=role == "whep") as peer:
            offer = await peer.offer()
            asked = await client.options(door)
            assert asked.status_code == 200 and asked.headers["accept-post"] == "application/sdp"
            for method in ("GET", "HEAD", "PUT"):
                refused = await client.request(method, door)
                assert refused.status_code == 405 and refused.headers["allow"] == "OPTIONS, POST"
            refused = await client.post(door, content=offer, headers={"Content-Type": "text/plain"})
            assert refused.status_code == 415 and refused.headers["accept-post"] == "application/sdp"
            assert (await client.post(door, content=offer)).status_code == 415
            for content, status in (
                (b"", 400),
                (b"\xff\xfe", 400),
                (b"hello", 400),
                (b"v=0\r\n", 400),
                (offer.replace("a=ice-pwd", "a=ice-pwx").encode(), 400),
                (offer.replace("a=fingerprint", "a=fingerprinz").encode(), 400),
                (offer.replace("m=audio", "m=text").encode(), 406),
                (offer.replace("opus", "opux").replace("G722", "x").replace("PCM", "x").encode(), 406),
                (offer.replace("a=sendonly", "a=inactive").replace("a=recvonly", "a=inactive").encode(), 406),
                (offer.encode() + b"a=x\r\n" * 20_000, 413),
            ):
                refused = await client.post(door, content=content, headers=SDP)
                assert refused.status_code == status, (content[:60], refused.text)
                assert set(refused.json()) == {"message"}
            assert (await client.post(f"/{role}/nobody", content=offer, headers=SDP)).status_code == 404

            made = await client.post(door, content=offer, headers={"Content-Type": "application/sdp; charset=utf-8"})
            assert made.status_code == 201
            links = made.headers.get_list("link")
            assert links == [
                '<stun:127.0.0.1:9>; rel="ice-server"',
                '<turn:127.0.0.1:9?transport=tcp>; rel="ice-server"; username="me"; credential="secret"; '
                'credential-type="password"',
            ]
            place, etag = made.headers["location"], made.headers["etag"]
            assert place.startswith(door + "/")
            asked = await client.options(place)
            assert asked.status_code == 200 and asked.headers["accept-patch"] == FRAGMENT["Content-Type"]
            for method in ("GET", "HEAD", "PUT", "POST"):
                refused = await client.request(method, place)
                assert refused.status_code == 405 and refused.headers["allow"] == "DELETE, OPTIONS, PATCH"

            user = next(line for line in offer.split("\r\n") if line.startswith("a=ice-ufrag:"))
            good = f"{user}\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na={CANDIDATE}\r\n"
            for content, headers, status in (
                (good, SDP, 415),
                (good, FRAGMENT, 428),
                (good, {**FRAGMENT, "If-Match": '"other"'}, 412),
                (good, {**FRAGMENT, "If-Match": "*"}, 422),
                (good.replace(user, "a=ice-ufrag:new"), {**FRAGMENT, "If-Match": etag}, 422),
                ("hello", {**FRAGMENT, "If-Match": etag}, 400),
                ("", {**FRAGMENT, "If-Match": etag}, 400),
                (good.replace(CANDIDATE, "candidate:1 1"), {**FRAGMENT, "If-Match": etag}, 400),
                (good, {**FRAGMENT, "If-Match": f'"other", {etag}'}, 204),
                (good.replace("127.0.0.1", "nobody.invalid"), {**FRAGMENT, "If-Match": etag}, 204),
                (good.replace("udp", "tcp"), {**FRAGMENT, "If-Match": etag}, 204),
                (f"{user}\r\na=end-of-candidates\r\n", {**FRAGMENT, "If-Match": etag}, 204),
                (good, {**FRAGMENT, "If-Match": etag}, 204),
            ):
                answer = await client.patch(place, content=content, headers=headers)
                assert answer.status_code == status, (content, answer.text)
                assert "etag" not in answer.headers and (answer.content == b"") == (status == 204)
            other = place.replace(f"/{role}/", "/whep/" if role == "whip" else "/whip/")
            assert (await client.delete(other)).status_code == 404
            # Entity tags are of no account when it ends.
            assert (await client.delete(place, headers={"If-Match": '"other"'})).status_code == 200
            assert (await client.patch(place, content=good, headers=FRAGMENT)).status_code == 404

    play(script, ice_servers=("stun:127.0.0.1:9", "turn:me:secret@127.0.0.1:9?transport=tcp"))


def test_a_session_that_is_pushed_to_has_no_voice_to_publish() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client, mode="pushed")
        async with caller(Tone(), shown=False) as peer:
            refused = await client.post(f"/whip/{session}", content=await peer.offer(), headers=SDP)
            assert refused.status_code == 409

    play(script)


def test_a_browser_on_another_site_may_ask_where_it_is_allowed() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        door = f"/whep/{await begin(client)}"
        asked = {"Origin": "https://player.example", "Access-Control-Request-Method": "POST"}
        answer = await client.options(door, headers=asked)
        assert answer.status_code == 200 and answer.headers["accept-post"] == "application/sdp"
        assert answer.headers["access-control-allow-origin"] == "https://player.example"
        assert "Location" in answer.headers["access-control-expose-headers"]

    play(script, origins=("https://player.example",))
