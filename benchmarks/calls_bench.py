"""``mien bench calls``: sessions side by side until the server refuses, and visitors who come and go.

All over real connections. The server is a process of its own; the visitors are connections of this one, which speak a
recording, and count what they are sent without decoding it: what is measured is the server's work.
"""

import asyncio
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import httpx
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from numpy.typing import NDArray

from benchmarks.machine import children_use, fingerprint
from benchmarks.recording import at_48k
from benchmarks.scenarios import Report, Settings
from benchmarks.served import served
from engine.clock import NS_PER_S, MonotonicClock
from engine.errors import SessionError
from models.spec import MEDIA_HZ
from streaming.serve.media.aiortc_doors import gather_loopback_too, listen

_BLOCK: Final = 960
_WARM_UP_S: Final = 5.0
_FIRST_CYCLES: Final = 10
"""Not counted: what is made once is made then."""
_EARLY: Final = 10
_SETTLE_S: Final = 3.0
_CONNECT_S: Final = 30.0
_HTTP_S: Final = 120.0


async def calls(
    settings: Settings, *, sessions: int = 4, cycles: int = 200, avatar: str = "ada", bundle: Path | None = None
) -> Report:
    """Call until ``sessions`` run or one is refused, measure them together, then come and go.

    Args:
        settings: What each session does.
        sessions: At once.
        cycles: Visitors who connect to one session and leave, one in ten before there is a connection.
        avatar: A shipped one's name.
        bundle: Networks to serve instead of the shipped ones.

    Raises:
        SessionError: The server did not start, or not even one session was to be had.
    """
    options = ["--max-sessions", str(sessions), *(["--bundle", str(bundle)] if bundle else [])]
    asked = {"avatar": avatar, "fps": settings.fps, "lookahead": settings.lookahead, "latency": settings.latency}
    with served(*options) as address:
        async with httpx.AsyncClient(base_url=address, timeout=_HTTP_S) as client, AsyncExitStack() as stack:
            taken: list[tuple[str, Visitor]] = []
            refusal: Report | None = None
            for number in range(sessions):
                answer = await client.post("/api/sessions", json=asked)
                if answer.status_code != 201:
                    refusal = {
                        "status": answer.status_code,
                        "retry_after_s": answer.headers.get("retry-after"),
                        "message": answer.json()["message"],
                    }
                    break
                voice = Speaker(np.roll(at_48k(settings.speech), -number * MEDIA_HZ))
                visitor = await stack.enter_async_context(Visitor(voice))
                await visitor.call(client, answer.json()["id"])
                taken.append((answer.json()["id"], visitor))
            if not taken:
                raise SessionError(f"The server took no session: {refusal['message'] if refusal else ''}")
            rows = await _together(client, taken, settings)
            for session, visitor in taken[1:]:
                await visitor.leave()
                await client.delete(f"/api/sessions/{session}")
            came = await _come_and_go(client, taken[0][0], cycles)
    return {
        "scenario": "calls",
        "machine": fingerprint(),
        "settings": {**settings.told, "sessions": sessions, "cycles": cycles, "avatar": avatar},
        "fps": settings.fps,
        "sessions_admitted": len(taken),
        "missed_frames": sum(row["missed_frames"] for row in rows),
        "frames": sum(row["frames"] for row in rows),
        "ladder_steps": sum(row["ladder_steps"] for row in rows),
        "sessions": {str(number): row for number, row in enumerate(rows, 1)},
        "refusal": refusal,
        "coming_and_going": came,
    }


async def _together(client: httpx.AsyncClient, taken: "list[tuple[str, Visitor]]", settings: Settings) -> list[Report]:
    """What each session did while all ran."""

    async def look() -> list[tuple[Report, int]]:
        views = [(await client.get(f"/api/sessions/{session}")).json() for session, _ in taken]
        return [(view, visitor.pictures) for view, (_, visitor) in zip(views, taken, strict=True)]

    await asyncio.sleep(_WARM_UP_S)
    before = await look()
    await asyncio.sleep(settings.seconds)
    rows = []
    for (then, pictures), (now, more) in zip(before, await look(), strict=True):
        rise = {name: now["stats"][name] - then["stats"][name] for name in ("frames", "missed", "skipped")}
        steps = sum(now["stats"][name] - then["stats"][name] for name in ("ladder_down", "ladder_up"))
        rows.append(
            {
                "budget_ms": round(now["budget"]["total_ms"], 3),
                "frames": rise["frames"],
                "missed_frames": rise["missed"] + rise["skipped"],
                "ladder_steps": steps,
                "fps_received": round((more - pictures) / (now["age_s"] - then["age_s"]), 3),
                "picture_out_ms": now["stages"].get("picture_out"),
            }
        )
    return rows


