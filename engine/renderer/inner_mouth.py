"""The inside of the mouth: teeth that sit in skull and jaw, tongue, and the dark behind them.

The textures are drawn once from a mesh (``training/corpus/mouth_layers.py``) and ship with the engine; an avatar
scales them to its mouth, tints them with the tones of its own picture and shades them by how far the lips let light
in.
"""

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import ArtefactError
from engine.images import decode_png
from engine.renderer.geometry import smoothstep
from engine.renderer.pixels import (
    CELL,
    F32,
    FIRST_NODE,
    U8,
    blur,
    enlarge,
    fill,
    join,
    opaque,
    over,
    remap,
    rounded,
    shrink,
)
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, SCHEMA_VERSION

F64 = NDArray[np.float64]

PARTS = ("upper", "lower", "tongue")
OVERSAMPLING = 2.0
"""Texture pixels for a pixel of the frame."""
SOFTNESS_PX = 0.55
"""Blur, in frame pixels, that brings the textures to a portrait's sharpness."""
DROP = {"upper": 0.036, "lower": 0.060, "tongue": 0.055}
"""How far in fu each part is set below its place in the mesh, whose lips hide the upper teeth at rest."""
WARM_SHADE = (0.85, 1.05, 1.15)
"""Power of the light in red, green and blue."""
HINGE = (-0.25, -0.10)
"""Face y and z (fu) of the axis, in front of the ears, about which the jaw turns."""
CHIN_FROM_HINGE = (0.97, -0.85)
"""The chin's y and z (fu) from the hinge."""
ARCH_POINTS = 33
_RISING = 1e-6 * np.arange(ARCH_POINTS)
"""Keeps an arch that is seen from its end in order."""
MAX_CURVATURE = 2.6
"""Limit of how fast, in 1/fu, a part recedes to the sides."""
TONGUE_WIDTH = 1.25
"""Stretch of the tongue, so that it fills the arch of the lower teeth from any side."""
DEPTH_SHARE = {"upper": 0.6, "lower": 0.6, "tongue": 0.35}
"""Share of its depth behind the lips at which a part is placed: seen from the side, true depth, which a flat texture
cannot follow, would pull it out of the opening."""
TONGUE_SINKS = 0.3
"""How far in fu the tongue sinks into the jaw for a rad of opening."""
SIDE_FADE = (0.17, 0.10)
"""Distance in fu from the middle where teeth begin to vanish in the dark, and over which they do."""
WIDTH_RANGE = (0.85, 1.2)
"""Limits of the mouth's width relative to the mesh's: teeth vary less than lips."""
CHEEKS = (50, 280, 205, 425, 117, 346, 187, 411)
LIPS = (37, 267, 84, 314, 17, 0, 85, 315)
LUMA = np.array([0.3, 0.59, 0.11])


@dataclass(frozen=True)
class MouthPart:
    """One texture and its place in the mesh head.

    Attributes:
        colour: uint8 (h, w, 3) RGB.
        alpha: uint8 (h, w).
        origin: Face x and y (fu) of the top left corner.
        pixel: Face units of a texture pixel.
        depth: z = depth . (1, x^2, y), in fu.
    """

    colour: U8
    alpha: U8
    origin: tuple[float, float]
    pixel: float
    depth: tuple[float, float, float]


@dataclass(frozen=True)
class MouthLayers:
    """The inner mouth's textures.

    Attributes:
        parts: Texture of each of PARTS.
        seam: Middle of the closed lips of the mesh head, fu.
        mouth_width: Between its inner lip corners, fu.
    """

    parts: dict[str, MouthPart]
    seam: tuple[float, float, float]
    mouth_width: float


