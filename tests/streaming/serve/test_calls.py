"""Real peers over loopback."""

import asyncio
import threading

import httpx
import numpy as np
import pytest
from aiortc import RTCRtpSender

from streaming.serve import peers
from streaming.serve.app import Server
from streaming.serve.media.aiortc_doors import ask_for_promptness
from streaming.serve.probe import read_marks
from tests.streaming.serve.serve_fakes import Caller, Tone, begin, caller, play, until


async def call(client: httpx.AsyncClient, session: str, peer: Caller) -> None:
    answered = await client.post(f"/api/sessions/{session}/offer", json={"type": "offer", "sdp": await peer.offer()})
    assert answered.status_code == 200, answered.text
    await peer.accept(answered.json()["sdp"])


def brightness(peer: Caller) -> float:
    return float(peer.frames[-1].to_ndarray(format="rgb24")[100:400].mean()) if peer.frames else 0.0


def loudness(peer: Caller) -> float:
    heard = [frame.to_ndarray().astype(float).ravel() for frame in peer.sounds[-10:]]
    return float(np.sqrt(np.mean(np.concatenate(heard) ** 2))) if heard else 0.0


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_a_voice_goes_in_and_a_face_that_speaks_it_comes_out(codec: str) -> None:
    ask_for_promptness()  # the caller is of the same process: it offers what the server takes

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        voice = Tone(0.5)
        async with caller(voice) as peer:
            await call(client, session, peer)
            await until(lambda: brightness(peer) > 100 and loudness(peer) > 3000, "the voice is seen and heard")
            view = (await client.get(f"/api/sessions/{session}")).json()
            (seen,) = view["peers"]
            assert seen["role"] == "call" and seen["state"] == "connected" and seen["voice"]["packets"] > 0
            assert seen["video"]["bits_per_second"] == 2_500_000
            assert {frame.width for frame in peer.frames} == {512} and peer.sounds[-1].sample_rate == 48_000
            sdp = peer.connection.remoteDescription.sdp
            assert sdp.index(f"a=rtpmap:{97 if codec == 'VP8' else 99} {codec}/90000") > 0 and "useinbandfec=1" in sdp
            assert "rtp-hdrext/playout-delay" in sdp
            voice.level = 0.0
            await until(lambda: brightness(peer) < 90 and loudness(peer) < 100, "the mouth closes")
            await client.patch(f"/api/sessions/{session}", json={"mute": True})
            voice.level = 0.5
            sounds = len(peer.sounds)
            await until(lambda: len(peer.sounds) > sounds + 30, "half a second goes by")
            assert loudness(peer) < 100
        await until(lambda: server.rooms.get(session).peers == 0, "the peer is gone")

    play(script, codec=codec)


def test_a_pictures_time_stamp_is_that_of_the_sound_in_it() -> None:
    """The code that is drawn into the picture says when it was."""

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller(Tone(0.5)) as peer:
            await call(client, session, peer)
            await until(lambda: len(peer.frames) > 5 and len(peer.sounds) > 10, "media flow")
            # aiortc maps each stream's first time stamp to 0: a frame's time is that since the first frame.
            codes = [read_marks(frame.to_ndarray(format="rgb24"))[0] for frame in peer.frames]
            assert None not in codes
            elapsed = [1000 * float(frame.pts * frame.time_base) for frame in peer.frames]
            shifts = [code - time for code, time in zip(codes, elapsed, strict=True)]
            assert max(shifts) - min(shifts) <= 1.5

    play(script, probe=True)


def test_the_newest_voice_is_heard() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller(Tone(0.5)) as first:
            await call(client, session, first)
            await until(lambda: loudness(first) > 3000, "the first is heard")
            async with caller(Tone(0.0)) as second:
                await call(client, session, second)
                await until(lambda: loudness(second) < 100 and len(second.sounds) > 40, "the second is heard instead")
                await until(lambda: loudness(first) < 100, "by both")

    play(script)


def test_a_pushed_session_shows_and_does_not_listen() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client, mode="pushed")
        async with caller(Tone(0.5)) as peer:
            await call(client, session, peer)
            assert "a=sendonly" in peer.connection.remoteDescription.sdp
            await until(lambda: len(peer.frames) > 5 and len(peer.sounds) > 20, "media flow")
            assert loudness(peer) < 100

    play(script)


def test_calls_are_limited_in_number() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller() as peer:
            offer = {"type": "offer", "sdp": await peer.offer()}
            answers = [await client.post(f"/api/sessions/{session}/offer", json=offer) for _ in range(9)]
            assert [answer.status_code for answer in answers] == [200] * 8 + [503]
            assert "retry-after" in answers[-1].headers

    play(script)


def decoders() -> list[str]:
    """aiortc's threads, one a receiver."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-decoder")]


def test_coming_and_going_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "CONNECT_S", 2.0)

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session, tasks = await begin(client), 0
        for cycle in range(6):
            async with caller(Tone()) as peer:
                await call(client, session, peer)
                if cycle % 2:  # the others leave while they still connect
                    await until(lambda: peer.frames, "a picture comes")
            await until(lambda: server.rooms.get(session).peers == 0, "the peer is gone")
            if cycle == 1:
                tasks = len(asyncio.all_tasks())
        await until(lambda: not decoders(), "the receivers' threads end")
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "tasks end")
        await server.close()
        await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks end")

    play(script)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("mien")] == []


def test_the_session_ends_under_a_call() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller(Tone()) as peer:
            await call(client, session, peer)
            await until(lambda: peer.frames, "a picture comes")
            assert (await client.delete(f"/api/sessions/{session}")).status_code == 204
            await until(lambda: peer.connection.connectionState == "closed", "the peer is told")
            refused = await client.post(f"/api/sessions/{session}/offer", json={"type": "offer", "sdp": "v=0"})
            assert refused.status_code == 404

    play(script)


def test_an_offer_without_a_codec_that_we_know_is_not_acceptable() -> None:
    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client)
        async with caller() as peer:
            opus, *others = RTCRtpSender.getCapabilities("audio").codecs
            assert opus.mimeType == "audio/opus"
            peer.connection.getTransceivers()[0].setCodecPreferences(others)
            refused = await client.post(
                f"/api/sessions/{session}/offer", json={"type": "offer", "sdp": await peer.offer()}
            )
            assert refused.status_code == 406 and "Opus" in refused.json()["message"]
        assert server.rooms.get(session).peers == 0

    play(script)
