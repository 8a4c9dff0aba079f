"""Render the inner-mouth textures that ship with the renderer: upper teeth, lower teeth and tongue.

Offline and rarely run: ``python -m training.corpus.mouth_layers ASSETS [OUT]`` reads the CC0 MakeHuman meshes (base
mesh, ``teeth_base``, ``tongue01``), fits them to an average head, draws each part from the front with a small
z-buffer rasteriser, and writes one RGBA PNG a part and ``layers.json`` with its place in face coordinates. The
textures hold neutral, evenly lit colour with ambient occlusion; the renderer tints and shades them for a portrait.
"""

import gzip
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.images import decode_png, encode_png
from models.spec import EYE_MIDPOINT

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

UNITS_PER_PIXEL = 0.0022
"""Face units (outer-eye distances) of one texture pixel: about three times a 512-pixel portrait's resolution."""
SUPERSAMPLE = 4
FIRST_UPPER_ANCHOR = 15060
"""Base-mesh vertices from here on move with the upper teeth, those before with the lower."""
ARCH_DEPTH = 0.3
"""Face units behind the front teeth that are drawn; what lies deeper is left to the dark of the cavity."""
MARGIN = 6
"""Empty pixels around each part, so that filtering never meets the border."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with texture coordinates.

    Attributes:
        points: float64 (V, 3).
        triangles: int64 (T, 3) into ``points``.
        uv: float64 (T, 3, 2), origin at the bottom left of the texture.
        anchors: int64 (V, 3), the base-mesh vertices that each point hangs on.
    """

    points: F64
    triangles: I64
    uv: F64
    anchors: I64


def read_obj(path: Path) -> tuple[F64, F64, I64, I64]:
    """Vertices (V, 3), texture coordinates (U, 2), quads (F, 4) and their texture quads (F, 4) of a quad mesh."""
    points, uvs, quads, uv_quads = [], [], [], []
    for line in path.read_text(errors="ignore").splitlines():
        word = line.split()
        if not word:
            continue
        if word[0] == "v":
            points.append([float(x) for x in word[1:4]])
        elif word[0] == "vt":
            uvs.append([float(x) for x in word[1:3]])
        elif word[0] == "f":
            corners = [corner.split("/") for corner in word[1:]]
            corners += corners[-1:] * (4 - len(corners))
            quads.append([int(corner[0]) - 1 for corner in corners])
            uv_quads.append([int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners])
    return (
        np.array(points),
        np.array(uvs or [[0.0, 0.0]]),
        np.array(quads, np.int64),
        np.array(uv_quads, np.int64),
    )


def average_head(assets: Path) -> F64:
    """Base mesh points (19158, 3) of a young adult between sexes and ancestries, in MakeHuman's decimetres."""
    points, _, _, _ = read_obj(assets / "3dobjs" / "base.obj")
    macro = assets / "targets" / "macrodetails"
    weights = {f"{race}-{sex}-young": 1 / 6 for race in ("african", "asian", "caucasian") for sex in ("male", "female")}
    weights |= {f"universal-{sex}-young-averagemuscle-averageweight": 0.5 for sex in ("male", "female")}
    for name, weight in weights.items():
        path = macro / f"{name}.target.gz"
        if not path.exists():
            continue
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            word = line.split()
            if len(word) == 4 and not line.startswith("#"):
                points[int(word[0])] += weight * np.array([float(x) for x in word[1:]])
    return points


