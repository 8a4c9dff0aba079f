import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from clip_fakes import FPS, Counted, noise, pictures, speech_like, write_clip
from typer.testing import CliRunner

from benchmarks import cli
from benchmarks.quality import datasets, protocol
from benchmarks.quality.framing import FramedClip
from benchmarks.quality.pair import evaluate_pair
from benchmarks.quality.paper import TABLE_2, TABLE_3, conditions
from engine.artefacts.avatar import load_avatar
from engine.errors import InputError, MienError
from streaming.avatars import shipped_avatars

FRAMES = 20
SPEECH, SONG = "01-01-03-02-01-01-11", "01-02-04-01-02-02-12"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("set") / "a.mp4", pictures(speech_like(FRAMES)), noise(FRAMES / FPS))


def put(clip, root, *places):
    for place in places:
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(clip)


def test_ravdess_names_say_who_speaks_and_how():
    labels = datasets.ravdess_labels(SPEECH)
    assert labels == {
        "modality": "full-AV",
        "channel": "speech",
        "emotion": "happy",
        "intensity": "strong",
        "statement": "kids",
        "repetition": "first",
        "actor": "11",
        "sex": "male",
    }
    for other in ("01-01-03-02-01-01", "01-01-09-02-01-01-11", "01-01-03-02-01-01-25", "holiday"):
        assert datasets.ravdess_labels(other) is None


def test_ravdess_gives_speech_and_song_with_picture_and_sound(clip, tmp_path):
    silent = "02" + SPEECH[2:]
    put(clip, tmp_path, f"Video_Speech_Actor_11/Actor_11/{SPEECH}.mp4", f"Video_Song_Actor_12/Actor_12/{SONG}.mp4")
    put(clip, tmp_path, f"Video_Speech_Actor_11/Actor_11/{silent}.mp4", "notes.mp4")
    assert [found.name for found in datasets.ravdess_clips(tmp_path)] == [SONG, SPEECH]
    assert [found.name for found in datasets.ravdess_clips(tmp_path, "song")] == [SONG]
    with pytest.raises(InputError, match="Actor_01"):
        datasets.ravdess_clips(tmp_path / "Video_Song_Actor_12", "speech")
    with pytest.raises(InputError, match="no folder"):
        datasets.ravdess_clips(tmp_path / "none")


def test_voxceleb2_and_obama_are_found_in_their_layouts(clip, tmp_path):
    put(clip, tmp_path, "vox/test/mp4/id00017/abc/00001.mp4", "vox/test/aac/id00017/abc/00001.m4a")
    (found,) = datasets.voxceleb2_clips(tmp_path / "vox")
    assert found.name == "id00017_abc_00001" and found.sound.suffix == ".m4a"
    assert found.labels["speaker"] == "id00017"
    put(clip, tmp_path, "obama/2013/first.mp4", "obama/2014/first.webm")
    assert [found.name for found in datasets.obama_clips(tmp_path / "obama")] == ["2013_first", "2014_first"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no video"):
        datasets.obama_clips(tmp_path / "empty")


@pytest.fixture
def known_faces(monkeypatch):
    """The protocol with the clips' own landmark function in place of face models; the engine copies its input."""
    avatar = load_avatar(next(iter(shipped_avatars().values())))

    def framed(video: Path, sound: Path, target: Path, name: str, fps: int) -> FramedClip:
        if not target.exists():
            target.write_bytes(video.read_bytes())
        return FramedClip(name, target, avatar, fps, FRAMES)

    drawn: list[str] = []

    def copy(clip: FramedClip, target: Path, *_: object) -> None:
        drawn.append(clip.name)
        target.write_bytes(clip.reference.read_bytes())

    counted = Counted()
    monkeypatch.setattr(protocol, "frame_clip", framed)
    monkeypatch.setattr(protocol, "draw_engine", copy)
    monkeypatch.setattr(protocol, "evaluate_pair", lambda *a, **k: evaluate_pair(*a, make_measure=counted, **k))
    return drawn


def test_a_set_is_run_once_and_goes_on_where_it_was(clip, tmp_path, known_faces):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    clips = [
        datasets.SetClip("one", clip, clip, {"channel": "speech"}),
        datasets.SetClip("two", clip, clip, {"channel": "song"}),
        datasets.SetClip("three", broken, broken),
    ]
    plan = protocol.Protocol(tmp_path / "out", cache=tmp_path / "cache", prepare=False)
    outcomes = list(protocol.run_protocol(clips, plan))
    assert known_faces == ["one", "two", "three"] and "cannot be read" in outcomes[2].reason
    result = protocol.summary(outcomes, ["channel"])
    assert result["mean"]["dl_percent"] == 0 and result["mean"]["clips"] == 2
    assert set(result["groups"]["channel"]) == {"speech", "song"} and set(result["skipped"]) == {"three"}

    (tmp_path / "out/results/two.json").write_text("{}")
    again = protocol.summary(list(protocol.run_protocol(clips, plan)), ["channel"])
    assert known_faces == ["one", "two", "three"] and again == result
    list(protocol.run_protocol(clips[:1], replace(plan, lookahead=0)))
    assert known_faces[3:] == ["one"]
    with pytest.raises(MienError, match="None of 1 clips"):
        protocol.summary(outcomes[2:])


def test_the_command_prints_our_rows_beside_the_papers(clip, tmp_path, known_faces, monkeypatch):
    put(clip, tmp_path, f"set/Actor_11/{SPEECH}.mp4", f"set/Actor_12/{SONG}.mp4")
    monkeypatch.setattr(cli, "Protocol", lambda *a, **k: protocol.Protocol(*a, **{**k, "prepare": False}))
    report = tmp_path / "r.json"
    options = ["--root", tmp_path / "set", "--out", tmp_path / "out", "--json", report, "--cache", tmp_path / "cache"]
    done = CliRunner().invoke(cli.app, ["ravdess", *map(str, options)])
    assert done.exit_code == 0, done.output
    for text in ("paper: AD-NERF", "13.34", "here: this engine, warp", "paper does not say which clips"):
        assert text in done.output
    written = json.loads(report.read_text())
    assert written["set"] == "ravdess" and written["mean"]["clips"] == 2
    assert set(written["groups"]["emotion"]) == {"happy", "sad"}


def test_the_papers_tables_are_as_printed():
    assert dict(TABLE_2.rows)["paper: theirs"] == (0.26, 1.83, 2.65, 0.83, 10.53)
    assert dict(TABLE_3.rows)["paper: theirs"] == (2.84, 0.89, 4.26)
    assert any("60 fps" in text for text in conditions("ravdess", 30, 1, 0))
    assert any("no figures" in text for text in conditions("obama", 60, 1, 0))


class Threads(ThreadPoolExecutor):
    """Stands in for processes, and takes only what they could."""

    def __init__(self, workers: int, mp_context: object) -> None:
        super().__init__(workers)

    def submit(self, function, /, *arguments):
        return super().submit(*pickle.loads(pickle.dumps((function, *arguments))))


def test_several_clips_are_worked_on_at_once(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "ProcessPoolExecutor", Threads)
    missing = [datasets.SetClip(name, tmp_path / "none.mp4", clip) for name in ("a", "b")]
    plan = protocol.Protocol(tmp_path / "out", cache=tmp_path / "cache")
    reasons = {outcome.clip.name: outcome.reason for outcome in protocol.run_protocol(missing, plan, jobs=2)}
    assert reasons.keys() == {"a", "b"} and all("cannot be read" in reason for reason in reasons.values())
