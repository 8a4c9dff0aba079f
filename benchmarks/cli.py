"""``mien evaluate``: parses, measures, prints a table and writes JSON."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import lipsync as sync
from benchmarks.quality import gate as quality_gate
from benchmarks.quality import report as tables
from benchmarks.quality.datasets import SetClip, obama_clips, ravdess_clips, voxceleb2_clips
from benchmarks.quality.folder import find_pairs, mean_scores
from benchmarks.quality.judges import load_judges
from benchmarks.quality.methods import compare_methods
from benchmarks.quality.pair import evaluate_pair
from benchmarks.quality.paper import TABLE_2, TABLE_3, conditions
from benchmarks.quality.protocol import Protocol, run_protocol, summary
from benchmarks.quality.study import make_study, read_answers
from benchmarks.renderer_cli import obedience, reenact
from benchmarks.style_cli import style, styles
from engine.artefacts.bundle import load_bundle
from engine.errors import ConfigError, OutputError
from models.spec import MAX_LOOKAHEAD
from streaming.output_files import check_target
from streaming.progress import show_progress
from streaming.report import write_json

_WIDTH: Final = 150
"""Of tables; a terminal that is narrower wraps their lines, a file keeps them."""

app = typer.Typer(no_args_is_help=True, help="Measure quality on clips that were never trained on.")


app.command()(style)
app.command()(styles)
app.command()(reenact)
app.command()(obedience)

Reference = Annotated[Path | None, typer.Option(help="Filmed clip, or folder of clips.", metavar="FILE|FOLDER")]
Generated = Annotated[Path | None, typer.Option(help="Generated clip, or folder.", metavar="FILE|FOLDER")]
Report = Annotated[Path | None, typer.Option("--json", help="Write the figures here.", metavar="FILE")]
Sheet = Annotated[Path | None, typer.Option("--csv", help="Write all figures of all clips here.", metavar="FILE")]
Page = Annotated[Path | None, typer.Option("--html", help="Write a page with plots and worst frames.", metavar="FILE")]
Cache = Annotated[Path | None, typer.Option(help="Folder for landmarks, measured once.", metavar="FOLDER")]
SyncNetFile = Annotated[
    Path | None, typer.Option("--syncnet", help="SyncNet weights, for LSE-C and LSE-D.", metavar="FILE")
]
IdentityFile = Annotated[
    Path | None, typer.Option("--identity", help="Face embedding network (ONNX, 112x112).", metavar="FILE")
]


@app.callback(invoke_without_command=True)
def _group(
    ctx: typer.Context,
    reference: Reference = None,
    generated: Generated = None,
    report: Report = None,
    sheet: Sheet = None,
    page: Page = None,
    cache: Cache = None,
    syncnet: SyncNetFile = None,
    identity: IdentityFile = None,
) -> None:
    """Without a command: measure generated clips against their references, as `pair` does."""
    options = (reference, generated, report, sheet, page, cache, syncnet, identity)
    if ctx.invoked_subcommand is None:
        _pair(*options)
    elif any(option is not None for option in options):
        raise ConfigError(f"Give the options after the command: mien evaluate {ctx.invoked_subcommand} ...")


@app.command()
def pair(
    reference: Reference = None,
    generated: Generated = None,
    report: Report = None,
    sheet: Sheet = None,
    page: Page = None,
    cache: Cache = None,
    syncnet: SyncNetFile = None,
    identity: IdentityFile = None,
) -> None:
    """Measure generated clips against their references: all figures of the paper."""
    _pair(reference, generated, report, sheet, page, cache, syncnet, identity)


def _pair(
    reference: Path | None,
    generated: Path | None,
    report: Path | None,
    sheet: Path | None,
    page: Path | None,
    cache: Path | None,
    syncnet: Path | None,
    identity: Path | None,
) -> None:
    if reference is None or generated is None:
        raise ConfigError("Name what to compare: mien evaluate --reference REF --generated GEN.")
    for target in (report, sheet, page):
        if target is not None:
            check_target(target, (reference, generated))
    judges = load_judges(syncnet, identity)
    pairs, alone = find_pairs(reference, generated)
    results = []
    for number, (name, ours, theirs) in enumerate(pairs, 1):
        with show_progress(sys.stderr, f"{name} ({number} of {len(pairs)})") as display:
            results.append(evaluate_pair(ours, theirs, name=name, cache=cache, judges=judges, progress=display.update))
    mean = mean_scores(results)
    Console(width=_WIDTH).print(tables.terminal(results, mean, f"{generated} against {reference}"))
    for sentence in [*alone, *(f"{result.name}: {text}" for result in results for text in result.warnings)]:
        print(f"mien: warning: {sentence}", file=sys.stderr)
    if report is not None:
        tables.write_scores(report, mean)
    if sheet is not None:
        tables.write_csv(sheet, results)
    if page is not None:
        tables.write_text(page, tables.html_page(results, mean, alone))


@app.command()
def methods(
    clips: Annotated[Path, typer.Option(help="Folder of talking-head clips with sound.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option(help="Folder for the clips made.", metavar="FOLDER")] = Path("out/methods"),
    lookahead: Annotated[int, typer.Option(min=0, max=MAX_LOOKAHEAD, help="Frames (60 Hz) of audio seen ahead.")] = 18,
    bundle: Annotated[Path | None, typer.Option(help="Bundle to measure instead of the shipped one.")] = None,
    report: Report = None,
    page: Page = None,
    cache: Cache = None,
) -> None:
    """Measure a still picture, an RMS-driven mouth and this engine on the same clips and first frames."""
    for target in (report, page):
        if target is not None:
            check_target(target)
    with show_progress(sys.stderr, "measuring") as display:
        rows, skipped = compare_methods(
            clips,
            out,
            bundle=bundle,
            lookahead=lookahead,
            cache=cache,
            pictures=page is not None,
            say=lambda text: print(text, file=sys.stderr, flush=True),
            progress=display.update,
        )
    Console(width=_WIDTH).print(tables.by_method(rows, f"{len(rows[0].results)} clips of {clips}"))
    for sentence in skipped:
        print(f"mien: note: {sentence}", file=sys.stderr)
    if report is not None:
        write_json(report, tables.methods_json(rows, skipped))
    if page is not None:
        tables.write_text(page, tables.html_page(rows[-1].results, rows[-1].mean, skipped))


Root = Annotated[Path, typer.Option(help="Folder of the set, as its makers lay it out.", metavar="FOLDER")]
Frames = Annotated[int, typer.Option(min=1, max=60, help="Pictures a second; the paper's 60.")]
Lookahead = Annotated[int, typer.Option(min=0, max=MAX_LOOKAHEAD, help="Frames (60 Hz) of audio seen ahead.")]
Jobs = Annotated[int, typer.Option(min=1, help="Clips worked on at once.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many clips.")]


@app.command()
def ravdess(
    root: Root,
    out: Annotated[Path, typer.Option(help="Folder for what is made.", metavar="FOLDER")] = Path("out/ravdess"),
    channel: Annotated[str | None, typer.Option(help="speech or song alone.")] = None,
    fps: Frames = 60,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    jobs: Jobs = 1,
    limit: Limit = None,
    report: Report = None,
    cache: Cache = None,
) -> None:
    """The paper's protocol on RAVDESS, speech and song (Tables 2 and 3)."""
    if channel not in (None, "speech", "song"):
        raise ConfigError(f"The channel is speech or song, not {channel}.")
    protocol = Protocol(out, fps, lookahead, cache=cache)
    _protocol("ravdess", ravdess_clips(root, channel)[:limit], protocol, jobs, report, ("channel", "emotion"))


