"""Plots as inline SVG: no library, no script, no file beside the page. Colours are the page's CSS variables."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 760
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 24, 40
_BINS = 60
_LEAST_SPAN: Final = 10.0
"""Of an axis of measured values, so that noise is not drawn as large as a fault."""
_Scale = Callable[[float], float]


def histogram(
    values: Sequence[float],
    marks: Mapping[str, float],
    unit: str,
    least_span: float = _LEAST_SPAN,
    each: str = "frames",
) -> str:
    """How often a value occurs.

    Args:
        values: What was measured.
        marks: Vertical lines by their label, such as the budget.
        unit: Of the values.
        least_span: Of the axis.
        each: What is counted.
    """
    height = 240
    low, high = _span([*values, *marks.values()], least=least_span)
    width = (high - low) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / width))] += 1
    x, y = _linear(low, high, _LEFT, WIDTH - _RIGHT), _linear(0, max([*counts, 1]), height - _BOTTOM, _TOP)
    parts = _axes(height, (low, high, x, unit), (0, max([*counts, 1]), y, each))
    for number, count in enumerate(counts):
        if count:
            left, right = x(low + number * width), x(low + (number + 1) * width)
            parts.append(
                f'<rect class="bar" x="{left:.1f}" y="{y(count):.1f}" width="{max(1.0, right - left - 1):.1f}" '
                f'height="{y(0) - y(count):.1f}"/>'
            )
    parts += _vertical_marks(marks, x, height)
    return _svg(height, parts, "Distribution")


def timeline(
    times_s: Sequence[float], values: Sequence[float], marks: Mapping[str, float], events_s: Sequence[float], unit: str
) -> str:
    """A value over time.

    Args:
        times_s: When, in s.
        values: What, one for each time.
        marks: Horizontal lines by their label.
        events_s: Times that are marked at the foot.
        unit: Of the values.
    """
    height = 240
    low, high = _span([*values, *marks.values()], least=_LEAST_SPAN)
    first, last = _span(times_s, room=0.0)
    x, y = _linear(first, last, _LEFT, WIDTH - _RIGHT), _linear(low, high, height - _BOTTOM, _TOP)
    parts = _axes(height, (first, last, x, "s"), (low, high, y, unit))
    dots = " ".join(f"M{x(t):.1f} {y(v):.1f}h0" for t, v in zip(times_s, values, strict=True))
    parts.append(f'<path class="dots" d="{dots}"/>')
    parts += [
        f'<line class="event" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{height - _BOTTOM}" y2="{height - _BOTTOM - 12}"/>'
        for t in events_s
    ]
    for label, value in marks.items():
        parts.append(f'<line class="mark" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(
            f'<text class="mark" x="{WIDTH - _RIGHT}" y="{y(value) - 5:.1f}" text-anchor="end">{_say(label)}</text>'
        )
    return _svg(height, parts, "Over time")


def spreads(rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """One line for each row: a bar to p50, a lighter one to p95, ticks at p99 and max, on a logarithmic axis.

    Args:
        rows: By name, ``p50``, ``p95`` and ``p99``, and ``max`` if known, above 0.
        unit: Of the values.
    """
    step, left = 26, 150
    height = _TOP + step * len(rows) + _BOTTOM
    everything = [value for row in rows.values() for value in row.values() if value > 0]
    low, high = min([*everything, 0.01]), max([*everything, 1.0])
    scale = _linear(math.log10(low) - 0.1, math.log10(high) + 0.1, left, WIDTH - _RIGHT)

    def x(value: float) -> float:
        return scale(math.log10(max(value, low)))

    parts = []
    for power in range(math.ceil(math.log10(low)), math.ceil(math.log10(high)) + 1):
        at = x(10.0**power)
        if left <= at <= WIDTH - _RIGHT:
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
            label = f"{10.0**power:g} {unit}"
            parts.append(f'<text x="{at:.1f}" y="{height - _BOTTOM + 18}" text-anchor="middle">{_say(label)}</text>')
    for number, (name, row) in enumerate(rows.items()):
        top = _TOP + number * step + 4
        parts.append(f'<text x="{left - 10}" y="{top + 13}" text-anchor="end">{_say(name)}</text>')
        for quantile, kind in (("p95", "faint"), ("p50", "bar")):
            width = max(1.0, x(row[quantile]) - left)
            parts.append(f'<rect class="{kind}" x="{left}" y="{top}" width="{width:.1f}" height="{step - 8}"/>')
        for quantile in ("p99", "max"):
            if quantile in row:
                at = x(row[quantile])
                parts.append(f'<line class="{quantile}" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + step - 8}"/>')
    return _svg(height, parts, "By stage")


def stack(parts_ms: Mapping[str, float]) -> str:
    """Parts of a whole, in ms, side by side, with a legend below."""
    height, total = 84, sum(parts_ms.values())
    x = _linear(0, max(total, 1e-9), _LEFT, WIDTH - _RIGHT)
    drawn, begin = [], 0.0
    for number, (name, value) in enumerate(parts_ms.items()):
        kind, left, right = f"part{number % 4}", x(begin), x(begin + value)
        width = max(0.0, right - left - 1)
        drawn.append(f'<rect class="{kind}" x="{left:.1f}" y="10" width="{width:.1f}" height="30"/>')
        at = _LEFT + number * (WIDTH - _LEFT - _RIGHT) / len(parts_ms)
        drawn.append(f'<rect class="{kind}" x="{at:.1f}" y="58" width="12" height="12"/>')
        drawn.append(f'<text x="{at + 18:.1f}" y="69">{_say(name)} {value:.1f} ms</text>')
        begin += value
    return _svg(height, drawn, f"{total:g} ms in all")


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], x_unit: str, y_unit: str) -> str:
    """Lines through points, each named at its end."""
    height = 280
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    left, right = _span(xs, room=0.0)
    high = _span([0.0, *ys])[1]
    x, y = _linear(left, right, _LEFT, WIDTH - _RIGHT - 90), _linear(0, high, height - _BOTTOM, _TOP)
    parts = _axes(height, (left, right, x, x_unit), (0, high, y, y_unit))
    ends: list[float] = []
    for number, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        parts.append(f'<path class="line{number % 4}" d="M{path}"/>')
        parts += [f'<circle class="line{number % 4}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>' for a, b in points]
        # Names that would lie on each other are set apart.
        at = y(points[-1][1]) + 4
        while any(abs(at - other) < 14 for other in ends):
            at += 2
        ends.append(at)
        parts.append(f'<text x="{x(points[-1][0]) + 8:.1f}" y="{at:.1f}">{_say(name)}</text>')
    return _svg(height, parts, "Curves")


def traces(lines: Mapping[str, Sequence[tuple[float, float]]], x_unit: str, y_unit: str) -> str:
    """Lines through many points each, with a legend above."""
    height = 200
    everything = [point for points in lines.values() for point in points]
    left, right = _span([x for x, _ in everything], room=0.0)
    low, high = _span([0.0, *(y for _, y in everything)], least=1e-3)
    x, y = _linear(left, right, _LEFT, WIDTH - _RIGHT), _linear(low, high, height - _BOTTOM, _TOP)
    parts = _axes(height, (left, right, x, x_unit), (low, high, y, y_unit))
    for number, (name, points) in enumerate(lines.items()):
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        at = WIDTH - _RIGHT - 150 * (len(lines) - number)
        parts.append(f'<path class="line{number % 4}" d="M{path}"/>')
        parts.append(f'<path class="line{number % 4}" d="M{at} {_TOP - 14}h20"/>')
        parts.append(f'<text x="{at + 26}" y="{_TOP - 10}">{_say(name)}</text>')
    return _svg(height, parts, "Over time")


def _axes(height: int, across: tuple[float, float, _Scale, str], up: tuple[float, float, _Scale, str]) -> list[str]:
    """Grid and numbers; each axis is (low, high, scale, unit)."""
    parts = []
    low, high, x, unit = across
    for value in _round_steps(low, high, 8):
        parts.append(
            f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>'
        )
        parts.append(f'<text x="{x(value):.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{height - 6}" text-anchor="end">{_say(unit)}</text>')
    low, high, y, unit = up
    for value in _round_steps(low, high, 5):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(f'<text x="4" y="{_TOP - 12}">{_say(unit)}</text>')
    return parts


def _vertical_marks(marks: Mapping[str, float], x: _Scale, height: int) -> list[str]:
    parts = []
    for number, (label, value) in enumerate(marks.items()):
        at = x(value)
        anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        parts.append(
            f'<text class="mark" x="{at + shift:.1f}" y="{_TOP + 12 + 16 * number}" text-anchor="{anchor}">'
            f"{_say(label)}</text>"
        )
    return parts


def _round_steps(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, ``about`` as many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + number) * step, 10) for number in range(count)]


def _span(values: Sequence[float], room: float = 0.05, least: float = 1.0) -> tuple[float, float]:
    """Least and largest value with some room, at least ``least`` apart."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = max((high - low) * room, (least - high + low) / 2)
    return low - margin, high + margin


def _linear(low: float, high: float, first: float, last: float) -> _Scale:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_say(title)}">{body}</svg>'


def _say(text: str) -> str:
    return escape(str(text))
