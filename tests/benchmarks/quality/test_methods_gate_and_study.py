import json
import re
from dataclasses import replace

import numpy as np
import pytest
from clip_fakes import pictures, write_clip
from typer.testing import CliRunner

from benchmarks import cli
from benchmarks.quality import gate, methods, report, study
from benchmarks.quality.folder import mean_scores
from benchmarks.quality.framing import FramedClip
from benchmarks.quality.pair import PairResult, Scores
from benchmarks.quality.sync_metrics import sound_lag
from benchmarks.quality.tracks import read_pictures, read_sound
from engine.artefacts.avatar import load_avatar
from engine.artefacts.bundle import load_bundle
from engine.errors import InputError, OutputError
from streaming.avatars import shipped_avatars
from streaming.media_out import Mp4Writer
from tests.picture_networks import tint_network

FPS = 25


def test_loudness_is_against_the_clips_own():
    sound = np.zeros(16_000, np.float32)
    sound[8_000:] = 0.2
    found = methods.rms_opening(sound, FPS, FPS)
    assert found[:12] == pytest.approx(0) and found[14:24] == pytest.approx(1)
    assert methods.rms_opening(0.01 * sound, FPS, FPS) == pytest.approx(found)
    assert methods.rms_opening(np.zeros(100, np.float32), 5, FPS) == pytest.approx(0)


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    """Eight pictures, the second half loud."""
    path = tmp_path_factory.mktemp("framed") / "a.mp4"
    sound = np.zeros((1, 8 * 1920), np.float32)
    sound[:, 4 * 1920 :] = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * 1920)
    with Mp4Writer(path, fps=FPS, channels=1) as writer:
        for _ in range(8):
            writer.write_frame(np.zeros((512, 512, 3), np.uint8))
        writer.write_sound(sound)
        writer.finish()
    return FramedClip("a", path, load_avatar(next(iter(shipped_avatars().values()))), FPS, 8)


def test_baselines_show_the_portrait_with_the_clips_sound(framed, tmp_path):
    still, loud = tmp_path / "still.mp4", tmp_path / "rms.mp4"
    methods.draw_still(framed, still)
    methods.draw_rms(framed, loud, load_bundle(None))
    shown = [[picture.astype(int) for _, picture in read_pictures(path)] for path in (still, loud)]
    assert [len(pictures) for pictures in shown] == [8, 8]
    assert np.abs(shown[0][0] - shown[0][7]).mean() < 0.5
    x, y = framed.avatar.source_points[48:68].mean(axis=0).astype(int)
    mouth, eyes = np.s_[y - 20 : y + 40, x - 30 : x + 30], np.s_[y - 160 : y - 80, x - 60 : x + 60]
    change = np.abs(shown[1][6] - shown[1][1])
    assert change[mouth].mean() > 4 > 3 * change[eyes].mean()
    assert sound_lag(read_sound(framed.reference), read_sound(still)) == pytest.approx(0, abs=1e-3)


def test_the_engine_is_measured_with_each_renderer_and_with_head_and_eyes_held(framed, tmp_path, monkeypatch):
    network = tint_network()
    shipped = load_bundle(None)
    manifest = shipped.manifest.model_copy(update={"renderers": {"lite": network.geometry}})
    bundle = replace(shipped, manifest=manifest, renderers={"lite": network})
    asked = []

    def render_file(sound, avatar, target, **options):
        asked.append((target.parent.name, options["renderer"], options["head_motion"], options["eyes"]))
        target.write_bytes(b"drawn")

    monkeypatch.setattr(methods, "render_file", render_file)
    monkeypatch.setattr(methods, "load_bundle", lambda folder: bundle)
    monkeypatch.setattr(methods, "find_clips", lambda clips: [clips / "a.mp4"])
    monkeypatch.setattr(methods, "frame_clip", lambda *_: framed)
    monkeypatch.setattr(methods, "evaluate_pair", lambda *_, **__: PairResult("a", scores(), {}))
    rows, _ = methods.compare_methods(tmp_path, tmp_path)
    held = ("", ", head still", ", head and eyes still")
    engine = [f"this engine, {one}{what}" for one in ("warp", "lite") for what in held]
    assert [row.method for row in rows] == ["ground truth", "still picture", "RMS-driven mouth", *engine]
    moving = ([1.0, True], [0.0, True], [0.0, False])
    assert [options for _, *options in asked] == [[one, *what] for one in ("warp", "lite") for what in moving]
    assert len({folder for folder, *_ in asked}) == 6


def scores(**changed):
    base = dict.fromkeys(Scores.__dataclass_fields__, 1.0) | {"missing_faces": 2}
    return Scores(**(base | changed))


def row(method, **changed):
    result = PairResult("a", scores(**changed), {})
    return methods.MethodRow(method, mean_scores([result, result]), (result, result))


def test_the_best_method_is_marked_and_the_truth_is_out_of_contest():
    rows = [row("ground truth", lmd=0.0), row("still", lmd=3.0, cpbd=0.5), row("engine", lmd=2.0, cpbd=0.4)]
    written = report.methods_json(rows, ["b.mp4 is left out"])
    assert written["best"]["lmd"] == "engine" and written["best"]["cpbd"] == "still"
    assert written["methods"]["engine"]["mean"]["missing_faces"] == 4 and written["skipped"]
    assert "av_offset_frames" not in written["best"]


COMMITTED = {"lmd": gate.Figure(2.0, 0.1), "motion_r0": gate.Figure(0.5, 0.02, higher=True)}


