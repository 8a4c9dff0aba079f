import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from media_fakes import FakePipeline, FakeRenderer, tone, write_wav

from streaming import cli, render
from streaming.cli import run

HERE = Path(__file__).parent


class Pipeline(FakePipeline):
    latency_ms = 0.0

    def __init__(self, bundle: object, avatar: object, lookahead: int, seed: int, **options: Any) -> None:
        super().__init__(lookahead)


class Workers(FakeRenderer):
    def __init__(self, avatar: object, workers: int) -> None: ...

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None: ...


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "load_bundle", lambda path: path)
    monkeypatch.setattr(render, "pick_renderer", lambda bundle, name: None)
    monkeypatch.setattr(render, "Pipeline", Pipeline)
    monkeypatch.setattr(render, "WorkerRenderer", Workers)


@pytest.mark.usefixtures("fakes")
def test_render_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech = write_wav(tmp_path / "a.wav", tone(1.0))
    out, report = tmp_path / "o.mp4", tmp_path / "r.json"
    options = ["--avatar", "ada", "--fps", "30", "--lookahead", "0", "--seed", "5", "--json", str(report)]
    code = run(["render", str(speech), "--out", str(out), *options])
    said = capsys.readouterr()
    assert code == 0
    assert said.out.startswith(f"{out}: 30 frames at 30 fps, 1.00 s of speech in ")
    assert len(said.err.splitlines()) == 10
    content = json.loads(report.read_text())
    assert {"frames", "fps", "width", "height", "audio_seconds", "realtime_factor", "stage_ms"} <= set(content)
    assert (content["frames"], content["seed"], content["lookahead_frames"]) == (30, 5, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["render", "missing.wav", "--avatar", "ada", "--out", "o.mp4"], 2, "no file missing.wav"),
        (["render", ".", "--avatar", "ada", "--out", "o.mp4"], 2, "is a folder"),
        (["render", "a.wav", "--avatar", "nobody", "--out", "o.mp4"], 2, "no avatar 'nobody'"),
        (["render", "a.wav", "--avatar", "a.wav", "--out", "o.mp4"], 2, "picture"),
        (["render", "a.wav", "--avatar", "ada", "--out", "no/o.mp4"], 1, "no folder"),
        (["render", "a.wav", "--avatar", "ada", "--out", "o.mp4", "--fps", "24"], 2, "60, 30 or 25"),
        (["render", "a.wav", "--avatar", "ada", "--out", "o.mp4", "--lookahead", "40"], 2, "0 to 18"),
        (["render", "a.wav", "--avatar", "ada", "--out", "o.mp4", "--fps", "many"], 2, "--fps"),
        (["render", "a.wav", "--avatar", "ada", "--out", "o.mp4", "--bundle", "no"], 2, "bundle"),
        (["render", "a.wav", "--out", "o.mp4"], 2, "--avatar"),
        (["render"], 2, "SPEECH"),
        (["rendr"], 2, "rendr"),
        (["--loud"], 2, "--loud"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(Path("a.wav"), tone(0.1))
    assert run(arguments) == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("mien: ") and words in said.err
    assert os.listdir() == ["a.wav"]


def test_a_bug_is_called_one_and_debug_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(render, "render_file", broken)
    arguments = ["render", "a.wav", "--avatar", "ada", "--out", "o.mp4"]
    assert run(arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "this is a bug (ZeroDivisionError: two)" in said
    for with_debug in (["--debug", *arguments], [*arguments, "--debug"]):
        assert run(with_debug) == 1
        assert "Traceback" in capsys.readouterr().err


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mien ")
    assert run(["--help"]) == 0
    assert run(["render", "--help"]) == 0
    said = capsys.readouterr()
    assert "--lookahead" in said.out and said.err == ""


def entry(name: str, value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, value, cli.GROUPS)


group = typer.Typer(help="A group of one command.")


@group.command()
def hello(name: str) -> None:
    """Greet."""
    print(f"hello {name}")


def test_groups_come_from_entry_points_and_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = {
        "greet": entry("greet", "test_cli:group"),
        "train": entry("train", "no_such_library.cli:app"),
    }
    monkeypatch.setattr(cli, "_entry_points", lambda: points)
    requirements = ["numpy>=1", 'no-such_library>=2 ; extra == "other"', 'no-such-library>=2; extra == "train"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    assert run(["greet", "hello", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert "A group of one command." in said and "Not installed" in said
    for arguments in (["train"], ["train", "apc", "--data", "x"], ["train", "--help"]):
        assert run(arguments) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "pip install 'mien[train]'" in said


SLOW = r"""
import os, signal, time
from test_cli import Pipeline, Workers
from streaming import cli, render

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with Ctrl-C ignored

class SlowWorkers(Workers):
    def render(self, *motion):
        os.write(1, b"drawing\n")  # one write: several threads draw, and print writes the line's end apart
        time.sleep(0.05)
        return super().render(*motion)

render.load_bundle, render.Pipeline, render.WorkerRenderer = (lambda path: path), Pipeline, SlowWorkers
render.pick_renderer = lambda bundle, name: None
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_clean(tmp_path: Path, number: int, code: int) -> None:
    write_wav(tmp_path / "a.wav", tone(20.0))
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, "render", "a.wav", "--avatar", "ada", "--out", "o.mp4"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
    ) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "drawing\n"
            assert len(os.listdir(tmp_path)) == 2  # the speech and the unfinished video
            child.send_signal(number)
            _, said = child.communicate(timeout=30)
        finally:
            child.kill()
    assert child.returncode == code
    assert [line for line in said.splitlines() if not line.startswith("Rendering")][-1].startswith("mien: ")
    assert "Traceback" not in said
    assert os.listdir(tmp_path) == ["a.wav"]
