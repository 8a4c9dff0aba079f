"""``mien live`` as its user has it: real PortAudio, a microphone that speaks, a cable that is recorded.

Measured against one recording of both (``private_pulse``), not against what anybody reports: how long the voice is on
its way, in every stretch of the run; how late pictures are shown against it; what was lost; how much memory is held;
how soon a microphone that was unplugged is heard again.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.machine import fingerprint, resident_mb
from benchmarks.private_pulse import BOTH, CABLE, MICROPHONE, MOUTH, plug, private_pulse, unplug
from benchmarks.recording import at_48k, load_speech
from benchmarks.timing import percentiles
from engine.clock import NS_PER_MS, MonotonicClock, ticks_to_ns
from engine.errors import SessionError
from models.spec import MEDIA_HZ
from streaming.live.desk import Desk
from streaming.live.live_config import LiveConfig, load_config
from streaming.live.portaudio import PortAudioHost
from streaming.live.run_desk import run_desk
from streaming.serve.media.backdrop import Picture

Report = dict[str, Any]
WARMUP_S: Final = 8.0
WINDOW_S: Final = 2.0
_SEARCH_MS: Final = 60.0
_LOUD: Final = 0.01
"""RMS of a stretch of speech that is long and loud enough to be found again."""
_BACK_S: Final = 10.0
_BYTES: Final = 4
"""Of a recorded sample of both channels."""


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


def live_table(report: Report) -> Table:
    """The report for people."""
    table = Table(title="mien bench live", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    voice, frame, sync, counts = (
        report[key] for key in ("mouth_to_voice_ms", "mouth_to_frame_ms", "sync_ms", "counts")
    )
    table.add_row("printed budget, mouth to frame", f"{report['budget_ms']:.1f} ms")
    table.add_row("mouth to frame, p50, p99", f"{frame['p50']:.1f}, {frame['p99']:.1f} ms")
    table.add_row("mouth to delayed voice, p50", f"{voice['p50']:.1f} ms")
    table.add_row("in the first and the last third", f"{voice['first']:.1f}, {voice['last']:.1f} ms")
    table.add_row("picture later than voice, p50, p99", f"{sync['p50']:+.1f}, {sync['p99']:+.1f} ms")
    table.add_row("missed frames", f"{counts['missed_frames']} of {counts['frames']}")
    table.add_row("xruns of microphone, of voice", f"{counts['microphone_xruns']}, {counts['voice_xruns']}")
    table.add_row("gaps heard, holes played", f"{counts['gap_ms']:.0f}, {counts['voice_missing_ms']:.0f} ms")
    if report["memory_mb"] is not None:
        table.add_row("memory, begin and end", "{begin:.0f}, {end:.0f} MB".format(**report["memory_mb"]))
    again = report["live_again_s"]
    table.add_row("live again after a replug", "never" if again is None else f"{again:.2f} s")
    return table


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
        self.rows: list[tuple[int, int]] = []

    def __call__(self, screen: str, ticks: int, at_ns: int) -> None:
        self.rows.append((ticks, at_ns))


def live(settings: LiveSettings) -> Report:
    """Run the desk, and measure.

    Returns:
        The report: ``budget_ms`` as printed, by its parts; ``mouth_to_voice_ms`` and ``mouth_to_frame_ms`` as
        recorded, with ``first`` and ``last`` of the run's windows; ``sync_ms``, how much later pictures are than the
        voice; xruns, gaps and missed frames; memory; ``live_again_s`` after the microphone came back.

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
    with private_pulse(), tempfile.TemporaryFile() as kept:
        return asyncio.run(_measure(settings, config, kept))


async def _measure(settings: LiveSettings, config: LiveConfig, kept: IO[bytes]) -> Report:
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
        with _speaking(settings.speech):
            return await _watch(settings, desk, shown, kept)
    finally:
        end.set()
        await asyncio.wait([running])


