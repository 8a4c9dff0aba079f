"""The scenarios of ``mien bench``: each runs sessions of a live engine and gives the figures as plain data.

Every one begins with a warm-up that no figure counts. They are coroutines over an engine and a clock, so that tests
run them on a virtual clock with an engine of straw.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import fingerprint, resident_mb
from benchmarks.probe import answers_ms, impulses
from benchmarks.recording import CHUNK, CHUNK_MS, Recording, chunks_of, record
from benchmarks.timing import (
    NS_PER_TICK,
    av_offset_ms,
    interval_jitter_ms,
    motion_lag_ms,
    mouth_to_frame_ms,
    percentiles,
)
from engine.clock import Clock
from engine.errors import ConfigError, MienError
from engine.instruments import Instruments
from engine.intake import Intake
from engine.outlet import VideoFrame
from models.spec import MEDIA_HZ, MOTION_HZ, SAMPLE_HZ, TICKS_PER_SAMPLE

LOOKAHEADS: Final = (0, 3, 6, 9, 12, 18)
_NS: Final = 1_000_000_000
_MOTION_CHECK_S: Final = 10
_LONGEST_SERIES: Final = 4000

OpenSession = Callable[..., Any]
"""``Engine.session``: keyword arguments to a session that is an async context manager."""
Opening = Callable[[NDArray[np.float32], int], NDArray[np.float64]]
"""16 kHz sound and a lookahead to the true opening of the lips in each motion frame, computed offline."""
Report = dict[str, Any]
RssReader = Callable[[], float | None]


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        speech: float32 (n,) at 16 kHz, looped.
        seconds: Length of the measurement after the warm-up.
        fps: Frames a second.
        lookahead: Motion frames that the mouth hears ahead.
        latency: L in ms, or ``auto``.
        warmup_s: What is not counted, at the beginning.
        bursts: Of the impulse test.
    """

    speech: NDArray[np.float32]
    seconds: float = 60.0
    fps: int = 30
    lookahead: int = 18
    latency: float | str = "auto"
    warmup_s: float = 3.0
    bursts: int = 8

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            ConfigError: There is no speech, or a time is too short.
        """
        if not len(self.speech) or not np.any(self.speech):
            raise ConfigError("The speech to measure with is silent: give a recording of speech.")
        if self.seconds < 3 or self.warmup_s < 0 or self.bursts < 2:
            raise ConfigError("Measure for at least 3 s, after a warm-up of 0 s or more, with two bursts or more.")

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the engine's session."""
        return {"fps": self.fps, "lookahead": self.lookahead, "latency": self.latency, "mode": "live"}


async def latency(
    open_session: OpenSession,
    settings: Settings,
    clock: Clock,
    instruments: Instruments,
    opening: Opening | None = None,
) -> Report:
    """Mouth-to-frame latency of one session in real time: of every frame, and of bursts after silence.

    Args:
        open_session: Opens sessions whose pictures carry their lips' opening (``benchmarks.probe``).
        settings: What is measured.
        clock: The engine's.
        instruments: Told of the stages by the engine.
        opening: Gives the true motion; without it a frame is taken to show the motion of its media time.

    Raises:
        MienError: The session cannot be opened, or loses its sound.
    """
    speech = settings.speech

    def each_second(second: int) -> None:
        if second == max(1, round(settings.warmup_s)):
            instruments.reset()

    async with open_session(**settings.options) as session:
        budget = session.budget
        recording = await record(session, speech, settings.seconds + settings.warmup_s, clock, each_second=each_second)
        stages, stats = instruments.stages_ms(), session.stats()
    report = _latency_report(recording, settings, opening)
    burst_sound, onsets = impulses(speech, settings.bursts)
    async with open_session(**settings.options) as session:
        answered = await record(session, burst_sound, len(burst_sound) / SAMPLE_HZ + 1, clock)
    return {
        "scenario": "latency",
        "budget_ms": round(budget.total_ms, 3),
        **report,
        "stages": stages,
        "budget": {name: round(value, 3) for name, value in vars(budget).items()},
        "gaps": stats.gaps,
        "ladder_steps": stats.ladder_steps,
        "impulse_ms": _impulse_report(answered, burst_sound, onsets),
        "settings": _settings(settings),
        "machine": fingerprint(),
    }


