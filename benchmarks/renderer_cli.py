"""``mien evaluate reenact`` and ``mien evaluate obedience``: how well renderers draw what they are asked to."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.bench_cli import SPEECH
from benchmarks.quality.methods import folder
from benchmarks.quality.obedience import LEAST_R, MOST_SHUT, Obeyed, measure_obedience
from benchmarks.quality.reenact import pick_renderers, reenact_clips, reenact_json
from benchmarks.quality.reenact_heads import reenact_heads
from benchmarks.quality.reenact_report import notes, own_frames_table, reenact_table
from benchmarks.recording import load_speech
from engine.artefacts.bundle import load_bundle
from engine.errors import ConfigError
from models.spec import SAMPLE_HZ
from streaming.avatars import resolve_avatar
from streaming.output_files import check_target
from streaming.progress import show_progress
from streaming.report import write_json

_WIDTH: Final = 150
"""Of tables; a terminal that is narrower wraps their lines, a file keeps them."""

Report = Annotated[Path | None, typer.Option("--json", help="Write the figures here.", metavar="FILE")]
Renderers = Annotated[str, typer.Option(help="tps, warp, lite, paper: by comma.", metavar="NAMES")]
BundlePath = Annotated[
    Path | None, typer.Option(help="Bundle with lite or paper; by default the shipped one.", metavar="FOLDER")
]


def reenact(
    clips: Annotated[
        Path | None, typer.Option(help="Folder of talking-head clips with sound.", metavar="FOLDER")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option(help="Folder of `mien train heads`: its people of the test split.", metavar="FOLDER")
    ] = None,
    renderer: Renderers = "tps,warp",
    bundle: BundlePath = None,
    out: Annotated[Path, typer.Option(help="Folder for the framed clips.", metavar="FOLDER")] = Path("out/reenact"),
    every: Annotated[int, typer.Option(min=1, help="Judge every so many frames of a clip.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    sheets: Annotated[int, typer.Option(min=0, help="Of each clip, write so many frames beside the truth.")] = 0,
    report: Report = None,
) -> None:
    """Move a clip's first picture, or a rendered person's, by its own landmarks; measure each renderer against it."""
    if report is not None:
        check_target(report)
    if (clips is None) == (heads is None):
        raise ConfigError("Give --clips or --heads, one of them: filmed clips, or rendered people.")
    chosen = pick_renderers(renderer, load_bundle(bundle))
    with show_progress(sys.stderr, "measuring") as display:
        if clips is not None:
            results, skipped = reenact_clips(
                clips, out, chosen, every=every, sheets=sheets, say=_say, progress=display.update
            )
        else:
            assert heads is not None
            results, skipped = reenact_heads(
                heads, out, chosen, limit=limit, sheets=sheets, say=_say, progress=display.update
            )
    for closed in (False, True):
        Console(width=_WIDTH).print(reenact_table(results, closed=closed))
    Console(width=_WIDTH).print(own_frames_table(results))
    for sentence in [*skipped, *notes(results)]:
        print(f"mien: note: {sentence}", file=sys.stderr)
    if report is not None:
        write_json(report, reenact_json(results, skipped, every))


def obedience(
    avatar: Annotated[list[str], typer.Option(help="A shipped name, an .avatar file or a picture.", metavar="NAME")],
    renderer: Renderers = "warp",
    bundle: BundlePath = None,
    speech: Annotated[Path, typer.Option(help="What they say.", metavar="FILE")] = SPEECH,
    seconds: Annotated[float, typer.Option(min=1, help="How much of it.")] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a sheet of each: seven looks, a row a renderer.", metavar="FOLDER")
    ] = None,
    report: Report = None,
) -> None:
    """Is what is commanded drawn: lips that open, found again in the picture, and lids that close."""
    if report is not None:
        check_target(report)
    networks = load_bundle(bundle)
    results = measure_obedience(
        [resolve_avatar(name) for name in avatar],
        pick_renderers(renderer, networks),
        networks,
        load_speech(speech)[: round(seconds * SAMPLE_HZ)],
        sheets=None if out is None else folder(out, ""),
        say=_say,
    )
    Console(width=_WIDTH).print(obedience_table(results))
    if report is not None:
        write_json(report, obedience_json(results))


def obedience_table(results: list[Obeyed]) -> Table:
    """A line for each portrait and renderer."""
    table = Table(title=f"Commanded and drawn: r at least {LEAST_R}, shut under {MOST_SHUT}", title_justify="left")
    for column in ("portrait", "renderer", "frames", "lost"):
        table.add_column(column)
    for column in ("lips r", "gain", "eyes shut / open", "across"):
        table.add_column(column, justify="right")
    table.add_column("holds")
    for one in results:
        numbers = ["-" if value is None else f"{value:.3f}" for value in (one.r, one.gain, one.shut, one.shut_across)]
        table.add_row(one.name, one.renderer, str(one.frames), str(one.lost), *numbers, "yes" if one.holds else "no")
    return table


def obedience_json(results: list[Obeyed]) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "portraits": [{**vars(one), "holds": one.holds} for one in results],
        "least_r": LEAST_R,
        "most_shut": MOST_SHUT,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
