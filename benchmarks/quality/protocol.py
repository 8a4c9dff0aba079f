"""The paper's protocol on a whole set: one portrait a clip, from its first picture, made to speak its own sound.

Each clip's result is a file of its own, so a run that was stopped goes on where it was; several clips are worked on at
once in processes of their own.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.datasets import SetClip
from benchmarks.quality.framing import FramedClip, frame_clip
from benchmarks.quality.methods import draw_engine, folder
from benchmarks.quality.pair import Scores, evaluate_pair
from benchmarks.quality.preprocess import write_prepared
from benchmarks.quality.tracks import load_track
from engine.errors import InputError, MienError
from models.spec import MAX_LOOKAHEAD
from streaming.report import write_json

Draw = Callable[[FramedClip, Path], None]
"""Makes the clip that is judged; must be picklable where several clips are worked on at once."""


@dataclass(frozen=True)
class Protocol:
    """How a set is run.

    Attributes:
        out: Folder for everything that is made.
        fps: Pictures a second of the cut clips (section 6.1: 60).
        lookahead: Of the engine, in frames of 1/60 s.
        bundle: Networks of the engine; those that ship by default.
        cache: Folder for landmarks.
        prepare: Also write skin masks and torso motion.
    """

    out: Path
    fps: int = 60
    lookahead: int = MAX_LOOKAHEAD
    bundle: Path | None = None
    cache: Path | None = None
    prepare: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a clip.

    Attributes:
        clip: As the set has it.
        scores: None where it was left out.
        cpbd_reference: Of the filmed clip, 0 to 1.
        reason: Why it was left out.
    """

    clip: SetClip
    scores: Scores | None
    cpbd_reference: float = 0.0
    reason: str = ""


def run_protocol(
    clips: Sequence[SetClip], protocol: Protocol, jobs: int = 1, draw: Draw | None = None
) -> Iterator[Outcome]:
    """Run a set.

    Args:
        clips: Of the set.
        protocol: How.
        jobs: Clips worked on at once.
        draw: By default what the engine makes with ``warp``.

    Yields:
        Each clip's outcome as it becomes known.

    Raises:
        MienError: What has nothing to do with one clip: models missing, nothing can be written.
    """
    work = partial(run_clip, protocol=protocol, draw=draw)
    if jobs <= 1:
        yield from map(work, clips)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(work, clip) for clip in clips]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_clip(clip: SetClip, protocol: Protocol, draw: Draw | None = None) -> Outcome:
    """Cut, imitate and measure one clip, or read what an earlier run has measured.

    Raises:
        MienError: As for ``run_protocol``.
    """
    stored = folder(protocol.out, "results") / f"{clip.name}.json"
    settings = {"fps": protocol.fps, "lookahead": protocol.lookahead, "bundle": str(protocol.bundle or "shipped")}
    earlier = _read(stored)
    if earlier is not None and earlier.get("settings") == settings:
        return Outcome(clip, Scores(**earlier["scores"]), earlier["cpbd_reference"])
    variant = f"{protocol.fps}-{protocol.lookahead}-{(protocol.bundle or Path('shipped')).name}"
    generated = folder(protocol.out, f"generated-{variant}") / f"{clip.name}.mp4"
    reference = folder(protocol.out, f"reference-{protocol.fps}") / f"{clip.name}.mp4"
    try:
        framed = frame_clip(clip.video, clip.sound, reference, clip.name, protocol.fps)
        if protocol.prepare:
            track = load_track(reference, protocol.cache)
            prepared = folder(protocol.out, f"prepared-{protocol.fps}") / f"{clip.name}.npz"
            write_prepared(reference, track, framed.avatar.matte, prepared)
        if draw is not None:
            draw(framed, generated)
        elif not generated.exists() or earlier is not None:
            draw_engine(framed, generated, protocol.bundle, protocol.lookahead)
        result = evaluate_pair(reference, generated, name=clip.name, cache=protocol.cache)
    except InputError as error:
        return Outcome(clip, None, reason=str(error))
    sharp = result.extras["cpbd_reference"]
    write_json(
        stored,
        {
            "settings": settings,
            "labels": clip.labels,
            "scores": asdict(result.scores),
            "cpbd_reference": sharp,
            "extras": result.extras,
            "warnings": list(result.warnings),
        },
    )
    return Outcome(clip, result.scores, sharp)


def summary(outcomes: Sequence[Outcome], labels: Sequence[str] = ()) -> dict[str, Any]:
    """Means over a set and over the clips of each label, as plain data.

    Args:
        outcomes: Of the clips.
        labels: Which of the set's labels to tell apart, such as ``channel``.

    Raises:
        MienError: No clip could be measured.
    """
    measured = [outcome for outcome in outcomes if outcome.scores is not None]
    if not measured:
        reasons = {outcome.reason for outcome in outcomes}
        raise MienError(f"None of {len(outcomes)} clips could be measured: {' '.join(sorted(reasons)[:3])}")
    groups: dict[str, dict[str, Any]] = {}
    for label in labels:
        values = sorted({outcome.clip.labels.get(label, "") for outcome in measured})
        groups[label] = {
            value: _mean([outcome for outcome in measured if outcome.clip.labels.get(label, "") == value])
            for value in values
        }
    skipped = {outcome.clip.name: outcome.reason for outcome in outcomes if outcome.scores is None}
    return {"mean": _mean(measured), "groups": groups, "skipped": skipped}


def _mean(outcomes: Sequence[Outcome]) -> dict[str, float]:
    rows = [asdict(outcome.scores) for outcome in outcomes if outcome.scores is not None]
    means = {name: round(float(np.mean([row[name] for row in rows])), 6) for name in rows[0]}
    means["missing_faces"] = sum(row["missing_faces"] for row in rows)
    sharp = float(np.mean([outcome.cpbd_reference for outcome in outcomes]))
    return {**means, "cpbd_reference": round(sharp, 6), "clips": len(rows)}


def _read(path: Path) -> dict[str, Any] | None:
    """An earlier result; None where it is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
        Scores(**content["scores"])
        float(content["cpbd_reference"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(content)