def fit_proxy(path: Path, head: F64) -> Mesh:
    """Fit a MakeHuman proxy (``.mhclo`` with its ``.obj`` beside it) to ``head`` and triangulate it."""
    scale = np.ones(3)
    anchors, weights, offsets = [], [], []
    in_verts = False
    for line in path.read_text(errors="ignore").splitlines():
        word = line.split()
        if not word or line.startswith("#"):
            continue
        if word[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(word[0][0])
            a, b, distance = int(word[1]), int(word[2]), float(word[3])
            scale[axis] = abs(head[a, axis] - head[b, axis]) / distance
        elif word[0] == "verts":
            in_verts = True
        elif in_verts and re.fullmatch(r"-?\d+", word[0]):
            if len(word) == 1:
                anchors.append([int(word[0])] * 3)
                weights.append([1.0, 0.0, 0.0])
                offsets.append([0.0, 0.0, 0.0])
            else:
                anchors.append([int(x) for x in word[:3]])
                weights.append([float(x) for x in word[3:6]])
                offsets.append([float(x) for x in word[6:9]])
        elif in_verts:
            in_verts = False
    hold = np.array(anchors, np.int64)
    points = (head[hold] * np.array(weights)[..., None]).sum(1) + np.array(offsets) * scale
    _, uvs, quads, uv_quads = read_obj(path.with_suffix(".obj"))
    order = [[0, 1, 2], [0, 2, 3]]
    return Mesh(points, quads[:, order].reshape(-1, 3), uvs[uv_quads[:, order].reshape(-1, 3)], hold)


def select(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """The triangles of ``mesh`` whose vertices are all in ``keep`` (V,)."""
    inside = keep[mesh.triangles].all(1)
    return Mesh(mesh.points, mesh.triangles[inside], mesh.uv[inside], mesh.anchors)


def rasterise(mesh: Mesh, origin: F64, width: int, height: int, pixel: float) -> tuple[F64, F64, F64]:
    """Draw ``mesh`` orthographically from the front (camera at -z looking along +z), nearest surface first.

    Args:
        mesh: In face coordinates.
        origin: (2,) face x and y of the texture's top left corner.
        width: Pixels.
        height: Pixels.
        pixel: Face units a pixel.

    Returns:
        Depth (height, width), infinite where nothing is; texture coordinates (height, width, 2); unit normals
        (height, width, 3), towards the camera negative.
    """
    corner_cross = np.cross(
        mesh.points[mesh.triangles[:, 1]] - mesh.points[mesh.triangles[:, 0]],
        mesh.points[mesh.triangles[:, 2]] - mesh.points[mesh.triangles[:, 0]],
    )
    normals = np.zeros_like(mesh.points)
    for corner in range(3):
        np.add.at(normals, mesh.triangles[:, corner], corner_cross)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    depth = np.full((height, width), np.inf)
    uv = np.zeros((height, width, 2))
    normal = np.zeros((height, width, 3))
    xy = (mesh.points[:, :2] - origin) / pixel - 0.5
    for triangle, corner_uv in zip(mesh.triangles, mesh.uv, strict=True):
        a, b, c = xy[triangle]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-9:
            continue
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)), 0).astype(int)
        high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)), [width - 1, height - 1]).astype(int)
        if (high < low).any():
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        wb = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        wc = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        weights = np.stack([1 - wb - wc, wb, wc], -1)
        z = weights @ mesh.points[triangle, 2]
        window = (slice(low[1], high[1] + 1), slice(low[0], high[0] + 1))
        nearer = (weights >= -1e-9).all(-1) & (z < depth[window])
        depth[window][nearer] = z[nearer]
        uv[window][nearer] = (weights @ corner_uv)[nearer]
        normal[window][nearer] = (weights @ normals[triangle])[nearer]
    normal *= np.where(normal[..., 2:] > 0, -1.0, 1.0)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return depth, uv, normal


def box_blur(image: F64, radius: int) -> F64:
    """Mean over (2 radius + 1)^2 pixels of an (H, W) image, edges repeated."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(image, pad, mode="edge"), axis)
        size = 2 * radius + 1
        image = (
            np.take(total, range(size, total.shape[axis]), axis) - np.take(total, range(total.shape[axis] - size), axis)
        ) / size
    return image


def occlusion(depth: F64, radii: tuple[int, ...], reach: float) -> F64:
    """Screen-space ambient occlusion (H, W) in 0..1: how much nearer the surroundings are, over a few radii."""
    solid = np.isfinite(depth)
    filled = np.where(solid, depth, depth[solid].max())
    shade = np.ones_like(depth)
    for radius in radii:
        behind = filled - box_blur(box_blur(filled, radius), radius)
        shade *= np.exp(-np.maximum(behind, 0) / reach)
    return np.where(solid, shade, 1.0)


def draw_part(mesh: Mesh, texture: NDArray[np.uint8], *, teeth: bool) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Render one part.

    Args:
        mesh: In face coordinates.
        texture: uint8 (H, W, 3) RGB.
        teeth: Whiten enamel and keep gums apart from it; otherwise tongue.

    Returns:
        RGBA picture with straight alpha, and its geometry: ``origin`` (face x, y of the top left corner),
        ``pixel`` (fu), ``depth`` (coefficients of z over 1, x^2, y in face coordinates).
    """
    used = mesh.points[np.unique(mesh.triangles)]
    low, high = used[:, :2].min(0), used[:, :2].max(0)
    size = np.ceil((high - low) / UNITS_PER_PIXEL).astype(int) + 2 * MARGIN
    origin = (low + high) / 2 - size * UNITS_PER_PIXEL / 2
    width, height = (size * SUPERSAMPLE).tolist()
    depth, uv, normal = rasterise(mesh, origin, width, height, UNITS_PER_PIXEL / SUPERSAMPLE)
    solid = np.isfinite(depth)
    rows = np.clip(((1 - uv[..., 1]) * texture.shape[0]).astype(int), 0, texture.shape[0] - 1)
    columns = np.clip((uv[..., 0] * texture.shape[1]).astype(int), 0, texture.shape[1] - 1)
    albedo = (texture[rows, columns] / 255.0) ** 2.2
    light = np.array([-0.2, -0.45, -0.87])
    diffuse = 0.5 + 0.5 * np.clip(normal @ light, 0, 1)
    facing = np.clip(-normal[..., 2], 0, 1)
    shade = diffuse * (0.55 + 0.45 * facing**0.7)
    shade *= occlusion(depth, (2 * SUPERSAMPLE, 6 * SUPERSAMPLE), 0.05)
    front = depth[solid].min()
    if teeth:
        saturation = np.ptp(texture[rows, columns].astype(float), axis=-1) / 255
        enamel = np.clip((0.25 - saturation) / 0.15, 0, 1)[..., None]
        albedo = enamel * albedo**0.6 * [0.86, 0.82, 0.74] + (1 - enamel) * albedo * [0.75, 0.48, 0.46]
        # The arch bends away: what lies deeper gets less light from the opening.
        shade *= np.exp(-np.maximum(np.where(solid, depth, front) - front, 0) / 0.16)
        gloss = np.clip(normal @ np.array([-0.12, -0.40, -0.91]), 0, 1) ** 40 * 0.10
    else:
        shade *= np.exp(-np.maximum(np.where(solid, depth, front) - front, 0) / 0.25)
        gloss = np.clip(normal @ np.array([-0.1, -0.6, -0.8]), 0, 1) ** 20 * 0.05
    linear = np.where(solid[..., None], albedo * shade[..., None] + gloss[..., None], 0)
    shape = (size[1], SUPERSAMPLE, size[0], SUPERSAMPLE)
    alpha = solid.reshape(shape).mean((1, 3))
    colour = linear.reshape(*shape, 3).mean((1, 3)) / np.maximum(alpha, 1e-6)[..., None]
    rgb = np.clip(colour, 0, 1) ** (1 / 2.2)
    rgba = np.dstack([rgb, alpha])
    y, x = np.nonzero(solid)
    step = UNITS_PER_PIXEL / SUPERSAMPLE
    fx, fy = origin[0] + (x + 0.5) * step, origin[1] + (y + 0.5) * step
    basis = np.stack([np.ones_like(fx), fx**2, fy], 1)
    coefficients = np.linalg.lstsq(basis, depth[solid], rcond=None)[0]
    geometry = {
        "origin": [round(float(v), 5) for v in origin],
        "pixel": UNITS_PER_PIXEL,
        "depth": [round(float(v), 5) for v in coefficients],
    }
    return np.round(rgba * 255).astype(np.uint8), geometry


