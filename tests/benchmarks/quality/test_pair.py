import csv
import json
from dataclasses import fields
from functools import partial

import cv2
import numpy as np
import pytest
from clip_fakes import FPS, NO_FACE, Counted, noise, pictures, speech_like, write_clip
from typer.testing import CliRunner

from benchmarks import cli, style_cli
from benchmarks.quality import report
from benchmarks.quality.folder import find_pairs, mean_scores
from benchmarks.quality.pair import Scores, evaluate_pair, evaluate_style
from engine.errors import ConfigError, InputError

FRAMES = 50
KEYS = "cpbd lmd dl_percent dv_percent da_percent sld slv smd lipsync_r0 av_offset_frames missing_faces".split()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A clip, and what can become of it."""
    folder = tmp_path_factory.mktemp("clips")
    openings, sound = speech_like(FRAMES), noise(FRAMES / FPS)
    late = np.concatenate([openings[:1]] * 3 + [openings[:-3]])
    shown = pictures(openings)
    lost = openings.copy()
    lost[[20, 21]] = NO_FACE
    silence = np.zeros(3 * 48_000 // FPS, np.float32)
    made = {
        "same": (shown, sound),
        "late": (pictures(late), sound),
        "both_late": (pictures(late), np.concatenate([silence, sound])),
        "blurred": ([cv2.GaussianBlur(picture, (0, 0), 3) for picture in shown], sound),
        "frozen": (shown[:1] * FRAMES, sound),
        "wide": (pictures(np.minimum(1.4 * openings, 1)), sound),
        "lost": (pictures(lost), sound),
        "mute": (shown, None),
        "fast": ([picture for picture in shown for _ in (0, 1)], sound),
    }
    paths = {name: write_clip(folder / f"{name}.mp4", *what) for name, what in made.items() if name != "fast"}
    paths["fast"] = write_clip(folder / "fast.mp4", *made["fast"], fps=2 * FPS)
    return paths


@pytest.fixture(scope="module")
def judged(clips, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {
        name: evaluate_pair(clips["same"], path, cache=cache, make_measure=Counted(), pictures=name in ("same", "lost"))
        for name, path in clips.items()
    }


def test_a_clip_against_itself_is_the_ground_truth(judged):
    values = report.rounded(judged["same"].scores)
    truth = {"lipsync_r0": 1, "cpbd": values["cpbd"]}
    assert values == {**dict.fromkeys(KEYS, 0), **truth} and values["cpbd"] > 0.5
    extras = judged["same"].extras
    assert extras["ssim"] == pytest.approx(1) and extras["psnr_db"] == 100 and extras["flicker"] > 0
    assert not judged["same"].warnings


def test_each_figure_moves_the_right_way(judged):
    scores = {name: result.scores for name, result in judged.items()}
    assert scores["blurred"].cpbd < 0.5 * scores["same"].cpbd
    assert scores["late"].av_offset_frames == 3 and scores["late"].lipsync_r0 < 0.9
    assert scores["both_late"].av_offset_frames == 0 and scores["both_late"].lipsync_r0 > 0.98
    assert scores["frozen"].dv_percent > scores["same"].dv_percent + 0.05 and scores["frozen"].lipsync_r0 < 0.3
    assert scores["wide"].da_percent > 5 and scores["wide"].lipsync_r0 > 0.8
    assert scores["late"].sld < scores["late"].dl_percent


def test_missing_faces_are_counted_and_said(judged):
    assert judged["lost"].scores.missing_faces == 2
    assert any("No face in 2 of 50 pictures of the generated" in text for text in judged["lost"].warnings)


def test_a_silent_clip_and_another_rate_are_compared_as_far_as_they_go(judged):
    assert judged["mute"].scores.lipsync_r0 == pytest.approx(1)
    assert any("has no sound" in text for text in judged["mute"].warnings)
    assert judged["fast"].scores.dl_percent < 0.1 and judged["fast"].extras["fps_generated"] == pytest.approx(50)


def test_style_needs_no_common_rate_or_length(clips, tmp_path):
    near = evaluate_style(clips["same"], clips["fast"], cache=tmp_path, make_measure=Counted())
    far = evaluate_style(clips["same"], clips["frozen"], cache=tmp_path, make_measure=Counted())
    assert set(near) == {"sld", "slv", "smd"} and all(near[key] < far[key] for key in near)


def test_the_page_is_whole_and_asks_nobody(judged):
    results = [judged["same"], judged["lost"]]
    page = report.html_page(results, mean_scores(results), ["x.mp4 has no <partner>."])
    assert "http" not in page and "<script" not in page and "url(" not in page
    assert page.count("data:image/jpeg;base64,") == sum(len(result.worst) for result in results) > 0
    assert "&lt;partner&gt;" in page and "No face in 2 of 50" in page


@pytest.fixture
def measured(monkeypatch):
    """The command line with the clips' own landmark function."""
    counted = Counted()
    for module, function in ((cli, evaluate_pair), (style_cli, evaluate_style)):
        replaced = partial(function, make_measure=counted)
        monkeypatch.setattr(module, function.__name__, replaced)
    return counted


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", [[], ["pair"]])
def test_the_machine_readable_report_has_exactly_its_keys(command, clips, measured, tmp_path):
    out = [tmp_path / name for name in ("r.json", "r.csv", "r.html")]
    options = ["--json", out[0], "--csv", out[1], "--html", out[2], "--cache", tmp_path]
    done = run(*command, "--reference", clips["same"], "--generated", clips["late"], *options)
    assert done.exit_code == 0, done.output
    written = json.loads(out[0].read_text())
    assert list(written) == KEYS == [field.name for field in fields(Scores)]
    assert written["av_offset_frames"] == 3 and isinstance(written["missing_faces"], int)
    (row,) = csv.DictReader(out[1].read_text().splitlines())
    assert float(row["dl_percent"]) == written["dl_percent"] and float(row["psnr_db"]) > 10
    assert "late" in out[2].read_text()


