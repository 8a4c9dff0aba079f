"""Tables of the bench of styles."""

from rich.console import Console
from rich.table import Table

from benchmarks.quality.style_bench import FIGURES, LEAST_GAIN, MOST_SYNC_LOST, StylesResult


def styles_table(result: StylesResult) -> Table:
    """Styles against neutral: a row for each style on each avatar, and the mean of the style."""
    table = Table(title="Nearer to the style's own kept-out clip than neutral is, on its sound", title_justify="left")
    for column in ("style", "avatar", *(figure.upper() for figure in FIGURES), "lip sync r", ""):
        table.add_column(column, justify="left" if column in ("style", "avatar", "") else "right")
    for name in result.styles:
        for row in (row for row in result.rows if row.style == name):
            pairs = [(getattr(row.neutral, figure), getattr(row.styled, figure)) for figure in FIGURES]
            table.add_row(name, row.avatar, *map(_change, pairs), f"{row.sync_neutral:.2f} → {row.sync_styled:.2f}")
        mean = result.mean(name)
        pairs = [(mean[f"{figure}_neutral"], mean[figure]) for figure in FIGURES]
        sync = f"{mean['sync_neutral']:.2f} → {mean['sync']:.2f}"
        table.add_row(name, "mean", *map(_change, pairs), sync, "ok" if holds(result, name) else "[bold red]short[/]")
        if "own_sld" in mean:
            pairs = [(mean[f"own_{figure}_neutral"], mean[f"own_{figure}"]) for figure in FIGURES]
            verdict = "ok" if holds(result, name, "own_") else "[bold red]short[/]"
            table.add_row("", "mean, manner alone", *map(_change, pairs), sync, verdict)
        table.add_section()
    return table


def holds(result: StylesResult, style: str, kind: str = "") -> bool:
    """Whether all three figures of a style are lower by the share that is asked for, and lip sync holds.

    Args:
        result: What was measured.
        style: Which.
        kind: ``own_`` for the reference's motion on the avatar's own landmarks.
    """
    mean = result.mean(style)
    near = all(mean[f"{kind}{figure}_gain"] >= LEAST_GAIN for figure in FIGURES)
    return near and mean["sync_neutral"] - mean["sync"] <= MOST_SYNC_LOST


def print_styles(result: StylesResult, console: Console) -> None:
    """Both tables, and what was left out."""
    console.print(styles_table(result))
    if result.guesses:
        console.print(nearest_table(result))
        manners = "" if result.right_manners is None else f"; by the manner alone in {result.right_manners}"
        console.print(f"nearest style right in {result.right} of {len(result.guesses)} clips{manners}")
    for sentence in result.skipped:
        console.print(f"left out: {sentence}")


def nearest_table(result: StylesResult) -> Table:
    """How many clips of each style lie nearest to which reference."""
    names = list(result.guesses[0].distances)
    table = Table(title="Nearest reference by SLD, SLV and SMD", title_justify="left")
    for column in ("made in", *names):
        table.add_column(column, justify="left" if column == "made in" else "right")
    for name in names:
        own = [guess for guess in result.guesses if guess.style == name]
        table.add_row(name, *(str(sum(guess.nearest == other for guess in own)) for other in names))
    return table


def _change(pair: tuple[float, float]) -> str:
    before, after = pair
    return f"{before:.3f} → {after:.3f} ({100 * (after / before - 1):+.0f} %)"