@pytest.mark.parametrize(
    ("now", "worse"),
    [
        ({"lmd": 2.09, "motion_r0": 0.481}, []),
        ({"lmd": 0.5, "motion_r0": 0.9}, []),
        ({"lmd": 2.11, "motion_r0": 0.6}, ["lmd"]),
        ({"lmd": 2.0, "motion_r0": 0.47}, ["motion_r0"]),
        ({"lmd": float("nan"), "motion_r0": float("-inf")}, ["lmd", "motion_r0"]),
    ],
)
def test_the_gate_closes_on_a_drop_beyond_the_noise(now, worse):
    assert [verdict.name for verdict in gate.judge(now, COMMITTED) if verdict.worse] == worse


def test_the_gate_says_so_with_its_exit_code(monkeypatch, tmp_path):
    monkeypatch.setattr(gate, "judge", lambda now, _judge=gate.judge: _judge(now, COMMITTED))
    for lmd, code in ((2.0, 0), (2.5, 1)):
        monkeypatch.setattr(gate, "measure", lambda *_, _lmd=lmd: {"lmd": _lmd, "motion_r0": 0.5})
        done = CliRunner().invoke(cli.app, ["gate", "--clips", str(tmp_path), "--json", str(tmp_path / "g.json")])
        assert done.exit_code == code and ("worse" in done.output) == bool(code), done.output
    assert json.loads((tmp_path / "g.json").read_text())["lmd"] == 2.5
    assert set(gate.COMMITTED) == {"motion_r0", *Scores.__dataclass_fields__} - {"av_offset_frames", "missing_faces"}


def test_the_gate_wants_the_clips_its_figures_are_of(tmp_path):
    write_clip(tmp_path / "a.mp4", pictures([0, 0]))
    with pytest.raises(InputError, match="does not hold: talk_3"):
        gate.measure(tmp_path)


@pytest.fixture
def two_methods(tmp_path):
    for method in ("ours", "theirs", "styles"):
        for name in ("x", "y"):
            write_clip(tmp_path / method / f"{name}.mp4", pictures([0.1, 0.2]))
    return {"ours": tmp_path / "ours", "theirs": tmp_path / "theirs"}


@pytest.mark.parametrize("kind", ["natural", "style"])
def test_the_studys_page_is_blind_and_asks_nobody(kind, two_methods, tmp_path):
    styles = tmp_path / "styles" if kind == "style" else None
    assert study.make_study(two_methods, tmp_path / "out", kind, styles) == 4
    page = (tmp_path / "out/page/index.html").read_text()
    assert "http" not in page and "ours" not in page and "theirs" not in page and ">x<" not in page
    assert all(question in page for question in study.QUESTIONS[kind])
    files = set(re.findall(r'"((?:clip|style)\d+\.mp4)"', page))
    assert files == {path.name for path in (tmp_path / "out/page").glob("*.mp4")}
    key = json.loads((tmp_path / "out/key.json").read_text())
    assert sorted((clip["method"], clip["clip"]) for clip in key["clips"].values()) == [
        ("ours", "x"),
        ("ours", "y"),
        ("theirs", "x"),
        ("theirs", "y"),
    ]
    with pytest.raises(OutputError, match="not empty"):
        study.make_study(two_methods, tmp_path / "out", kind, styles)


def test_answers_come_back_as_means_with_intervals(two_methods, tmp_path):
    study.make_study(two_methods, tmp_path / "out")
    key = json.loads((tmp_path / "out/key.json").read_text())
    (tmp_path / "answers").mkdir()
    for person, mark in enumerate((2, 3, 4)):
        given = {blind: [mark, 4, 1] if clip["method"] == "ours" else [1, 1, 1] for blind, clip in key["clips"].items()}
        (tmp_path / f"answers/{person}.json").write_text(json.dumps({"kind": "natural", "answers": given}))
    found = study.read_answers(tmp_path / "out/key.json", tmp_path / "answers")
    first = found["ours"][0]
    # Marks 2, 3, 4: standard deviation 1, t of two degrees of freedom 4.303.
    assert (first.mean, first.participants) == (3, 3)
    assert first.high - 3 == pytest.approx(4.303 / 3**0.5) == 3 - first.low
    assert (found["ours"][1].low, found["theirs"][0].high) == (4, 1)
    report_file = tmp_path / "r.json"
    options = ["--key", tmp_path / "out/key.json", "--answers", tmp_path / "answers", "--json", report_file]
    done = CliRunner().invoke(cli.app, ["study", *map(str, options)])
    assert done.exit_code == 0 and "3.00 [0.52, 5.48]" in done.output, done.output
    assert json.loads(report_file.read_text())["ours"][0]["mean"] == 3
    assert study.rate([2.0]).low == 2


@pytest.mark.parametrize(
    "content",
    ["no json", "[]", '{"answers": {}}', '{"answers": {"clip000": [1, 2]}}', '{"answers": {"clip9": [1, 2, 3]}}'],
)
def test_answers_of_another_study_are_one_sentence(content, two_methods, tmp_path):
    study.make_study(two_methods, tmp_path / "out")
    (tmp_path / "answers").mkdir()
    with pytest.raises(InputError, match="no answers"):
        study.read_answers(tmp_path / "out/key.json", tmp_path / "answers")
    (tmp_path / "answers/a.json").write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        study.read_answers(tmp_path / "out/key.json", tmp_path / "answers")
    with pytest.raises(InputError, match="no key"):
        study.read_answers(tmp_path / "answers/a.json" if content == "[]" else no_key(tmp_path), tmp_path / "answers")


def no_key(folder):
    (folder / "k.json").write_text('{"clips": 3}')
    return folder / "k.json"