def test_style_writes_three_figures(clips, measured, tmp_path):
    out = tmp_path / "s.json"
    done = run("style", "--reference", clips["same"], "--generated", clips["late"], "--json", out, "--cache", tmp_path)
    assert done.exit_code == 0, done.output
    assert list(json.loads(out.read_text())) == ["sld", "slv", "smd"]


def test_folders_are_matched_by_name_and_the_rest_is_said(clips, measured, tmp_path):
    for place, names in (("ref", ("a", "b", "c")), ("gen", ("b", "a", "d"))):
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / f"{name}.mp4").symlink_to(clips["same" if place == "ref" or name == "a" else "lost"])
    pairs, alone = find_pairs(tmp_path / "ref", tmp_path / "gen")
    assert [name for name, _, _ in pairs] == ["a", "b"] and ["c.mp4" in alone[0], "d.mp4" in alone[1]] == [True, True]
    out = tmp_path / "r.json"
    done = run(
        "--reference", tmp_path / "ref", "--generated", tmp_path / "gen", "--json", out, "--cache", tmp_path / "k"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["missing_faces"] == 2 and measured.seen == 2 * FRAMES
    assert "c.mp4 has no generated clip" in done.output


def test_bad_input_is_one_sentence(clips, tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        find_pairs(clips["same"], tmp_path / "none.mp4")
    with pytest.raises(InputError, match="two clips, or two folders"):
        find_pairs(clips["same"], tmp_path)
    for name in ("ref", "gen"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.mp4").symlink_to(clips["same"])
    with pytest.raises(InputError, match="name them alike"):
        find_pairs(tmp_path / "ref", tmp_path / "gen")
    for arguments, text in (
        (["--reference", clips["same"]], "Name what to compare"),
        (["--json", tmp_path / "x", "style", "--reference", "a", "--generated", "b"], "after the command"),
    ):
        done = run(*arguments)
        assert isinstance(done.exception, ConfigError) and text in str(done.exception)
