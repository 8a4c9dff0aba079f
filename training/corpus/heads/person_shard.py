"""A rendered person on disk: frames, masks, labels and sound in one folder.

::

    p00012/
        manifest.json   seed, split, rates, versions, provenance
        frames.zip      000000.jpg ... RGB, 4:4:4
        masks.zip       000000.png ... indexed by ``MaskClass``
        labels.npz      landmarks, pose, gaze ... one row a frame
        sound.flac      16 kHz, as long as the talking frames

Zips are stored, not squeezed: a frame is read by itself, and a corpus has five files a person, not thousands. The
folder gets its name when it is complete.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError, OutputError
from models.spec import SCHEMA_VERSION
from training.corpus.heads import pictures
from training.corpus.heads.mask_classes import decode_mask, encode_mask
from training.corpus.media import encode_flac, read_audio

MANIFEST: Final = "manifest.json"
_FRAMES, _MASKS, _LABELS, _SOUND = "frames.zip", "masks.zip", "labels.npz", "sound.flac"


class ShardWriter:
    """Writes one person; use it as a context."""

    def __init__(self, folder: Path, quality: int) -> None:
        """Begin.

        Args:
            folder: Where the person is to lie in the end; must not exist.
            quality: Of the JPEGs, 1 to 100.

        Raises:
            OutputError: The folder beside it cannot be written.
        """
        self._folder, self._quality = folder, quality
        # The process id keeps two runs on one folder apart.
        self._partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
            self._frames = zipfile.ZipFile(self._partial / _FRAMES, "w", zipfile.ZIP_STORED)
            self._masks = zipfile.ZipFile(self._partial / _MASKS, "w", zipfile.ZIP_STORED)
        except OSError as error:
            raise OutputError(f"Cannot write {folder}: {error.strerror or error}.") from error
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing behind of a person who was not finished."""
        self._frames.close()
        self._masks.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def add(self, frame: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
        """Write a frame uint8 (H, W, 3) RGB and its mask (H, W).

        Raises:
            OutputError: It cannot be written.
        """
        try:
            _store(self._frames, f"{self._count:06d}.jpg", pictures.encode_jpeg(frame, self._quality))
            _store(self._masks, f"{self._count:06d}.png", encode_mask(mask))
        except OSError as error:
            raise OutputError(f"Cannot write {self._folder}: {error.strerror or error}.") from error
        self._count += 1

    def finish(
        self, labels: Mapping[str, NDArray[Any]], audio: NDArray[np.float32], manifest: Mapping[str, Any]
    ) -> None:
        """Write the rest and give the folder its name.

        Args:
            labels: Arrays by name.
            audio: float32 (samples,), 16 kHz.
            manifest: What to say about it; the schema version and the number of frames are added.

        Raises:
            OutputError: It cannot be written.
        """
        self._frames.close()
        self._masks.close()
        full = {"schema_version": SCHEMA_VERSION, "kind": "head", "frames": self._count, **manifest}
        try:
            with (self._partial / _LABELS).open("wb") as file:
                np.savez_compressed(file, **labels)  # type: ignore[arg-type]
            (self._partial / _SOUND).write_bytes(encode_flac(audio))
            (self._partial / MANIFEST).write_text(json.dumps(full, indent=1) + "\n")
            os.replace(self._partial, self._folder)
        except OSError as error:
            raise OutputError(f"Cannot write {self._folder}: {error.strerror or error}.") from error


class PersonShard:
    """Reads one person.

    Attributes:
        manifest: What the writer said.
        labels: Arrays by name.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder.

        Args:
            folder: That of a person.

        Raises:
            ArtefactError: It is none, damaged, or of another version.
        """
        self._folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
            with np.load(folder / _LABELS, allow_pickle=False) as arrays:
                self.labels = {name: arrays[name] for name in arrays.files}
            self._frames = zipfile.ZipFile(folder / _FRAMES)
            self._masks = zipfile.ZipFile(folder / _MASKS)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ArtefactError(f"{folder} is no rendered person or is damaged: {error}.") from error
        if self.manifest.get("kind") != "head" or self.manifest.get("schema_version") != SCHEMA_VERSION:
            raise ArtefactError(f"{folder} is no rendered person of schema version {SCHEMA_VERSION}; render it again.")

    def __len__(self) -> int:
        return int(self.manifest["frames"])

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index`` as uint8 (H, W, 3) RGB.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        return pictures.decode_jpeg(self._read(self._frames, f"{index:06d}.jpg"))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Mask ``index`` as uint8 (H, W) of ``MaskClass``.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        return decode_mask(self._read(self._masks, f"{index:06d}.png"))

    def audio(self) -> NDArray[np.float32]:
        """The sound, float32 (samples,), 16 kHz.

        Raises:
            AudioError: It is missing or damaged.
        """
        return read_audio(self._folder / _SOUND)

    def close(self) -> None:
        """Close the files."""
        self._frames.close()
        self._masks.close()

    def _read(self, file: zipfile.ZipFile, name: str) -> bytes:
        try:
            return file.read(name)
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise ArtefactError(f"{self._folder} holds no {name} or it is damaged: {error}.") from error


def _store(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed date: the same frames give the same file.
    file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