async def _watch(settings: LiveSettings, desk: Desk, shown: _Shown, kept: IO[bytes]) -> Report:
    clock = MonotonicClock()
    await clock.sleep_until(clock.now_ns() + round(WARMUP_S * 1e9))
    shown.rows.clear()
    before, memory = _counts(desk), _memory()
    sync_error: list[float] = []
    with _recording(kept):
        begin = clock.now_ns()
        for second in range(1, round(settings.seconds) + 1):
            await clock.sleep_until(begin + second * 1_000_000_000)
            sync_error.append(desk.player.error_ms)
            if second % 10 == 0:
                memory += _memory()
    after, budget, session = _counts(desk), desk.budget, desk.session
    origin, due = session.origin_ns, session.budget.total_ticks
    late = np.array([(at - origin - ticks_to_ns(ticks + due)) / NS_PER_MS - budget.hold_ms for ticks, at in shown.rows])
    delays = await asyncio.to_thread(_voice_delays, kept, budget.total_ms)
    if not len(delays):
        raise SessionError("The voice was never found in the cable: is this machine able to hold the session?")
    # The voice's own error against its place is known; what is left of its delay is the microphone's.
    error = float(np.median(sync_error))
    offset = float(np.median(delays)) - budget.total_ms - error
    third = max(1, len(delays) // 3)
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
        "mouth_to_voice_ms": {
            **percentiles(delays, with_max=True),
            "min": round(float(delays.min()), 3),
            "first": round(float(np.median(delays[:third])), 3),
            "last": round(float(np.median(delays[-third:])), 3),
            "windows": len(delays),
        },
        "mouth_to_frame_ms": percentiles(late + budget.total_ms + offset, with_max=True),
        "frame_late_ms": percentiles(late, with_max=True),
        "sync_ms": percentiles(late - error, with_max=True),
        "counts": {name: after[name] - before[name] for name in after},
        "memory_mb": None if not memory else {"begin": memory[0], "end": memory[-1], "highest": max(memory)},
        "live_again_s": await _replug(desk, clock),
    }


def _memory() -> list[float]:
    """What is held now, MB; nothing where the system does not say, or a process of ours ended in this moment."""
    held = resident_mb()
    return [] if held is None else [held]


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


async def _replug(desk: Desk, clock: MonotonicClock) -> float | None:
    """Seconds from the microphone's return to its first block; None if it took too long."""
    await asyncio.to_thread(unplug)
    deadline = clock.now_ns() + round(_BACK_S * 1e9)
    while desk.hearing.state == "open" and clock.now_ns() < deadline:
        await clock.sleep_until(clock.now_ns() + 10 * NS_PER_MS)
    blocks = desk.microphone.blocks
    await asyncio.to_thread(plug)
    begin = clock.now_ns()
    while clock.now_ns() < begin + round(_BACK_S * 1e9):
        if desk.hearing.state == "open" and desk.microphone.blocks > blocks:
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


@contextlib.contextmanager
def _recording(kept: IO[bytes]) -> Any:
    """Record both channels into a file until the block ends."""
    command = ["parec", f"--device={BOTH}", "--rate=48000", "--channels=2", "--format=s16le", "--latency-msec=50"]
    process = subprocess.Popen(command, stdout=kept)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _voice_delays(kept: IO[bytes], expected_ms: float) -> NDArray[np.float64]:
    """How much later the right channel is than the left, ms, for every loud window of the recording."""
    kept.seek(0, 2)
    total = kept.tell() // _BYTES
    window, search = round(WINDOW_S * MEDIA_HZ), round(_SEARCH_MS * MEDIA_HZ / 1000)
    expected = round(expected_ms * MEDIA_HZ / 1000)
    first = max(0, expected - search)
    found = []
    for begin in range(0, total - window - expected - search, window):
        kept.seek(begin * _BYTES)
        both = np.frombuffer(kept.read((window + expected + search) * _BYTES), "<i2").reshape(-1, 2) / 32768
        mouth, cable = both[:window, 0], both[first:, 1]
        if mouth.std() < _LOUD or cable.std() < _LOUD:
            continue
        lag = _best_lag(mouth, cable[: window + expected + search - first])
        if lag is not None:
            found.append((first + lag) * 1000 / MEDIA_HZ)
    return np.array(found)


def _best_lag(mouth: NDArray[np.float64], cable: NDArray[np.float64]) -> float | None:
    """Samples by which ``mouth`` lies in ``cable``, by cross-correlation; None where it does not."""
    size = 1 << (len(mouth) + len(cable)).bit_length()
    spectrum = np.fft.rfft(cable, size) * np.conj(np.fft.rfft(mouth, size))
    match = np.fft.irfft(spectrum, size)[: max(1, len(cable) - len(mouth) + 1)]
    lag = int(match.argmax())
    energy = np.sqrt(np.square(mouth).sum() * np.square(cable[lag : lag + len(mouth)]).sum())
    return float(lag) if energy > 0 and match[lag] / energy > 0.5 else None
