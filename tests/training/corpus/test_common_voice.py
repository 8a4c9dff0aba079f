from pathlib import Path

import numpy as np
import pytest

from engine.errors import AudioError, InputError
from models.spec import SAMPLE_HZ
from tests.training.corpus.clips import write_audio
from training.corpus.common_voice import CommonVoice

HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale"


def make_set(root: Path, rows: list[str], header: str = HEADER) -> Path:
    (root / "clips").mkdir(parents=True)
    (root / "validated.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root


def row(speaker: str, path: str, sentence: str) -> str:
    return f"{speaker}\t{path}\t{sentence}\t2\t0\t\t\t\ten"


def test_clips_come_with_speaker_sentence_and_sound(tmp_path: Path) -> None:
    rows = [row("ann", "common_voice_en_1.mp3", 'She said "no'), row("bob", "common_voice_en_2.mp3", "Yes.")]
    root = make_set(tmp_path / "en", [*rows, row("ann", "common_voice_en_1", "Again.")])
    write_audio(root / "clips/common_voice_en_1.mp3", 0.5, 300.0, "libmp3lame")
    write_audio(root / "clips/common_voice_en_2.mp3", 0.3, 500.0, "libmp3lame")
    clips = CommonVoice(root)
    assert len(clips) == 3 and clips.speakers == ["ann", "bob"]
    first, second, old = clips
    assert (first.speaker, first.sentence, second.sentence) == ("ann", 'She said "no', "Yes.")
    assert old.path == first.path
    audio = first.audio()
    assert audio.dtype == np.float32 and len(audio) == pytest.approx(0.5 * SAMPLE_HZ, rel=0.15)


def test_a_missing_table_names_those_that_are_there(tmp_path: Path) -> None:
    root = make_set(tmp_path / "en", [])
    with pytest.raises(InputError, match=r"no table .*train\.tsv; it has validated"):
        CommonVoice(root, "train")
    with pytest.raises(InputError, match="give the folder of one language"):
        CommonVoice(tmp_path / "nowhere")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    root = make_set(tmp_path / "en", ["ann\tx.mp3"], "client_id\tpath")
    with pytest.raises(InputError, match="lacks the column 'sentence'"):
        CommonVoice(root)


def test_missing_clips_are_counted(tmp_path: Path) -> None:
    root = make_set(tmp_path / "en", [row("ann", "a.mp3", "One."), row("ann", "b.mp3", "Two.")])
    (root / "clips/a.mp3").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"1 of 2 clips .* missing, the first is .*b\.mp3"):
        CommonVoice(root)


@pytest.mark.parametrize(("rows", "message"), [([], "lists no clip"), (["ann\ta.mp3"], "line 2 .* cut off")])
def test_empty_and_truncated_tables_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    root = make_set(tmp_path / "en", rows)
    with pytest.raises(InputError, match=message):
        CommonVoice(root)


def test_a_table_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.mp3").write_bytes(b"x")
    root = make_set(tmp_path / "en", [row("ann", "../../secret.mp3", "One.")])
    with pytest.raises(InputError, match=r"clips/secret\.mp3"):
        CommonVoice(root)


def test_a_damaged_clip_is_refused_when_it_is_read(tmp_path: Path) -> None:
    root = make_set(tmp_path / "en", [row("ann", "a.mp3", "One.")])
    (root / "clips/a.mp3").write_bytes(b"junk")
    with pytest.raises(AudioError, match="Cannot read"):
        next(iter(CommonVoice(root))).audio()