def load_mouth_layers(folder: Path | None = None) -> MouthLayers:
    """Read the textures that ship with the engine, or those in ``folder``.

    Raises:
        ArtefactError: They are missing, damaged or of another version.
    """
    place = files("models").joinpath("pretrained", "mouth") if folder is None else folder
    try:
        manifest = json.loads(place.joinpath("layers.json").read_text())
        if manifest["kind"] != "mouth_layers" or manifest["schema_version"] != SCHEMA_VERSION:
            raise ArtefactError(f"{place} holds no mouth layers of schema version {SCHEMA_VERSION}.")
        parts = {}
        for name in PARTS:
            entry = manifest["layers"][name]
            colour = decode_png(place.joinpath(f"{name}.png").read_bytes())
            alpha = decode_png(place.joinpath(f"{name}_alpha.png").read_bytes(), grey=True)
            if colour.shape[:2] != alpha.shape:
                raise ArtefactError(f"{place}: the pictures of {name} differ in size; install the engine again.")
            x, y = map(float, entry["origin"])
            constant, square, slope = map(float, entry["depth"])
            parts[name] = MouthPart(colour, alpha, (x, y), float(entry["pixel"]), (constant, square, slope))
        seam_x, seam_y, seam_z = map(float, manifest["seam"])
        return MouthLayers(parts, (seam_x, seam_y, seam_z), float(manifest["mouth_width"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"The mouth layers in {place} are missing or damaged; install the engine again.") from error


@dataclass(frozen=True)
class _Sprite:
    """A part made ready for one avatar.

    Attributes:
        picture: Premultiplied uint8 RGBA at OVERSAMPLING times the frame's resolution.
        arch: float64 (1 + ARCH_POINTS, 3) fu, the middle of the upper edge and points along half height.
        columns: float64 (ARCH_POINTS,) px, the texture's columns of those points.
        middle_row: Texture row of half height.
        half_height: Texture rows from the upper edge to it.
    """

    picture: U8
    arch: F64
    columns: F64
    middle_row: float
    half_height: float


class InnerMouth:
    """Draws the inside of one avatar's mouth."""

    def __init__(self, avatar: Avatar, layers: MouthLayers, unit_px: float) -> None:
        """Scale and tint ``layers`` for ``avatar``; ``unit_px`` is the pixels of a face unit."""
        self._avatar = avatar
        self._unit_px = unit_px
        template = avatar.template.astype(np.float64)
        seam = (template[62] + template[66]) / 2
        width = float(np.linalg.norm(template[64] - template[60]))
        scale = float(np.clip(width / layers.mouth_width, *WIDTH_RANGE))
        source_seam = (avatar.source_points[62] + avatar.source_points[66]) / 2
        self._offset = (source_seam - avatar.project(seam)).astype(np.float64)
        tones = _tones(avatar)
        self._dark = (tones["lip"] * [0.17, 0.09, 0.085] + tones["skin"] * 0.015).astype(np.float32)
        self._sprites = {
            name: self._sprite(name, part, np.array(layers.seam), seam, scale, tones)
            for name, part in layers.parts.items()
        }

    def _sprite(
        self, name: str, part: MouthPart, seam_from: F64, seam_to: F64, scale: float, tones: dict[str, F64]
    ) -> _Sprite:
        colour = _tint(part, name, tones)
        alpha = part.alpha.astype(np.float32) / 255
        if name != "tongue":
            aside = np.abs(part.origin[0] + np.arange(alpha.shape[1]) * part.pixel)
            alpha = alpha * (1 - smoothstep((aside - SIDE_FADE[0]) / SIDE_FADE[1])).astype(np.float32)
        layered = np.dstack([colour * alpha[..., None], alpha * 255]).astype(np.float32)
        shrinkage = min(1.0, part.pixel * scale * self._unit_px * OVERSAMPLING)
        height, width = (max(2, round(n * shrinkage)) for n in alpha.shape)
        small = shrink(layered, width, height)
        small = np.pad(small, ((4, 4), (4, 4), (0, 0)))
        small = blur(small, SOFTNESS_PX * OVERSAMPLING)
        # The arch at half height, and the point above its middle, place the whole texture.
        columns = np.linspace(0, alpha.shape[1], ARCH_POINTS)
        x = part.origin[0] + np.append(columns[ARCH_POINTS // 2], columns) * part.pixel
        rows = np.full(ARCH_POINTS + 1, alpha.shape[0] / 2)
        rows[0] = 0
        y = part.origin[1] + rows * part.pixel
        z = part.depth[0] + min(part.depth[1], MAX_CURVATURE) * x**2 + part.depth[2] * y.mean()
        spread = np.array([TONGUE_WIDTH if name == "tongue" else 1.0, 1.0, DEPTH_SHARE[name]])
        arch = seam_to + scale * spread * (np.stack([x, y, z], -1) - seam_from) + [0.0, DROP[name], 0.0]
        return _Sprite(
            picture=np.clip(np.rint(small), 0, 255).astype(np.uint8),
            arch=arch,
            columns=columns * width / alpha.shape[1] + 4 - 0.5,
            middle_row=height / 2 + 4 - 0.5,
            half_height=height / 2,
        )

    def draw(
        self, corner: tuple[int, int], under_upper: F32, over_lower: F32, pose: NDArray[Any], chin: NDArray[Any]
    ) -> U8:
        """Draw the inside as seen through an opening.

        Args:
            corner: Frame x and y of the window's top left pixel.
            under_upper: float32 (h, w) px that each pixel lies below the upper lip's edge.
            over_lower: float32 (h, w) px that it lies above the lower lip's edge.
            pose: (6,) head pose.
            chin: (3,) fu, displacement of the chin from rest, before the head pose.

        Returns:
            uint8 (h, w, 4) RGBA, opaque.
        """
        height, width = under_upper.shape
        gap = np.maximum(under_upper + over_lower, 1e-3)
        fall = np.minimum(np.maximum(under_upper / gap, 0), 1) * 0.9 + 0.55
        picture = rounded(join(*(fall * tone for tone in self._dark)))
        places = self._places(corner, pose, jaw_angle(chin), float(chin[0]))
        x, y = (np.arange(-1, -(-count // CELL) + 1) * CELL + FIRST_NODE for count in (width, height))
        for name, place in places.items():
            nodes = _texture_nodes(self._sprites[name], place, x, y[:, None])
            where = enlarge(nodes, len(x) * CELL, len(y) * CELL)[CELL : CELL + height, CELL : CELL + width]
            picture = over(remap(self._sprites[name].picture, where), picture)
        unit = self._unit_px
        light = 0.40 + 0.60 * smoothstep(gap * (1 / (0.10 * unit)))
        for away, dimmed in ((under_upper, 0.50), (over_lower, 0.35)):
            light *= 1 - dimmed * np.exp(np.maximum(away, 0) * (-1 / (0.018 * unit)))
        # What light there is has come through and off the flesh: shade is warm.
        dark = np.log(light)
        return opaque(rounded(picture * join(*(np.exp(dark * power) for power in WARM_SHADE))))

    def _places(self, corner: tuple[int, int], pose: NDArray[Any], angle: float, aside: float) -> dict[str, F64]:
        """Window pixels (1 + ARCH_POINTS, 2) of every sprite's arch, back to front."""
        sinks = np.array([0.0, TONGUE_SINKS * max(angle, 0.0), 0.0])
        lower = with_jaw(np.concatenate([self._sprites[name].arch for name in ("tongue", "lower")]), angle, aside)
        lower[: 1 + ARCH_POINTS] += sinks
        arches = np.concatenate([lower, self._sprites["upper"].arch])
        posed = arches @ rotation_matrix(pose[:3]).T + np.asarray(pose[3:], np.float64)
        placed = self._avatar.project(posed) + (self._offset - corner)
        return dict(zip(("tongue", "lower", "upper"), placed.reshape(3, 1 + ARCH_POINTS, 2), strict=True))


def _texture_nodes(sprite: _Sprite, place: F64, x: F64, y: F64) -> F32:
    """Pixel of ``sprite``'s texture, whose arch lies at the window's pixels ``place``, that shows at each (x, y).

    Returns:
        float32 (len(y), len(x), 2).
    """
    top, arch = place[0], place[1:]
    # Upright lines of the arch stay straight and parallel; along it, the side turned away is foreshortened.
    upright = (arch[ARCH_POINTS // 2] - top) / sprite.half_height
    length = math.hypot(*upright.tolist())
    down_x, down_y = (upright / length).tolist()
    along = np.maximum.accumulate(arch @ [down_y, -down_x] + _RISING)
    across = x * down_y - y * down_x
    middle = np.interp(across, along, arch @ [down_x, down_y])
    rows = sprite.middle_row + (x * down_x + y * down_y - middle) / length
    columns = np.interp(across, along, sprite.columns)
    return join(columns.astype(np.float32), rows.astype(np.float32))


def jaw_angle(chin: NDArray[np.floating[Any]]) -> float:
    """Opening of the jaw in rad, from the chin's displacement (3,) fu."""
    down, back = CHIN_FROM_HINGE
    turn = float(chin[1]) * -back + float(chin[2]) * down
    return turn / float(down * down + back * back)


def with_jaw(points: F64, angle: float, aside: float) -> F64:
    """Turn ``points`` (N, 3) fu by ``angle`` rad about the jaw's hinge and move them ``aside`` fu along x."""
    sine, cosine = np.sin(angle), np.cos(angle)
    y, z = points[:, 1] - HINGE[0], points[:, 2] - HINGE[1]
    return np.stack([points[:, 0] + aside, HINGE[0] + y * cosine - z * sine, HINGE[1] + y * sine + z * cosine], -1)


def _tint(part: MouthPart, name: str, tones: dict[str, F64]) -> F32:
    """The part's colours with enamel, gum and tongue brought to the portrait's tones, float32 (h, w, 3)."""
    colour = part.colour.astype(np.float32)
    solid = part.alpha > 200
    if name == "tongue":
        enamel = np.zeros(part.alpha.shape, np.float32)
    else:
        spread = np.ptp(colour, axis=-1) / np.maximum(colour.max(-1), 1)
        enamel = np.clip((0.34 - spread) / 0.12, 0, 1)
    tinted = np.zeros_like(colour)
    for mask, target in ((enamel, tones["tooth"]), (1 - enamel, tones["gum" if name != "tongue" else "tongue"])):
        weight = mask * solid
        # The brighter half is what faces the viewer; the rest keeps its shading relative to it.
        luma = colour @ LUMA
        chosen = weight > 0.5
        if not chosen.any():
            continue
        bright = chosen & (luma >= np.percentile(luma[chosen], 50))
        gain = target / np.maximum(colour[bright].mean(0), 1)
        tinted += mask[..., None] * colour * gain.astype(np.float32)
    return cast(F32, np.clip(tinted, 0, 255).astype(np.float32))


def _tones(avatar: Avatar) -> dict[str, F64]:
    """Colours (RGB, 0..255) that the inner mouth takes from the portrait."""
    image = blur(avatar.image, 1.0).astype(np.float64)

    def at(vertices: tuple[int, ...]) -> F64:
        place = np.clip(np.rint(avatar.mesh[list(vertices), :2]), 0, IMAGE_SIZE - 1).astype(int)
        return cast(F64, np.median(image[place[:, 1], place[:, 0]], axis=0))

    skin, lip = at(CHEEKS), at(LIPS)
    white = _sclera(avatar)
    skin_luma = float(skin @ LUMA)
    if white is None:
        white = skin / skin_luma * (skin_luma * 1.05)
    white_luma = float(np.clip(white @ LUMA * 1.0, 0.75 * skin_luma + 14, 1.10 * skin_luma + 30))
    hue = 0.5 * white / (white @ LUMA) + 0.5 * (0.5 * skin / skin_luma + 0.5)
    tooth = hue * [1.03, 1.0, 0.92] * white_luma
    red = lip / (lip @ LUMA)
    gum = red * [1.05, 0.92, 0.92] * float(lip @ LUMA) * 0.72
    tongue = (0.6 * red + 0.4) * [1.22, 0.86, 0.84] * float(lip @ LUMA) * 0.62
    return {"skin": skin, "lip": lip, "tooth": np.clip(tooth, 0, 245), "gum": gum, "tongue": tongue}


def _sclera(avatar: Avatar) -> F64 | None:
    """Colour of the whites of the eyes, or None where too little of them is seen."""
    seen = []
    line = np.arange(IMAGE_SIZE, dtype=np.float32)
    for eye, (x, y, radius) in ((slice(36, 42), avatar.irises[0]), (slice(42, 48), avatar.irises[1])):
        inside = fill((IMAGE_SIZE, IMAGE_SIZE), avatar.source_points[eye]) > 0.99
        away = np.hypot(line[None] - x, line[:, None] - y) > 1.15 * radius
        seen.append(avatar.image[inside & away])
    pixels = np.concatenate(seen).astype(np.float64)
    if len(pixels) < 12:
        return None
    luma = pixels @ LUMA
    low, high = np.percentile(luma, [55, 92])
    return cast(F64, pixels[(luma >= low) & (luma <= high)].mean(0))