async def lookahead(
    open_session: OpenSession,
    settings: Settings,
    clock: Clock,
    instruments: Instruments,
    opening: Opening | None = None,
) -> Report:
    """The latency scenario for lookahead 0, 3, 6, 9, 12 and 18, by lookahead."""
    runs = {}
    for frames in LOOKAHEADS:
        run = await latency(open_session, replace(settings, lookahead=frames), clock, instruments, opening)
        runs[str(frames)] = {key: value for key, value in run.items() if key not in ("machine", "series")}
    return {"scenario": "lookahead", "runs": runs, "settings": _settings(settings), "machine": fingerprint()}


async def throughput(open_session: OpenSession, settings: Settings, clock: Clock, limit: int = 256) -> Report:
    """Sessions side by side, one more until the engine refuses; then all of them together for the time asked for.

    Args:
        open_session: Opens sessions.
        settings: What each of them does.
        clock: The engine's.
        limit: Sessions after which nobody waits for a refusal.

    Raises:
        MienError: Not even one session is admitted, or an admitted one fails.
    """
    late_ns: list[int] = []
    refusal: str | None = None
    async with AsyncExitStack() as stack:
        sessions: list[Any] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            while len(sessions) < limit and refusal is None:
                try:
                    session = await stack.enter_async_context(open_session(**settings.options))
                except MienError as error:
                    if not sessions:
                        raise
                    refusal = str(error)
                    break
                sessions.append(session)
                tasks.append(asyncio.create_task(_speak(session, settings.speech, clock, len(sessions))))
                tasks.append(asyncio.create_task(_listen(session, clock, late_ns)))
                await clock.sleep_until(clock.now_ns() + round(settings.warmup_s * _NS))
            late_ns.clear()
            before = [session.stats() for session in sessions]
            await clock.sleep_until(clock.now_ns() + round(settings.seconds * _NS))
            after = [session.stats() for session in sessions]
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    missed = [b.missed + b.skipped - a.missed - a.skipped for a, b in zip(before, after, strict=True)]
    return {
        "scenario": "throughput",
        "sessions_admitted": len(sessions),
        "fps": settings.fps,
        "missed_frames": sum(missed),
        "frames": sum(b.frames - a.frames for a, b in zip(before, after, strict=True)),
        "ladder_steps": sum(b.ladder_steps - a.ladder_steps for a, b in zip(before, after, strict=True)),
        "late_ms": percentiles(np.array(late_ns, np.float64) / 1e6, with_max=True),
        "refusal": refusal,
        "settings": _settings(settings),
        "machine": fingerprint(),
    }


