"""What an engine tells of all its sessions: Prometheus's text, and the trace that they share.

A series has the label of a running session. When the session ends its series go away, and what it counted stays in
those of the engine, ``mien_engine_...``, which have no such label and only ever grow: however many sessions come and
go, the text stays as long as the running ones make it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, Protocol

from engine.budget import Budget
from engine.errors import ConfigError
from engine.instruments import QUANTILES, DurationHistogram, Instruments
from engine.session_parts import SessionStats
from engine.trace_events import Trace

COUNTERS: Final = {
    "frames": ("frames", "Frames that were due."),
    "missed": ("misses", "Frames that were not ready at their deadline."),
    "repeated": ("repeats", "Frames that showed an earlier picture again."),
    "skipped": ("skips", "Frames left out after the process had stood still for longer than a frame."),
    "gaps": ("gaps", "Times that sound was not there when it was due."),
    "gap_ms": ("gap_milliseconds", "Sound that was concealed."),
    "late_ms": ("late_milliseconds", "Sound that came too late, and was left out."),
    "ladder_down": ("ladder_down", "Steps down the ladder under overload."),
    "ladder_up": ("ladder_up", "Steps back up the ladder."),
    "interruptions": ("interruptions", "Times that a session was interrupted."),
    "audio_blocks": ("audio_blocks", "Blocks of 20 ms of sound given out."),
    "dropped_frames": ("dropped_frames", "Frames that the consumer did not fetch in time."),
    "dropped_blocks": ("dropped_blocks", "Blocks of sound that the consumer did not fetch in time."),
}
"""Fields of ``SessionStats`` that only grow: the metric ``mien_<name>_total``, and what it says."""
_GAUGES: Final = {
    "latency_ms": ("latency_milliseconds", "The session's latency L."),
    "fps": ("fps", "Frame rate at which the session is drawn now."),
    "economy": ("economy", "Whether the session is drawn with less care now."),
    "drift_ppm": ("drift_ppm", "How much faster than its nominal rate the live source runs."),
}
_QUEUES: Final = ("intake", "ready", "output")
_LONGEST_LABEL: Final = 100
Reason = Literal["capacity", "latency"]


class MeasuredSession(Protocol):
    """What is asked of a session."""

    @property
    def instruments(self) -> Instruments:
        """Its stages."""
        ...

    def stats(self) -> SessionStats:
        """What happened to it so far."""
        ...


class Telemetry:
    """An engine's instruments."""

    def __init__(self) -> None:
        """No session, and nothing recorded."""
        self.trace = Trace()
        self._running: dict[str, tuple[MeasuredSession, Budget]] = {}
        self._named = 0
        self._admitted = 0
        self._refused: dict[Reason, int] = {"capacity": 0, "latency": 0}
        self._counts = dict.fromkeys(COUNTERS, 0.0)
        """Of the sessions that ended, as the next."""
        self._stages: dict[str, DurationHistogram] = {}

    def label(self, wanted: str | None) -> str:
        """A session's label: the one wanted, or the next number.

        Raises:
            ConfigError: It is empty, too long, or of a session that runs.
        """
        if wanted is None:
            self._named += 1
            while str(self._named) in self._running:
                self._named += 1
            return str(self._named)
        if not 0 < len(wanted) <= _LONGEST_LABEL or not wanted.isprintable():
            raise ConfigError(f"A session's label is 1 to {_LONGEST_LABEL} printable characters, not {wanted!r}.")
        self.check_free(wanted)
        return wanted

    def check_free(self, label: str) -> None:
        """Refuse a label that is taken.

        Raises:
            ConfigError: A running session has it.
        """
        if label in self._running:
            raise ConfigError(f"A session with the label {label!r} runs: end it, or choose another label.")

    def enter(self, session: MeasuredSession, budget: Budget) -> None:
        """A session was admitted."""
        self._admitted += 1
        self._running[session.instruments.label] = session, budget
        session.instruments.begin()

    def leave(self, session: MeasuredSession) -> None:
        """A session has ended: its series go, what it counted stays. Legal twice."""
        if self._running.pop(session.instruments.label, None) is None:
            return
        stats = session.stats()
        for field in COUNTERS:
            self._counts[field] += getattr(stats, field)
        _absorb(self._stages, session.instruments.histograms())

    def refuse(self, reason: Reason) -> None:
        """A session was not admitted."""
        self._refused[reason] += 1

    def prometheus(self, load_cores: float, cores: float) -> str:
        """All of it in Prometheus's text format, version 0.0.4.

        Args:
            load_cores: Cores that the running sessions use.
            cores: Cores that there are.
        """
        running = {label: (session.stats(), budget) for label, (session, budget) in list(self._running.items())}
        stages = {label: session.instruments.histograms() for label, (session, _) in list(self._running.items())}
        whole = {stage: histogram.copy() for stage, histogram in self._stages.items()}
        for histograms in stages.values():
            _absorb(whole, histograms)
        blocks = [
            _block("mien_sessions", "gauge", "Sessions that run.", [_sample({}, len(running))]),
            _block("mien_sessions_admitted_total", "counter", "Sessions admitted.", [_sample({}, self._admitted)]),
            _block(
                "mien_sessions_refused_total",
                "counter",
                "Sessions that were not admitted.",
                [_sample({"reason": reason}, count) for reason, count in self._refused.items()],
            ),
            _block("mien_load_cores", "gauge", "Cores that the running sessions use.", [_sample({}, load_cores)]),
            _block("mien_cores", "gauge", "Cores that sessions may use.", [_sample({}, cores)]),
        ]
        for field, (name, about) in COUNTERS.items():
            own = [_sample({"session": label}, getattr(stats, field)) for label, (stats, _) in running.items()]
            total = self._counts[field] + sum(getattr(stats, field) for stats, _ in running.values())
            blocks.append(_block(f"mien_{name}_total", "counter", about, own))
            about = f"The same of all sessions, ended ones too: {about}"
            blocks.append(_block(f"mien_engine_{name}_total", "counter", about, [_sample({}, total)]))
        for field, (name, about) in _GAUGES.items():
            own = [_sample({"session": label}, float(getattr(stats, field))) for label, (stats, _) in running.items()]
            blocks.append(_block(f"mien_{name}", "gauge", about, own))
        queues = [
            _sample({"session": label, "queue": queue}, getattr(stats, f"{queue}_ms"))
            for label, (stats, _) in running.items()
            for queue in _QUEUES
        ]
        blocks.append(_block("mien_queue_milliseconds", "gauge", "Sound or pictures that wait in a queue.", queues))
        parts = [
            _sample({"session": label, "part": part.removesuffix("_ms")}, value)
            for label, (_, budget) in running.items()
            for part, value in vars(budget).items()
        ]
        blocks.append(_block("mien_budget_milliseconds", "gauge", "Parts of a session's latency.", parts))
        own = [line for label, found in stages.items() for line in _summary({"session": label}, found)]
        blocks.append(_block("mien_stage_seconds", "summary", "Time that one step of a stage took.", own))
        about = "The same of all sessions, ended ones too."
        blocks.append(_block("mien_engine_stage_seconds", "summary", about, _summary({}, whole)))
        return "".join(blocks)


