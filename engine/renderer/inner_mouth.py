"""The inside of the mouth: teeth that sit in skull and jaw, tongue, and the dark behind them.

The textures are drawn once from a mesh (``training/corpus/mouth_layers.py``) and ship with the engine; an avatar
scales them to its mouth, tints them with the tones of its own picture and shades them by how far the lips let light
in.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.expression import CHIN
from engine.renderer.geometry import at_depth, smoothstep
from engine.renderer.lip_line import LipLine
from engine.renderer.mouth_layers import MouthLayers, MouthPart
from engine.renderer.mouth_tones import find_tones, tint
from engine.renderer.opening import CORNERS
from engine.renderer.own_mouth import ROWS, OwnMouth, best_view, find_own_mouth
from engine.renderer.pixels import (
    CELL,
    F32,
    FIRST_NODE,
    U8,
    affine,
    blur,
    enlarge,
    join,
    opaque,
    over,
    remap,
    rounded,
    shrink,
)
from engine.renderer.softness import softness
from engine.rotation import rotation_matrix
from models.spec import JAW, LANDMARKS, MOUTH

F64 = NDArray[np.float64]

OVERSAMPLING = 2.0
"""Texture pixels for a pixel of the frame."""
SOFTNESS_PX = (0.55, 1.8)
"""Blur, in frame pixels, that brings the textures to the sharpness of a sharp portrait and of a soft one."""
DRAWN = ("tongue", "lower", "upper")
"""Parts from back to front."""
DROP = {"upper": 0.042, "lower": 0.070, "tongue": 0.055}
"""How far in fu each part is set below its place in the mesh, whose lips hide the upper teeth at rest."""
WARM_SHADE = (0.85, 1.05, 1.15)
"""Power of the light in red, green and blue."""
HINGE = (-0.25, -0.10)
"""Face y and z (fu) of the axis, in front of the ears, about which the jaw turns."""
LOWER_LIP_MIDDLE = [65, 66, 67]
WIDER = (1.3, 2.5)
"""Openings, as shares of the portrait's, from which and at which its own dark gives way to ours, tongue included."""
LIP_PULLS = 0.2
"""Share of what the lower lip goes down further than the jaw says that the lower teeth go with it: chins are measured
poorly."""
COVERED = 0.04
"""Distance in fu from the biting edge of the upper teeth to the lower lip that hides lower teeth that are there."""
UPPER_SHARE = 0.3
"""Share of a gap that the upper lip covers when it closes."""
OWN_MARGIN = 0.06
"""Distance in fu by which a person's own teeth may lie beyond where the mesh has them."""
CHIN_FROM_HINGE = (0.97, -0.85)
"""The chin's y and z (fu) from the hinge."""

LIGHT_BASE, LIGHT_GAP = 0.7, 0.12
"""Share of the light that comes in between lips that hardly part, and the opening in fu that lets in all of it."""
LIP_SHADES = (0.35, 0.06)
"""Share of the light that the upper and the lower lip take from what they touch."""
SHADE_REACH = 0.022
"""Distance in fu from a lip over which its shade fades."""
DEEP_LIGHT, DEEP_GAP = 0.5, 0.3
"""The same as LIGHT_BASE and LIGHT_GAP for the tongue, which lies deeper."""
ROUNDED = 1.25
"""Power of the light's gain for a mouth that is wider or narrower, as a share, than at rest: rounded lips come forward,
and what lies behind them gets deeper."""
DROPPED = 1.0
"""Power of its loss, in 1/fu, as the chin goes down and leaves the teeth deeper in the mouth."""
GAINS = (0.3, 1.15)
"""Limits of that gain."""
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
TONGUE_SINKS = 0.2
"""How far in fu the tongue sinks into the jaw for a rad of opening."""
SIDE_FADE = (0.17, 0.10)
"""Distance in fu from the middle where teeth begin to vanish in the dark, and over which they do."""
WIDTH_RANGE = (0.85, 1.2)
"""Limits of the mouth's width relative to the mesh's: teeth vary less than lips."""


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


@dataclass(frozen=True)
class _Jaw:
    """Where the jaw is: turned by an angle in rad, moved aside in fu, its teeth moved down further in fu."""

    angle: float
    aside: float
    down: float

    def moved(self, points: F64) -> F64:
        """``points`` (N, 3) fu that hang on the jaw."""
        return with_jaw(points, self.angle, self.aside) + _down(self.down)


