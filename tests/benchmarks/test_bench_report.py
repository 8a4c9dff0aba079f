"""What mien bench says: comparison, page, command."""

import copy
import json
import re
import xml.etree.ElementTree as ET
from typing import ClassVar

import pytest
import typer
from rich.console import Console

from benchmarks import bench_cli, scenarios, throughput
from benchmarks.bench_report import html_page, terminal
from benchmarks.comparison import compare, load_report, same_machine
from benchmarks.machine import fingerprint, resident_mb
from engine.errors import InputError, OutputError
from tests.benchmarks.bench_fakes import StrawEngine, speech
from tests.benchmarks.test_bench_scenarios import pushed_report, true_opening


@pytest.fixture(scope="module")
def reports() -> dict[str, dict]:
    """A true report of every scenario, of sessions of straw."""

    def run(name: str) -> dict:
        engine = StrawEngine(capacity=99 if name != "throughput" else 2)
        settings = scenarios.Settings(speech(), seconds=3, warmup_s=1, syllables=2, lookahead=6)
        scenario = throughput.throughput if name == "throughput" else getattr(scenarios, name)
        extra = (true_opening,) if name == "latency" else ()
        return engine.run(lambda: scenario(engine.session, settings, engine.clock, *extra))

    found = {name: run(name) for name in ("latency", "lookahead", "throughput", "soak")}
    found["pushed"] = pushed_report()
    for name in ("latency", "pushed"):
        found[name]["stages"] = {
            "render": {"p50": 8.0, "p95": 9.0, "p99": 11.0, "max": 20.0},
            "apc": {"p50": 0.0, "p95": 0.4, "p99": 0.5, "max": 0.7},
        }
    return found


NAMES = ["latency", "lookahead", "throughput", "soak", "pushed"]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_compared_with_itself_has_not_changed(reports, name):
    changes = compare(reports[name], reports[name])
    assert changes and not any(change.regressed for change in changes)


@pytest.mark.parametrize(
    ("name", "path", "harmless", "worse"),
    [
        ("latency", "mouth_to_frame_ms.p99", 150, 160),
        ("latency", "missed_frames", 0, 1),
        ("latency", "interval_jitter_ms.p99", 0.4, 0.6),
        ("latency", "stages.apc.p95", 0.8, 1.0),
        ("latency", "budget_ms", 150, 160),
        ("latency", "impulse_ms.answered", 2, 1),
        ("latency", "impulse_ms.latency.p50", 150, 160),
        ("lookahead", "runs.6.mouth_to_frame_ms.max", 150, 160),
        ("throughput", "sessions_admitted", 3, 1),
        ("throughput", "beyond_budget_ms.max", 1.5, 3),
        ("pushed", "first_frame_ms.p99", 24, 40),
        ("pushed", "mouth_at_rest_ms.p50", 20, 60),
        ("pushed", "queues_empty_ms.max", 0.5, 20),
        ("soak", "rss_growth_mb", 0.9, 5),
        ("soak", "av_offset_ms.max", 0.9, 1.2),
    ],
)
def test_what_is_worse_beyond_the_tolerance_is_found(reports, name, path, harmless, worse):
    old = copy.deepcopy(reports[name])
    if path == "rss_growth_mb":
        old[path] = 0.0
    for value, expected in ((harmless, []), (worse, [path])):
        new = copy.deepcopy(old)
        *above, last = path.split(".")
        place = new
        for key in above:
            place = place[key]
        place[last] = value
        assert [change.name for change in compare(old, new) if change.regressed] == expected


def test_tolerance_is_the_callers(reports):
    old = reports["latency"]
    new = {**old, "budget_ms": 1.3 * old["budget_ms"]}
    assert any(change.regressed for change in compare(old, new))
    assert not any(change.regressed for change in compare(old, new, tolerance=0.4))


def test_reports_that_cannot_be_compared_are_refused(reports, tmp_path):
    with pytest.raises(InputError, match="soak"):
        compare(reports["latency"], reports["soak"])
    other = {**reports["latency"], "settings": {**reports["latency"]["settings"], "fps": 60}}
    with pytest.raises(InputError, match="fps"):
        compare(other, reports["latency"])
    for text in ("", "[]", '{"scenario": "cooking"}'):
        (tmp_path / "old.json").write_text(text)
        with pytest.raises(InputError, match=r"old\.json"):
            load_report(tmp_path / "old.json")
    with pytest.raises(InputError):
        load_report(tmp_path / "missing.json")


