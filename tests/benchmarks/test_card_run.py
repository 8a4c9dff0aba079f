"""One command measures all that there is time for on a card; here its steps are stand-ins, or the processor's."""

import importlib.metadata
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import card_run
from benchmarks.card_run import ROOT, Step, main, measure, plan, prepare, register, run, summary
from engine.backends.devices import DEVICES, PLUGINS, TORCH, Choice

SPEED = {
    "stages": [
        {"stage": "warp and compose", "batch": 1, "ms": {"p50": 0.1}, "per_s": 9e9},
        {"stage": "whole frame", "batch": 1, "ms": {"p50": 2.25}, "per_s": 444.0, "matrix_share": 0.1},
        {"stage": "whole frame", "batch": 8, "ms": {"p50": 6.0}, "per_s": 1333.3, "matrix_share": 0.3},
    ],
    "live": [{"sessions": 8, "holds": True}, {"sessions": 16, "holds": False}],
    "limits": {"flops": 7.9e14},
}
PARITY = {
    **{name: {"worst": worst} for name, worst in (("apc", 1e-4), ("motion", 8e-4), ("headpose", 2e-4))},
    "device": "cuda",
    "lite": {"psnr_db": 61.0, "face_psnr_db": 55.5},
    "batched": {"worst": 2e-4, "levels": 1},
}


def test_what_matters_most_comes_first_and_only_what_is_there():
    names = [step.name for step in plan(("cpu", "torch-compile", "cuda-graph"))]
    assert names[:2] == ["bench-cuda-graph-paper-fp16", "verify-cuda-graph-lite-fp16"]
    assert names.index("live-cuda-graph-paper-fp16") < names.index("bench-torch-compile-paper-fp16")
    assert "verify-cuda-graph-paper-fp16" in names and not any("cpu" in name or "-cuda-lite" in name for name in names)
    assert plan(("cpu",)) == [] and plan(("torch-compile",))[0].name == "bench-torch-compile-paper-fp16"
    everything = [step.name for step in plan(DEVICES)]
    assert len(set(everything)) == len(everything) and "verify-tensorrt-lite-int8" in everything
    assert all(any(device in name for name in everything) for device in DEVICES[2:])


def test_steps_end_when_the_time_does(tmp_path):
    clock, asked = [0.0], []

    def make(step: Step, out: Path, environment: object, limit_s: float) -> str:
        asked.append((step.name, limit_s))
        clock[0] += min(100.0, limit_s)
        if step.name == "devices":
            (out / "devices.json").write_text(json.dumps({"missing": {"cuda-graph": None, "cuda": "None."}}))
        return "done"

    outcomes = measure(tmp_path, {}, 5, now=lambda: clock[0], make=make)
    assert asked[0][0] == "devices" and asked[1] == ("bench-cuda-graph-paper-fp16", card_run.STEP_S)
    assert asked[2][1] == 100 and len(asked) == 3 and clock[0] == 300
    assert set(list(outcomes.values())[3:]) == {"no time"} and "no time" in (tmp_path / "summary.md").read_text()


def test_what_fails_or_hangs_is_said_and_logged(tmp_path):
    def outcome(code: str, limit_s: float = 60.0) -> str:
        return run(Step("s", ("-c", code)), tmp_path, {"PYTHONUNBUFFERED": "1"}, limit_s)

    assert outcome("print('well')") == "done"
    assert outcome("import sys; print('one'); sys.exit('no such card')") == "failed (no such card)"
    assert outcome("import sys; sys.exit(3)") == "failed (without a word)"
    assert outcome("import time; time.sleep(60)", 0.3) == "not done in 0 s"


def test_the_summary_has_the_figures_that_count(tmp_path):
    (tmp_path / "bench-a.json").write_text(json.dumps(SPEED))
    (tmp_path / "verify-b.json").write_text(json.dumps(PARITY))
    said = summary(tmp_path, {"devices": "done", "bench-a": "done", "bench-c": "failed (no)", "verify-b": "done"})
    assert "| bench-a | done | 2.25 ms | 1333 in batches of 8 | 8 sessions | 30% of 790 TFLOP/s |" in said
    assert "| bench-c | failed (no) |  |  |  |  |" in said
    assert "| verify-b | done | 8.0e-04 | 61.0, face 55.5 dB | 2e-04, 1 grey levels |" in said


def test_what_is_not_installed_is_registered_and_wheels_are_unpacked(tmp_path):
    register(tmp_path / "site")
    (found,) = importlib.metadata.distributions(path=[str(tmp_path / "site")])
    assert found.name == "mien"
    assert {entry.name for entry in found.entry_points if entry.group == PLUGINS} == set(TORCH)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "tiny_thing-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_thing.py", "x = 1")
        wheel.writestr("tiny_thing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1\n")
        wheel.writestr("tiny_thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny_thing-1.dist-info/RECORD", "")
    environment = prepare(tmp_path, wheels)
    code = "import tiny_thing, benchmarks; print(tiny_thing.x)"
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, cwd=tmp_path, capture_output=True)
    assert done.stdout.strip() == b"1", done.stderr


def test_the_command_looks_and_ends(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="graphs are measured with torch, which is not installed")
    monkeypatch.setattr(card_run, "plan", lambda devices: [])
    assert main(["--out", str(tmp_path / "o"), "--minutes", "1"]) == 1
    found = json.loads((tmp_path / "o" / "devices.json").read_text())
    assert found["missing"]["cpu"] is None and set(found["missing"]) == set(DEVICES) - {"auto"}
    assert "cpu: there" in capsys.readouterr().out
    assert (ROOT / "benchmarks" / "card_step.py").exists()


def test_a_step_measures_the_device_that_it_is_told_and_no_other(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="graphs are measured with torch, which is not installed")
    from benchmarks import card_step

    report, asked = tmp_path / "r.json", []
    monkeypatch.setattr(card_step, "measure_gpu", lambda *given: asked.append(given[:6]) or {"figures": 1})
    monkeypatch.setattr(card_step, "gpu_table", lambda found: "a table")
    arguments = ["bench", "--preset", "warp", "--precision", "fp32", "--most", "2", "--json", str(report)]
    assert card_step.main([*arguments, "--device", "cpu"]) == 0
    assert asked == [("cpu", "warp", "fp32", 2, 0.5, 3.0)] and json.loads(report.read_text()) == {"figures": 1}
    monkeypatch.setattr(card_step, "resolve", lambda device, say: say("It is not here.") or Choice("cpu"))
    assert card_step.main([*arguments, "--device", "cuda"]) == 2 and len(asked) == 1
    assert "It is not here." in capsys.readouterr().err