@app.command()
def voxceleb2(
    root: Root,
    out: Annotated[Path, typer.Option(help="Folder for what is made.", metavar="FOLDER")] = Path("out/voxceleb2"),
    split: Annotated[str, typer.Option(help="test or dev.")] = "test",
    fps: Frames = 60,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    jobs: Jobs = 1,
    limit: Limit = None,
    report: Report = None,
    cache: Cache = None,
) -> None:
    """The paper's protocol on VoxCeleb2."""
    if split not in ("test", "dev"):
        raise ConfigError(f"The split is test or dev, not {split}.")
    protocol = Protocol(out, fps, lookahead, cache=cache)
    _protocol("voxceleb2", voxceleb2_clips(root, split)[:limit], protocol, jobs, report)


@app.command()
def obama(
    root: Root,
    out: Annotated[Path, typer.Option(help="Folder for what is made.", metavar="FOLDER")] = Path("out/obama"),
    fps: Frames = 60,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    jobs: Jobs = 1,
    limit: Limit = None,
    report: Report = None,
    cache: Cache = None,
) -> None:
    """The paper's protocol on the Obama weekly addresses."""
    _protocol("obama", obama_clips(root)[:limit], Protocol(out, fps, lookahead, cache=cache), jobs, report)


def _protocol(
    name: str, clips: list[SetClip], protocol: Protocol, jobs: int, report: Path | None, labels: tuple[str, ...] = ()
) -> None:
    if report is not None:
        check_target(report)
    outcomes = []
    with show_progress(sys.stderr, name) as display:
        for outcome in run_protocol(clips, protocol, jobs):
            outcomes.append(outcome)
            display.update(len(outcomes), len(clips))
            if outcome.scores is None:
                print(f"mien: warning: {outcome.clip.name} is left out: {outcome.reason}", file=sys.stderr)
    result = summary(outcomes, labels)
    console = Console(width=_WIDTH)
    for table in (TABLE_2, TABLE_3):
        console.print(tables.beside_paper(table, result["mean"]))
    for label, groups in result["groups"].items():
        console.print(tables.by_label(label, groups))
    said = conditions(name, protocol.fps, result["mean"]["clips"], len(result["skipped"]))
    print("Comparable with the paper's rows only so far:")
    for sentence in said:
        print(f"- {sentence}")
    if report is not None:
        write_json(report, {"set": name, **result, "conditions": said})


