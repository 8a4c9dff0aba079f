"""``mien live`` as its user has it: real PortAudio, a microphone that speaks, a cable that is recorded.

Measured against one recording of both (``private_pulse``), not against what anybody reports: how long the voice is on
its way, in every stretch of the run; how late pictures are shown against it; what was lost; how much memory is held;
how soon a microphone or a cable that was unplugged is used again.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import threading
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.live_figures import Report, Run, Second, figures
from benchmarks.live_tape import SessionSound, Tape, due_at, voice_delays, voice_places
from benchmarks.machine import fingerprint, resident_mb
from benchmarks.private_pulse import CABLE, MICROPHONE, MOUTH, plug, private_pulse, unplug
from benchmarks.recording import at_48k, load_speech
from engine.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from engine.errors import SessionError
from models.spec import MEDIA_HZ
from streaming.live.desk import Desk
from streaming.live.live_config import LiveConfig, load_config
from streaming.live.portaudio import PortAudioHost
from streaming.live.run_desk import run_desk
from streaming.serve.media.backdrop import Picture
from streaming.serve.media.fanout import Feed

WARMUP_S: Final = 8.0
_BACK_S: Final = 10.0
_MEMORY_EVERY_S: Final = 5


@dataclass(frozen=True)
class LiveSettings:
    """What is measured.

    Attributes:
        speech: Recording that is spoken, in a loop.
        seconds: How long, after the warm-up.
        config: Of the desk; its devices are replaced.
    """

    speech: Path
    seconds: float
    config: LiveConfig


def desk_config(avatar: str, fps: int, lookahead: int, latency: str) -> LiveConfig:
    """A desk as it is without a configuration file.

    Raises:
        ConfigError: A value leaves its range.
    """
    wanted = latency if latency == "auto" else float(latency)
    changes = {"avatar": avatar, "fps": fps, "lookahead": lookahead, "latency": wanted}
    return load_config(Path(os.devnull), changes)


class _Watcher:
    """A screen that shows nothing: when it is given a picture is what counts."""

    name = "watcher"

    def show(self, picture: Picture) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _Shown:
    """When pictures of which media time were shown."""

    def __init__(self) -> None:
        self.rows = array("q")
        """One after the other."""

    def __call__(self, screen: str, ticks: int, at_ns: int) -> None:
        self.rows.extend((ticks, at_ns))


def live(settings: LiveSettings) -> Report:
    """Run the desk, and measure.

    Returns:
        The report: ``budget_ms`` as printed, by its parts; ``mouth_to_voice_ms`` and ``mouth_to_frame_ms`` as
        recorded; ``sync_ms``, how much later pictures are than the voice; xruns, gaps and missed frames; memory; all of
        it for every minute, too (``minutes``); ``holds``, what was promised; ``live_again_s`` after the microphone came
        back, and ``voice_again_s`` after the cable did.

    Raises:
        MissingExtraError: PulseAudio or PortAudio is not installed.
        SessionError: The voice was never heard in the cable.
    """
    changes = {"window": False, "camera": False, "voice": CABLE}
    config = settings.config.model_copy(
        update={
            "port": 0,
            "microphone": settings.config.microphone.model_copy(update={"device": MICROPHONE}),
            "output": settings.config.output.model_copy(update=changes),
        }
    )
    with private_pulse(), tempfile.TemporaryFile() as kept, tempfile.TemporaryFile() as given:
        return asyncio.run(_measure(settings, config, Tape(kept), SessionSound(given)))


async def _measure(settings: LiveSettings, config: LiveConfig, tape: Tape, sound: SessionSound) -> Report:
    end, shown = asyncio.Event(), _Shown()
    opened: asyncio.Future[Desk] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run_desk(config, PortAudioHost, lambda _: None, end=end, on_shown=shown, on_open=opened.set_result)
    )
    running.add_done_callback(lambda _: opened.done() or opened.cancel())
    await asyncio.wait([opened])
    try:
        if opened.cancelled():
            await running  # says why
        desk = opened.result()
        desk.add_screen(_Watcher())
        hearing = asyncio.create_task(_keep(desk.watch(), sound))
        try:
            with _speaking(settings.speech):
                return await _watch(settings, desk, shown, tape, sound)
        finally:
            hearing.cancel()
    finally:
        end.set()
        await asyncio.wait([running])


async def _keep(feed: Feed, sound: SessionSound) -> None:
    """Keep what a session gives out, until it ends."""
    with contextlib.suppress(StopAsyncIteration):
        while True:
            sound.put(await feed.block())


async def _watch(settings: LiveSettings, desk: Desk, shown: _Shown, tape: Tape, sound: SessionSound) -> Report:
    clock = MonotonicClock()
    await clock.sleep_until(clock.now_ns() + round(WARMUP_S * 1e9))
    del shown.rows[:]
    with tape.recording():
        begin = clock.now_ns()
        seconds = [_look(desk, 0)]
        for second in range(1, round(settings.seconds) + 1):
            await clock.sleep_until(begin + second * 1_000_000_000)
            seconds.append(_look(desk, second))
    budget, session = desk.budget, desk.session
    ticks, at_ns = np.array(shown.rows, np.int64).reshape(-1, 2).T
    origin, due = session.origin_ns, session.budget.total_ticks
    said_s, delays = await asyncio.to_thread(voice_delays, tape, budget.total_ms)
    if not len(delays):
        raise SessionError("The voice was never found in the cable: is this machine able to hold the session?")
    heard = due_at(origin, session.budget.total_ms + budget.hold_ms)
    heard_s, places = await asyncio.to_thread(voice_places, tape, sound, heard)
    run = Run(
        fps=settings.config.fps,
        budget_ms=budget.total_ms,
        seconds=seconds,
        voice_at_s=said_s,
        voice_ms=delays,
        place_at_s=heard_s,
        place_ms=places,
        frame_at_s=(at_ns - begin) / 1e9,
        frame_late_ms=(at_ns - origin - (ticks + due) * NS_PER_S / MEDIA_HZ) / NS_PER_MS - budget.hold_ms,
    )
    return {
        "scenario": "live",
        "machine": fingerprint(),
        "settings": {
            "seconds": settings.seconds,
            "fps": settings.config.fps,
            "lookahead": settings.config.lookahead,
            "latency": settings.config.latency,
        },
        "budget_ms": round(budget.total_ms, 3),
        "budget_parts_ms": {
            "microphone": budget.microphone_ms,
            **{name.removesuffix("_ms"): round(value, 3) for name, value in vars(budget.engine).items()},
            "voice_hold": budget.voice_hold_ms,
            "voice_out": budget.voice_out_ms,
            "ahead": round(budget.ahead_ms, 3),
        },
        **figures(run),
        "live_again_s": await _replug(desk, MICROPHONE, clock),
        "voice_again_s": await _replug(desk, CABLE, clock),
    }


def _look(desk: Desk, second: int) -> Second:
    """The desk as it is now; memory is looked at now and then."""
    memory = resident_mb() if second % _MEMORY_EVERY_S == 0 else None
    return Second(float(second), desk.player.error_ms, _counts(desk), memory)


def _counts(desk: Desk) -> dict[str, float]:
    view, stats = desk.view(), desk.session.stats()
    voice = view["voice"]
    return {
        "frames": stats.frames,
        "missed_frames": stats.missed,
        "skipped_frames": stats.skipped,
        "gaps": stats.gaps,
        "gap_ms": stats.gap_ms,
        "microphone_xruns": view["microphone"]["xruns"],
        "microphone_losses": view["microphone"]["losses"],
        "voice_xruns": voice["xruns"],
        "voice_underruns": voice["underruns"],
        "voice_missing_ms": voice["missing_ms"],
        "voice_jumps": voice["jumps"],
        "voice_losses": voice["losses"],
    }


async def _replug(desk: Desk, name: str, clock: MonotonicClock) -> float | None:
    """Seconds from a device's return to its first block; None if it took too long."""
    line = desk.hearing if name == MICROPHONE else desk.voicing
    assert line is not None
    await asyncio.to_thread(unplug, name)
    deadline = clock.now_ns() + round(_BACK_S * 1e9)
    while line.stream is not None and clock.now_ns() < deadline:
        await clock.sleep_until(clock.now_ns() + 10 * NS_PER_MS)
    begin = clock.now_ns()
    await asyncio.to_thread(plug, name)
    while clock.now_ns() < begin + round(_BACK_S * 1e9):
        if line.stream is not None and line.stream.beats:
            return round((clock.now_ns() - begin) / 1e9, 3)
        await clock.sleep_until(clock.now_ns() + 10 * NS_PER_MS)
    return None


@contextlib.contextmanager
def _speaking(speech: Path) -> Any:
    """Speak into the microphone, in a loop, until the block ends."""
    voice = at_48k(load_speech(speech))
    sound = (np.clip(voice, -1, 1) * 32767).astype("<i2").tobytes()
    command = ["pacat", f"--device={MOUTH}", "--rate=48000", "--channels=1", "--format=s16le", "--latency-msec=50"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    pipe = process.stdin

    def speak() -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                pipe.write(sound)

    thread = threading.Thread(target=speak, name="bench-voice", daemon=True)
    thread.start()
    try:
        yield
    finally:
        process.kill()
        process.wait()
        thread.join()
        with contextlib.suppress(OSError):
            pipe.close()
