"""A benchmark's report for people: a table on the terminal, and a page of one file with plots."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks import charts
from benchmarks.comparison import Change

Report = dict[str, Any]

STYLE = """
:root{--fg:#1d2330;--soft:#667085;--bg:#fbfbfd;--card:#fff;--line:#e3e6ec;
--a:#3b6fd4;--b:#a9c2f0;--c:#e0912f;--d:#c2453c;--e:#4f9d69}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ef;--soft:#98a2b3;--bg:#12151c;--card:#1a1e27;--line:#2c3340;
--a:#7aa2f0;--b:#35507f;--c:#e5a657;--d:#ee7e74;--e:#7cc597}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg)}
body{margin:0 auto;max-width:820px;padding:32px 20px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:16px;margin:0 0 8px}p{color:var(--soft);margin:0 0 12px}
section,.figures div{background:var(--card);border:1px solid var(--line);border-radius:10px}
section{padding:18px 20px;margin:18px 0;overflow-x:auto}
.figures{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}.figures div{padding:10px 16px;min-width:120px}
.figures b{display:block;font-size:22px}.figures span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:4px 8px;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}.worse{color:var(--d);font-weight:600}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--soft)}
svg text.mark{fill:var(--d);stroke:var(--card);stroke-width:4px;paint-order:stroke}
.grid{stroke:var(--line)}.bar,.part0{fill:var(--a)}.faint,.part1{fill:var(--b)}.part2{fill:var(--c)}.part3{fill:var(--e)}
.dots{stroke:var(--a);stroke-width:3;stroke-linecap:round;fill:none}line.mark{stroke:var(--d);stroke-dasharray:4 3}
.event,.max{stroke:var(--d);stroke-width:2}.p99{stroke:var(--c);stroke-width:2}
.line0{stroke:var(--a)}.line1{stroke:var(--c)}.line2{stroke:var(--e)}.line3{stroke:var(--d)}
path[class^=line]{fill:none;stroke-width:2}circle{fill:var(--card);stroke-width:2}
"""

_PUSHED = ("first_frame_ms", "lips_ms", "mouth_at_rest_ms", "queues_empty_ms", "sound_after_ms")

_TITLES = {
    "latency": "Mouth to frame",
    "lookahead": "Latency by lookahead",
    "throughput": "Sessions side by side",
    "pushed": "Pushed speech",
    "soak": "A long session",
    "webrtc": "Mouth to glass in a browser",
    "calls": "Calls side by side, and visitors who come and go",
    "styles": "Styles changed in a running session",
}


def terminal(report: Report, changes: Sequence[Change] = ()) -> RenderableType:
    """The report as tables for ``rich``.

    Args:
        report: As a scenario gave it.
        changes: Against an earlier report, if compared.
    """
    main = Table(title=f"mien bench {report['scenario']}", title_justify="left")
    main.add_column("figure")
    main.add_column("value", justify="right")
    for name, value in _figures(report):
        main.add_row(name, value)
    tables: list[RenderableType] = [main]
    for title, head, rows in _tables(report):
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(head):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    if changes:
        table = Table(title="against the earlier report", title_justify="left")
        for number, column in enumerate(("figure", "then", "now", "allowed", "")):
            table.add_column(column, justify="right" if number else "left")
        for change in changes:
            verdict = "[bold red]worse[/]" if change.regressed else "ok"
            table.add_row(change.name, f"{change.old:g}", f"{change.new:g}", f"{change.limit:g}", verdict)
        tables.append(table)
    return Group(*tables)


def html_page(report: Report, changes: Sequence[Change] = ()) -> str:
    """The report as one self-contained page with inline SVG plots.

    Args:
        report: As a scenario gave it.
        changes: Against an earlier report, if compared.
    """
    machine, settings = report["machine"], report["settings"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; {machine['system']}"
    what = f"{settings['fps']} fps, lookahead {settings['lookahead']} frames, {settings['seconds']:g} s"
    body = [f"<h1>{_TITLES[report['scenario']]}</h1><p>{escape(what)}. {escape(where)}.</p>"]
    figures = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in _figures(report))
    body.append(f'<div class="figures">{figures}</div>')
    for title, text, plot in _plots(report):
        body.append(f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p>{plot}</section>")
    for title, head, rows in _tables(report):
        body.append(f"<section><h2>{escape(title)}</h2>{html_table(head, rows)}</section>")
    if changes:
        rows = [(c.name, f"{c.old:g}", f"{c.new:g}", f"{c.limit:g}", "worse" if c.regressed else "ok") for c in changes]
        head = ("figure", "then", "now", "allowed", "")
        body.append(f"<section><h2>Against the earlier report</h2>{html_table(head, rows)}</section>")
    rows = [(key, str(value)) for key, value in {**settings, **_flat(machine)}.items()]
    body.append(f"<section><h2>Settings and machine</h2>{html_table(('what', 'value'), rows)}</section>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mien bench {report["scenario"]}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    """The few numbers that matter, named."""
    scenario = report["scenario"]
    if scenario == "latency":
        frame = report["mouth_to_frame_ms"]
        yield "budget", f"{report['budget_ms']:.1f} ms"
        yield "mouth to frame, p50", f"{frame['p50']:.1f} ms"
        yield "mouth to frame, p99", f"{frame['p99']:.1f} ms"
        yield "mouth to frame, max", f"{frame['max']:.1f} ms"
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
        yield "interval jitter, p99", f"{report['interval_jitter_ms']['p99']:.2f} ms"
        impulse = report["impulse_ms"]
        yield "syllables answered", f"{impulse['answered']} of {impulse['syllables']}"
        yield "syllable to moving lips, p50", f"{impulse['p50']:.0f} ms"
        if "lips" in impulse:
            yield "of it, the lips' own lag", f"{impulse['lips']['p50']:+.0f} ms"
            yield "of it, latency, p50", f"{impulse['latency']['p50']:.1f} ms"
            yield "latency of a syllable, max", f"{impulse['latency']['max']:.1f} ms"
        yield "A/V offset, max", f"{report['av_offset_ms']['max']:.1f} ms"
        yield "sound gaps", str(report["gaps"])
    elif scenario == "throughput":
        yield "sessions admitted", str(report["sessions_admitted"])
        yield "at", f"{report['fps']} fps"
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
        yield "p99 beyond budget, worst session", f"{report['beyond_budget_ms']['max']:+.1f} ms"
        yield "ladder steps", str(report["ladder_steps"])
    elif scenario == "pushed":
        yield "budget", f"{report['budget_ms']:.1f} ms"
        yield "utterances answered", f"{report['answered']} of {report['utterances']}"
        yield "interruptions that came to rest", f"{report['rested']} of {report['interrupted']}"
        yield "320 ms of speech to first frame, p50", f"{report['first_frame_ms']['p50']:.1f} ms"
        yield "to first frame, max", f"{report['first_frame_ms']['max']:.1f} ms"
        yield "interruption to mouth at rest, p50", f"{report['mouth_at_rest_ms']['p50']:.1f} ms"
        yield "to mouth at rest, max", f"{report['mouth_at_rest_ms']['max']:.1f} ms"
        yield "to empty queues, max", f"{report['queues_empty_ms']['max']:.1f} ms"
        yield "sound after an interruption, max", f"{report['sound_after_ms']['max']:.1f} ms"
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
    elif scenario == "soak":
        growth = report["rss_growth_mb"]
        yield "memory growth", "not known here" if growth is None else f"{growth:.1f} MB"
        yield "A/V offset, max", f"{report['av_offset_ms']['max']:.1f} ms"
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
        yield "drift", f"{report['drift_ppm']:.1f} ppm"
    elif scenario == "webrtc":
        glass, offset = report["mouth_to_glass_ms"], report["av_offset_ms"]
        yield "budget", f"{report['budget_ms']:.1f} ms"
        yield "mouth to glass, p50", f"{glass['p50']:.1f} ms"
        yield "mouth to glass, p95", f"{glass['p95']:.1f} ms"
        yield "beyond the budget, p95", f"{glass['p95'] - report['budget_ms']:+.1f} ms"
        yield "A/V offset, p50", f"{offset['p50']:+.1f} ms"
        yield "A/V offset, p5 to p95", f"{offset['p5']:+.1f} to {offset['p95']:+.1f} ms"
        yield "frames received", f"{report['fps_received']:.2f} fps"
        yield "freezes", str(report["freezes"])
        yield "frames missed by the engine", str(report["missed_frames"])
    elif scenario == "calls":
        came, refusal = report["coming_and_going"], report["refusal"]
        yield "sessions taken", str(report["sessions_admitted"])
        yield "the next one", "not asked for" if refusal is None else f"{refusal['status']}"
        yield "at", f"{report['fps']} fps"
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
        yield "ladder steps", str(report["ladder_steps"])
        yield "came and went", str(came["cycles"])
        yield "connections left", str(came["connections_left"])
        growth = came["memory_growth_mb"]
        yield "memory growth", "not known here" if growth is None else f"{growth:+.1f} MB"
        yield "threads", "not known here" if growth is None else f"{came['threads_growth']:+d}"
    elif scenario == "styles":
        yield "changes of style", str(report["switches"])
        yield "a change takes, p50", f"{report['change_ms']['p50']:.0f} ms"
        yield "a change takes, max", f"{report['change_ms']['max']:.0f} ms"
        yield "sessions beside it", str(report["companions"])
        yield "missed frames", f"{report['missed_frames']} of {report['frames']}"
        yield "of them within a second of a change", str(report["missed_at_switches"])
        yield "ladder steps", str(report["ladder_steps"])
    else:
        for frames, run in report["runs"].items():
            yield f"lookahead {frames}: p99 of {run['budget_ms']:.0f} ms", f"{run['mouth_to_frame_ms']['p99']:.1f} ms"


def _tables(report: Report) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, head and rows."""
    quantiles = ("p50", "p95", "p99", "max")
    if report["scenario"] == "pushed":
        names = {name: name.removesuffix("_ms").replace("_", " ") for name in _PUSHED}
        rows = [(text, *(f"{report[name][q]:.1f}" for q in quantiles)) for name, text in names.items()]
        yield "pushed speech, ms", ("until", *quantiles), rows
    if report["scenario"] in ("latency", "pushed", "webrtc"):
        rows = [(name, *(f"{row[q]:.2f}" for q in quantiles)) for name, row in report["stages"].items()]
        yield "stages, ms", ("stage", *quantiles), rows
    if report["scenario"] in ("latency", "pushed", "webrtc"):
        yield "budget, ms", ("part", "ms"), [(name, f"{value:.1f}") for name, value in report["budget"].items()]
    if report["scenario"] == "webrtc":
        rows = [(name.replace("_", " "), f"{value:.1f}") for name, value in report["way_ms"].items()]
        yield "what the browser adds, ms", ("part", "mean or median"), rows
    if report["scenario"] == "lookahead":
        rows = []
        for frames, run in report["runs"].items():
            measured, impulse = run["mouth_to_frame_ms"], run["impulse_ms"]
            shown = [f"{value:.1f}" for value in (run["budget_ms"], measured["p50"], measured["p99"], measured["max"])]
            rows.append((frames, *shown, f"{impulse['p50']:.0f}", f"{run['missed_frames']} of {run['frames']}"))
        head = ("lookahead", "budget", "p50", "p99", "max", "syllable to lips", "missed")
        yield "mouth to frame by lookahead, ms", head, rows
    if report["scenario"] == "throughput":
        rows = []
        for number, row in report["sessions"].items():
            measured = row["mouth_to_frame_ms"]
            shown = [f"{v:.1f}" for v in (row["budget_ms"], measured["p50"], measured["p99"], measured["max"])]
            rows.append((number, *shown, f"{row['missed_frames']} of {row['frames']}"))
        yield "mouth to frame by session, ms", ("session", "budget", "p50", "p99", "max", "missed"), rows
    if report["scenario"] == "calls":
        rows = []
        for number, row in report["sessions"].items():
            out = row["picture_out_ms"] or {"p50": 0.0, "p99": 0.0}
            shown = [f"{row['budget_ms']:.1f}", f"{row['fps_received']:.2f}", f"{out['p50']:.1f}", f"{out['p99']:.1f}"]
            rows.append((number, *shown, f"{row['missed_frames']} of {row['frames']}"))
        columns = ("session", "budget, ms", "fps received", "due to sent, p50", "p99", "missed")
        yield "sessions together", columns, rows
    if report["scenario"] in ("throughput", "calls") and report["refusal"]:
        refusal = report["refusal"]
        yield "why no more", ("the answer",), [(refusal if isinstance(refusal, str) else refusal["message"],)]


