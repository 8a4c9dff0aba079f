"""Shards: about ten minutes of utterances in one npz file, written once and read back exactly."""

import multiprocessing
import os
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.errors import ArtefactError, ConfigError, OutputError
from models.spec import SAMPLE_HZ
from training.corpus.phones import PHONE_NAMES
from training.corpus.speech import SpeechSource
from training.corpus.utterance import Phone, Utterance

SHARD_SECONDS: Final = 600.0
_INDEX_STRIDE: Final = 1_000_000
"""Utterance indices of one shard: far more than fit, so that shards never share one."""


def write_shards(out: Path, hours: float, seed: int, workers: int = 1) -> list[Path]:
    """Write a corpus of ``hours`` as shards ``speech_NNNNN.npz`` in ``out``.

    Shard k depends on the seed and k alone. Shards that exist are kept, so an interrupted run can be repeated.

    Args:
        out: Folder, made where it is missing.
        hours: Length of the corpus; the number of shards is rounded up.
        seed: Seed of the corpus.
        workers: Processes that write at the same time.

    Returns:
        The shards' paths in order.

    Raises:
        ConfigError: ``hours`` or ``workers`` is not positive.
        OutputError: The folder cannot be written.
    """
    if hours <= 0.0 or workers < 1:
        raise ConfigError("A corpus needs a positive number of hours and at least one worker.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write the corpus to {out}: {error.strerror or error}.") from error
    paths = [shard_path(out, index) for index in range(int(np.ceil(hours * 3600.0 / SHARD_SECONDS)))]
    missing = [index for index, path in enumerate(paths) if not path.is_file()]
    columns = (TextColumn("speech"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("speech", total=len(paths), completed=len(paths) - len(missing))
        for _ in _run(partial(write_shard, out, seed), missing, workers):
            progress.advance(task)
    return paths


def shard_path(out: Path, index: int) -> Path:
    """Where shard ``index`` lies."""
    return out / f"speech_{index:05d}.npz"


def write_shard(out: Path, seed: int, index: int, seconds: float = SHARD_SECONDS) -> Path:
    """Write shard ``index`` with at least ``seconds`` of speech; it appears under its name when it is complete.

    Raises:
        OutputError: The file cannot be written.
    """
    source = SpeechSource(seed)
    utterances: list[Utterance] = []
    total = 0
    while total < seconds * SAMPLE_HZ:
        utterances.append(source.utterance(index * _INDEX_STRIDE + len(utterances)))
        total += len(utterances[-1].audio)
    path = shard_path(out, index)
    # The process id keeps two runs on one folder apart.
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial_path.open("wb") as file:
            np.savez(file, **_pack(utterances))  # type: ignore[arg-type]
        os.replace(partial_path, path)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def read_shard(path: Path) -> list[Utterance]:
    """All utterances of a shard.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return list(_unpack({key: arrays[key] for key in arrays.files}))
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} is not a speech shard or is damaged; delete it and make it again.") from error


def _pack(utterances: list[Utterance]) -> dict[str, np.ndarray]:
    phones = [phone for u in utterances for phone in u.phones]
    index = {name: k for k, name in enumerate(PHONE_NAMES)}
    return {
        "audio": np.concatenate([np.rint(np.clip(u.audio, -1, 1) * 32767).astype(np.int16) for u in utterances]),
        "audio_ends": np.cumsum([len(u.audio) for u in utterances]),
        "phone_ends": np.cumsum([len(u.phones) for u in utterances]),
        "phone_symbols": np.array([index[p.symbol] for p in phones], np.uint8),
        "phone_end_s": np.array([p.end_s for p in phones], np.float64),
        "phone_stress": np.array([p.stress for p in phones], np.uint8),
        "names": np.array(PHONE_NAMES),
        "voices": np.array([u.voice for u in utterances]),
        "texts": np.array([u.text for u in utterances]),
    }


def _unpack(arrays: dict[str, np.ndarray]) -> Iterator[Utterance]:
    names = [str(name) for name in arrays["names"]]
    audio_start = phone_start = 0
    for row, (audio_end, phone_end) in enumerate(zip(arrays["audio_ends"], arrays["phone_ends"], strict=True)):
        audio = arrays["audio"][audio_start:audio_end].astype(np.float32) / 32767.0
        phones = []
        start_s = 0.0
        for k in range(phone_start, int(phone_end)):
            end_s = float(arrays["phone_end_s"][k])
            phones.append(Phone(names[arrays["phone_symbols"][k]], start_s, end_s, int(arrays["phone_stress"][k])))
            start_s = end_s
        yield Utterance(audio, phones, str(arrays["voices"][row]), str(arrays["texts"][row]))
        audio_start, phone_start = int(audio_end), int(phone_end)


def _run(job: "partial[Path]", indices: list[int], workers: int) -> Iterator[Path]:
    if workers == 1:
        yield from map(job, indices)
        return
    # Spawned: a forked child would share the synthesisers' state with its parent.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(job, indices)
