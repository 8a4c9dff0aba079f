"""What an evaluation writes: JSON for machines, CSV for tables, one HTML page for people."""

import base64
import csv
import io
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks import charts
from benchmarks.bench_report import STYLE, html_table
from benchmarks.quality.methods import MethodRow, best_of
from benchmarks.quality.pair import PairResult, Scores
from benchmarks.quality.paper import PaperTable
from engine.errors import OutputError
from streaming.output_files import reserve_partial
from streaming.report import write_json

COLUMNS: Final[dict[str, str]] = {
    "cpbd": "CPBD ↑",
    "lmd": "LMD px ↓",
    "dl_percent": "D-L % ↓",
    "dv_percent": "D-V % ↓",
    "da_percent": "D-A % ↓",
    "sld": "SLD ↓",
    "slv": "SLV ↓",
    "smd": "SMD ↓",
    "lipsync_r0": "lip sync r ↑",
    "av_offset_frames": "A/V offset, frames",
    "missing_faces": "no face",
}
_DIGITS: Final = 6
_HIGHER: Final = ("cpbd", "lipsync_r0")
_UNRANKED: Final = ("av_offset_frames", "missing_faces")
_EXPLAINED: Final = (
    "CPBD: share of edges without visible blur, of the generated pictures. LMD: mouth points about their centroid, px "
    "at 512x512. D-L, D-V: landmarks and their velocities, % of the face width. D-A: open mouth's area, % of the "
    "largest. SLD, SLV, SMD: the same against the best matching window, mean over F = 1..100, v = 1..20. Lip sync: "
    "Pearson r of the lip openings, high-passed at 0.8 s; offset positive: the lips are late."
)


def rounded(scores: Scores) -> dict[str, float | int]:
    """The figures with six digits after the point, and whole offsets as whole numbers."""
    values: dict[str, float | int] = {}
    for name, value in asdict(scores).items():
        number = round(value, _DIGITS)
        values[name] = (
            int(number) if name in ("av_offset_frames", "missing_faces") and number == int(number) else number
        )
    return values


def write_scores(path: Path, scores: Scores) -> None:
    """Write the machine-readable report: exactly the figures of ``Scores``.

    Raises:
        OutputError: The place cannot be written.
    """
    # JSON has no infinity; D-A against a mouth that never opens is one.
    write_json(path, {k: v if math.isfinite(v) else None for k, v in rounded(scores).items()})


def write_csv(path: Path, results: Sequence[PairResult]) -> None:
    """Write a table with a row for each pair and a column for each figure.

    Raises:
        OutputError: The place cannot be written.
    """
    rows = [result.flat() for result in results]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file that appears under its name only when complete.

    Raises:
        OutputError: The place cannot be written.
    """
    partial = reserve_partial(path)
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def terminal(results: Sequence[PairResult], mean: Scores, title: str) -> Table:
    """The figures as a table for ``rich``, the mean of several pairs below."""
    table = Table(title=title, title_justify="left")
    table.add_column("clip")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(result.name, *cells(result.scores))
    if len(results) > 1:
        table.add_section()
        table.add_row("mean", *cells(mean))
    return table


def cells(scores: Scores) -> list[str]:
    """The figures as text, in the order of ``COLUMNS``."""
    values = asdict(scores)
    return [f"{values[name]:{'.0f' if name == 'missing_faces' else '+.4g' if 'offset' in name else '.3f'}}"
            for name in COLUMNS]  # fmt: skip


def by_method(rows: Sequence[MethodRow], title: str) -> Table:
    """The methods' means as a table for ``rich``; the best of each figure in bold."""
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    best = {name: best_of(rows, name, higher=name in _HIGHER) for name in COLUMNS if name not in _UNRANKED}
    for row in rows:
        shown = zip(COLUMNS, cells(row.mean), strict=True)
        table.add_row(
            row.method, *(f"[bold]{text}[/]" if best.get(name) == row.method else text for name, text in shown)
        )
    return table