def build(assets: Path, out: Path) -> None:
    """Write ``NAME.png`` (RGB) and ``NAME_alpha.png`` of upper, lower and tongue, and ``layers.json``, to ``out``."""
    head = average_head(assets)
    marks = head[np.array(json.loads((assets / "landmarks68.json").read_text())["vertices"])]
    eye_distance = float(np.linalg.norm(marks[45] - marks[36]))
    middle = (marks[36] + marks[45]) / 2
    to_face = np.array([1.0, -1.0, -1.0]) / eye_distance

    def face(points: F64) -> F64:
        moved: F64 = (points - middle) * to_face + np.array(EYE_MIDPOINT)
        return moved

    teeth = fit_proxy(assets / "teeth" / "teeth_base" / "teeth_base.mhclo", head)
    tongue = fit_proxy(assets / "tongue" / "tongue01" / "tongue01.mhclo", head)
    teeth = replace(teeth, points=face(teeth.points))
    tongue = replace(tongue, points=face(tongue.points))
    is_upper = teeth.anchors.mean(1) >= FIRST_UPPER_ANCHOR
    near = teeth.points[:, 2] < teeth.points[:, 2].min() + ARCH_DEPTH
    lips = face(marks)[60:68]
    parts = {
        "upper": (select(teeth, is_upper & near), assets / "teeth" / "materials" / "teeth.png", True),
        "lower": (select(teeth, ~is_upper & near), assets / "teeth" / "materials" / "teeth.png", True),
        "tongue": (tongue, assets / "tongue" / "tongue01" / "tongue01_diffuse.png", False),
    }
    out.mkdir(parents=True, exist_ok=True)
    layers: dict[str, Any] = {}
    for name, (mesh, texture, is_teeth) in parts.items():
        picture, geometry = draw_part(mesh, decode_png(texture.read_bytes()), teeth=is_teeth)
        (out / f"{name}.png").write_bytes(encode_png(np.ascontiguousarray(picture[..., :3])))
        (out / f"{name}_alpha.png").write_bytes(encode_png(np.ascontiguousarray(picture[..., 3])))
        layers[name] = geometry
    manifest = {
        "kind": "mouth_layers",
        "schema_version": 1,
        "provenance": "Drawn by training/corpus/mouth_layers.py from MakeHuman teeth_base and tongue01 (CC0).",
        "seam": [round(float(v), 5) for v in (lips[2] + lips[6]) / 2],
        "mouth_width": round(float(np.linalg.norm(lips[0] - lips[4])), 5),
        "layers": layers,
    }
    (out / "layers.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "models/pretrained/mouth"))