async def _come_and_go(client: httpx.AsyncClient, session: str, cycles: int) -> Report:
    """Visitors one after the other, and what they leave behind in the server and its processes."""

    async def visit(number: int) -> None:
        async with Visitor(None) as visitor:
            await visitor.call(client, session, connected=number % _EARLY != _EARLY - 1)

    async def alone() -> int:
        """Connections beside the speaker's, once those have been given up that never came about."""
        others, waited = 1, 0.0
        while others and waited < _CONNECT_S + _SETTLE_S:
            await asyncio.sleep(_SETTLE_S)
            waited += _SETTLE_S
            others = len((await client.get(f"/api/sessions/{session}")).json()["peers"]) - 1
        return others

    for number in range(_FIRST_CYCLES):
        await visit(number)
    await alone()
    before = children_use()
    for number in range(cycles):
        await visit(number)
    left = await alone()
    after = children_use()
    return {
        "cycles": cycles,
        "connections_left": left,
        "memory_growth_mb": None
        if before is None or after is None
        else round(after.resident_mb - before.resident_mb, 1),
        "threads_growth": None if before is None or after is None else after.threads - before.threads,
    }


class Visitor:
    """A connection that gives a voice, or none, and counts what it is shown.

    Attributes:
        pictures: That came.
    """

    def __init__(self, voice: MediaStreamTrack | None) -> None:
        gather_loopback_too()
        self.pictures = 0
        self._last: int | None = None
        self._connection = RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        kind: Any = "audio" if voice is None else voice
        sound = self._connection.addTransceiver(kind, "recvonly" if voice is None else "sendrecv")
        picture = self._connection.addTransceiver("video", "recvonly")
        listen(sound.receiver, None)
        listen(picture.receiver, self._see)

    async def __aenter__(self) -> "Visitor":
        """Nothing is asked for yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        await self.leave()

    async def call(self, client: httpx.AsyncClient, session: str, *, connected: bool = True) -> None:
        """Join a session.

        Args:
            client: Of the server.
            session: Its id.
            connected: Wait until a picture has come.

        Raises:
            SessionError: The server refused, or nothing came.
        """
        await self._connection.setLocalDescription(await self._connection.createOffer())
        offer = {"type": "offer", "sdp": self._connection.localDescription.sdp}
        answer = await client.post(f"/api/sessions/{session}/offer", json=offer)
        while answer.status_code in (429, 503) and "retry-after" in answer.headers:
            await asyncio.sleep(float(answer.headers["retry-after"]))
            answer = await client.post(f"/api/sessions/{session}/offer", json=offer)
        if answer.status_code != 200:
            raise SessionError(f"The server refused a call ({answer.status_code}): {answer.json()['message']}")
        await self._connection.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], "answer"))
        clock = MonotonicClock()
        deadline = clock.now_ns() + round(_CONNECT_S * NS_PER_S)
        while connected and not self.pictures:
            if clock.now_ns() > deadline:
                raise SessionError(f"No picture came within {_CONNECT_S:g} s.")
            await asyncio.sleep(0.02)

    async def leave(self) -> None:
        """Hang up; doing so twice is legal."""
        await self._connection.close()

    def _see(self, timestamp: int, payload: bytes) -> None:
        self.pictures += timestamp != self._last
        self._last = timestamp


class Speaker(MediaStreamTrack):
    """A recording in a loop, 20 ms at a time, on an absolute schedule."""

    kind = "audio"

    def __init__(self, speech: NDArray[np.float32]) -> None:
        """Speak ``speech``, float32 (n,) at 48 kHz."""
        super().__init__()
        blocks = -(-len(speech) // _BLOCK)
        padded = np.pad(speech, (0, blocks * _BLOCK - len(speech)))
        self._blocks = (np.clip(padded, -1, 1) * 32767).astype(np.int16).reshape(blocks, 1, _BLOCK)
        self._clock, self._number = MonotonicClock(), 0
        self._origin_ns: int | None = None

    async def recv(self) -> av.AudioFrame:
        """The next block, when it is due."""
        if self._origin_ns is None:
            self._origin_ns = self._clock.now_ns()
        await self._clock.sleep_until(self._origin_ns + self._number * NS_PER_S * _BLOCK // MEDIA_HZ)
        frame = av.AudioFrame.from_ndarray(self._blocks[self._number % len(self._blocks)], format="s16", layout="mono")
        frame.sample_rate, frame.pts = MEDIA_HZ, _BLOCK * self._number
        frame.time_base = Fraction(1, MEDIA_HZ)
        self._number += 1
        return frame
