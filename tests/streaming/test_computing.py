"""Every command that runs the engine takes ``--device``, tries it, and says what was taken instead."""

from pathlib import Path

import numpy as np
import pytest
from media_fakes import FakePipeline, FakeRenderer, tone, write_wav

from engine.backends import opening
from engine.backends.devices import DEVICES, Machine
from engine.errors import ConfigError
from streaming import render
from streaming.cli import run
from streaming.computing import DEVICE_HELP, choose_device
from streaming.serve import run as running

COMMANDS = {
    "render": ["render", "no-such.wav", "--avatar", "ada", "--out", "o.mp4"],
    "serve": ["serve"],
    "live": ["live", "--config", "none.toml"],
    "whip": ["join", "whip", "http://127.0.0.1:9/whip", "--avatar", "ada"],
    "janus": ["join", "janus", "--url", "ws://127.0.0.1:9", "--room", "1", "--avatar", "ada"],
    "gpu": ["bench", "gpu", "--preset", "warp"],
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a card."""
    monkeypatch.setattr(opening, "detect", Machine)


def test_the_help_names_all_devices() -> None:
    assert f"{', '.join(DEVICES[:4])}, " in DEVICE_HELP
    assert all(f" {device}" in DEVICE_HELP for device in DEVICES)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_none_is_told_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command == "live":
        pytest.importorskip("sounddevice", reason="the [live] extra is not installed")
    if command == "gpu":
        pytest.importorskip("torch", reason="graphs are measured with torch, which is not installed")
    assert run([*COMMANDS[command], "--device", "fast"]) == 2
    told = capsys.readouterr().err
    assert "native-tensorrt" in told and told.count("\n") == 1


@pytest.mark.usefixtures("bare")
def test_what_is_missing_and_what_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_device("cuda") == choose_device("cpu") == choose_device("auto") == "cpu"
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "NVIDIA card" in told[0] and told[1] == "mien: So cpu is used."
    with pytest.raises(ConfigError, match="native-tensorrt"):
        choose_device("gpu")


@pytest.mark.usefixtures("bare")
def test_a_video_is_made_on_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pipeline(FakePipeline):
        latency_ms = 0.0

        def __init__(self, *arguments: object, networks: object, **options: object) -> None:
            super().__init__(0)
            assert networks is None

    class Workers(FakeRenderer):
        def __init__(self, drawing: object, workers: int) -> None: ...

        def __enter__(self) -> "Workers":
            return self

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(render, "Pipeline", Pipeline)
    monkeypatch.setattr(render, "WorkerRenderer", Workers)
    speech = write_wav(tmp_path / "a.wav", tone(0.2))
    out = tmp_path / "o.mp4"
    assert run(["render", str(speech), "--avatar", "ada", "--out", str(out), "--device", "tensorrt"]) == 0
    assert out.exists() and "So cpu is used." in capsys.readouterr().err


def test_a_video_is_made_on_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its networks, a style's and the drawing are all asked for there."""
    asked = []

    class Workers:
        def __init__(self, device: str, drawing: object, workers: int) -> None:
            asked.append(("draws", device))

        def __enter__(self) -> "Workers":
            return self

        def __exit__(self, *error: object) -> None: ...

        def render(self, *face: object) -> np.ndarray:
            return np.zeros((512, 512, 3), np.uint8)

    def networks(device: str, bundle: object) -> object:
        asked.append(("networks", device))
        return real("cpu", bundle)

    real, opener = render.open_networks_on, render.network_opener
    monkeypatch.setattr(opening, "_failure", lambda device: None)
    monkeypatch.setattr(opening, "choose", lambda device, machine, broken: opening.Choice("cuda"))
    monkeypatch.setattr(render, "CardWorkers", Workers)
    monkeypatch.setattr(render, "open_networks_on", networks)
    monkeypatch.setattr(render, "network_opener", lambda device: asked.append(("style", device)) or opener("cpu"))
    speech = write_wav(tmp_path / "a.wav", tone(0.2))
    done = render.render_file(speech, "ada", tmp_path / "o.mp4", style="ballad", device="auto", fps=25)
    assert done.frames == 5 and asked == [("draws", "cuda"), ("networks", "cuda"), ("style", "cuda")]


def test_a_server_is_given_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(running, "run_server", seen.append)
    monkeypatch.setattr("streaming.serve.cli.choose_device", lambda wanted: {"auto": "cuda-graph"}[wanted])
    assert run(["serve", "--device", "auto"]) == 0
    assert [config.device for config in seen] == ["cuda-graph"]
