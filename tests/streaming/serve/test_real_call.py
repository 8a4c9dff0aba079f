"""One call with the networks and the face that ship."""

import asyncio
from typing import Any

import av
import httpx
import numpy as np
import pytest

from engine.budget import Measurement
from engine.engine import Engine
from engine.session import Session
from streaming.serve.app import Server
from tests.streaming.serve.serve_fakes import begin, caller, play, until


def test_a_shipped_face_speaks_in_a_call() -> None:
    voice = (8000 * np.sin(np.arange(24_000) / 20) * (np.sin(np.arange(24_000) / 1500) > 0)).astype(np.int16)

    async def script(client: httpx.AsyncClient, server: Server) -> None:
        session = await begin(client, mode="pushed", lookahead=6)
        room = server.rooms.get(session)
        async with caller() as peer:
            answered = await client.post(
                f"/whep/{session}", content=await peer.offer(), headers={"Content-Type": "application/sdp"}
            )
            assert answered.status_code == 201, answered.text
            await peer.accept(answered.text)
            await until(lambda: len(peer.frames) > 3 and peer.sounds, "the face is seen")
            silent = mouth(peer.frames[-1])
            speaking = asyncio.create_task(speak(room.session, voice))
            try:
                await until(lambda: abs(mouth(peer.frames[-1]) - silent).mean() > 3, "the mouth moves")
            except AssertionError:
                stats = room.session.stats()
                late = stats.missed + stats.skipped
                if late > stats.frames / 4:
                    pytest.skip(f"this machine was late with {late} of {stats.frames} frames")
                raise
            speaking.cancel()
        metrics = (await client.get("/metrics")).text
        assert "\nmien_serve_sessions 1\n" in metrics and "mien_stage_seconds" in metrics
        view = (await client.get(f"/api/sessions/{session}")).json()
        assert view["stats"]["audio_blocks"] > 10 and view["stages"]["render"]["p50"] > 0

    play(script, make_engine=lambda clock: Engine(clock=clock, measure=unhurried))


async def speak(session: Session, voice: np.ndarray) -> None:
    """Go on speaking; a pushed session holds whoever is too far ahead."""
    while True:
        await session.push(voice, 16_000)


async def unhurried(*_: Any) -> Measurement:
    """As of a machine that is busy with other things, whatever this one is."""
    return Measurement([400.0] * 60, 0.5)


def mouth(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24")[280:380, 200:312].astype(float)