def _plots(report: Report) -> Iterator[tuple[str, str, str]]:
    """Title, explanation and SVG."""
    series, scenario = report.get("series", {}), report["scenario"]
    if scenario == "latency":
        marks = {f"budget {report['budget_ms']:.1f} ms": report["budget_ms"]}
        values = series["mouth_to_frame_ms"]
        yield (
            "Distribution",
            "From the capture of a sound to the frame whose motion answers it, for every frame.",
            charts.histogram(values, marks, "ms"),
        )
        yield (
            "Over time",
            "The same, frame by frame; red strokes at the foot are missed frames.",
            charts.timeline(series["time_s"], values, marks, series["repeated_s"], "ms"),
        )
        parts = {name.removesuffix("_ms"): value for name, value in report["budget"].items()}
        yield "Budget", "What the latency is made of, in ms.", charts.stack(parts)
        if report["stages"]:
            yield (
                "Stages",
                "One step of each stage: bar to p50, light to p95, orange p99, red max.",
                charts.spreads(report["stages"], "ms"),
            )
    elif scenario == "lookahead":
        runs = {int(frames) * 1000 / 60: run for frames, run in report["runs"].items()}
        lines = {
            "budget": [(x, run["budget_ms"]) for x, run in runs.items()],
            "p99": [(x, run["mouth_to_frame_ms"]["p99"]) for x, run in runs.items()],
            "syllable": [(x, run["impulse_ms"]["p50"]) for x, run in runs.items()],
        }
        yield (
            "Latency by lookahead",
            "Declared budget, measured p99, and the time from a syllable's first sample to lips that move.",
            charts.curves(lines, "lookahead, ms", "ms"),
        )
    elif scenario == "pushed":
        texts = {
            "first_frame_ms": "From the push of the first 320 ms of an utterance to its first frame.",
            "mouth_at_rest_ms": "From an interruption to the first frame from which the mouth is at rest.",
        }
        for name, text in texts.items():
            values, title = series[name], name.removesuffix("_ms").replace("_", " ").capitalize()
            yield title, text, charts.histogram(values, {"goal 50 ms": 50.0}, "ms", each="utterances")
    elif scenario == "throughput":
        rows = {f"session {number}": row["mouth_to_frame_ms"] for number, row in report["sessions"].items()}
        yield "Mouth to frame", "By session: bar to p50, light to p95, orange p99, red max.", charts.spreads(rows, "ms")
    elif scenario == "soak" and series["rss_mb"]:
        memory = series["rss_mb"]
        yield (
            "Resident memory",
            "This process and those that draw, every second.",
            charts.timeline(list(range(1, len(memory) + 1)), memory, {}, [], "MB"),
        )


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; rows with a cell "worse" are marked."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ""
    for row in rows:
        kind = ' class="worse"' if "worse" in row else ""
        lines += f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    return f"<table><tr>{top}</tr>{lines}</table>"


def _flat(machine: Report) -> Report:
    libraries = machine.get("libraries", {})
    return {**{key: value for key, value in machine.items() if key != "libraries"}, **libraries}