class InnerMouth:
    """Draws the inside of one avatar's mouth.

    Attributes:
        softness: Of the portrait, see ``engine.renderer.softness``.
    """

    def __init__(self, avatar: Avatar, layers: MouthLayers, lips: LipLine, unit_px: float) -> None:
        """Make the inner mouth of an avatar.

        Args:
            avatar: The portrait.
            layers: Textures for what it does not show.
            lips: Its lips.
            unit_px: Pixels of a face unit.
        """
        self._avatar = avatar
        self._unit_px = unit_px
        self.softness = softness(avatar)
        self._blur_px = {name: float(np.interp(self.softness, (0, 1), SOFTNESS_PX)) for name in DRAWN}
        # Where the jaw is, and how high its teeth come, is measured worst: in a soft picture they may be softer still.
        self._blur_px["lower"] *= 1 + self.softness
        tones = find_tones(avatar)
        view = best_view(avatar, lips)
        own = find_own_mouth(view.picture.image, view.lips, view.unit_px, tones, partial(_light, view.unit_px))
        if own is not None and own.tone is not None:
            tones["tooth"] = own.tone
        self._own_gap = 0.0 if own is None else float((own.lips.lower - own.lips.upper).max()) / view.unit_px * unit_px
        template = avatar.template.astype(np.float64)
        self._seam_to = (template[62] + template[66]) / 2
        self._view, self._seen = view, self._jaw(_seen_motion(view.picture))
        self._corners = template[CORNERS[1]] - template[CORNERS[0]]
        self._width = float(np.linalg.norm(self._corners))
        self._scale = float(np.clip(self._width / layers.mouth_width, *WIDTH_RANGE))
        self._seam_from = np.array(layers.seam)
        self._offset = _fit_error(avatar)
        self._cavity = self._cavity_of(own, tones)
        self._dark = tones["dark"].astype(np.float32)
        self._along = np.append(lips.along, 0.0) * ((self._cavity.shape[1] - 1) / (2 * lips.half_width))
        self._along[2] = (self._cavity.shape[1] - 1) / 2 - self._along[:2] @ lips.centre
        self._sprites = {
            name: self._sprite(name, part, tones, own)
            for name, part in sorted(layers.parts.items(), key=lambda entry: DRAWN.index(entry[0]))
        }

    def _sprite(self, name: str, part: MouthPart, tones: dict[str, F64], own: OwnMouth | None) -> _Sprite:
        """Make ``part`` ready: with the picture's own teeth where it shows them."""
        mine = own is not None and name in own.edges
        part = part.padded(OWN_MARGIN) if mine else part
        colour = tint(part, name, tones)
        alpha = part.alpha.astype(np.float32) / 255
        if name != "tongue":
            aside = np.abs(part.origin[0] + np.arange(alpha.shape[1]) * part.pixel)
            alpha = alpha * (1 - smoothstep((aside - SIDE_FADE[0]) / SIDE_FADE[1])).astype(np.float32)
        layered = np.dstack([colour * alpha[..., None], alpha * 255]).astype(np.float32)
        shrinkage = min(1.0, part.pixel * self._scale * self._unit_px * OVERSAMPLING)
        height, width = (max(2, round(n * shrinkage)) for n in alpha.shape)
        small = shrink(layered, width, height)
        small = np.pad(small, ((4, 4), (4, 4), (0, 0)))
        small = blur(small, self._blur_px[name] * OVERSAMPLING)
        # The arch at half height, and the point above its middle, place the whole texture.
        columns = np.linspace(0, alpha.shape[1], ARCH_POINTS)
        x = part.origin[0] + np.append(columns[ARCH_POINTS // 2], columns) * part.pixel
        rows = np.full(ARCH_POINTS + 1, alpha.shape[0] / 2)
        rows[0] = 0
        y = part.origin[1] + rows * part.pixel
        z = part.depth[0] + min(part.depth[1], MAX_CURVATURE) * x**2 + part.depth[2] * y.mean()
        spread = np.array([TONGUE_WIDTH if name == "tongue" else 1.0, 1.0, DEPTH_SHARE[name]])
        arch = self._seam_to + self._scale * spread * (np.stack([x, y, z], -1) - self._seam_from)
        sprite = _Sprite(
            picture=rounded(small),
            arch=arch + _down(DROP[name]),
            columns=columns * width / alpha.shape[1] + 4 - 0.5,
            middle_row=height / 2 + 4 - 0.5,
            half_height=height / 2,
        )
        if own is None or name == "tongue":
            return sprite
        sprite = replace(sprite, arch=sprite.arch + _down(self._to_edge(name, sprite, own)))
        return replace(sprite, picture=self._with_own(name, sprite, own)) if mine else sprite

    def _to_edge(self, name: str, sprite: _Sprite, own: OwnMouth) -> float:
        """How far in fu ``sprite`` goes down so that its teeth bite where the picture's do, or are not seen in it."""
        place = _pixels_of(sprite, self._seen_place(name, sprite))
        third = sprite.picture.shape[1] // 3
        solid = sprite.picture[:, third:-third, 3] > 128
        _, v = own.lips.frame(place[:, third:-third][solid])
        edge = float(np.percentile(v, 97 if name == "upper" else 3))
        if name in own.edges:
            return (own.edges[name] - edge) / self._view.unit_px
        lip = own.lips.upper if name == "upper" else own.lips.lower
        if name == "lower" and lip[len(lip) // 2] - own.edges.get("upper", -np.inf) < COVERED * self._view.unit_px:
            return 0.0
        away = float(lip[len(lip) // 3 : -(len(lip) // 3)].mean() - edge) / self._view.unit_px
        return min(away, 0.0) if name == "upper" else max(away, 0.0)

    def _seen_place(self, name: str, sprite: _Sprite) -> F64:
        """Pixels (1 + ARCH_POINTS, 2) of the arch of ``sprite`` in the picture that shows the person's own teeth."""
        moved = sprite.arch if name == "upper" else self._seen.moved(sprite.arch)
        place = self._view.picture.project(moved + self._view.shift).astype(np.float64)
        return place + self._offset if self._view.picture is self._avatar else place

    def _with_own(self, name: str, sprite: _Sprite, own: OwnMouth) -> U8:
        """The picture's own teeth over those of ``sprite``, premultiplied RGBA."""
        colour, share, known = own.sample(name, _pixels_of(sprite, self._seen_place(name, sprite)))
        mine = np.dstack([np.minimum(colour, 255) * share[..., None], share * 255])
        return rounded(mine + sprite.picture * (1 - known)[..., None])

    def _cavity_of(self, own: OwnMouth | None, tones: dict[str, F64]) -> F32:
        """What lies behind teeth and tongue from the upper lip to the lower and along the mouth, without shade."""
        if own is None:
            fall = np.linspace(0, 1, ROWS)[:, None, None] * 0.9 + 0.55
            return cast(F32, (fall * np.stack([tones["dark"], tones["dark"]])).astype(np.float32))
        return np.minimum(own.cavity, 255)

    def draw(
        self,
        corner: tuple[int, int],
        source: F32,
        under_upper: F32,
        over_lower: F32,
        pose: NDArray[Any],
        motion: NDArray[np.floating[Any]],
    ) -> U8:
        """Draw the inside as seen through an opening.

        Args:
            corner: Frame x and y of the window's top left pixel.
            source: float32 (h, w, 2) px, where each pixel would come from in the portrait.
            under_upper: float32 (h, w) px that each pixel lies below the upper lip's edge.
            over_lower: float32 (h, w) px that it lies above the lower lip's edge.
            pose: (6,) head pose.
            motion: (68, 3) fu, displacement of the landmarks from rest, before the head pose.

        Returns:
            uint8 (h, w, 4) RGBA, opaque.
        """
        height, width = under_upper.shape
        gap = np.maximum(under_upper + over_lower, 1e-3)
        fall = np.minimum(np.maximum(under_upper / gap, 0), 1) * np.float32(ROWS - 1)
        column = affine(source, self._along[None].astype(np.float32))
        picture = rounded(remap(self._cavity, join(column, fall)))
        widest = float(gap.max())
        ours = self._wider(widest)
        if self._own_gap and ours > 0:
            picture = rounded(picture + (self._dark - picture) * ours)
        deep = DEEP_LIGHT + (1 - DEEP_LIGHT) * _step(widest / (DEEP_GAP * self._unit_px))
        places = self._places(corner, pose, self._jaw(motion))
        x, y = (np.arange(-1, -(-count // CELL) + 1) * CELL + FIRST_NODE for count in (width, height))
        for name, place in places.items():
            if name == "tongue" and ours <= 0:
                continue
            nodes = _texture_nodes(self._sprites[name], place, x, y[:, None])
            where = enlarge(nodes, len(x) * CELL, len(y) * CELL)[CELL : CELL + height, CELL : CELL + width]
            shown = remap(self._sprites[name].picture, where)
            if name == "tongue":
                shown = rounded(shown * np.array([deep * ours] * 3 + [ours], np.float32))
            picture = over(shown, picture)
        light = _light(self._unit_px, under_upper, over_lower) * self._gain(motion)
        return opaque(rounded(picture * light))

    def _gain(self, motion: NDArray[np.floating[Any]]) -> np.float32:
        """How much more light than between lips at rest comes in between lips that are spread or rounded."""
        apart = self._corners + motion[CORNERS[1]] - motion[CORNERS[0]]
        wider = float(np.linalg.norm(apart)) / self._width - 1
        gain = math.exp(ROUNDED * wider - DROPPED * max(float(motion[CHIN, 1].mean()), 0.0))
        return np.float32(min(max(gain, GAINS[0]), GAINS[1]))

    def _wider(self, gap_px: float) -> float:
        """How far what lies behind the teeth is ours, 0 to 1: all where much more is open than in the portrait."""
        return _step((gap_px / self._own_gap - WIDER[0]) / (WIDER[1] - WIDER[0])) if self._own_gap else 1.0

    def _jaw(self, motion: NDArray[np.floating[Any]]) -> "_Jaw":
        """Where landmarks displaced by ``motion`` (68, 3) fu say that the jaw is."""
        chin = motion[CHIN].mean(0)
        angle = jaw_angle(chin)
        turned = float(with_jaw(self._seam_to[None], angle, 0.0)[0, 1] - self._seam_to[1])
        pulled = LIP_PULLS * max(float(motion[LOWER_LIP_MIDDLE, 1].mean()) - turned, 0.0)
        return _Jaw(angle, float(chin[0]), pulled)

    def _places(self, corner: tuple[int, int], pose: NDArray[Any], jaw: "_Jaw") -> dict[str, F64]:
        """Window pixels (1 + ARCH_POINTS, 2) of every sprite's arch, back to front."""
        arches = [one.arch if name == "upper" else jaw.moved(one.arch) for name, one in self._sprites.items()]
        arches[0] = arches[0] + _down(TONGUE_SINKS * max(jaw.angle, 0.0))
        posed = np.concatenate(arches) @ rotation_matrix(pose[:3]).T + np.asarray(pose[3:], np.float64)
        placed = self._avatar.project(posed) + (self._offset - corner)
        return dict(zip(self._sprites, placed.reshape(-1, 1 + ARCH_POINTS, 2), strict=True))


def _light(unit: float, under_upper: F32, over_lower: F32) -> F32:
    """How much light comes in between lips that are so far in px above and below, float32 (h, w, 3)."""
    light = LIGHT_BASE + (1 - LIGHT_BASE) * smoothstep((under_upper + over_lower) * (1 / (LIGHT_GAP * unit)))
    for away, dimmed in zip((under_upper, over_lower), LIP_SHADES, strict=True):
        light *= 1 - dimmed * np.exp(np.maximum(away, 0) * (-1 / (SHADE_REACH * unit)))
    # What light there is has come through and off the flesh: shade is warm.
    dark = np.log(light).astype(np.float32)
    return join(*(np.exp(dark * np.float32(power)) for power in WARM_SHADE))


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


def _pixels_of(sprite: _Sprite, place: F64) -> F32:
    """Where in the picture each pixel of ``sprite``'s texture lies, whose arch is at ``place``; as ``_texture_nodes``.

    Returns:
        float32 (h, w, 2) px.
    """
    top, arch = place[0], place[1:]
    upright = (arch[ARCH_POINTS // 2] - top) / sprite.half_height
    length = math.hypot(*upright.tolist())
    down_x, down_y = (upright / length).tolist()
    along = np.maximum.accumulate(arch @ [down_y, -down_x] + _RISING)
    rows, columns = (np.arange(count) for count in sprite.picture.shape[:2])
    across = np.interp(columns, sprite.columns, along)
    down = np.interp(across, along, arch @ [down_x, down_y]) + ((rows - sprite.middle_row) * length)[:, None]
    pair = np.broadcast_to(across, down.shape)
    return join((pair * down_y + down * down_x).astype(np.float32), (down * down_y - pair * down_x).astype(np.float32))


def _fit_error(avatar: Avatar) -> F64:
    """Pixels (2,) from where the camera puts the closed lips to where they would meet in the picture."""
    template = avatar.template.astype(np.float64)
    upper, lower = avatar.source_points[[62, 66]].astype(np.float64)
    meeting = (1 - UPPER_SHARE) * upper + UPPER_SHARE * lower
    return cast(F64, meeting - avatar.project((template[62] + template[66]) / 2))


def _seen_motion(avatar: Avatar) -> F64:
    """Displacement (68, 3) fu of mouth and jaw from rest in the portrait itself."""
    motion = np.zeros((LANDMARKS, 3))
    for part in (JAW, MOUTH):
        depth = avatar.template[part, 2].astype(np.float64)
        motion[part] = at_depth(avatar.camera, avatar.source_points[part], depth) - avatar.template[part]
    return motion


def _down(fu: float) -> F64:
    return np.array([0.0, fu, 0.0])


def _step(x: float) -> float:
    return float(smoothstep(np.array(x)))


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
