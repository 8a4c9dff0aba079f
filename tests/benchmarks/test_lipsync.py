import json

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import cli as commands
from benchmarks import lipsync as sync
from engine.errors import InputError
from models.spec import SAMPLE_HZ

FPS = 25.0


def lively(pictures=300, seed=0):
    """A curve with movement on the scale of syllables."""
    noise = np.random.default_rng(seed).normal(size=pictures + 2)
    return noise[:-2] + noise[1:-1] + noise[2:]


def clip(name="a", pictures=300, seed=0):
    """A clip whose mouth opens as its sound is loud."""
    opening = np.abs(lively(pictures, seed))
    loudness = np.repeat(opening, round(SAMPLE_HZ / FPS))
    tone = np.random.default_rng(seed).normal(size=len(loudness))
    return sync.Clip(name, FPS, opening, 0, (0.05 * loudness * tone).astype(np.float32))


def test_a_curve_is_in_sync_with_itself():
    score = sync.score(lively(), lively(), FPS)
    assert score.r0 == pytest.approx(1) and score.best_lag_frames == 0


@pytest.mark.parametrize("late", [-10, -3, 0, 1, 7])
def test_a_delay_is_found_exactly(late):
    score = sync.score(np.roll(lively(), late), lively(), FPS)
    assert score.best_lag_frames == late and score.best_r > 0.95


def test_scale_offset_and_slow_posture_count_for_nothing():
    slow = 5 * np.sin(np.arange(300) / 300 * 2 * np.pi)
    assert sync.score(3 * lively() + 2 + slow, lively(), FPS).r0 > 0.98


def test_unrelated_and_frozen_mouths_are_in_sync_with_nothing():
    assert abs(sync.score(lively(seed=1), lively(seed=2), FPS).r0) < 0.25
    assert sync.score(np.ones(300), lively(), FPS).r0 == 0


def test_high_pass_removes_what_is_slower_than_its_window():
    t = np.arange(1000) / FPS
    assert np.abs(sync.high_pass(0.3 * t, FPS)[50:-50]).max() < 1e-9
    fast = np.sin(2 * np.pi * 4 * t)
    assert sync.high_pass(fast, FPS)[100:-100].std() == pytest.approx(fast.std(), rel=0.1)


def test_mouth_opening_is_gap_over_face_height():
    points = np.zeros((68, 2), np.float32)
    points[8] = (0, 200)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[upper], points[lower] = (0, 100), (0, 120)
    assert sync.mouth_opening(points) == pytest.approx(0.1)
    assert sync.mouth_opening(points * 3) == pytest.approx(0.1)


def test_rms_envelope_follows_loudness_at_the_pictures_times():
    made = clip()
    assert sync.score(sync.rms_envelope(made), made.opening, FPS).best_lag_frames in (0, 1)
    assert sync.score(sync.rms_envelope(made), made.opening, FPS).best_r > 0.7


def test_ridge_learns_from_the_other_clips():
    clips = [clip(str(seed), seed=seed) for seed in range(3)]
    for predicted, made in zip(sync.ridge_leave_one_out(clips), clips, strict=True):
        assert sync.score(predicted, made.opening, FPS, filtered=True).r0 > 0.5
    with pytest.raises(InputError, match="two or more"):
        list(sync.ridge_leave_one_out(clips[:1]))


def test_a_folder_without_clips_is_one_sentence(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="holds no video clips"):
            sync.find_clips(folder)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert sync.find_clips(tmp_path) == [broken]


def test_report_has_the_documented_keys(tmp_path, monkeypatch):
    clips = {f"c{i}.mp4": clip(f"c{i}", seed=i) for i in range(2)}
    monkeypatch.setattr(commands, "load_bundle", lambda path: None)
    monkeypatch.setattr(sync, "find_clips", lambda folder: list(clips))
    monkeypatch.setattr(sync, "measure_clip", clips.__getitem__)
    monkeypatch.setattr(sync, "predict_opening", lambda bundle, c, lookahead=18: c.opening)
    report = tmp_path / "r.json"
    done = CliRunner().invoke(commands.app, ["lipsync", "--clips", str(tmp_path), "--curve", "--json", str(report)])
    assert done.exit_code == 0, done.output
    written = json.loads(report.read_text())
    assert written["mean_r0"] == pytest.approx(1) and written["mean_best_lag_frames"] == 0
    assert [c["name"] for c in written["clips"]] == ["c0", "c1"] and written["clips"][0]["r0"] == pytest.approx(1)
    assert set(written["baselines"]) == {"rms", "ridge_loo"} and set(written["curve"]) == {
        "0",
        "3",
        "6",
        "9",
        "12",
        "18",
    }
