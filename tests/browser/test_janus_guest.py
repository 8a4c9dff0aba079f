"""Chromium and the bot in one room of a real Janus: it sees and hears the bot, whose lips say what Chromium says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.browser import browser, missing
from benchmarks.recording import at_48k, load_speech
from benchmarks.webrtc_bench import write_wav
from engine.budget import Measurement
from engine.engine import Engine
from engine.errors import MienError
from engine.session import SessionStats
from streaming.bots.janus_bot import JanusAddress, JanusCall
from streaming.bots.presence import Presence
from streaming.serve.messages import NewSession
from tests.streaming.bots.janus_server import ROOM, JanusServer, make_janus, why_not
from tests.streaming.serve.serve_fakes import make_server

LACKS = why_not() or missing()
pytestmark = pytest.mark.skipif(LACKS is not None, reason=str(LACKS))
SCRIPT = Path(__file__).parent / "janus_guest.js"
HELLO = Path(__file__).parents[2] / "models" / "pretrained" / "demo" / "hello.flac"
PAGE = b"<!doctype html><title>guest</title><video muted playsinline></video><script src=guest.js></script>"
PATIENCE_S = 60.0


class Bot(threading.Thread):
    """The bot on an event loop of its own: Playwright has one in the test's thread."""

    def __init__(self, janus: JanusServer, asked: dict[str, Any], options: dict[str, Any]) -> None:
        super().__init__(name="test-bot")
        self._janus, self._asked, self._options = janus, asked, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()
        self.joined = threading.Event()
        self.error: MienError | None = None
        self.stats = SessionStats()

    def run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = make_server(**self._options)
        try:
            asked = NewSession.model_validate({"avatar": "ada", "mode": "live", **self._asked})
            room = await server.rooms.open(asked)
            address = JanusAddress(self._janus.url, ROOM, display="Ada")
            call = JanusCall(address, room, server.clock, listen="Chromium")
            keep = asyncio.create_task(Presence(call, server.clock, on_joined=self.joined.set).keep())
            await asyncio.wait([keep, asyncio.create_task(self._leaving.wait())], return_when=asyncio.FIRST_COMPLETED)
            keep.cancel()
            await asyncio.wait([keep])
            self.stats = room.session.stats()
        except MienError as error:
            self.error = error
        finally:
            await server.close()

    def leave(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._leaving.set)
        self.join(PATIENCE_S)


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        script = self.path.endswith(".js")
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html")
        self.end_headers()
        self.wfile.write(SCRIPT.read_bytes() if script else PAGE)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def meeting(folder: Path, voice: np.ndarray, asked: dict[str, Any], **options: Any) -> Iterator[tuple[Any, Bot]]:
    """A guest with a voice, in a page that shows him the bot; both have left at the end."""
    write_wav(folder / "voice.wav", voice)
    janus = make_janus(folder)
    janus.start()
    bot = Bot(janus, asked, options)
    bot.start()
    try:
        assert bot.joined.wait(PATIENCE_S), bot.error
        with pages() as address, browser(folder / "voice.wav") as context:
            context.set_default_timeout(PATIENCE_S * 1000)
            page = context.new_page()
            page.goto(address)
            page.evaluate("([url, room]) => enter(url, room, 'Chromium')", [janus.url, ROOM])
            page.evaluate("(room) => watch(room, 'Ada')", ROOM)
            yield page, bot
    finally:
        try:
            bot.leave()
        finally:
            janus.stop()
    assert bot.error is None


def test_chromium_and_the_bot_in_one_room(tmp_path: Path) -> None:
    # A second of tone, a second of silence: its lips must do the same.
    time = np.arange(96_000) / 48_000
    tone = (0.5 * np.sin(2 * np.pi * 300 * time) * (time < 1)).astype(np.float32)
    with meeting(tmp_path, tone, {"lookahead": 0}) as (page, _):
        # On a busy machine the first seconds may stutter.
        for _ in range(10):
            look = page.evaluate("() => observe(3000)")
            lips, loud = np.array(look["seen"], float), np.array(look["loud"])
            together = 0.0
            if np.ptp(lips) > 60 and loud.max() > 0.2 > 0.02 > loud.min():
                together = float(np.corrcoef(lips > lips.mean(), loud > 0.1)[0, 1])
            if together > 0.5:
                break
        else:
            span = f"{loud.min():.3f} to {loud.max():.3f}"
            pytest.fail(f"lips moved by {np.ptp(lips):.0f}, sound {span}, together {together:.2f}")
        assert look["width"] == 512 and look["frames"] > 30


def test_a_shipped_face_answers_what_the_guest_says(tmp_path: Path) -> None:
    """The networks and the avatar that ship; the opening of the mouth is read from the pictures that came."""
    with meeting(tmp_path, said(), {"lookahead": 6, "fps": 20}, make_engine=unhurried) as (page, bot):
        for _ in range(4):
            seen = np.array(page.evaluate("() => answers(7000)"), float)
            together, late_ms = lips_and_voice(seen) if len(seen) > 60 else (0.0, 0.0)
            if together > 0.5 and abs(late_ms) < 150:
                break
    if together <= 0.5 and bot.stats.missed + bot.stats.skipped > bot.stats.frames / 4:
        pytest.skip(f"this machine was late with {bot.stats.missed + bot.stats.skipped} of {bot.stats.frames} frames")
    print(
        f"lips and voice as received: r {together:.2f}, lips {late_ms:+.0f} ms, {len(seen) / 7:.1f} pictures a second"
    )
    assert together > 0.5 and abs(late_ms) < 150


def said() -> np.ndarray:
    """Talk with pauses, float32 at 48 kHz."""
    speech, pause = at_48k(load_speech(HELLO)), np.zeros(40_000, np.float32)
    pieces = [speech[begin:][:60_000] for begin in range(0, len(speech), 60_000)]
    return np.concatenate([part for piece in pieces for part in (piece, pause)])


def unhurried(clock: Any) -> Engine:
    """The real engine, told that this machine is busy with other things, whether it is or not."""

    async def measure(*_: Any) -> Measurement:
        return Measurement([400.0] * 60, 0.5)

    return Engine(clock=clock, measure=measure)


def lips_and_voice(seen: np.ndarray) -> tuple[float, float]:
    """How well the opening follows the voice, and at which delay.

    Args:
        seen: (n, 3): time in ms, loudness, share of the mouth's region that is dark.

    Returns:
        The greatest correlation over delays of up to 300 ms, both smoothed over 200 ms; the delay in ms, above 0 where
        the lips are late.
    """
    grid = np.arange(seen[0, 0], seen[-1, 0], 20.0)
    smooth = np.ones(10) / 10
    loud, dark = (
        np.convolve(np.interp(grid, seen[:, 0], values), smooth, "same")
        for values in (np.log10(seen[:, 1] + 1e-3), seen[:, 2])
    )
    shifts = range(-15, 16)
    scores = [
        float(np.corrcoef(loud[max(0, -s) : len(loud) - max(0, s)], dark[max(0, s) : len(dark) + min(0, s)])[0, 1])
        for s in shifts
    ]
    best = int(np.nanargmax(scores))
    return scores[best], 20.0 * shifts[best]
