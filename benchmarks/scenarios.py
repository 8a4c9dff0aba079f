"""The scenarios of ``mien bench``: each runs sessions of a live engine and gives the figures as plain data.

Every one begins with a warm-up that no figure counts. They are coroutines over an engine and a clock, so that tests
run them on a virtual clock with an engine of straw.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.impulse import answers, impulses, syllable
from benchmarks.machine import fingerprint, resident_mb
from benchmarks.recording import Recording, at_48k, looped, record
from benchmarks.timing import (
    av_offset_ms,
    interval_jitter_ms,
    motion_lag_ms,
    mouth_to_frame_ms,
    percentiles,
)
from engine.clock import Clock
from engine.errors import ConfigError, MienError
from engine.instruments import DurationHistogram
from models.spec import MEDIA_HZ, SAMPLE_HZ, TICKS_PER_MOTION, TICKS_PER_SAMPLE

LOOKAHEADS: Final = (0, 3, 6, 9, 12, 18)
_NS: Final = 1_000_000_000
_MOTION_CHECK_S: Final = 10
_CONTEXT_S: Final = 6
"""Of sound, that the mouth is given before a stretch whose motion is computed offline: it remembers."""
_AFTER_S: Final = 1
_TAIL_S: Final = 2
"""Of silence after the last syllable, in which its frames leave."""
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
        syllables: Said in the impulse test.
        voice: float32 (n,) at 16 kHz, where they are cut from; by default ``speech``.
    """

    speech: NDArray[np.float32]
    seconds: float = 60.0
    fps: int = 30
    lookahead: int = 18
    latency: float | str = "auto"
    warmup_s: float = 3.0
    syllables: int = 12
    voice: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            ConfigError: There is no speech, or a time is too short.
        """
        if not len(self.speech) or not np.any(self.speech):
            raise ConfigError("The speech to measure with is silent: give a recording of speech.")
        if self.seconds < 3 or self.warmup_s < 0 or self.syllables < 2:
            raise ConfigError("Measure for at least 3 s, after a warm-up of 0 s or more, with two syllables or more.")

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the engine's session."""
        return {"fps": self.fps, "lookahead": self.lookahead, "latency": self.latency, "mode": "live"}

    @property
    def told(self) -> Report:
        """The settings as a report tells them."""
        kept = {name: value for name, value in vars(self).items() if name not in ("speech", "voice")}
        return {**kept, "speech_s": round(len(self.speech) / SAMPLE_HZ, 2)}


async def latency(
    open_session: OpenSession, settings: Settings, clock: Clock, opening: Opening | None = None
) -> Report:
    """Mouth-to-frame latency of one session in real time: of every frame, and of syllables after silence.

    Args:
        open_session: Opens sessions whose pictures carry their lips' opening (``benchmarks.probe``).
        settings: What is measured.
        clock: The engine's.
        opening: Gives the true motion; without it a frame is taken to show the motion of its media time.

    Raises:
        MienError: The session cannot be opened, or loses its sound.
    """
    words = looped(settings.speech, settings.warmup_s + settings.seconds)
    voice = settings.speech if settings.voice is None else settings.voice
    sound, onsets = impulses(syllable(voice), settings.syllables)
    said = np.concatenate([words, sound, np.zeros(_TAIL_S * SAMPLE_HZ, np.float32)])
    stages: dict[str, dict[str, float]] = {}
    warmed: dict[str, DurationHistogram] = {}
    async with open_session(**settings.options) as session:
        budget = session.budget

        def each_second(second: int) -> None:
            if second == max(1, round(settings.warmup_s)):
                warmed.update(session.instruments.histograms())
            if second == int(len(words) / SAMPLE_HZ):
                stages.update(session.instruments.stages_ms(warmed))

        recording = await record(session, said, len(said) / SAMPLE_HZ, clock, each_second=each_second)
        stats = session.stats()
    heard = _Heard(recording, said, settings, opening)
    return {
        "scenario": "latency",
        "budget_ms": round(budget.total_ms, 3),
        **_latency_report(heard, len(words) / SAMPLE_HZ),
        "stages": stages,
        "budget": {name: round(value, 3) for name, value in vars(budget).items()},
        "gaps": stats.gaps,
        "ladder_steps": stats.ladder_steps,
        "impulse_ms": _impulse_report(heard, [len(words) / SAMPLE_HZ + onset for onset in onsets]),
        "settings": settings.told,
        "machine": fingerprint(),
    }


async def lookahead(
    open_session: OpenSession, settings: Settings, clock: Clock, opening: Opening | None = None
) -> Report:
    """The latency scenario for lookahead 0, 3, 6, 9, 12 and 18, by lookahead."""
    runs = {}
    for frames in LOOKAHEADS:
        run = await latency(open_session, replace(settings, lookahead=frames), clock, opening)
        runs[str(frames)] = {key: value for key, value in run.items() if key not in ("machine", "series")}
    return {"scenario": "lookahead", "runs": runs, "settings": settings.told, "machine": fingerprint()}


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
        "settings": settings.told,
        "machine": fingerprint(),
    }


