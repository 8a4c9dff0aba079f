"""MakeHuman data as a folder or as one packed file: what the head renderer reads, by name.

A pack is a zip of the files that the renderer uses, under the names that they have in the folder, and of recorded
speech, so that a machine without MakeHuman data and without speech synthesisers renders the same people.
"""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any, Final

from engine.errors import ArtefactError, OutputError

BASE_MESH: Final = "3dobjs/base.obj"
_WANTED: Final = (
    "3dobjs/",
    "targets/",
    "rigs/default",
    "eyes/high-poly/",
    "eyes/materials/",
    "eyebrows/",
    "eyelashes/",
    "teeth/",
    "tongue/",
    "hair/",
    "clothes/",
    "skins/",
    "LICENSE",
    "landmarks68.json",
)
_UNUSED: Final = ("_normal.png", "_ao.png", "_spec.png", "_bump.png")
"""Maps that the shaders do not read; they are most of the clothes."""


class Assets:
    """Read access to MakeHuman data."""

    def __init__(self, path: Path) -> None:
        """Open a folder or a pack.

        Args:
            path: MakeHuman data folder (see docs/heads.md for its layout), or a file that ``write_pack`` made.

        Raises:
            ArtefactError: There is no such data.
        """
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            if path.is_file():
                self._zip = zipfile.ZipFile(path)
                self._names = sorted(self._zip.namelist())
            else:
                files = (p for p in path.rglob("*") if p.is_file())
                self._names = sorted(p.relative_to(path).as_posix() for p in files)
        except (OSError, zipfile.BadZipFile) as error:
            raise ArtefactError(f"{path} is neither a MakeHuman data folder nor a pack of one: {error}.") from error
        self._known = frozenset(self._names)
        if BASE_MESH not in self._known:
            raise ArtefactError(f"{path} holds no {BASE_MESH}; give a MakeHuman data folder as docs/heads.md lays out.")

    def names(self, prefix: str, suffix: str = "") -> list[str]:
        """Files whose name begins and ends so, sorted."""
        return [name for name in self._names if name.startswith(prefix) and name.endswith(suffix)]

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return name in self._known

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            ArtefactError: It is missing or cannot be read.
        """
        if name not in self._known:
            raise ArtefactError(f"{self.path} holds no {name}; the MakeHuman data is not complete (docs/heads.md).")
        try:
            return self._zip.read(name) if self._zip else (self.path / name).read_bytes()
        except (OSError, zipfile.BadZipFile) as error:
            raise ArtefactError(f"{name} in {self.path} cannot be read: {error}.") from error

    def text(self, name: str) -> str:
        """A text file, unpacked where it is gzipped.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        data = self.read(name)
        try:
            return (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8", "ignore")
        except (OSError, EOFError) as error:
            raise ArtefactError(f"{name} in {self.path} is damaged: {error}.") from error

    def json(self, name: str) -> Any:
        """A JSON file.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        try:
            return json.loads(self.text(name))
        except ValueError as error:
            raise ArtefactError(f"{name} in {self.path} is not JSON: {error}.") from error


def write_pack(assets: Assets, out: Path, extra: dict[str, bytes]) -> int:
    """Pack what the renderer reads into one file.

    Args:
        assets: Where to take it from.
        out: The file to write.
        extra: Further files to put in, by name.

    Returns:
        Bytes written.

    Raises:
        OutputError: The file cannot be written.
    """
    names = [n for n in assets.names("") if n.startswith(_WANTED) and not n.endswith(_UNUSED)]
    partial = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as pack:
            for name in names:
                _add(pack, name, assets.read(name))
            for name, data in sorted(extra.items()):
                _add(pack, name, data)
        partial.replace(out)
        return out.stat().st_size
    except OSError as error:
        raise OutputError(f"Cannot write {out}: {error.strerror or error}.") from error


def _add(pack: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed date: the same files give the same pack.
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    squeezed = name.endswith((".png", ".gz", ".flac"))
    pack.writestr(info, data, zipfile.ZIP_STORED if squeezed else zipfile.ZIP_DEFLATED)
