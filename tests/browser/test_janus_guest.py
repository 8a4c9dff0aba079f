"""Chromium and the bot in one room of a real Janus: it sees and hears the bot, whose lips say what Chromium says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from benchmarks.browser import browser, missing
from benchmarks.webrtc_bench import write_wav
from engine.errors import MienError
from streaming.bots.janus_bot import JanusAddress, JanusCall
from streaming.bots.presence import Presence
from streaming.serve.messages import NewSession
from tests.streaming.bots.janus_server import ROOM, JanusServer, make_janus, why_not
from tests.streaming.serve.serve_fakes import make_server

LACKS = why_not() or missing()
pytestmark = pytest.mark.skipif(LACKS is not None, reason=str(LACKS))
SCRIPT = Path(__file__).parent / "janus_guest.js"
PAGE = b"<!doctype html><title>guest</title><video muted playsinline></video><script src=guest.js></script>"
PATIENCE_S = 60.0


class Bot(threading.Thread):
    """The bot on an event loop of its own: Playwright has one in the test's thread."""

    def __init__(self, janus: JanusServer) -> None:
        super().__init__(name="test-bot")
        self._janus = janus
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()
        self.joined = threading.Event()
        self.error: MienError | None = None

    def run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = make_server()
        try:
            asked = NewSession.model_validate({"avatar": "ada", "mode": "live", "lookahead": 0})
            room = await server.rooms.open(asked)
            address = JanusAddress(self._janus.url, ROOM, display="Ada")
            call = JanusCall(address, room, server.clock, listen="Chromium")
            keep = asyncio.create_task(Presence(call, server.clock, on_joined=self.joined.set).keep())
            await asyncio.wait([keep, asyncio.create_task(self._leaving.wait())], return_when=asyncio.FIRST_COMPLETED)
            keep.cancel()
            await asyncio.wait([keep])
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


def test_chromium_and_the_bot_in_one_room(tmp_path: Path) -> None:
    # A second of tone, a second of silence: its lips must do the same.
    time = np.arange(96_000) / 48_000
    tone = (0.5 * np.sin(2 * np.pi * 300 * time) * (time < 1)).astype(np.float32)
    write_wav(tmp_path / "voice.wav", tone)
    janus = make_janus(tmp_path)
    janus.start()
    bot = Bot(janus)
    bot.start()
    try:
        assert bot.joined.wait(PATIENCE_S), bot.error
        with pages() as address, browser(tmp_path / "voice.wav") as context:
            context.set_default_timeout(PATIENCE_S * 1000)
            page = context.new_page()
            page.goto(address)
            page.evaluate("([url, room]) => enter(url, room, 'Chromium')", [janus.url, ROOM])
            page.evaluate("(room) => watch(room, 'Ada')", ROOM)
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
    finally:
        try:
            bot.leave()
        finally:
            janus.stop()
    assert bot.error is None
