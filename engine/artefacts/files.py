"""Artefacts as files: a folder, or a zip of the same files. Both come from anywhere: what is read is bounded first."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ArtefactError, OutputError

_DIRECTORY_BYTES = 256 << 10
"""More than a zip adds to its files."""


def read_files(path: Path, limits: Mapping[str, int], what: str) -> dict[str, bytes]:
    """The files of an artefact that are there, by name.

    Args:
        path: A folder or a zip.
        limits: Names of the files that are wanted, and how many bytes each may have.
        what: The artefact with its article ("an avatar"), for the messages.

    Raises:
        ArtefactError: There is nothing, or no such artefact, or a file is too large.
    """
    kind = what.split()[-1]
    try:
        if path.is_dir():
            return {name: _bounded(path, name, limits[name], what) for name in limits if (path / name).is_file()}
        if path.stat().st_size > sum(limits.values()) + _DIRECTORY_BYTES:
            raise ArtefactError(f"{path} is too large to be {what}.")
        with zipfile.ZipFile(path) as archive:
            wanted = [info for info in archive.infolist() if info.filename in limits]
            if len({info.filename for info in wanted}) < len(wanted):
                raise ArtefactError(f"{path} is not {what}: it holds a file twice.")
            for info in wanted:
                if info.file_size > limits[info.filename]:
                    raise ArtefactError(f"{path}: {info.filename} is too large to be part of {what}.")
            # A zip cannot give more than the size that it declares, which was checked.
            return {info.filename: archive.read(info) for info in wanted}
    except FileNotFoundError as error:
        raise ArtefactError(f"There is no {kind} {path}.") from error
    # A member that is encrypted, or packed in a way that zipfile cannot undo, is a RuntimeError or NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ArtefactError(f"{path} is not {what}: it is neither a folder nor a readable zip.") from error


def write_files(path: Path, files: Mapping[str, bytes], manifest: str, what: str) -> None:
    """Write an artefact: a zip if its suffix is the artefact's (``.avatar``, ``.style``), else a folder.

    The zip appears under its name only when it is complete; in a folder the manifest comes last.

    Args:
        path: Where.
        files: Bytes by name.
        manifest: Which of them is the manifest.
        what: The artefact ("avatar").

    Raises:
        OutputError: The place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == f".{what}":
            partial = path.with_name(f".{path.name}.part")
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                for name, data in sorted(files.items()):
                    archive.writestr(zipfile.ZipInfo(name), data)
            os.replace(partial, path)
        else:
            path.mkdir(exist_ok=True)
            (path / manifest).unlink(missing_ok=True)
            for name, data in sorted(files.items(), key=lambda item: item[0] == manifest):
                (path / name).write_bytes(data)
    except OSError as error:
        raise OutputError(f"Cannot write the {what} {path}: {error.strerror or error}.") from error


def _bounded(folder: Path, name: str, limit: int, what: str) -> bytes:
    with (folder / name).open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ArtefactError(f"{folder}: {name} is too large to be part of {what}.")
    return data
