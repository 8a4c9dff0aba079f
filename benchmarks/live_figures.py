"""What a run of ``mien bench live`` comes to: figures of the whole, of every minute of it, and what was promised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from benchmarks.timing import percentiles

Report = dict[str, Any]
Floats = NDArray[np.float64]

MINUTE_S: Final = 60.0
LATENCY_WITHIN_MS: Final = 10.0
MEMORY_WITHIN: Final = 0.05
"""Growth from the first to the last minute that counts as flat, as a share of what is held."""
_COUNTED: Final = ("missed_frames", "microphone_xruns", "voice_xruns", "gap_ms", "voice_missing_ms")


@dataclass(frozen=True)
class Second:
    """The desk at one second of the run.

    Attributes:
        at_s: Since the run began.
        error_ms: How far the voice is played from its place, as the player knows it.
        counts: All that the desk counts, since it began.
        memory_mb: Of all processes; None where it was not looked at.
    """

    at_s: float
    error_ms: float
    counts: dict[str, float]
    memory_mb: float | None = None


@dataclass(frozen=True)
class Run:
    """What was seen of a run.

    Attributes:
        fps: Frames a second.
        budget_ms: Mouth to frame, as printed.
        seconds: The desk, second by second, from 0.
        voice_at_s: When each stretch of speech was said that was found again, since the run began.
        voice_ms: How long it took from mouth to cable, in the recording of both.
        place_at_s: When each stretch of the session's sound was found in the recorded cable.
        place_ms: How late it was there; what the recorder always holds back is in it.
        frame_at_s: When each picture was shown, since the run began.
        frame_late_ms: How much later than it was due.
    """

    fps: int
    budget_ms: float
    seconds: Sequence[Second]
    voice_at_s: Floats
    voice_ms: Floats
    place_at_s: Floats
    place_ms: Floats
    frame_at_s: Floats
    frame_late_ms: Floats

    @property
    def stretches(self) -> list[tuple[float, float]]:
        """Its minutes, from and to, s; its halves where it has less than two. A rest is left out."""
        total = self.seconds[-1].at_s
        length = MINUTE_S if total >= 2 * MINUTE_S else total / 2
        return [(number * length, (number + 1) * length) for number in range(int(total / length + 1e-6))]

    def voice_error_ms(self, begin_s: float, end_s: float) -> float:
        """How far the voice was from its place in a stretch of time.

        In the first stretch as the player knows it, by PortAudio's times; from there on the recording tells how it
        wandered.
        """
        known = self._median_error(*self.stretches[0])
        first, now = (self._median_place(*stretch) for stretch in (self.stretches[0], (begin_s, end_s)))
        return self._median_error(begin_s, end_s) if first is None or now is None else known + now - first

    @property
    def sync_ms(self) -> Floats:
        """How much later every picture is seen than its sound is heard."""
        errors = np.array([self.voice_error_ms(*stretch) for stretch in self.stretches])
        length = self.stretches[0][1]
        number = np.clip(self.frame_at_s / length, 0, len(errors) - 1).astype(int)
        return np.asarray(self.frame_late_ms - errors[number])

    @property
    def mouth_to_frame_ms(self) -> Floats:
        """Of every picture: what its sound took from mouth to cable, and by how much it is later than that."""
        return self.sync_ms + float(np.median(self.voice_ms))

    def _median_error(self, begin_s: float, end_s: float) -> float:
        return float(np.median([second.error_ms for second in self.seconds if begin_s <= second.at_s <= end_s]))

    def _median_place(self, begin_s: float, end_s: float) -> float | None:
        places = self.place_ms[(self.place_at_s >= begin_s) & (self.place_at_s < end_s)]
        return float(np.median(places)) if len(places) else None


def figures(run: Run) -> Report:
    """What a run comes to, for JSON: latencies, counts, memory, ``minutes`` (see ``by_minute``), and ``holds``."""
    first, last = run.seconds[0].counts, run.seconds[-1].counts
    memory = [second.memory_mb for second in run.seconds if second.memory_mb is not None]
    minutes = by_minute(run)
    found = {
        "mouth_to_voice_ms": {
            **percentiles(run.voice_ms, with_max=True),
            "min": round(float(run.voice_ms.min()), 3),
            "windows": len(run.voice_ms),
        },
        "mouth_to_frame_ms": percentiles(run.mouth_to_frame_ms, with_max=True),
        "frame_late_ms": percentiles(run.frame_late_ms, with_max=True),
        "sync_ms": percentiles(run.sync_ms, with_max=True),
        "counts": {name: last[name] - first[name] for name in last},
        "memory_mb": None if not memory else {"begin": memory[0], "end": memory[-1], "highest": max(memory)},
        "minutes": minutes,
    }
    return {**found, "holds": _holds(run, found)}


def by_minute(run: Run) -> list[Report]:
    """The run minute by minute, or by halves."""
    return [_stretch(run, begin_s, end_s) for begin_s, end_s in run.stretches]


def _stretch(run: Run, begin_s: float, end_s: float) -> Report:
    seconds = [second for second in run.seconds if begin_s <= second.at_s <= end_s]
    voice = run.voice_ms[(run.voice_at_s >= begin_s) & (run.voice_at_s < end_s)]
    late = run.frame_late_ms[(run.frame_at_s >= begin_s) & (run.frame_at_s < end_s)]
    error = run.voice_error_ms(begin_s, end_s)
    memory = [second.memory_mb for second in seconds if second.memory_mb is not None]
    sync = late - error
    return {
        "from_s": round(begin_s, 1),
        "to_s": round(end_s, 1),
        "mouth_to_voice_ms": _middle(voice),
        "mouth_to_frame_ms": None if not len(voice) else _middle(sync + float(np.median(voice))),
        "voice_error_ms": round(error, 3),
        "sync_ms": _middle(sync),
        "sync_worst_ms": round(float(np.percentile(np.abs(sync), 99)), 3) if len(sync) else None,
        "memory_mb": round(float(np.median(memory)), 1) if memory else None,
        **{name: seconds[-1].counts[name] - seconds[0].counts[name] for name in _COUNTED},
    }


def _middle(values: Floats) -> float | None:
    return round(float(np.median(values)), 3) if len(values) else None


def _holds(run: Run, found: Report) -> Report:
    """What was promised, and whether it holds; None where it could not be seen."""
    minutes, frame_ms = found["minutes"], 1000 / run.fps
    syncs = [minute["sync_ms"] for minute in minutes if minute["sync_ms"] is not None]
    memory = [minute["memory_mb"] for minute in minutes if minute["memory_mb"] is not None]
    away = found["mouth_to_frame_ms"]["p50"] - run.budget_ms
    growth = memory[-1] / memory[0] - 1 if len(memory) > 1 else None
    return {
        "sync_ms_first_and_last": [syncs[0], syncs[-1]] if syncs else None,
        "sync_drift_ms": round(syncs[-1] - syncs[0], 3) if syncs else None,
        "in_sync_within_a_frame": max(map(abs, syncs)) <= frame_ms if syncs else None,
        "off_the_budget_ms": round(away, 3),
        "latency_as_printed": abs(away) <= LATENCY_WITHIN_MS,
        "memory_growth": None if growth is None else round(growth, 4),
        "memory_flat": None if growth is None else growth <= MEMORY_WITHIN,
    }


def live_table(report: Report) -> Group:
    """The report for people."""
    return Group(_whole(report), _minutes(report["minutes"]))


def _whole(report: Report) -> Table:
    table = Table(title="mien bench live", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    voice, frame, sync, counts, holds = (
        report[key] for key in ("mouth_to_voice_ms", "mouth_to_frame_ms", "sync_ms", "counts", "holds")
    )
    table.add_row("printed budget, mouth to frame", f"{report['budget_ms']:.1f} ms")
    table.add_row("mouth to frame, p50, p99", f"{frame['p50']:.1f}, {frame['p99']:.1f} ms")
    within = f"{holds['off_the_budget_ms']:+.1f} ms: {_word(holds['latency_as_printed'])}"
    table.add_row(f"p50 off the budget, at most {LATENCY_WITHIN_MS:.0f} ms", within)
    table.add_row("mouth to delayed voice, p50", f"{voice['p50']:.1f} ms")
    table.add_row("picture later than voice, p50, p99", f"{sync['p50']:+.1f}, {sync['p99']:+.1f} ms")
    if holds["sync_ms_first_and_last"] is not None:
        first, last = holds["sync_ms_first_and_last"]
        table.add_row("in the first and the last minute", f"{first:+.1f}, {last:+.1f} ms")
        table.add_row("every minute within one frame", _word(holds["in_sync_within_a_frame"]))
    table.add_row("missed frames", f"{counts['missed_frames']} of {counts['frames']}")
    table.add_row("xruns of microphone, of voice", f"{counts['microphone_xruns']}, {counts['voice_xruns']}")
    table.add_row("gaps heard, holes played", f"{counts['gap_ms']:.0f}, {counts['voice_missing_ms']:.0f} ms")
    if report["memory_mb"] is not None:
        table.add_row("memory, begin and end", "{begin:.0f}, {end:.0f} MB".format(**report["memory_mb"]))
    if holds["memory_growth"] is not None:
        grown = f"{100 * holds['memory_growth']:+.1f} %: {_word(holds['memory_flat'])}"
        table.add_row(f"last minute against the first, at most {100 * MEMORY_WITHIN:.0f} %", grown)
    for name, what in (("live_again_s", "microphone"), ("voice_again_s", "cable")):
        again = report[name]
        table.add_row(f"live again after the {what} was replugged", "never" if again is None else f"{again:.2f} s")
    return table


def _minutes(minutes: list[Report]) -> Table:
    title = "Minute by minute, or by halves (medians, ms)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    columns = ("s", "voice", "frame", "A/V", "A/V p99", "missed", "xruns", "gaps", "holes", "MB")
    for column in columns:
        table.add_column(column, justify="right")
    for minute in minutes:
        table.add_row(
            f"{minute['from_s']:.0f}-{minute['to_s']:.0f}",
            *(_number(minute[name]) for name in ("mouth_to_voice_ms", "mouth_to_frame_ms", "sync_ms", "sync_worst_ms")),
            f"{minute['missed_frames']:.0f}",
            f"{minute['microphone_xruns'] + minute['voice_xruns']:.0f}",
            *(f"{minute[name]:.0f}" for name in ("gap_ms", "voice_missing_ms")),
            _number(minute["memory_mb"]),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _word(held: bool | None) -> str:
    return {True: "holds", False: "does not hold", None: "not seen"}[held]
