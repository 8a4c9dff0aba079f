"""The scenario that changes styles finds what was missed at a change, on a virtual clock."""

import json
from types import SimpleNamespace

import pytest

from benchmarks.bench_report import terminal
from benchmarks.scenarios import Settings
from benchmarks.style_switching import switching
from engine.errors import ConfigError
from tests.benchmarks.bench_fakes import Faults, StrawEngine, speech

STYLES = [SimpleNamespace(name="ballad"), SimpleNamespace(name="rap")]
FPS = 30


def measure(faults: Faults | None = None, styles=STYLES, companions: int = 1) -> tuple[dict, StrawEngine]:
    engine = StrawEngine(faults=faults)
    settings = Settings(speech(), seconds=7.0, fps=FPS, lookahead=6, warmup_s=2.0)
    return engine.run(lambda: switching(engine.session, settings, styles, engine.clock, companions)), engine


def test_styles_go_round_while_others_speak():
    report, engine = measure(companions=2)
    assert len(engine.opened) == 3 and report["companions"] == 2
    assert report["switches"] == 4 and report["styles"] == ["ballad", "rap"]
    assert report["missed_frames"] == report["missed_at_switches"] == 0
    assert report["change_ms"]["p50"] == pytest.approx(30, abs=0.1)
    json.dumps(report, allow_nan=False)
    assert terminal(report)


def test_what_is_missed_at_a_change_is_told_from_the_rest():
    # Changes are asked for at 2, 4 and 6 s; frame n leaves 140 ms after n / 30 s.
    report, _ = measure(Faults(repeated={4 * FPS + 6, 4 * FPS + 7, 5 * FPS + 20}))
    assert report["missed_at_switches"] == 2 and report["missed_elsewhere"] == 1


def test_without_styles_there_is_nothing_to_change():
    with pytest.raises(ConfigError, match="no styles"):
        measure(styles=[])
