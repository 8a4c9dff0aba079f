"""Two reports of one scenario: what has become worse beyond the tolerance."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.errors import InputError

DEFAULT_TOLERANCE: Final = 0.10


@dataclass(frozen=True)
class Metric:
    """A figure that is watched.

    Attributes:
        path: Its keys, joined by dots; ``*`` stands for every key at that place.
        slack: A change up to this is noise, whatever its share.
        higher_is_better: Which way is worse.
    """

    path: str
    slack: float
    higher_is_better: bool = False


_LATENCY = (
    Metric("budget_ms", 1.0),
    Metric("missed_frames", 0.0),
    Metric("interval_jitter_ms.p99", 0.5),
    Metric("mouth_to_frame_ms.p50", 1.0),
    Metric("mouth_to_frame_ms.p99", 1.0),
    Metric("mouth_to_frame_ms.max", 5.0),
    Metric("impulse_ms.max", 17.0),
    Metric("impulse_ms.latency.p50", 2.0),
    Metric("impulse_ms.answered", 0.0, higher_is_better=True),
    Metric("stages.*.p95", 0.5),
)
METRICS: Final = {
    "latency": _LATENCY,
    "lookahead": tuple(replace(m, path=f"runs.*.{m.path}") for m in _LATENCY if not m.path.startswith("stages")),
    "throughput": (
        Metric("sessions_admitted", 0.0, higher_is_better=True),
        Metric("missed_frames", 0.0),
        Metric("beyond_budget_ms.max", 2.0),
    ),
    "pushed": (
        Metric("budget_ms", 1.0),
        Metric("first_frame_ms.p50", 2.0),
        Metric("first_frame_ms.p99", 5.0),
        Metric("mouth_at_rest_ms.p50", 5.0),
        Metric("mouth_at_rest_ms.p99", 17.0),
        Metric("queues_empty_ms.max", 1.0),
        Metric("sound_after_ms.max", 1.0),
        Metric("missed_frames", 0.0),
        Metric("stages.*.p95", 0.5),
    ),
    "webrtc": (
        Metric("budget_ms", 1.0),
        Metric("fps_received", 0.3, higher_is_better=True),
        Metric("freezes", 0.0),
        Metric("missed_frames", 0.0),
        Metric("mouth_to_glass_ms.p50", 5.0),
        Metric("mouth_to_glass_ms.p95", 10.0),
    ),
    "calls": (
        Metric("sessions_admitted", 0.0, higher_is_better=True),
        Metric("missed_frames", 0.0),
        Metric("coming_and_going.memory_growth_mb", 2.0),
        Metric("coming_and_going.threads_growth", 0.0),
        Metric("coming_and_going.connections_left", 0.0),
    ),
    "soak": (Metric("rss_growth_mb", 1.0), Metric("av_offset_ms.max", 1.0), Metric("missed_frames", 0.0)),
}


@dataclass(frozen=True)
class Change:
    """One figure, then and now.

    Attributes:
        name: The figure's path.
        old: Then.
        new: Now.
        limit: The worst value that the tolerance allows.
        regressed: Whether ``new`` is worse.
    """

    name: str
    old: float
    new: float
    limit: float
    regressed: bool


def load_report(path: Path) -> dict[str, Any]:
    """A report that ``mien bench`` wrote.

    Raises:
        InputError: It is missing, or no such report.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a benchmark's report: give the JSON of an earlier run.") from error
    if not isinstance(report, dict) or report.get("scenario") not in METRICS:
        raise InputError(f"{path} is not a report of mien bench: give the JSON of an earlier run.")
    return report


def compare(old: dict[str, Any], new: dict[str, Any], tolerance: float = DEFAULT_TOLERANCE) -> list[Change]:
    """Every watched figure that both reports have.

    Args:
        old: An earlier report.
        new: The present one.
        tolerance: Share of the old value by which a figure may be worse, beside its own slack.

    Raises:
        InputError: They are of different scenarios or settings, which cannot be compared.
    """
    if old["scenario"] != new["scenario"]:
        raise InputError(f"A {old['scenario']} report cannot be compared with one of {new['scenario']}.")
    for name in ("fps", "lookahead"):
        before, now = (report.get("settings", {}).get(name) for report in (old, new))
        if before != now and new["scenario"] != "lookahead":
            raise InputError(f"The old report is of {name} {before}, the new one of {now}: run with the same options.")
    changes = []
    for metric in METRICS[new["scenario"]]:
        before_by_path = dict(_values(old, metric.path.split(".")))
        for path, value in _values(new, metric.path.split(".")):
            if path in before_by_path:
                changes.append(_change(path, before_by_path[path], value, metric, tolerance))
    return changes


def same_machine(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether both were measured on the same kind of machine; if not, a comparison says little."""
    keys = ("cpu", "cores", "memory_gb")
    return all(old.get("machine", {}).get(key) == new.get("machine", {}).get(key) for key in keys)


def _change(name: str, old: float, new: float, metric: Metric, tolerance: float) -> Change:
    room = max(metric.slack, tolerance * abs(old))
    limit = old - room if metric.higher_is_better else old + room
    worse = new < limit if metric.higher_is_better else new > limit
    return Change(name, old, new, round(limit, 3), worse)


def _values(report: Any, path: list[str]) -> list[tuple[str, float]]:
    """Numbers at ``path``, each with its own full path."""
    if not path:
        return [("", float(report))] if isinstance(report, int | float) else []
    if not isinstance(report, dict):
        return []
    found = []
    for key in sorted(report) if path[0] == "*" else [path[0]]:
        for rest, value in _values(report.get(key), path[1:]):
            found.append((f"{key}.{rest}" if rest else key, value))
    return found