@app.command()
def gate(
    clips: Annotated[Path, typer.Option(help="The evaluation clips.", metavar="FOLDER")],
    report: Report = None,
    cache: Cache = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the head's motion.")] = 0,
) -> None:
    """Hold what ships against the committed figures; exit code 1 if any is worse beyond the noise."""
    if report is not None:
        check_target(report)
    now = quality_gate.measure(clips, cache, seed, lambda text: print(text, file=sys.stderr, flush=True))
    verdicts = quality_gate.judge(now)
    table = Table(title="Quality of what ships", title_justify="left")
    for number, column in enumerate(("figure", "committed", "noise", "now", "")):
        table.add_column(column, justify="right" if 0 < number < 4 else "left")
    for verdict in verdicts:
        committed, word = verdict.committed, "[bold red]worse[/]" if verdict.worse else "ok"
        figures = (f"{value:.4f}" for value in (committed.value, committed.noise, verdict.now))
        table.add_row(f"{verdict.name} {'↑' if committed.higher else '↓'}", *figures, word)
    Console(width=_WIDTH).print(table)
    if report is not None:
        write_json(report, now)
    if any(verdict.worse for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def study(
    a: Annotated[Path | None, typer.Option(help="Clips of one method.", metavar="FOLDER")] = None,
    b: Annotated[Path | None, typer.Option(help="Clips of the other, of the same names.", metavar="FOLDER")] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for page and key.", metavar="FOLDER")] = None,
    styles: Annotated[
        Path | None, typer.Option(help="The styles' clips: makes it a study of style.", metavar="FOLDER")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of names and order.")] = 0,
    key: Annotated[Path | None, typer.Option(help="key.json of a study, to read answers.", metavar="FILE")] = None,
    answers: Annotated[Path | None, typer.Option(help="The participants' files.", metavar="FOLDER")] = None,
    report: Report = None,
) -> None:
    """Make the page of a user study (section 7.4), or read its answers back into means with confidence intervals."""
    if key is not None and answers is not None:
        ratings = read_answers(key, answers)
        table = Table(title="Mean of 1 to 4, 95 % confidence interval over participants", title_justify="left")
        for column in ("method", "participants", "question 1", "question 2", "question 3"):
            table.add_column(column)
        for method, row in ratings.items():
            cells = (f"{rating.mean:.2f} [{rating.low:.2f}, {rating.high:.2f}]".replace("[", "\\[") for rating in row)
            table.add_row(method, str(row[0].participants), *cells)
        Console(width=_WIDTH).print(table)
        if report is not None:
            write_json(report, {method: [asdict(rating) for rating in row] for method, row in ratings.items()})
        return
    if a is None or b is None or out is None:
        raise ConfigError("Give --a, --b and --out to make a study, or --key and --answers to read one.")
    if a.name == b.name:
        raise ConfigError(f"Both folders are called {a.name}: the key could not tell the methods apart.")
    count = make_study({a.name: a, b.name: b}, out, "style" if styles else "natural", styles, seed)
    print(f"{out / 'page' / 'index.html'}: {count} clips. Keep {out / 'key.json'} from the participants.")


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
