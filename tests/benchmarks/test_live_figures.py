"""The figures of a run of the desk, from runs that were made up."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from benchmarks.live_figures import Run, Second, by_minute, figures, live_table

COUNTS = ("frames", "missed_frames", "microphone_xruns", "voice_xruns", "gap_ms", "voice_missing_ms")


def run(
    total_s: int = 180, *, drift_ms: float = 0.0, late_ms: float = 2.0, grown: float = 0.0, wander_ms: float = 0.0
) -> Run:
    """A run in which the picture falls behind by ``drift_ms`` from its beginning to its end; one xrun in minute 2.

    The voice falls behind by ``wander_ms``, and its player does not know.
    """
    at = np.arange(0, total_s, 1 / 30)
    said = np.arange(0, total_s - 1, 2.0)
    seconds = [
        Second(
            float(second),
            error_ms=0.5,
            counts={
                **dict.fromkeys(COUNTS, 0.0),
                "frames": 30.0 * second + 7,
                "missed_frames": 3.0,
                "voice_xruns": float(second > 90),
            },
            memory_mb=500 * (1 + grown * second / total_s) if second % 5 == 0 else None,
        )
        for second in range(total_s + 1)
    ]
    return Run(
        fps=30,
        budget_ms=160.0,
        seconds=seconds,
        voice_at_s=said,
        voice_ms=np.full(len(said), 161.0),
        place_at_s=said,
        place_ms=30.0 + wander_ms * said / total_s,
        frame_at_s=at,
        frame_late_ms=late_ms + drift_ms * at / total_s,
    )


def test_every_minute_has_its_figures() -> None:
    minutes = by_minute(run(200, drift_ms=20))
    assert [(minute["from_s"], minute["to_s"]) for minute in minutes] == [(0, 60), (60, 120), (120, 180)]
    assert [minute["sync_ms"] for minute in minutes] == pytest.approx([4.5, 10.5, 16.5], abs=0.1)
    assert [minute["voice_xruns"] for minute in minutes] == [0, 1, 0]
    assert [minute["mouth_to_voice_ms"] for minute in minutes] == [161, 161, 161]
    # 0.5 ms of the voice's delay are its own error; the rest is the picture's, too.
    assert minutes[0]["mouth_to_frame_ms"] == pytest.approx(160.5 + 2 + 3, abs=0.1)
    assert minutes[0]["missed_frames"] == 0


def test_a_voice_that_wanders_is_found_in_the_recording_though_its_player_knows_nothing_of_it() -> None:
    minutes = by_minute(run(wander_ms=9))
    assert [minute["voice_error_ms"] for minute in minutes] == pytest.approx([0.5, 3.5, 6.5], abs=0.2)
    assert [minute["sync_ms"] for minute in minutes] == pytest.approx([1.5, -1.5, -4.5], abs=0.2)
    unheard = replace(run(wander_ms=9), place_at_s=np.zeros(0), place_ms=np.zeros(0))
    assert [minute["sync_ms"] for minute in by_minute(unheard)] == pytest.approx([1.5, 1.5, 1.5], abs=0.1)


def test_a_short_run_is_told_by_halves() -> None:
    minutes = by_minute(run(40, drift_ms=8))
    assert [(minute["from_s"], minute["to_s"]) for minute in minutes] == [(0, 20), (20, 40)]
    assert minutes[1]["sync_ms"] - minutes[0]["sync_ms"] == pytest.approx(4, abs=0.1)


def test_what_holds_holds() -> None:
    found = figures(run())
    assert found["holds"] == {
        "sync_ms_first_and_last": [1.5, 1.5],
        "sync_drift_ms": 0,
        "in_sync_within_a_frame": True,
        "off_the_budget_ms": 2.5,
        "latency_as_printed": True,
        "memory_growth": 0,
        "memory_flat": True,
    }
    assert found["counts"]["frames"] == 30 * 180 and found["counts"]["missed_frames"] == 0


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"drift_ms": 60}, {"in_sync_within_a_frame", "latency_as_printed"}),
        ({"late_ms": -40}, {"in_sync_within_a_frame", "latency_as_printed"}),
        ({"late_ms": 11}, {"latency_as_printed"}),
        ({"wander_ms": -60}, {"in_sync_within_a_frame", "latency_as_printed"}),
        ({"grown": 0.1}, {"memory_flat"}),
    ],
)
def test_what_does_not_hold_is_told(changes: dict[str, float], broken: set[str]) -> None:
    holds = figures(run(**changes))["holds"]
    assert {name for name, held in holds.items() if held is False} == broken


def test_the_tables_tell_all_of_it() -> None:
    report = json.loads(
        json.dumps({"budget_ms": 160.0, "live_again_s": None, "voice_again_s": 1.5, **figures(run(grown=0.2))})
    )
    told = io.StringIO()
    Console(width=160, file=told).print(live_table(report))
    text = told.getvalue()
    for words in ("p50 off the budget", "+2.5 ms: holds", "first and the last minute", "does not hold", "120-180"):
        assert words in text
    assert "never" in text


def test_what_was_not_seen_is_not_made_up() -> None:
    seen = run(40)
    quiet = replace(seen, voice_at_s=np.array([1.0]), voice_ms=np.array([161.0]))
    minutes = by_minute(quiet)
    assert minutes[1]["mouth_to_voice_ms"] is None and minutes[1]["mouth_to_frame_ms"] is None
    assert minutes[1]["sync_ms"] is not None
    Console(file=io.StringIO()).print(
        live_table({"budget_ms": 160.0, "live_again_s": 1.0, "voice_again_s": None, **figures(quiet)})
    )
