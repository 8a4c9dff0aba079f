"""The tables of self-reenactment, for a terminal."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.quality.own_frames import OWN_FIGURES, TAKEN
from benchmarks.quality.reenact import Reenacted, mean_figures
from benchmarks.quality.reenact_judge import FIGURES, HIGHER, Figures

_RATIO_WORDS = ("sharpness", "cpbd_ratio", "flicker_ratio")


def reenact_table(results: Sequence[Reenacted], *, closed: bool) -> Table:
    """One line for each renderer and clip, then the means; ``closed`` frames or the open ones."""
    frames = "closed" if closed else "open"
    count = sum(result.closed_frames if closed else result.open_frames for result in results)
    table = Table(title=f"Self-reenactment, {count} frames with the mouth {frames}", title_justify="left")
    for column in ("clip", "frames", "renderer"):
        table.add_column(column)
    for name in FIGURES:
        aim = "" if name in _RATIO_WORDS else "↑" if name in HIGHER else "↓"
        table.add_column(" ".join([*name.split("_"), aim]).strip(), justify="right")
    for result in results:
        own = result.closed_frames if closed else result.open_frames
        for name, figures in (result.closed if closed else result.opened).items():
            table.add_row(result.name, str(own), name, *_cells(figures))
    table.add_section()
    for name, figures in mean_figures([result.closed if closed else result.opened for result in results]).items():
        table.add_row("mean", str(count), name, *_cells(figures))
    return table


def own_frames_table(results: Sequence[Reenacted]) -> Table:
    """What the open mouths' L1 would be if drawn from the same person's frames at other moments."""
    table = Table(title="The same mouths laid in from the person's own other frames", title_justify="left")
    table.add_column("clip")
    for key in OWN_FIGURES:
        for name in TAKEN:
            table.add_column(f"{' '.join(key.split('_'))}, {name}", justify="right")
    rows = [(result.name, result.own) for result in results]
    for clip, own in [*rows, ("mean", mean_figures([own for _, own in rows]))]:
        if clip == "mean":
            table.add_section()
        table.add_row(clip, *[_number(own[name][key]) for key in OWN_FIGURES for name in TAKEN])
    return table


def notes(results: Sequence[Reenacted]) -> list[str]:
    """Sentences about faces that were not found."""
    said = []
    for result in results:
        if result.missing:
            said.append(f"{result.name}: no face in {result.missing} frames of the clip; they are left out.")
        said += [
            f"{result.name}: no face found again in {lost} frames of {name}; they take no part in its lmd."
            for name, lost in result.lost.items()
            if lost
        ]
    return said


def _cells(figures: Figures) -> list[str]:
    return [_number(figures[name]) for name in FIGURES]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
