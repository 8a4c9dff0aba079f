"""The report of a style that was made: figures, pictures and curves of clip, bundle and result, on one page.

The page needs nothing beside itself: pictures are inside it, plots are SVG, there is no script.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import OutputError
from models.spec import BROWS, LANDMARKS, MOTION_HZ
from training.reference_motion import ReferenceMotion
from training.style_stats import Figures, lip_opening
from training.style_transfer import Transfer

Curves = Mapping[str, NDArray[np.floating]]

ROWS: Final = {
    "head_amplitude": ("Head, deviation of its rotation", "rad", 3),
    "head_speed": ("Head, mean speed", "rad/s", 2),
    "blinks_a_minute": ("Blinks", "a minute", 1),
    "shut_share": ("Eyes held shut, share of the time", "", 2),
    "mouth_range": ("Mouth opening, 5th to 95th percentile", "fu", 3),
    "mouth_width": ("Mouth width, 5th to 95th percentile", "fu", 3),
    "lip_speed": ("Lips, mean speed of opening", "fu/s", 2),
}
"""What is shown of ``Figures``: words, unit, digits."""
COLOURS: Final = {"clip": "#b3541e", "bundle": "#8a8f98", "style": "#1f6f8b"}
_WIDTH, _HEIGHT, _LEFT, _FOOT = 900, 150, 52, 20
_LINES: Final = (
    range(17),
    range(17, 22),
    range(22, 27),
    range(27, 31),
    range(31, 36),
    (*range(36, 42), 36),
    (*range(42, 48), 42),
    (*range(48, 60), 48),
    (*range(60, 68), 60),
)
"""The semantic groups of the 68 points, as lines."""
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#20242a;max-width:960px;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.25rem .9rem .25rem 0;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}.near{font-weight:600}"
    "img{width:200px;border-radius:6px}figure{display:inline-block;margin:0 .6rem .6rem 0}"
    "figcaption{font-size:14px;color:#555}svg text{font:12px system-ui,sans-serif;fill:#555}"
)


def figure_rows(transfer: Transfer) -> list[tuple[str, str, float, float, float]]:
    """Words, unit and value of each figure of the clip, the bundle and the style."""
    figures: Sequence[Figures] = (transfer.reference, transfer.before, transfer.after)
    return [
        (words, unit, *(float(getattr(each, name)) for each in figures))  # type: ignore[misc]
        for name, (words, unit, _) in ROWS.items()
    ]


def write_report(transfer: Transfer, reference: ReferenceMotion, folder: Path) -> Path:
    """Write ``index.html``.

    Args:
        transfer: What was made.
        reference: Of which clip.
        folder: Where; it is made if it is not there.

    Returns:
        The page.

    Raises:
        OutputError: It cannot be written.
    """
    page, partial = folder / "index.html", folder / ".index.html.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(report_page(transfer, reference), "utf-8")
        os.replace(partial, page)
    except OSError as error:
        raise OutputError(f"Cannot write {page}: {error.strerror or error}; choose another --report folder.") from error
    return page


def report_page(transfer: Transfer, reference: ReferenceMotion) -> str:
    """The page as text."""
    name = escape(transfer.style.name)
    notes = "".join(f"<p>{escape(note)}</p>" for note in transfer.notes)
    parts = [
        f"<h1>The style {name}</h1>",
        f"<p>Learned from {reference.seconds:.1f} s of {escape(reference.name)} with the preset "
        f"{escape(transfer.style.manifest.provenance.get('preset', ''))}. Bundle and style move to the "
        f"{'clip’s own sound' if reference.audio is not None else 'same synthesised speech'}.</p>",
        notes,
        "<h2>Figures</h2>",
        _table(transfer),
        _pictures(transfer, reference),
        "<h2>Curves</h2>",
        *(_plot(title, unit, curves) for title, unit, curves in _curves(transfer, reference)),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"</head><body>{''.join(parts)}</body></html>"
    )


def _table(transfer: Transfer) -> str:
    """Clip, bundle and style side by side; what of the two lies nearer to the clip is bold."""
    head = "<tr><th></th><th>clip</th><th>bundle</th><th>style</th><th></th></tr>"
    rows = []
    for (words, unit, clip, before, after), (_, _, digits) in zip(figure_rows(transfer), ROWS.values(), strict=True):
        gain = abs(before - clip) - abs(after - clip)
        cells = [
            f'<td class="n{" near" if mark else ""}">{value:.{digits}f}</td>'
            for value, mark in ((clip, False), (before, gain < 0), (after, gain > 0))
        ]
        rows.append(f"<tr><td>{escape(words)}</td>{''.join(cells)}<td>{escape(unit)}</td></tr>")
    return f"<table>{head}{''.join(rows)}</table>"


def _pictures(transfer: Transfer, reference: ReferenceMotion) -> str:
    """The style reference images, and the widest mouth of all three as lines."""
    parts = []
    if reference.references is not None:
        parts.append("<h2>Style reference images</h2>")
        for name, data in zip(reference.references.templates, transfer.style.references, strict=True):
            source = base64.b64encode(data).decode()
            parts.append(
                f'<figure><img src="data:image/jpeg;base64,{source}" alt=""><figcaption>{escape(name)}</figcaption>'
                "</figure>"
            )
    parts.append("<h2>Faces: the usual one of speech, and the widest mouth</h2>")
    motions = {
        "clip": (reference.displacement, reference.pose),
        "bundle": (transfer.neutral.displacement, transfer.neutral.pose),
        "style": (transfer.styled.displacement, transfer.styled.pose),
    }
    for name, (displacement, pose) in motions.items():
        opening = lip_opening(displacement)
        rows = [int(np.argsort(opening)[int(share * (len(opening) - 1))]) for share in (0.6, 0.99)]
        drawn = "".join(_face(reference.template + displacement[row], number) for number, row in enumerate(rows))
        parts.append(
            f'<figure><svg width="280" height="170" viewBox="0 0 280 170" fill="none" stroke="{COLOURS[name]}" '
            f'stroke-width="1.6">{drawn}</svg><figcaption>{name}</figcaption></figure>'
        )
        assert len(pose) == len(displacement)
    return "".join(parts)


def _face(points: NDArray[np.floating], number: int) -> str:
    """A face from the front as lines, beside the one before it."""
    assert points.shape == (LANDMARKS, 3)
    place = points[:, :2] * 75 + np.array([70 + 140 * number, 102])
    lines = (" ".join(f"{place[k, 0]:.1f},{place[k, 1]:.1f}" for k in line) for line in _LINES)
    return "".join(f'<polyline points="{line}"/>' for line in lines)


def _curves(transfer: Transfer, reference: ReferenceMotion) -> list[tuple[str, str, Curves]]:
    """Title, unit and courses of what is compared."""
    motions = {
        "clip": (reference.displacement, reference.pose, reference.closure),
        "bundle": (transfer.neutral.displacement, transfer.neutral.pose, transfer.neutral.closure),
        "style": (transfer.styled.displacement, transfer.styled.pose, transfer.styled.closure),
    }
    return [
        ("Opening of the lips", "fu", {name: lip_opening(d) for name, (d, _, _) in motions.items()}),
        ("Lids, 1 shut", "", {name: closure for name, (_, _, closure) in motions.items()}),
        ("Brows, upwards", "fu", {name: -d[:, BROWS, 1].mean(1) for name, (d, _, _) in motions.items()}),
        ("Head, nod", "rad", {name: pose[:, 0] for name, (_, pose, _) in motions.items()}),
        ("Head, turn", "rad", {name: pose[:, 1] for name, (_, pose, _) in motions.items()}),
        ("Head, tilt", "rad", {name: pose[:, 2] for name, (_, pose, _) in motions.items()}),
    ]


def _plot(title: str, unit: str, curves: Curves) -> str:
    """Courses over the first half minute."""
    most = 30 * MOTION_HZ
    low = min(float(curve[:most].min()) for curve in curves.values())
    high = max(float(curve[:most].max()) for curve in curves.values())
    span = max(high - low, 1e-3)
    frames = max(min(most, len(curve)) for curve in curves.values())
    parts = []
    for name, curve in curves.items():
        shown = curve[:most:2]
        x = _LEFT + np.arange(len(shown)) * 2 / frames * (_WIDTH - _LEFT)
        y = 4 + (high - shown) / span * (_HEIGHT - _FOOT - 8)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        parts.append(f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="1.3" points="{path}"/>')
        parts.append(
            f'<text x="{_LEFT + 70 * len(parts) // 2}" y="{_HEIGHT - 4}" style="fill:{COLOURS[name]}">{name}</text>'
        )
    parts.append(f'<text x="0" y="14">{high:.2f}</text><text x="0" y="{_HEIGHT - _FOOT}">{low:.2f}</text>')
    parts.append(f'<text x="{_WIDTH - 40}" y="{_HEIGHT - 4}">{frames / MOTION_HZ:.0f} s</text>')
    named = f"{escape(title)}{f', {unit}' if unit else ''}"
    return (
        f'<h3>{named}</h3><svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"{''.join(parts)}</svg>"
    )
