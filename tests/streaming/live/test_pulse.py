"""Real PortAudio on a private PulseAudio server, whose null sinks are microphone and cable."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.clock import Clock, MonotonicClock
from engine.errors import MissingExtraError
from streaming.live.desk import Desk
from streaming.live.devices import find_device
from streaming.live.live_config import LiveConfig
from streaming.live.portaudio import PortAudioHost
from streaming.live.run_desk import run_desk
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from tests.standstill import run_again_if_it_stood_still
from tests.streaming.serve.serve_fakes import PATIENCE_S, cheap_engine, excused

SCRIPT = """
load-module module-native-protocol-unix auth-anonymous=1
load-module module-null-sink sink_name=mic_sink rate=48000
load-module module-remap-source master=mic_sink.monitor source_name=mien_mic
load-module module-null-sink sink_name=mien_cable rate=48000
"""


def lacking() -> str | None:
    for tool in ("pulseaudio", "pactl", "pacat", "parec"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: apt-get install pulseaudio pulseaudio-utils)"
    try:
        PortAudioHost().close()
    except MissingExtraError as error:
        return str(error)
    return None


pytestmark = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A short path: that of a socket has at most 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="mien-"))
    try:
        for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
            monkeypatch.setenv(name, str(folder))
        monkeypatch.delenv("PULSE_SERVER", raising=False)
        (folder / "script.pa").write_text(SCRIPT)
        options = ("--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no")
        command = ["pulseaudio", "-n", "-F", str(folder / "script.pa"), *options]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy())
        try:
            try:
                asyncio.run(until(lambda: "mien_cable" in pactl("list", "short", "sinks"), "the server is there"))
            except AssertionError:
                pytest.skip("PulseAudio does not start on this machine")
            yield
        finally:
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(folder)


def pactl(*words: str) -> str:
    return subprocess.run(["pactl", *words], capture_output=True, text=True).stdout


def unplug() -> None:
    for line in pactl("list", "short", "modules").splitlines():
        if "mien_mic" in line:
            pactl("unload-module", line.split("\t")[0])


def plug() -> None:
    pactl("load-module", "module-remap-source", "master=mic_sink.monitor", "source_name=mien_mic")


async def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something to come true; the one thing that may take long here."""
    deadline = MonotonicClock().now_ns() + round(PATIENCE_S * 1e9)
    while not true():
        assert MonotonicClock().now_ns() < deadline, f"never: {what}"
        await asyncio.sleep(0.05)


class Voice:
    """Speaks a tone into the microphone for as long as it is open."""

    def __enter__(self) -> "Voice":
        command = ["pacat", "--device=mic_sink", "--rate=48000", "--channels=1", "--format=s16le", "--latency-msec=50"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._tone = (12_000 * np.sin(np.arange(48_000) * 2 * np.pi * 300 / 48_000)).astype(np.int16).tobytes()
        self._task = asyncio.create_task(asyncio.to_thread(self._speak))
        return self

    def _speak(self) -> None:
        assert self._process.stdin is not None
        try:
            while True:
                self._process.stdin.write(self._tone)
        except (OSError, ValueError):
            return

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass


def test_microphone_and_cable_are_found_by_the_names_that_the_server_gives_them(pulse: None) -> None:
    host = PortAudioHost()
    try:
        devices = host.devices()
        microphone = find_device(devices, "input", "mien_mic")
        cable = find_device(devices, "output", "mien_cable")
        assert microphone is not None and cable is not None
        assert microphone.host == cable.host == "PulseAudio" and host.present(microphone)
        unplug()
        assert not host.present(microphone) and find_device(host.devices(), "input", "mien_mic") is None
    finally:
        host.close()


def test_what_is_said_comes_out_of_the_cable_also_after_the_microphone_was_unplugged(pulse: None) -> None:
    async def script(desk: Desk) -> None:
        with Voice():
            await until(lambda: loud(desk), "the voice is heard")
            await until(lambda: desk.player.playing, "and played")
            unplug()
            await until(lambda: desk.hearing.state == "waiting", "the microphone is missed")
            frames = desk.session.stats().frames
            await until(lambda: desk.session.stats().frames > frames + 5, "the avatar idles")
            plug()
            await until(lambda: desk.hearing.state == "open", "it is open again")
            blocks = desk.microphone.blocks
            await until(lambda: desk.microphone.blocks > blocks and loud(desk), "and heard")
        assert desk.hearing.losses >= 1 and desk.hearing.device is not None
        assert desk.hearing.device.name == "mien_mic"

    config = {
        "port": 0,
        "lookahead": 0,
        "fps": 20,
        "gate": {"on": False},
        "microphone": {"device": "mien_mic"},
        "output": {"voice": "mien_cable", "window": False},
    }
    play(script, LiveConfig.model_validate(config))


def loud(desk: Desk) -> bool:
    return desk.microphone.level.rms_db > -30


def play(script: Callable[[Desk], Awaitable[None]], config: LiveConfig) -> None:
    """Run a desk on an engine that costs nothing; again, if the machine stood still meanwhile."""

    def make(served: ServeConfig, clock: Clock) -> Server:
        return create_server(served, make_engine=cheap_engine, clock=clock)

    async def main() -> None:
        end, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            run_desk(config, PortAudioHost, lambda _: None, make=make, end=end, on_open=opened.set_result)
        )
        await asyncio.wait([running, opened], return_when=asyncio.FIRST_COMPLETED)
        try:
            if opened.done():
                await script(opened.result())
        finally:
            end.set()
            await running

    async def attempt() -> None:
        with excused(Exception):
            await main()

    run_again_if_it_stood_still(attempt)
