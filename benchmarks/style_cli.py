"""``mien evaluate style`` and ``mien evaluate styles``."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.quality.pair import evaluate_style
from benchmarks.quality.style_bench import measure_styles
from benchmarks.quality.style_report import print_styles
from streaming.output_files import check_target
from streaming.progress import show_progress
from streaming.report import write_json
from streaming.styles import STYLES

_WIDTH: Final = 150

Report = Annotated[Path | None, typer.Option("--json", help="Write the figures here.", metavar="FILE")]
Cache = Annotated[Path | None, typer.Option(help="Folder for landmarks, measured once.", metavar="FOLDER")]


def style(
    reference: Annotated[Path, typer.Option(help="Clip whose style is meant.", metavar="CLIP")],
    generated: Annotated[Path, typer.Option(help="Clip to judge.", metavar="CLIP")],
    report: Report = None,
    cache: Cache = None,
) -> None:
    """Compare the style of two clips: SLD, SLV and SMD (equations 14 to 16)."""
    if report is not None:
        check_target(report, (reference, generated))
    with show_progress(sys.stderr, f"{reference.name}, {generated.name}") as display:
        scores = evaluate_style(reference, generated, cache=cache, progress=display.update)
    scores = {name: round(value, 6) for name, value in scores.items()}
    print("  ".join(f"{name.upper()} {value:.3f}" for name, value in scores.items()))
    if report is not None:
        write_json(report, dict(scores))


def styles(
    references: Annotated[Path, typer.Option(help="Clips named after styles: ballad.mp4 ...", metavar="FOLDER")],
    folder: Annotated[Path, typer.Option("--styles", help="Styles to measure.", metavar="FOLDER")] = STYLES,
    avatars: Annotated[str, typer.Option(help="Avatars, by comma.", metavar="NAMES")] = "ada,imani,ravi",
    nearest: Annotated[int, typer.Option(min=0, help="Clips in the test of the nearest style.")] = 40,
    draw: Annotated[Path | None, typer.Option(help="Draw the clips here and measure them.", metavar="FOLDER")] = None,
    report: Report = None,
    cache: Cache = None,
) -> None:
    """Hold styles against kept-out clips: SLD, SLV, SMD and lip sync against neutral's, and the nearest style."""
    if report is not None:
        check_target(report)
    with show_progress(sys.stderr, "measuring") as display:
        result = measure_styles(
            references,
            styles=folder,
            avatars=avatars.split(","),
            render=draw,
            nearest=nearest,
            cache=cache,
            say=lambda text: print(text, file=sys.stderr, flush=True),
            progress=display.update,
        )
    print_styles(result, Console(width=_WIDTH))
    if report is not None:
        write_json(report, result.to_json())
