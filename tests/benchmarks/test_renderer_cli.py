import json

import numpy as np
from typer.testing import CliRunner

from benchmarks import cli, renderer_cli
from benchmarks.quality.obedience import Obeyed
from engine.errors import ConfigError


def test_clips_or_heads_but_not_both(tmp_path):
    for arguments in ([], ["--clips", str(tmp_path), "--heads", str(tmp_path)]):
        done = CliRunner().invoke(cli.app, ["reenact", *arguments])
        assert isinstance(done.exception, ConfigError) and "one of them" in str(done.exception)


def test_rendered_people_are_measured_as_clips_are(tmp_path, monkeypatch):
    asked = {}

    def heads(folder, out, renderers, **options):
        asked.update(folder=folder, renderers=list(renderers), limit=options["limit"])
        raise ConfigError("enough")

    monkeypatch.setattr(renderer_cli, "reenact_heads", heads)
    CliRunner().invoke(cli.app, ["reenact", "--heads", str(tmp_path), "--renderer", "warp,tps", "--limit", "3"])
    assert asked == {"folder": tmp_path, "renderers": ["warp", "tps"], "limit": 3}


def test_obedience_is_told_and_written(tmp_path, monkeypatch):
    found = [Obeyed("ada", "warp", 90, 1, 0.97, 0.9, 0.3, 0.1), Obeyed("me", "warp", 0, 90, None, None, None, None)]

    def measure(avatars, renderers, bundle, speech, **options):
        assert [avatar.name for avatar in avatars] == ["ada"] and list(renderers) == ["warp"]
        assert speech.dtype == np.float32 and len(speech) == 16_000 * 2
        return found

    monkeypatch.setattr(renderer_cli, "measure_obedience", measure)
    report = tmp_path / "r.json"
    done = CliRunner().invoke(cli.app, ["obedience", "--avatar", "ada", "--seconds", "2", "--json", str(report)])
    assert done.exit_code == 0 and "0.970" in done.output
    written = json.loads(report.read_text())
    assert [row["holds"] for row in written["portraits"]] == [False, False]
    assert written["portraits"][0]["r"] == 0.97
