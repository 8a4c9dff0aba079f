"""``mien style``: make a style of a clip, and look at one."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.artefacts.bundle import load_bundle
from engine.artefacts.style import load_style, save_style
from engine.errors import ConfigError, MissingExtraError
from engine.style_patterns import with_patterns

app = typer.Typer(no_args_is_help=True, help="Learn a manner of moving from a clip.")


@app.callback()
def _group() -> None:
    """Keeps ``create`` a command of its own name."""


@app.command()
def create(
    clip: Annotated[Path, typer.Argument(help="Video of one head that talks or sings, 15 s or so.", metavar="CLIP")],
    out: Annotated[Path, typer.Option(help="The style to write.", metavar="NAME.style")],
    name: Annotated[str | None, typer.Option(help="What to call it; by default the name of --out.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle to learn on; by default the one that ships.")] = None,
    preset: Annotated[str, typer.Option(help="strong; or paper, the schedule of the paper.")] = "strong",
    steps: Annotated[int | None, typer.Option(help="Steps of the motion generator (preset strong).")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a page with pictures and curves.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to torch.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any option as key=value (docs/styles.md).")
    ] = None,
) -> None:
    """Learn the manner of a clip: mouth, brows, head, blinks and gaze; some minutes on a CPU."""
    if out.suffix not in ("", ".style"):
        raise ConfigError(f"--out {out} must end in .style (or in nothing, for a folder).")
    _require_torch()
    from training.cli import build_config
    from training.reference_motion import read_reference
    from training.style_report import write_report
    from training.style_transfer import StyleSettings, transfer

    given: dict[str, Any] = {"name": name or out.stem, "preset": preset, "steps": steps, "threads": threads}
    options = build_config(StyleSettings, None, settings, **given, seed=seed)
    learned_on = load_bundle(bundle)
    with _Bar() as bar:
        reference = read_reference(clip, bar.show)
        made = transfer(reference, learned_on, options, bar.show)
    save_style(made.style, out)
    console = Console()
    console.print(_figures(made), soft_wrap=True)
    for note in made.notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    console.print(f"Wrote {out} ({_kilobytes(out):.0f} KB)", soft_wrap=True, markup=False, highlight=False)
    if report is not None:
        page = write_report(made, reference, report)
        console.print(f"Wrote {page}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def show(style: Annotated[Path, typer.Argument(help="The style.", metavar="NAME.style")]) -> None:
    """Say what a style holds."""
    found = load_style(style)
    manifest = found.manifest
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.add_row("name", manifest.name)
    table.add_row("bundle", manifest.bundle_sha256[:12])
    for part in (manifest.pose, manifest.life):
        for key, value in part.model_dump().items():
            table.add_row(key, str(value))
    table.add_row("reference images", str(len(found.references)))
    table.add_row("intermediate style pattern", "yes" if found.isp else "no")
    for key, text in manifest.provenance.items():
        table.add_row(key, text)
    Console().print(table)


@app.command()
def patterns(
    style: Annotated[Path, typer.Argument(help="The style.", metavar="NAME.style")],
    out: Annotated[Path, typer.Option(help="The style to write; may be the same.", metavar="NAME.style")],
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle that it belongs to; by default the one that ships.")
    ] = None,
) -> None:
    """Draw a style's Intermediate Style Pattern, anew or for the first time, from its own reference images."""
    if out.suffix not in ("", ".style"):
        raise ConfigError(f"--out {out} must end in .style (or in nothing, for a folder).")
    save_style(with_patterns(load_style(style), load_bundle(bundle)), out)
    said = f"Wrote {out} ({_kilobytes(out):.0f} KB)"
    Console().print(said, soft_wrap=True, markup=False, highlight=False)


class _Bar:
    """A progress bar whose line says what is being done."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description:<26}"), BarColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", total=1.0)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, what: str, share: float) -> None:
        """Say what is being done and how much of it is."""
        self._progress.update(self._task, description=what, completed=share)


def _figures(made: Any) -> Table:
    from training.style_report import ROWS, figure_rows

    table = Table("", "clip", "bundle", "style", "", box=None, pad_edge=False)
    for (words, unit, *values), (_, _, digits) in zip(figure_rows(made), ROWS.values(), strict=True):
        table.add_row(words, *(f"{value:.{digits}f}" for value in values), unit)
    return table


def _kilobytes(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.iterdir() if each.is_file()]
    return sum(each.stat().st_size for each in files) / 1000


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Learning a style needs PyTorch: pip install 'mien[train,avatar]'.") from error