async def soak(
    open_session: OpenSession, settings: Settings, clock: Clock, resident: RssReader = resident_mb
) -> Report:
    """A long session: does memory grow after its first minute, do picture and sound stay together?

    Args:
        open_session: Opens sessions.
        settings: What is measured.
        clock: The engine's.
        resident: Gives the resident memory in MB.
    """
    total = settings.seconds + settings.warmup_s
    memory = np.full(int(total) + 2, np.nan)

    def each_second(second: int) -> None:
        read = resident()
        memory[second] = np.nan if read is None else read

    async with open_session(**settings.options) as session:
        recording = await record(session, settings.speech, total, clock, keep_sound=False, each_second=each_second)
        stats = session.stats()
    counted = recording.frame_ns >= recording.start_ns + settings.warmup_s * _NS
    offset = av_offset_ms(
        recording.frame_ns[counted], recording.frame_ticks[counted], recording.sound_ns, recording.sound_ticks
    )
    known = memory[np.isfinite(memory)]
    first = min(60, len(known) // 2)
    growth = None if len(known) < 2 else float(np.median(known[-5:]) - np.median(known[first : first + 5]))
    absolute = percentiles(np.abs(offset), with_max=True)
    return {
        "scenario": "soak",
        "rss_growth_mb": None if growth is None else round(growth, 2),
        "av_offset_ms": absolute,
        "frames": int(counted.sum()),
        "missed_frames": recording.missed(recording.start_ns + round(settings.warmup_s * _NS)),
        "gaps": stats.gaps,
        "drift_ppm": round(stats.drift_ppm, 1),
        "series": {"rss_mb": [round(float(value), 1) for value in known]},
        "settings": _settings(settings),
        "machine": fingerprint(),
    }


def _latency_report(recording: Recording, settings: Settings, opening: Opening | None) -> Report:
    """Figures of a recording, without its warm-up and without what left after the last word."""
    begin = recording.start_ns + round(settings.warmup_s * _NS)
    counted = recording.frame_ns >= begin
    said = _looped(settings.speech, settings.seconds + settings.warmup_s)
    places, offsets = recording.offsets(_at_48k(said))
    ns, ticks = recording.frame_ns[counted], recording.frame_ticks[counted]
    if len(ns) < 2:
        raise MienError("The session gave no frames after the warm-up; measure for longer.")
    milliseconds = mouth_to_frame_ms(ns, ticks, recording.start_ns, places, offsets)
    lag = 0.0
    if opening is not None:
        lag = _motion_lag(recording, settings, opening, offsets[0], said)
        milliseconds = milliseconds + lag
    # A repeated picture answers no sound: it is counted as missed, and not timed.
    own = ~recording.repeated[counted]
    jitter = interval_jitter_ms(ns, ticks)
    stride = max(1, len(ns) // _LONGEST_SERIES)
    return {
        "frames": len(ns),
        "missed_frames": recording.missed(begin),
        "interval_jitter_ms": percentiles(jitter),
        "mouth_to_frame_ms": percentiles(milliseconds[own], with_max=True),
        "motion_lag_ms": lag,
        "av_offset_ms": percentiles(
            np.abs(av_offset_ms(ns, ticks, recording.sound_ns, recording.sound_ticks)), with_max=True
        ),
        "series": {
            "time_s": _rounded((ns[own][::stride] - recording.start_ns) / 1e9, 3),
            "mouth_to_frame_ms": _rounded(milliseconds[own][::stride], 2),
            "repeated_s": _rounded((ns[~own] - recording.start_ns) / 1e9, 3),
        },
    }


def _motion_lag(
    recording: Recording, settings: Settings, opening: Opening, offset_ticks: float, said: NDArray[np.float32]
) -> float:
    """By how much the lips in the frames are later than those computed offline for the same sound, ms."""
    silence = np.zeros(max(0, round(offset_ticks / TICKS_PER_SAMPLE)), np.float32)
    length = round((settings.warmup_s + _MOTION_CHECK_S) * SAMPLE_HZ)
    true = opening(np.concatenate([silence, said[:length]]), settings.lookahead)
    times = recording.frame_ticks / MEDIA_HZ
    shown = ~recording.repeated & np.isfinite(recording.opening)
    shown &= (times > settings.warmup_s) & (times < (len(true) - 1) / MOTION_HZ)
    if not shown.any():
        return 0.0
    return motion_lag_ms(times[shown], recording.opening[shown], np.arange(len(true)) / MOTION_HZ, true)


def _impulse_report(recording: Recording, sound: NDArray[np.float32], onsets: list[float]) -> dict[str, float]:
    places, offsets = recording.offsets(_at_48k(sound))
    captured = (recording.frame_ticks - np.interp(recording.frame_ticks, places, offsets)) / MEDIA_HZ
    left = (recording.frame_ns - recording.start_ns) / 1e9
    answers = answers_ms(onsets, left, captured, recording.opening)
    return {**percentiles(np.array(answers), with_max=True), "bursts": len(onsets), "answered": len(answers)}


async def _speak(session: Any, speech: NDArray[np.float32], clock: Clock, number: int) -> None:
    """Speak without end; sessions begin at different words."""
    start_ns, said = clock.now_ns(), np.roll(speech, -number * SAMPLE_HZ)
    count = 0
    while True:
        for chunk in chunks_of(said, max(1.0, len(said) // CHUNK * CHUNK_MS / 1000)):
            count += 1
            await clock.sleep_until(start_ns + count * CHUNK_MS * 1_000_000)
            await session.push(chunk, SAMPLE_HZ)


async def _listen(session: Any, clock: Clock, late_ns: list[int]) -> None:
    """Fetch all that falls due, and note how late frames are."""
    latency_ns = session.budget.total_ticks * NS_PER_TICK
    async for item in session:
        if isinstance(item, VideoFrame):
            late_ns.append(round(clock.now_ns() - session.origin_ns - item.ticks * NS_PER_TICK - latency_ns))


def _looped(speech: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, np.float32), *chunks_of(speech, seconds)])


def _at_48k(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    intake = Intake("pushed", queue_ms=1e9)
    intake.push(speech, SAMPLE_HZ)
    intake.finish()
    return intake.read(intake.queued_ticks).sound


def _rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _settings(settings: Settings) -> Report:
    kept = {name: value for name, value in vars(settings).items() if name != "speech"}
    return {**kept, "speech_s": round(len(settings.speech) / SAMPLE_HZ, 2)}