class _Heard:
    """A recording, and where in it the sound lies that was said."""

    def __init__(
        self, recording: Recording, said: NDArray[np.float32], settings: Settings, opening: Opening | None
    ) -> None:
        self.recording, self.settings = recording, settings
        self._said, self._opening = said, opening
        self.places, self.offsets = recording.offsets(at_48k(said))
        ticks = recording.frame_ticks
        self.captured_s = (ticks - np.interp(ticks, self.places, self.offsets)) / MEDIA_HZ
        """When the sound of each frame was captured, from the first sample on."""
        self.left_s = (recording.frame_ns - recording.start_ns) / 1e9

    def offline(self, begin_s: float, end_s: float) -> NDArray[np.float64] | None:
        """The opening of the lips in each frame, computed from the same sound: NaN before ``begin_s``, after ``end_s``.

        Linear between two motion frames, as the session draws it. None where no such computation was given.
        """
        if self._opening is None:
            return None
        # What the mouth has heard before no longer matters after a while; what comes after, no further than lookahead.
        begin = max(0, round((begin_s - _CONTEXT_S) * SAMPLE_HZ))
        end = round((end_s + _AFTER_S) * SAMPLE_HZ)
        media = float(np.interp(begin * TICKS_PER_SAMPLE, self.places - self.offsets, self.offsets))
        # It begins with a motion frame of the session; before the first sample there was silence.
        first = (begin * TICKS_PER_SAMPLE + media) // TICKS_PER_MOTION * TICKS_PER_MOTION
        silence = round((begin * TICKS_PER_SAMPLE + media - first) / TICKS_PER_SAMPLE)
        if begin == 0:
            silence, first = silence + round(first / TICKS_PER_SAMPLE), 0
        before = self._said[max(0, begin - silence) : begin]
        sound = np.concatenate([np.zeros(silence - len(before), np.float32), before, self._said[begin:end]])
        true = self._opening(sound, self.settings.lookahead)
        ticks = first + np.arange(len(true)) * TICKS_PER_MOTION
        sampled = np.interp(self.recording.frame_ticks, ticks, true, np.nan, np.nan)
        sampled[(self.captured_s < begin_s) | (self.captured_s >= end_s)] = np.nan
        return sampled


def _latency_report(heard: _Heard, end_s: float) -> Report:
    """Figures of the speech up to ``end_s``, without its warm-up."""
    recording, settings = heard.recording, heard.settings
    begin_ns = recording.start_ns + round(settings.warmup_s * _NS)
    counted = (recording.frame_ns >= begin_ns) & (heard.captured_s < end_s)
    ns, ticks = recording.frame_ns[counted], recording.frame_ticks[counted]
    if len(ns) < 2:
        raise MienError("The session gave no frames after the warm-up; measure for longer.")
    lag = _motion_lag(heard)
    milliseconds = mouth_to_frame_ms(ns, ticks, recording.start_ns, heard.places, heard.offsets) + lag
    # A repeated picture answers no sound: it is counted as missed, and not timed.
    own = ~recording.repeated[counted]
    jitter = interval_jitter_ms(ns, ticks)
    stride = max(1, len(ns) // _LONGEST_SERIES)
    return {
        "frames": len(ns),
        "missed_frames": recording.missed(begin_ns, int(ns[-1])),
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


def _motion_lag(heard: _Heard) -> float:
    """By how much the lips in the frames are later than those computed offline for the same sound, ms."""
    recording, settings = heard.recording, heard.settings
    end_s = settings.warmup_s + min(settings.seconds, _MOTION_CHECK_S)
    true = heard.offline(settings.warmup_s, end_s)
    if true is None:
        return 0.0
    known = np.isfinite(true)
    shown = ~recording.repeated & np.isfinite(recording.opening)
    # Not at the ends, beyond which nothing is known.
    shown &= (heard.captured_s > settings.warmup_s + 0.2) & (heard.captured_s < end_s - 0.2)
    if not shown.any():
        return 0.0
    times = heard.captured_s
    return motion_lag_ms(times[shown], recording.opening[shown], times[known], true[known])


def _impulse_report(heard: _Heard, onsets: list[float]) -> Report:
    """What lies between a syllable's first sample and the first frame whose lips move, and how much of it is latency.

    The rest is the lips' own: they lead or trail the sound in the motion as it is computed offline.
    """
    found = answers(onsets, heard.captured_s, heard.recording.opening)
    given = [answer for answer in found if answer is not None]
    answer_ms = np.array([1e3 * (heard.left_s[answer.frame] - answer.onset_s) for answer in given])
    report: Report = {**percentiles(answer_ms, with_max=True), "syllables": len(onsets), "answered": len(given)}
    true = heard.offline(onsets[0] - _AFTER_S, onsets[-1] + _AFTER_S)
    if true is None:
        return report
    # The very frames of the session, as they would be if nothing took any time.
    thresholds = [np.inf if answer is None else answer.threshold for answer in found]
    expected = answers(onsets, heard.captured_s, np.nan_to_num(true), thresholds)
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if a is not None and b is not None]
    lips_ms = np.array([1e3 * (heard.captured_s[other.frame] - other.onset_s) for _, other in pairs])
    latency_ms = np.array([1e3 * (heard.left_s[one.frame] - heard.captured_s[other.frame]) for one, other in pairs])
    report["lips"] = percentiles(lips_ms, with_max=True)
    report["latency"] = percentiles(latency_ms, with_max=True)
    return report


def _rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
