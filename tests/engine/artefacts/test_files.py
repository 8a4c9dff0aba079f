import zipfile
from pathlib import Path

import pytest

from engine.artefacts.avatar import load_avatar
from engine.artefacts.files import read_files, write_files
from engine.errors import ArtefactError, OutputError

LIMITS = {"manifest.json": 100, "data.bin": 5000}
FILES = {"manifest.json": b"{}", "data.bin": bytes(range(250)) * 8}


@pytest.mark.parametrize("name", ["thing.avatar", "folder"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_files(tmp_path / "new" / name, FILES, "manifest.json", "avatar")
    assert read_files(tmp_path / "new" / name, LIMITS, "an avatar") == FILES
    with pytest.raises(ArtefactError, match=r"data\.bin is too large to be part of an avatar"):
        read_files(tmp_path / "new" / name, {**LIMITS, "data.bin": 1999}, "an avatar")


@pytest.mark.parametrize("place", [40, 60, -30])
def test_an_avatar_whose_zip_is_damaged_is_refused_and_not_a_bug(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.avatar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", '{"kind": "avatar"}' * 50)
    data = bytearray(path.read_bytes())
    data[place : place + 12] = bytes(255 - byte for byte in data[place : place + 12])
    path.write_bytes(data)
    with pytest.raises(ArtefactError):
        load_avatar(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Cannot write the style"):
        write_files(tmp_path / "file" / "x", FILES, "manifest.json", "style")