def test_another_machine_is_noticed(reports):
    old = reports["latency"]
    assert same_machine(old, old)
    assert not same_machine({**old, "machine": {**old["machine"], "cores": 96}}, old)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_stands_alone_and_its_plots_are_drawn(reports, name):
    report = copy.deepcopy(reports[name])
    report["machine"]["cpu"] = "<script>alert(1)</script>"
    page = html_page(report, compare(report, report))
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=|url\(|@import|https?:", page)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == {"latency": 4, "lookahead": 1, "throughput": 1, "soak": 1, "pushed": 2}[name]
    for plot in plots:
        root = ET.fromstring(plot)
        width, height = (float(value) for value in root.get("viewBox").split()[2:])
        for element in root.iter():
            for key, value in element.attrib.items():
                if key in ("x", "x1", "x2", "cx"):
                    assert -1 <= float(value) <= width, (element.tag, element.attrib)
                if key in ("y", "y1", "y2", "cy"):
                    assert 0 <= float(value) <= height, (element.tag, element.attrib)
                if key in ("width", "height"):
                    assert float(value) >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_shows_the_figures(reports, name):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))
    with console.file:
        console.print(terminal(reports[name], compare(reports[name], reports[name])))
    text = console.export_text()
    assert f"mien bench {name}" in text and "against the earlier report" in text


def test_the_fingerprint_names_no_owner():
    found = fingerprint()
    assert set(found) == {"cpu", "cores", "memory_gb", "system", "python", "libraries", "load"}
    assert found["cores"] >= 1 and found["libraries"]["numpy"]
    json.dumps(found)


def test_resident_memory_counts_children(tmp_path):
    import os

    own, child, grandchild = str(os.getpid()), "77", "78"
    for pid, pages, children in ((own, 1000, child), (child, 500, grandchild), (grandchild, 250, "")):
        (tmp_path / pid / "task" / pid).mkdir(parents=True)
        (tmp_path / pid / "statm").write_text(f"9999 {pages} 1 1 0 1 0\n")
        (tmp_path / pid / "task" / pid / "children").write_text(children)
    assert resident_mb(tmp_path) == pytest.approx(1750 * os.sysconf("SC_PAGE_SIZE") / 1e6)
    assert resident_mb(tmp_path / "nothing") is None


class StrawBench:
    """In place of a live engine."""

    found: ClassVar[dict] = {}

    def __init__(self, *_: object, tracing: bool = False, renderer: str | None = None) -> None:
        self.clock, self.trace = None, '{"traceEvents": []}' if tracing else ""

    def run(self, scenario) -> dict:
        return self.found

    def opening(self, speech, lookahead):
        raise AssertionError("nothing is measured here")


@pytest.fixture
def command(monkeypatch):
    monkeypatch.setattr(bench_cli, "Bench", StrawBench)

    def run(*arguments: object) -> int:
        group = typer.main.get_command(bench_cli.app)
        return int(group.main([str(argument) for argument in arguments], standalone_mode=False) or 0)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_the_command_writes_json_and_page_and_compares(reports, command, tmp_path, name, capsys):
    StrawBench.found = reports[name]
    assert command(name, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html") == 0
    assert load_report(tmp_path / "r.json") == json.loads(json.dumps(reports[name]))
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert command(name, "--compare", tmp_path / "r.json") == 0
    capsys.readouterr()
    worse = copy.deepcopy(reports[name])
    for run in worse["runs"].values() if name == "lookahead" else [worse]:
        run["missed_frames"] += 50
    StrawBench.found = worse
    assert command(name, "--compare", tmp_path / "r.json", "--json", tmp_path / "new.json") == bench_cli.REGRESSED
    assert "Worse beyond 10%" in capsys.readouterr().out
    # What was measured is kept even so.
    assert load_report(tmp_path / "new.json")["scenario"] == name


def test_the_command_writes_a_trace(reports, command, tmp_path):
    StrawBench.found = reports["latency"]
    assert command("latency", "--trace", tmp_path / "trace.json") == 0
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())
    with pytest.raises(OutputError):
        command("latency", "--trace", tmp_path / "missing" / "trace.json")


def test_the_default_speech_ships():
    assert bench_cli.SPEECH.is_file()
