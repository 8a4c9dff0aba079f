"""A made-up head in MakeHuman's format: a bent sheet with a mouth, enough to be rendered and to talk."""

import gzip
import json
from pathlib import Path

import numpy as np

from engine.images import encode_png
from training.corpus.articulation import _SHAPES
from training.corpus.face_basis import load_face_basis
from training.corpus.heads.assets import Assets, write_pack
from training.corpus.heads.moods import MOODS, MOUTHS, RESTING, TIRED
from training.corpus.media import encode_flac

STEP = 0.06
COLUMNS = np.arange(-14, 15)
ROWS = np.arange(-16, 15)
SEAM_Y = 6.6
MOUTH = 4
"""Columns on each side of the middle that the mouth reaches."""
VERTICES = 15200
LOWER_TEETH, UPPER_TEETH, TONGUE = range(14992, 15060), range(15060, 15128), range(13380, 13606)


class TinyHead:
    """Vertices of the sheet by (column, row); inside the mouth the seam has an upper and a lower vertex."""

    def __init__(self) -> None:
        self.points = np.zeros((VERTICES, 3))
        self.points[:, 1] = SEAM_Y
        self.count = 0
        self.upper, self.lower, self.back = {}, {}, {}
        for row in ROWS:
            for column in COLUMNS:
                self.upper[column, row] = self.lower[column, row] = self._add(column, row, 0)
        for column in range(-MOUTH + 1, MOUTH):
            self.lower[column, 0] = self._add(column, 0, 0)
        for column in range(-MOUTH, MOUTH + 1):
            self.back[column] = self._add(column, 0, -0.5)
        for group, y in ((LOWER_TEETH, -0.05), (UPPER_TEETH, 0.03), (TONGUE, -0.06)):
            for number, vertex in enumerate(group):
                self.points[vertex] = 0.03 * (number % 9 - 4), SEAM_Y + y, 1.42 - 0.02 * (number % 3)

    def _add(self, column: int, row: int, depth: float) -> int:
        x, y = column * STEP, row * STEP
        self.points[self.count] = x, SEAM_Y + y, 1.55 - 0.35 * x * x - 0.12 * y * y + depth
        self.count += 1
        return self.count - 1

    def faces(self) -> tuple[list[list[int]], dict[str, list[int]]]:
        quads, named = [], {"lip_faces_upper": [], "lip_faces_lower": [], "inner_mouth_faces": []}
        for column in COLUMNS[:-1]:
            for row in ROWS[:-1]:
                side = self.upper if row >= 0 else self.lower
                inside = -MOUTH <= column < MOUTH
                if inside and row in (0, -1):
                    named["lip_faces_upper" if row == 0 else "lip_faces_lower"].append(len(quads))
                corners = ((column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1))
                quads.append([side[corner] for corner in corners])
        for column in range(-MOUTH, MOUTH):
            for edge, order in ((self.upper, 1), (self.lower, -1)):
                named["inner_mouth_faces"].append(len(quads))
                near = [edge[column, 0], edge[column + 1, 0]]
                quads.append([*near, self.back[column + 1], self.back[column]][::order])
        return quads, named

    def landmarks(self) -> list[int]:
        """The sheet's vertex nearest to each of the 68, in a face of this size."""
        marks = load_face_basis().neutral
        seam = (marks[62, 1] + marks[66, 1]) / 2
        scale = 0.85
        found = []
        for number, mark in enumerate(marks):
            column = round(float(mark[0]) * scale / STEP)
            row = round(float(seam - mark[1]) * scale / STEP)
            if number in (61, 62, 63, 65, 66, 67):
                column, row = {61: -1, 62: 0, 63: 1, 65: 1, 66: 0, 67: -1}[number], 0
            elif number in (48, 60, 54, 64):
                column, row = (-MOUTH if number in (48, 60) else MOUTH), 0
            elif 48 <= number < 60:
                row = 1 if number < 54 else -1
            side = self.lower if number in (65, 66, 67) else self.upper
            found.append(side[int(np.clip(column, -14, 14)), int(np.clip(row, -16, 14))])
        return found


