"""What the README says is so: its example runs, and the files and names in it exist."""

import re
import wave
from pathlib import Path

import numpy as np
import pytest

from streaming.avatars import shipped_avatars

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with wave.open("speech.wav", "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((3000 * np.sin(np.arange(8_000) / 20)).astype("<i2").tobytes())
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.startswith("15 frames, ")
    assert Path("talking.mp4").stat().st_size > 1000


def test_every_folder_and_picture_it_names_exists() -> None:
    named = re.findall(r"^\| `(\w+/)` ", README, re.MULTILINE) + re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_avatars_it_names_ship() -> None:
    (names,) = re.findall(r"a name that ships \(([^)]*)\)", README)
    assert set(re.findall(r"`(\w+)`", names)) <= set(shipped_avatars())


def test_make_knows_the_targets_it_names() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`?make (\w+)`?", README)) <= targets | {"PIP_ARGS"}