def beside_paper(paper: PaperTable, mean: dict[str, float]) -> Table:
    """One of the paper's tables with our rows below.

    Args:
        paper: The table.
        mean: Our means by figure, and ``cpbd_reference``.
    """
    table = Table(title=paper.title, title_justify="left")
    table.add_column("method")
    for figure in paper.figures:
        table.add_column(COLUMNS[figure], justify="right")
    for method, values in paper.rows:
        table.add_row(method, *(f"{value:.2f}" for value in values))
    table.add_section()
    if "cpbd" in paper.figures:
        truth = {**dict.fromkeys(paper.figures, 0.0), "cpbd": mean["cpbd_reference"]}
        table.add_row("here: ground truth", *(f"{truth[figure]:.2f}" for figure in paper.figures))
    table.add_row("here: this engine, warp", *(f"{mean[figure]:.2f}" for figure in paper.figures))
    return table


def by_label(label: str, groups: dict[str, dict[str, float]]) -> Table:
    """Means of the clips of each kind."""
    table = Table(title=f"by {label}", title_justify="left")
    table.add_column(label)
    for heading in ("clips", *COLUMNS.values()):
        table.add_column(heading, justify="right")
    for value, mean in groups.items():
        table.add_row(value or "-", str(mean["clips"]), *(f"{mean[name]:.3f}" for name in COLUMNS))
    return table


def methods_json(rows: Sequence[MethodRow], skipped: Sequence[str]) -> dict[str, Any]:
    """The methods' figures as plain data: mean and clip by clip."""
    return {
        "methods": {
            row.method: {
                "mean": rounded(row.mean),
                "clips": {result.name: rounded(result.scores) | result.extras for result in row.results},
            }
            for row in rows
        },
        "best": {name: best_of(rows, name, higher=name in _HIGHER) for name in COLUMNS if name not in _UNRANKED},
        "skipped": list(skipped),
    }


def html_page(results: Sequence[PairResult], mean: Scores, notes: Sequence[str] = ()) -> str:
    """One self-contained page: figures, distributions, and for each clip curves and its worst pictures.

    Args:
        results: Of the pairs.
        mean: Of all.
        notes: Sentences about the whole, such as clips without a partner.
    """
    count = f"{len(results)} clip{'s' if len(results) > 1 else ''}"
    body = [f"<h1>Talking head against its reference</h1><p>{count}. {escape(_EXPLAINED)}</p>"]
    body += [f"<p><b>{escape(note)}</b></p>" for note in notes]
    figures = zip(COLUMNS.values(), cells(mean), strict=True)
    body.append(
        '<div class="figures">'
        + "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in figures)
        + "</div>"
    )
    rows = [(result.name, *cells(result.scores)) for result in results]
    body.append(_section("Clips", "", html_table(("clip", *COLUMNS.values()), rows)))
    for key, title, unit in (("dl_percent", "D-L", "%"), ("lmd", "LMD", "px")):
        values = [value for result in results for value in result.series[key]]
        plot = charts.histogram(values, {"mean": sum(values) / len(values)}, unit, least_span=0.1)
        body.append(_section(f"Distribution of {title}", "Of all pictures of all clips.", plot))
    body += [_clip(result) for result in results]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mien evaluate</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}'
        "body{max-width:1040px}figure{display:inline-block;margin:0 12px 12px 0}"
        "img{display:block;border-radius:6px;max-width:100%}"
        f"figcaption{{color:var(--soft);font-size:13px}}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _clip(result: PairResult) -> str:
    series = result.series
    times = series["time_s"]
    opening = {
        "reference": list(zip(times, (100 * v for v in series["opening_reference"]), strict=True)),
        "generated": list(zip(times, (100 * v for v in series["opening_generated"]), strict=True)),
    }
    parts = [f"<p>{escape(warning)}</p>" for warning in result.warnings]
    parts.append("<p>Opening of the inner lips, % of the face's height</p>" + charts.traces(opening, "s", "%"))
    distance = {"D-L": list(zip(times, series["dl_percent"], strict=True))}
    parts.append("<p>Landmark distance, % of the face width</p>" + charts.traces(distance, "s", "%"))
    if result.worst:
        parts.append("<p>Worst pictures by landmark distance: reference (green), generated (blue)</p>")
    for frame in result.worst:
        data = base64.b64encode(frame.jpeg).decode("ascii")
        caption = f"{frame.time_s:.2f} s, D-L {frame.dl_percent:.2f} %"
        picture = f'<img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        parts.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    rows = [(name, f"{value:.4g}") for name, value in result.extras.items()]
    parts.append(html_table(("further figure", "value"), rows))
    return _section(result.name, "", "".join(parts))


def _section(title: str, text: str, content: Any) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{content}</section>"
