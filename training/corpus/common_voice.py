"""Common Voice in its own layout: ``<language>/clips/*.mp3`` beside ``validated.tsv``, ``train.tsv``, ..."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from training.corpus.media import read_audio

COLUMNS: Final = ("client_id", "path", "sentence")


@dataclass(frozen=True)
class CommonVoiceClip:
    """One recorded sentence.

    Attributes:
        speaker: Common Voice's ``client_id``.
        path: The clip's mp3 file.
        sentence: What was read.
    """

    speaker: str
    path: Path
    sentence: str

    def audio(self) -> NDArray[np.float32]:
        """The recording as float32 (samples,), 16 kHz mono.

        Raises:
            AudioError: The file is missing or cannot be decoded.
        """
        return read_audio(self.path)


class CommonVoice:
    """The clips of one language and split.

    Args:
        root: Folder of one language: it holds ``clips`` and the tables.
        split: Name of the table without suffix: ``validated``, ``train``, ``dev``, ``test``, ``other``.

    Raises:
        InputError: The folder, the table, one of its columns or every clip is missing.
    """

    def __init__(self, root: Path, split: str = "validated") -> None:
        table = root / f"{split}.tsv"
        if not table.is_file():
            found = sorted(p.stem for p in root.glob("*.tsv")) if root.is_dir() else []
            hint = f"it has {', '.join(found)}" if found else "give the folder of one language, with clips/ and *.tsv"
            raise InputError(f"Common Voice: there is no table {table}; {hint}.")
        self.clips = _read_table(table, root / "clips")
        missing = sum(not clip.path.is_file() for clip in self.clips)
        if missing:
            first = next(clip.path for clip in self.clips if not clip.path.is_file())
            raise InputError(
                f"Common Voice: {missing} of {len(self.clips)} clips of {table.name} are missing, the first is "
                f"{first}; unpack the whole archive."
            )

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __iter__(self) -> Iterator[CommonVoiceClip]:
        """Clips in the table's order."""
        return iter(self.clips)

    @property
    def speakers(self) -> list[str]:
        """Speakers in order of their first clip."""
        return list(dict.fromkeys(clip.speaker for clip in self.clips))


def _read_table(table: Path, folder: Path) -> list[CommonVoiceClip]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            # Sentences hold unpaired quotation marks: the tables are not quoted.
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if absent:
                raise InputError(f"Common Voice: {table} lacks the column {absent[0]!r}; it is not one of its tables.")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Common Voice: {table} cannot be read ({error}); unpack the archive again.") from error
    clips = []
    for number, row in enumerate(rows, 2):
        if not row["path"] or row["sentence"] is None:
            raise InputError(f"Common Voice: line {number} of {table} is cut off; unpack the archive again.")
        # The name only: a table must not lead out of its folder. Old releases leave the suffix out.
        name = Path(row["path"]).name
        clips.append(
            CommonVoiceClip(row["client_id"], folder / (name if "." in name else f"{name}.mp3"), row["sentence"])
        )
    if not clips:
        raise InputError(f"Common Voice: {table} lists no clip.")
    return clips