def _absorb(into: dict[str, DurationHistogram], stages: Mapping[str, DurationHistogram]) -> None:
    for stage, histogram in stages.items():
        into.setdefault(stage, DurationHistogram()).absorb(histogram)


def _summary(labels: Mapping[str, str], stages: Mapping[str, DurationHistogram]) -> list[str]:
    lines = []
    for stage, histogram in stages.items():
        own = {**labels, "stage": stage}
        for percent in QUANTILES.values():
            lines.append(_sample({**own, "quantile": f"{percent / 100:g}"}, histogram.percentile_ms(percent) / 1e3))
        lines.append(_sample(own, histogram.sum_ns / 1e9, "_sum"))
        lines.append(_sample(own, histogram.count, "_count"))
    return lines


def _block(metric: str, kind: str, about: str, samples: Iterable[str]) -> str:
    """One metric with its head; nothing where there are no samples."""
    lines = [f"{metric}{sample}\n" for sample in samples]
    return f"# HELP {metric} {about}\n# TYPE {metric} {kind}\n{''.join(lines)}" if lines else ""


def _sample(labels: Mapping[str, str], value: float, suffix: str = "") -> str:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    inside = ",".join(f"{name}={quoted(text)}" for name, text in labels.items())
    return f"{suffix}{'{' + inside + '}' if inside else ''} {value!r}"
