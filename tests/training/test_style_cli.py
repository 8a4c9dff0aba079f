"""What users get wrong, said in a sentence."""

from pathlib import Path

import pytest

from streaming.cli import run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "none.mp4", "--out", "a.zip"], "must end in .style"),
        (["create", "none.mp4", "--out", "a.style", "--preset", "loud"], "Option 'preset'"),
        (["create", "none.mp4", "--out", "a.style", "--set", "pace=3"], "Option 'pace'"),
        (["create", "none.mp4", "--out", "a.style", "--bundle", "nowhere"], "there is no folder nowhere"),
        (["show", "none.style"], "There is no style none.style"),
    ],
)
def test_errors_are_one_sentence(arguments, words, capsys, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    code = run(["style", *arguments])
    said = capsys.readouterr().err
    assert code == 2 and words in said.replace("\n", " ") and "Traceback" not in said


def test_a_clip_that_is_not_there_is_named(capsys, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from training import reference_motion

    monkeypatch.setattr(reference_motion, "FaceTracker", lambda: None)
    monkeypatch.chdir(tmp_path)
    code = run(["style", "create", "none.mp4", "--out", "a.style"])
    assert code == 2 and "none.mp4" in capsys.readouterr().err and not Path("a.style").exists()
