import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_fakes import FakePipeline, FakeRenderer, tone, write_flac, write_wav

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import AudioError, ConfigError, OutputError
from streaming import render
from streaming.avatars import shipped_avatars
from streaming.render import render_file


class Workers(FakeRenderer):
    def __init__(self, avatar: Avatar, workers: int) -> None:
        assert workers >= 1

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Pipeline(FakePipeline):
    latency_ms = 325.02

    def __init__(self, bundle: object, avatar: Avatar, lookahead: int, seed: int, **options: Any) -> None:
        super().__init__(lookahead)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the networks and the renderer."""
    monkeypatch.setattr(render, "load_bundle", lambda path: path)
    monkeypatch.setattr(render, "pick_renderer", lambda bundle, name: None)
    monkeypatch.setattr(render, "Pipeline", Pipeline)
    monkeypatch.setattr(render, "WorkerRenderer", Workers)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("fps", [60, 30, 25])
def test_the_report_says_what_was_written(tmp_path: Path, fps: int) -> None:
    write_wav(tmp_path / "a.wav", np.stack([tone(1.0, 44_100)] * 2), 44_100)
    out, report = tmp_path / "out.mp4", tmp_path / "report.json"
    done = render_file(tmp_path / "a.wav", "ada", out, fps=fps, lookahead=6, seed=3, report=report)
    assert json.loads(report.read_text()) == done.to_json()
    assert (done.frames, done.fps, done.width, done.height) == (fps, fps, 512, 512)
    assert done.audio_seconds == 1.0 and done.realtime_factor > 0
    assert done.avatar == "ada" and done.lookahead_frames == 6 and done.seed == 3
    assert {"decode", "pipeline", "render", "encode"} <= set(done.stage_ms)
    assert all(set(stage) == {"p50", "p95", "p99"} for stage in done.stage_ms.values())
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == fps
        assert container.streams.audio[0].channels == 2


@pytest.mark.usefixtures("fakes")
def test_a_torn_file_is_rendered_and_the_warning_reported(tmp_path: Path) -> None:
    path = write_flac(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.1, 0.1, 32_000))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    done = render_file(path, "ada", tmp_path / "out.mp4")
    assert abs(done.frames / 60 - done.audio_seconds) <= 1 / 60
    assert any("breaks off" in warning for warning in done.warnings)


def no_work(*args: object, **options: object) -> None:
    raise AssertionError("work began")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"fps": 50}, ConfigError, "60, 30 or 25"),
        ({"lookahead": 19}, ConfigError, "0 to 18"),
        ({"lookahead": -1}, ConfigError, "0 to 18"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"speech": "missing.wav"}, AudioError, "no file"),
        ({"out": "out.avi"}, ConfigError, r"\*\.mp4"),
        ({"out": "missing/out.mp4"}, OutputError, "no folder"),
        ({"out": "."}, OutputError, "folder"),
        ({"out": "a.wav"}, ConfigError, "input"),
        ({"report": "a.wav"}, ConfigError, "input"),
        ({"report": "missing/r.json"}, OutputError, "no folder"),
        ({"report": "out.mp4"}, ConfigError, "same"),
        ({"avatar": "me.avatar", "report": "me.avatar"}, ConfigError, "input"),
    ],
)
def test_everything_is_checked_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(Path("a.wav"), tone(0.2))
    Path("me.avatar").write_bytes(shipped_avatars()["ada"].read_bytes())
    monkeypatch.setattr(render, "WorkerRenderer", no_work)
    monkeypatch.setattr(render, "Pipeline", no_work)
    before = sorted(os.listdir())
    arguments: dict[str, Any] = {"speech": "a.wav", "avatar": "ada", "out": "out.mp4", **change}
    with pytest.raises(error, match=words):
        render_file(**arguments)
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("fakes")
def test_an_avatar_can_be_handed_in(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.1))
    avatar = load_avatar(shipped_avatars()["ada"])
    assert render_file(tmp_path / "a.wav", avatar, tmp_path / "out.mp4").avatar == "ada"


def test_the_shipped_models_make_a_shipped_avatar_speak(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5, hz=140))
    done = render_file(tmp_path / "a.wav", "ada", tmp_path / "out.mp4")
    avatar = load_avatar(shipped_avatars()["ada"])
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    assert len(pictures) == done.frames == 30
    # The person of the portrait in front of the portrait's background, and not still.
    assert np.abs(pictures[0] - avatar.image).mean() < 12
    assert np.abs(pictures[0] - pictures[-1]).max() > 8
