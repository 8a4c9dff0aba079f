import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.quality import style_bench as bench
from benchmarks.quality.style_drive import sampled
from benchmarks.quality.style_metrics import StyleScores
from benchmarks.quality.style_report import holds, print_styles
from benchmarks.quality.tracks import FaceTrack
from engine.artefacts.avatar import load_avatar
from engine.artefacts.style import save_style
from engine.errors import InputError
from engine.pipeline import MotionFrame
from engine.portrait.geometry import canonical68
from models.spec import SAMPLE_HZ
from streaming.avatars import shipped_avatars
from streaming.cli import run
from tests.style_makers import make_style

FPS = 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory, random_bundle):
    """Two styles, one with a clip; the clips' contents are made up by the fixture ``tracks``."""
    place = tmp_path_factory.mktemp("styles")
    save_style(make_style(random_bundle, name="ballad"), place / "ballad.style")
    save_style(make_style(random_bundle, seed=1, name="rap"), place / "rap.style")
    (place / "clips").mkdir()
    for name in ("ballad", "neutral", "somebody"):
        (place / "clips" / f"{name}.mp4").touch()
    return place


@pytest.fixture
def tracks(monkeypatch):
    """What is measured and heard in any clip."""

    def track(path, *_, **__):
        rng = np.random.default_rng(len(path.stem))
        points = 128 * canonical68()[None, :, :2] + 256 + rng.normal(0, 1, (12, 68, 2))
        return FaceTrack(np.arange(12) / FPS, points.astype(np.float32), np.zeros(12, bool), (512, 512))

    monkeypatch.setattr(bench, "load_track", track)
    speech = np.random.default_rng(0).normal(0, 0.1, 12 * SAMPLE_HZ // FPS).astype(np.float32)
    monkeypatch.setattr(bench, "read_sound", lambda path: speech)
    still = np.zeros((12, 68, 3), np.float32), np.zeros((12, 6), np.float32)
    monkeypatch.setattr(bench, "_motion", lambda path, track: still)


@pytest.mark.usefixtures("tracks")
def test_a_style_that_equals_the_bundle_gains_nothing(folder, random_bundle_folder, monkeypatch):
    heard = []
    found = bench.measure_styles(
        folder / "clips",
        styles=folder,
        avatars=("ada",),
        bundle=random_bundle_folder,
        nearest=3,
        say=heard.append,
    )
    (row,) = found.rows
    assert (row.style, row.avatar) == ("ballad", "ada")
    assert row.neutral == row.styled and row.sync_neutral == row.sync_styled
    assert row.own_neutral == row.own_styled and row.own_neutral != row.neutral
    mean = found.mean("ballad")
    assert mean["sld_gain"] == mean["own_sld_gain"] == 0 and not holds(found, "ballad", "own_")
    assert [guess.style for guess in found.guesses] == ["ballad", "neutral", "ballad"]
    assert set(found.guesses[0].distances) == {"ballad", "neutral"}
    # The fixture's references know no motion: by the manner alone they are one.
    assert {guess.nearest_manner for guess in found.guesses} <= {"ballad", "neutral"}
    assert "rap" in found.skipped[0] and heard
    told = json.loads(json.dumps(found.to_json()))["nearest"]
    assert told["of"] == 3 and told["right_manners"] == found.right_manners
    print_styles(found, Console(quiet=True))


def test_a_folder_without_clips_is_refused_with_the_reason(folder, tmp_path, capsys):
    with pytest.raises(InputError, match="named after a style"):
        bench.measure_styles(tmp_path, styles=folder)
    assert run(["evaluate", "styles", "--references", str(tmp_path), "--styles", str(folder)]) == 2
    assert "ballad.mp4" in capsys.readouterr().err


def scores(factor):
    return StyleScores(2.0 * factor, 0.5 * factor, 3.0 * factor)


@pytest.mark.parametrize(
    ("factor", "sync", "ok"), [(0.79, 0.46, True), (0.81, 0.5, False), (0.7, 0.44, False), (0.7, 0.9, True)]
)
def test_a_style_must_come_a_fifth_nearer_and_stay_in_sync(factor, sync, ok):
    row = bench.StyleRow("rap", "ada", scores(1), scores(factor), 0.5, sync)
    result = bench.StylesResult((row,), (), ())
    assert holds(result, "rap") == ok
    # One figure of the three that falls short is enough.
    short = replace(row, styled=replace(row.styled, smd=2.9))
    assert not holds(bench.StylesResult((short,), (), ()), "rap")


def test_each_figure_counts_by_what_is_usual_for_its_reference():
    # Velocities are a hundredth of the distances and count as much; the second reference lies far from everybody.
    usual = np.array([[2.0, 0.02, 4.0], [8.0, 0.10, 4.0]])
    distances = bench.nearness(np.array([[2.0, 0.03, 2.0], [4.0, 0.05, 3.0]]), usual)
    assert distances == pytest.approx([(1 + 1.5 + 0.5) / 3, (0.5 + 0.5 + 0.75) / 3])


def test_what_is_usual_for_a_reference_comes_from_the_other_references():
    rng, held = np.random.default_rng(0), []
    still = 128 * canonical68()[None, :, :2] + 256 + np.zeros((8, 1, 1))
    for name, by in (("neutral", 0.0), ("ballad", 0.0), ("rap", 5.0)):
        points = (still + by * rng.normal(0, 1, still.shape)).astype(np.float32)
        track = FaceTrack(np.arange(8) / FPS, points, np.zeros(8, bool), (512, 512))
        held.append(bench.Reference(name, Path(name), track, np.zeros(1, np.float32)))
    usual = bench.between(held)
    # Two that are alike differ from the third alone, so by half as much on average as it does from both.
    np.testing.assert_allclose(usual[0], usual[1], rtol=0.01)
    np.testing.assert_allclose(2 * usual[0], usual[2], rtol=0.05)


def test_motion_is_sampled_as_pictures_show_it():
    avatar = load_avatar(shipped_avatars()["ada"])
    moved = np.zeros((68, 3), np.float32)
    frames = []
    for index in range(5):
        moved = moved.copy()
        moved[[65, 66, 67], 1] = 0.02 * index
        frame = MotionFrame(index, avatar.template + moved, moved, *(np.zeros(n, np.float32) for n in (6, 6, 2)), 0, 1)
        frames.append(frame)
    shown = sampled(frames, avatar, 24, 3)
    assert shown.opening == pytest.approx([0, 0.05, 0.08])
    assert shown.points[0] == pytest.approx(avatar.project(avatar.template), abs=1e-3)
    assert shown.points[1, 66] == pytest.approx(
        (shown.points[0, 66] + 5 / 8 * (shown.points[2, 66] - shown.points[0, 66])), abs=0.2
    )
