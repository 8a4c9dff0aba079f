"""The call from a browser: what it says, what it measures with, and how it fails."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import browser, webrtc_bench
from benchmarks.bench_report import html_page
from benchmarks.comparison import compare
from benchmarks.served import served
from engine.errors import MissingExtraError, SessionError

SEEN: dict[str, Any] = {
    "told": {
        "budget": {"lookahead_ms": 100.0, "chunk_ms": 63.0, "jitter_ms": 40.0, "total_ms": 246.0},
        "stages": {
            "apc": {"p50": 0.3, "p95": 0.5, "p99": 0.6, "max": 1.0},
            "picture_out": {"p50": 4.0, "p95": 6.0, "p99": 8.0, "max": 9.0},
        },
    },
    "way_ms": {"network": 0.6, "picture_buffer": 1.0, "picture_received_to_shown": 17.5, "sound_buffer": None},
    "frames_missed": 2,
    "fps_received": 29.99,
    "frames_received": 1799,
    "frames_dropped": 0,
    "freezes": 0,
    "longest_interval_ms": 50.1,
    "mouth_to_glass_ms": [280.0, 285.0, 290.0],
    "mouth_to_ear_ms": [300.0, 300.0, 301.0],
    "av_offset_ms": [-20.0, -15.0, -11.0],
}
SETTINGS = {"fps": 30, "lookahead": 6, "latency": "auto", "seconds": 60.0, "codec": "VP8", "avatar": "ada"}


def test_knocks_begin_at_once_after_silence() -> None:
    speech = np.sin(np.arange(48_000) * 0.05, dtype=np.float32) * np.linspace(0, 0.2, 48_000, dtype=np.float32)
    sound = webrtc_bench.knocks(speech, 10)
    loud = np.flatnonzero(np.abs(sound) > 0.1)
    begins = loud[np.diff(loud, prepend=-48_000) > 0.3 * 48_000]
    assert len(begins) == 6
    assert all(np.all(sound[begin - 48_000 : begin] == 0) for begin in begins)
    assert len(set(begins % 1600)) == 6
    assert 9 < len(sound) / 48_000 < 11


def test_the_report_has_what_is_asked_of_it() -> None:
    report = webrtc_bench._report(SEEN, SETTINGS)
    assert report["budget_ms"] == 246
    assert report["fps_received"] == 29.99
    assert report["freezes"] == 0
    assert report["mouth_to_glass_ms"]["p50"] == 285
    assert list(report["stages"]) == ["picture_out"]
    assert report["way_ms"] == {"network": 0.6, "picture_buffer": 1.0, "picture_received_to_shown": 17.5}
    assert report["av_offset_ms"]["p50"] == -15
    assert {"p50", "p95"} <= report["av_offset_ms"].keys() & report["mouth_to_glass_ms"].keys()
    assert "+43.5 ms" in html_page(report), "how far the 95th percentile, 289.5 ms, is beyond the budget"
    later = webrtc_bench._report({**SEEN, "freezes": 1}, SETTINGS)
    assert [change.name for change in compare(report, later) if change.regressed] == ["freezes"]


def test_a_call_without_answers_is_no_measurement() -> None:
    with pytest.raises(SessionError, match="2 were seen and 3 heard"):
        webrtc_bench._report({**SEEN, "mouth_to_glass_ms": [280.0, 281.0]}, SETTINGS)


def test_a_server_that_does_not_start_says_why() -> None:
    dies = (sys.executable, "-c", "import sys; sys.exit('the port is taken')")
    with pytest.raises(SessionError, match="the port is taken"), served(command=dies):
        pass


def test_without_chromium_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingExtraError, match="apt-get install chromium"), browser.browser(tmp_path / "voice.wav"):
        pass
