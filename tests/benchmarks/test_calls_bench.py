"""Calls side by side, against a server whose engine costs next to nothing."""

import asyncio
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calls_bench
from benchmarks.bench_report import html_page, terminal
from benchmarks.comparison import compare
from benchmarks.scenarios import Settings
from benchmarks.served import served

ROOT = Path(__file__).parents[2]
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.light_server import main; main()"


def light(*_: str) -> AbstractContextManager[str]:
    return served(command=(sys.executable, "-u", "-c", SERVE))


def test_sessions_run_until_one_is_refused_and_visitors_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_bench, "served", light)
    for name, value in {"_WARM_UP_S": 0.5, "_SETTLE_S": 0.5, "_FIRST_CYCLES": 1, "_EARLY": 99}.items():
        monkeypatch.setattr(calls_bench, name, value)
    speech = np.sin(np.arange(16_000) * 0.2, dtype=np.float32)
    settings = Settings(speech, seconds=3, fps=20, lookahead=0)
    report = asyncio.run(calls_bench.calls(settings, sessions=5, cycles=2))
    # The light server takes four, or fewer: its sessions say that they need a third of a core each.
    assert 1 <= report["sessions_admitted"] <= 4
    assert report["refusal"]["status"] == 503 and float(report["refusal"]["retry_after_s"]) > 0
    assert len(report["sessions"]) == report["sessions_admitted"] and report["frames"] > 0
    assert report["coming_and_going"]["connections_left"] == 0
    assert "Calls side by side" in html_page(report) and report["refusal"]["message"] in html_page(report)
    assert terminal(report) and not any(change.regressed for change in compare(report, report))