def write_tiny_makehuman(root: Path) -> Path:
    """Write the data folder."""
    head = TinyHead()
    quads, named = head.faces()
    marks = head.landmarks()
    uvs = head.points[: head.count, :2] * 0.2
    lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in head.points]
    lines += [f"vt {u % 1:.4f} {v % 1:.4f}" for u, v in uvs]
    lines += ["f " + " ".join(f"{v + 1}/{v + 1}" for v in quad) for quad in quads]
    _write(root / "3dobjs/base.obj", "\n".join(lines))
    _write(root / "landmarks68.json", json.dumps({"vertices": marks, **named}))
    low = [v for v in range(head.count) if head.points[v, 1] < SEAM_Y - 0.75]
    weights = {"jaw": [[v, 1.0] for v in range(VERTICES) if v not in set(low)], "neck02": [[v, 1.0] for v in low]}
    _write(root / "rigs/default_weights.mhw", json.dumps({"weights": weights}))
    bones = {"jaw": {"parent": "head"}, "head": {"parent": "neck02"}, "neck02": {"parent": None}}
    _write(root / "rigs/default.mhskel", json.dumps({"bones": bones}))
    _targets(root / "targets", head, marks)
    _proxies(root, head, marks)
    return root


def write_tiny_pack(root: Path, out: Path) -> Path:
    """Pack the folder with two made-up utterances."""
    rng = np.random.default_rng(0)
    extra = {}
    for number in range(2):
        sound = (0.1 * np.sin(np.arange(16000) * 0.05) + 0.01 * rng.normal(size=16000)).astype(np.float32)
        symbols = ["sil", "M", "AA", "P", "IY", "L", "UW", "sil"]
        phones = [[symbol, k / 8, (k + 1) / 8, 0] for k, symbol in enumerate(symbols)]
        data = {"voice": f"tone {number}", "text": "mapilu", "phones": phones}
        extra |= {
            f"speech/{number:05d}.json": json.dumps(data).encode(),
            f"speech/{number:05d}.flac": encode_flac(sound),
        }
    write_pack(Assets(root), out, extra)
    return out


def _targets(root: Path, head: TinyHead, marks: list[int]) -> None:
    names = {name for shapes in _SHAPES.values() for name in shapes}
    names |= set(RESTING) | set(TIRED) | {name for mood in MOODS.values() for name in mood}
    names |= {name for mouth in MOUTHS.values() for name in mouth.shapes}
    for name in names:
        folder = "expression/units/caucasian" if name.startswith("unit-") else "arkit"
        _target(root / folder / f"{name.removeprefix('unit-')}.target.gz", {marks[33]: (0, 0.01, 0)})
    below = {v for (_, row), v in head.lower.items() if row < 0} | {head.lower[c, 0] for c in range(-MOUTH + 1, MOUTH)}
    _target(root / "arkit/jawOpen.target.gz", {v: (0, -0.4, -0.05) for v in [*sorted(below), *LOWER_TEETH, *TONGUE]})
    _target(root / "arkit/mouthSmileLeft.target.gz", {marks[54]: (0.03, 0.05, 0), marks[66]: (0, -0.06, 0)})
    for side, pairs in (("right", ((37, 41), (38, 40))), ("left", ((43, 47), (44, 46)))):
        # The lid and the skin above it, for the surface is smoother than its vertices.
        moves = {}
        for a, b in pairs:
            column, row = next(place for place, vertex in head.upper.items() if vertex == marks[a])
            down = head.points[marks[b], 1] - head.points[marks[a], 1]
            for place in ((c, r) for c in (column - 1, column, column + 1) for r in (row, row + 1)):
                moves[head.upper[place]] = 0, down, 0
        _target(root / f"expression/units/caucasian/eye-{side}-closure.target.gz", moves)
    thirds = ("min", "average", "max")
    for sex in ("male", "female"):
        for age in ("young", "old"):
            for race in ("caucasian", "asian", "african"):
                _target(root / f"macrodetails/{race}-{sex}-{age}.target.gz", {marks[30]: (0, 0, 0.02)})
            for muscle in thirds:
                for weight in thirds:
                    name = f"universal-{sex}-{age}-{muscle}muscle-{weight}weight"
                    _target(root / f"macrodetails/{name}.target.gz", {marks[8]: (0, -0.01, 0)})
            name = f"proportions/{sex}-{age}-averagemuscle-averageweight-idealproportions"
            _target(root / f"macrodetails/{name}.target.gz", {marks[8]: (0, 0.01, 0)})
    # A plain one: users have both kinds.
    _write(root / "nose/nose-point-up.target", f"# made up\n{marks[30]} 0 0.05 0\n")


