"""``mien evaluate``: parses, measures, prints a table and writes JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import lipsync as sync
from engine.artefacts.bundle import load_bundle
from engine.errors import OutputError
from models.spec import MAX_LOOKAHEAD

app = typer.Typer(no_args_is_help=True, help="Measure quality on clips that were never trained on.")


@app.callback()
def _group() -> None:
    """Keeps the group a group while it has one command."""


@app.command()
def lipsync(
    clips: Annotated[Path, typer.Option(help="Folder of talking-head clips with sound.")],
    lookahead: Annotated[int, typer.Option(min=0, max=MAX_LOOKAHEAD, help="Frames (60 Hz) of audio seen ahead.")] = 18,
    curve: Annotated[bool, typer.Option(help="Also measure lookahead 0, 3, 6, 9, 12 and 18.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="Bundle to measure instead of the shipped one.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Compare the predicted opening of the lips with the filmed one."""
    console = Console()
    loaded = load_bundle(bundle)
    measured = [
        sync.measure_clip(path)
        for path in track(sync.find_clips(clips), description="measuring clips", console=console, transient=True)
    ]
    predictions = {clip.name: sync.predict_opening(loaded, clip, lookahead) for clip in measured}
    scores = {clip.name: sync.score(predictions[clip.name], clip.opening, clip.fps) for clip in measured}
    rms = [sync.score(sync.rms_envelope(clip), clip.opening, clip.fps) for clip in measured]
    baselines: dict[str, Any] = {"rms": {"mean_r0": _mean([s.r0 for s in rms])}}
    ridge = None
    if len(measured) > 1:
        predicted = sync.ridge_leave_one_out(measured)
        ridge = [sync.score(p, c.opening, c.fps, filtered=True) for p, c in zip(predicted, measured, strict=True)]
        baselines["ridge_loo"] = {"mean_r0": _mean([s.r0 for s in ridge])}

    table = Table(title=f"Lip sync, lookahead {lookahead} frames: Pearson r of inner-lip opening")
    for column in ("clip", "r at lag 0", "best lag", "r there", "no face", "RMS", "ridge, leave one out"):
        table.add_column(column, justify="left" if column == "clip" else "right")
    for i, clip in enumerate(measured):
        score = scores[clip.name]
        table.add_row(
            clip.name,
            f"{score.r0:.3f}",
            f"{score.best_lag_frames:+d}",
            f"{score.best_r:.3f}",
            str(clip.faceless),
            f"{rms[i].r0:.3f}",
            f"{ridge[i].r0:.3f}" if ridge else "-",
        )
    result: dict[str, Any] = {
        "lookahead": lookahead,
        "mean_r0": _mean([s.r0 for s in scores.values()]),
        "mean_best_lag_frames": _mean([s.best_lag_frames for s in scores.values()]),
        "clips": [
            {"name": clip.name, **asdict(scores[clip.name]), "faceless": clip.faceless, "pictures": len(clip.opening)}
            for clip in measured
        ],
        "baselines": baselines,
    }
    table.add_section()
    table.add_row(
        "mean",
        f"{result['mean_r0']:.3f}",
        f"{result['mean_best_lag_frames']:+.2f}",
        f"{_mean([s.best_r for s in scores.values()]):.3f}",
        str(sum(clip.faceless for clip in measured)),
        f"{baselines['rms']['mean_r0']:.3f}",
        f"{baselines['ridge_loo']['mean_r0']:.3f}" if ridge else "-",
    )
    console.print(table)
    if curve:
        result["curve"] = {}
        for frames in (0, 3, 6, 9, 12, 18):
            r0 = [sync.score(sync.predict_opening(loaded, c, frames), c.opening, c.fps).r0 for c in measured]
            result["curve"][str(frames)] = _mean(r0)
            console.print(f"lookahead {frames:2d} frames ({frames * 1000 / 60:3.0f} ms): mean r {_mean(r0):.3f}")
    if report:
        try:
            report.write_text(json.dumps(result, indent=2) + "\n")
        except OSError as error:
            raise OutputError(f"Cannot write {report}: {error.strerror or error}.") from error


def _mean(values: list[float] | list[int]) -> float:
    return round(float(np.mean(values)), 4)
