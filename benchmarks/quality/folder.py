"""Folders of pairs: which clips belong together, and their figures in one."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from benchmarks.lipsync import find_clips
from benchmarks.quality.pair import PairResult, Scores
from engine.errors import InputError


def find_pairs(reference: Path, generated: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    """The pairs of two files, or of two folders whose clips have the same names up to the suffix.

    Returns:
        Name, reference and generated clip of each pair, and a sentence for each clip that has no partner.

    Raises:
        InputError: One is a file and the other a folder, one is missing, or no names agree.
    """
    for path in (reference, generated):
        if not path.exists():
            raise InputError(f"There is no file or folder {path}; name a clip, or a folder of clips.")
    if reference.is_dir() != generated.is_dir():
        raise InputError(f"{reference} and {generated} must be two clips, or two folders of clips.")
    if not reference.is_dir():
        return [(generated.stem, reference, generated)], []
    ours, theirs = ({clip.stem: clip for clip in find_clips(folder)} for folder in (reference, generated))
    names = sorted(ours.keys() & theirs.keys())
    if not names:
        raise InputError(
            f"No clip of {generated} has the name of one in {reference}; name them alike (a.mp4 and a.mp4)."
        )
    alone = [f"{ours[name]} has no generated clip: not counted." for name in sorted(ours.keys() - theirs.keys())]
    alone += [f"{theirs[name]} has no reference: not counted." for name in sorted(theirs.keys() - ours.keys())]
    return [(name, ours[name], theirs[name]) for name in names], alone


def mean_scores(results: Sequence[PairResult]) -> Scores:
    """The mean of each figure over the pairs; of ``missing_faces`` the sum."""
    rows = [asdict(result.scores) for result in results]
    means = {figure.name: float(np.mean([row[figure.name] for row in rows])) for figure in fields(Scores)}
    missing = sum(result.scores.missing_faces for result in results)
    del means["missing_faces"]
    return Scores(**means, missing_faces=missing)