def _target(path: Path, moves: dict[int, tuple[float, float, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "# made up\n" + "".join(f"{v} {x} {y} {z}\n" for v, (x, y, z) in moves.items())
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _proxies(root: Path, head: TinyHead, marks: list[int]) -> None:
    eyes = [(marks[42], marks[45]), (marks[36], marks[39])]
    balls = [(head.points[list(pair)].mean(0) + np.array([0, 0, -0.14]), pair[0]) for pair in eyes]
    points, anchors, quads = [], [], []
    for centre, anchor in balls:
        first = len(points)
        for polar in np.linspace(0.05, np.pi - 0.05, 7):
            for turn in np.linspace(0, 2 * np.pi, 10, endpoint=False):
                ring = np.array([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)])
                points.append(centre + 0.12 * ring)
                anchors.append(anchor)
        for ring in range(6):
            for k in range(10):
                a, b = first + 10 * ring, first + 10 * ring + 10
                quads.append([b + k, a + k, a + (k + 1) % 10, b + (k + 1) % 10])
    _proxy(root / "eyes/high-poly/high-poly", head, points, anchors, quads)
    _material(root / "eyes/materials/brown.mhmat", (90, 60, 40))
    for name, folder, group, y in (
        ("teeth_base", "teeth/teeth_base", UPPER_TEETH, 0.0),
        ("tongue01", "tongue/tongue01", TONGUE, -0.02),
    ):
        held = [group[0], group[-1]]
        middle = head.points[held].mean(0) + np.array([0, y, 0])
        corners = [middle + np.array([x, h, 0]) for x, h in ((-0.2, -0.05), (0.2, -0.05), (0.2, 0.05), (-0.2, 0.05))]
        _proxy(root / folder / name, head, corners, [held[0]] * 4, [[0, 1, 2, 3]])
    _material(root / "teeth/materials/teeth.mhmat", (240, 240, 235))
    _material(root / "tongue/tongue01/tongue01.mhmat", (200, 90, 90))
    top = [head.upper[c, 14] for c in COLUMNS[::4]]
    cap = [head.points[v] + (0, dy, 0.05) for dy in (-0.15, 0.25) for v in top]
    rows = [[k, k + 1, len(top) + k + 1, len(top) + k] for k in range(len(top) - 1)]
    _proxy(root / "hair/short01/short01", head, cap, top * 2, rows)
    _material(root / "hair/short01/short01.mhmat", (80, 60, 40))
    for k, eyebrow in enumerate((marks[19], marks[24])):
        points = [head.points[eyebrow] + (x, y, 0.02) for x, y in ((-0.1, 0), (0.1, 0), (0.1, 0.04), (-0.1, 0.04))]
        _proxy(root / f"eyebrows/eyebrow{k:03d}/eyebrow{k:03d}", head, points, [eyebrow] * 4, [[0, 1, 2, 3]])
        _material(root / f"eyebrows/eyebrow{k:03d}/eyebrow{k:03d}.mhmat", (60, 40, 30))
    bottom = [head.lower[c, -16] for c in COLUMNS[::4]]
    shirt = [head.points[v] + (0, dy, 0.1) for dy in (-0.4, 0.2) for v in bottom]
    _proxy(root / "clothes/female_suit/female_suit", head, shirt, bottom * 2, rows, hide=bottom)
    _material(root / "clothes/female_suit/female_suit.mhmat", (40, 70, 160))
    (root / "clothes/female_suit/suit_normal.png").write_bytes(b"not read")
    _material(root / "skins/young_caucasian_female/skin.mhmat", (220, 170, 140))


def _proxy(stem: Path, head: TinyHead, points: list, anchors: list[int], quads: list, hide: list[int] = ()) -> None:
    name = stem.name
    lines = ["# made up", f"obj_file {name}.obj", "verts 0"]
    for point, anchor in zip(points, anchors, strict=True):
        x, y, z = np.asarray(point) - head.points[anchor]
        lines.append(f"{anchor} {anchor} {anchor} 1 0 0 {x:.5f} {y:.5f} {z:.5f}")
    if hide:
        lines += ["delete_verts", " ".join(str(v) for v in hide)]
    _write(stem.with_name(f"{name}.mhclo"), "\n".join(lines))
    mesh = ["v 0 0 0"] * len(points) + ["vt 0.2 0.2", "vt 0.8 0.2", "vt 0.8 0.8", "vt 0.2 0.8"]
    mesh += ["f " + " ".join(f"{v + 1}/{k + 1}" for k, v in enumerate(quad)) for quad in quads]
    _write(stem.with_name(f"{name}.obj"), "\n".join(mesh))


def _material(path: Path, colour: tuple[int, int, int]) -> None:
    picture = np.empty((8, 8, 4), np.uint8)
    picture[...] = (*colour, 255)
    _write(path, f"diffuseTexture {path.stem}.png")
    path.with_suffix(".png").write_bytes(encode_png(picture))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
