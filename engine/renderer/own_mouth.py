"""The inside of a mouth as a picture shows it between parted lips: the person's own teeth, and the dark about them.

What lies between the lips is told apart in the mouth's own frame, along the lips and from the upper edge to the
lower: teeth by their brightness and lack of red, upper from lower ones along the path between them that has least of
either. Behind the lips the teeth go on as the last that is seen of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.colour import LUMA, redness
from engine.renderer.geometry import smoothstep
from engine.renderer.lip_line import LipLine, find_lip_line
from engine.renderer.mouth_tones import find_tones
from engine.renderer.pixels import F32, U8, blur, double, join, remap
from models.spec import IMAGE_SIZE, OUTER_EYE_CORNERS

F64 = NDArray[np.float64]
Light = Callable[[F32, F32], F32]

NOSE_BASE = 33
ROWS = 48
"""Steps from the upper lip's edge to the lower one's."""
CLEAN = 0.012
"""Height in fu beside a lip's edge that is mixed with the lip."""
LEAST_SHARE = 0.015
"""Share of the opening that teeth of one jaw must fill to be worth taking."""
PALE = (0.05, 0.35)
"""How much less red than the lips, as a share, is a little and is surely tooth."""
LEAST_BRIGHT = 0.5
"""Share of the brightness that teeth are expected to have from which something can be tooth."""
EVEN = 0.035
"""Distance in fu along the mouth over which teeth are made even behind the lips."""
BRIGHTEST = 1.6
"""Limit of how much brighter the dark behind the teeth is taken than it is seen: shade is not all that is dark."""
NARROW = 0.05
"""Height of the opening in fu below which little is learnt of what lies behind the teeth."""
AS_LIGHT = 0.9
"""Share of the lips' brightness from which what lies between teeth and lips is lip."""
DOUBT = 0.05
"""Share of the opening that must show what is behind the teeth to count as much as what is expected there."""
TELLING = (0.05, 0.08)
"""Heights of the opening in fu from which and at which what is no tooth in it is none: narrow gaps are all shade."""
VALLEY, VALLEY_SHARE = 8, 2.5
"""Rows above and below to compare a row with, and how much less a tooth a row counts for being darker than they."""
AT_LIP = 0.3
"""How much tooth it counts for that the parting runs along a lip: teeth of one jaw then fill the opening."""
_EVEN_MEAN = np.full(2 * VALLEY + 1, 1 / (2 * VALLEY + 1))
HIDDEN_EVEN = 0.5
"""How even teeth are where the picture's lips hide them: blank they are no teeth, and all lines they are a comb."""
TOOTH_HEIGHT, GUM_EDGE = 0.125, 0.03
"""Distance in fu from the biting edge at which gum begins behind the lips, and over which it does."""
UPPER_FIRST = 0.75
"""Height in the opening at which upper and lower teeth are parted where nothing tells."""


@dataclass(frozen=True)
class View:
    """A picture of an avatar's person in which the inside of the mouth may be seen.

    Attributes:
        picture: With the landmarks, template and camera of that picture.
        lips: Where the lips are in it.
        unit_px: Pixels of a face unit in it.
        shift: float64 (3,) fu from the avatar's face coordinates to its own.
    """

    picture: Avatar
    lips: LipLine
    unit_px: float
    shift: F64


def best_view(avatar: Avatar, lips: LipLine | None = None) -> View:
    """The second picture of an avatar where there is one, else the portrait, whose ``lips`` may be known already."""
    mouth = avatar.mouth
    if mouth is None:
        return _view(avatar, np.zeros(3), lips)
    picture = replace(
        avatar,
        image=mouth.image,
        source_points=mouth.source_points,
        template=mouth.template,
        camera=mouth.camera,
        mesh=mouth.mesh,
        mouth=None,
    )
    # Of what is measured in both, the base of the nose is nearest to the upper teeth and moves as little.
    return _view(picture, (mouth.template[NOSE_BASE] - avatar.template[NOSE_BASE]).astype(np.float64))


def _view(picture: Avatar, shift: F64, lips: LipLine | None = None) -> View:
    eyes = picture.source_points[list(OUTER_EYE_CORNERS)]
    unit = float(np.linalg.norm(eyes[1] - eyes[0]))
    return View(picture, lips or find_lip_line(picture, unit), unit, shift)


def teeth_in(avatar: Avatar) -> bool:
    """Whether teeth are seen in the picture that the inside of an avatar's mouth is taken from."""
    view = best_view(avatar)

    def evenly(below: F32, above: F32) -> F32:
        return np.ones((*below.shape, 3), np.float32)

    own = find_own_mouth(view.picture.image, view.lips, view.unit_px, find_tones(avatar), evenly)
    return own is not None and bool(own.edges)


@dataclass(frozen=True)
class OwnMouth:
    """What a picture shows between parted lips.

    Attributes:
        lips: Where the lips are in it.
        edges: For each jaw of which teeth are seen, "upper" or "lower", their biting edge in px down
            from the corner line.
        tone: float64 (3,) RGB of the teeth in full light, None where too little is seen of them.
        cavity: float32 (ROWS, K, 3) RGB in full light, what lies behind the teeth, at the places ``lips.u``.
    """

    lips: LipLine
    edges: dict[str, float]
    tone: F64 | None
    cavity: F32
    _picture: U8
    _corner: NDArray[np.int64]
    _light: Light
    _share: F32
    _teeth: dict[str, F32]
    _even: dict[str, F32]
    _parting: F64
    _clean: float
    _gum: F32
    _unit_px: float

    def sample(self, name: str, pixels: F32) -> tuple[F32, F32, F32]:
        """Teeth of the jaw ``name`` at ``pixels`` (h, w, 2) of the picture.

        Returns:
            float32 (h, w, 3) RGB in full light; (h, w) how far each pixel is tooth; and (h, w) how far the picture
            says what is there, tooth or not.
        """
        lips = self.lips
        u, v = lips.frame(pixels)
        upper, lower, parting = (np.interp(u, lips.u, line) for line in (lips.upper, lips.lower, self._parting))
        gap = np.maximum(lower - upper, 1e-3)
        clean = np.minimum(self._clean, 0.35 * gap)
        low, high = (upper + clean, parting) if name == "upper" else (parting, lower - clean)
        held = np.clip(v, np.minimum(low, high), np.maximum(low, high))
        place = lips.centre + u[..., None] * lips.along + held[..., None] * lips.down
        colour = remap(self._picture, ((place - self._corner) * 2).astype(np.float32)).astype(np.float32)
        colour /= self._light((held - upper).astype(np.float32), (lower - held).astype(np.float32))
        column = ((u - lips.u[0]) / (lips.u[1] - lips.u[0])).astype(np.float32)
        where = join(column, ((held - upper) / gap * (ROWS - 1)).astype(np.float32))
        pure, share = remap(self._share, where), remap(self._teeth[name], where)
        # What the lips hide goes on as the last that is seen, but more even.
        hidden = smoothstep((low - v if name == "upper" else v - high) / self._clean).astype(np.float32)
        even = remap(self._even[name], join(column, np.zeros_like(column)))
        colour += (even[..., :3] - colour) * (1 - pure * (1 - HIDDEN_EVEN * hidden))[..., None]
        share += (even[..., 3] - share) * hidden
        behind = (self.edges[name] - v if name == "upper" else v - self.edges[name]) / self._unit_px
        colour += (self._gum - colour) * smoothstep((behind - TOOTH_HEIGHT) / GUM_EDGE).astype(np.float32)[..., None]
        within = 1 - smoothstep((np.abs(u) - lips.half_width) / self._clean + 1)
        share *= (1 - smoothstep((v - parting if name == "upper" else parting - v) + 0.5)) * within
        known = smoothstep((v - upper if name == "upper" else lower - v) / self._clean + 0.5) * within
        known *= smoothstep((gap / self._unit_px - TELLING[0]) / (TELLING[1] - TELLING[0]))
        return colour, share.astype(np.float32), np.maximum(known, share).astype(np.float32)


def find_own_mouth(picture: U8, lips: LipLine, unit_px: float, tones: dict[str, F64], light: Light) -> OwnMouth | None:
    """Look between the lips of a picture; None where they touch.

    Args:
        picture: uint8 (512, 512, 3) RGB.
        lips: Its lips.
        unit_px: Pixels of a face unit.
        tones: RGB (3,) of "lip", "tooth" and "gum" in the picture's light, and of the "dark" to expect behind teeth.
        light: From how far pixels lie below the upper lip and above the lower one, in px, to how much light they get.
    """
    if lips.closed:
        return None
    fraction = np.linspace(0, 1, ROWS)[:, None]
    gap = lips.lower - lips.upper
    v = lips.upper + gap * fraction
    place = lips.centre + lips.u[:, None] * lips.along + v[..., None] * lips.down
    corner = np.clip(np.floor(place.min((0, 1))).astype(int) - 4, 0, IMAGE_SIZE - 8)
    far = np.ceil(place.max((0, 1))).astype(int) + 5
    doubled = double(np.ascontiguousarray(picture[corner[1] : far[1], corner[0] : far[0]]))
    strip = remap(doubled, ((place - corner) * 2).astype(np.float32)).astype(np.float32)
    clean = CLEAN * unit_px
    inside = ((v - lips.upper >= clean) & (lips.lower - v >= clean)).astype(np.float32)
    share = _toothness(strip, inside, tones["tooth"], tones["lip"])
    lit = light((gap * fraction).astype(np.float32), (gap * (1 - fraction)).astype(np.float32))
    rows = _parting_rows(share, strip, inside)
    above = fraction * (ROWS - 1) <= rows
    edges, even, behind, columns = {}, {}, {}, EVEN * unit_px / float(lips.u[1] - lips.u[0])
    for name, part in (("upper", above), ("lower", ~above)):
        solid = share * inside * part
        if float(solid.sum()) >= LEAST_SHARE * max(float(inside.sum()), 1.0):
            edges[name] = float(np.percentile(v[solid > 0.5], 90 if name == "upper" else 10))
            even[name] = _even_teeth(strip / lit, solid, columns)
            # Between a tooth and its lip is tooth, only mixed with lip.
            own = share * part
            behind[name] = np.maximum.accumulate(own[::-1])[::-1] if name == "upper" else np.maximum.accumulate(own)
    bright = share * inside > 0.8
    tone = np.median((strip / lit)[bright], axis=0).astype(np.float64) if edges and bright.sum() >= 12 else None
    luma = LUMA.astype(np.float32)
    lipless = smoothstep((AS_LIGHT - strip @ luma / float(tones["lip"] @ luma)) / 0.2)
    weight = inside * lipless * np.clip(1 - 3 * blur(share, 1.5), 0, 1) * np.clip(gap / (NARROW * unit_px), 0, 1)
    cavity = _filled(
        (strip / np.maximum(lit, 1 / BRIGHTEST)).astype(np.float32), weight.astype(np.float32), tones["dark"]
    )
    parting = lips.upper + gap * rows / (ROWS - 1)
    gum = tones["gum"].astype(np.float32)
    return OwnMouth(
        lips, edges, tone, cavity, doubled, corner, light, share, behind, even, parting, clean, gum, unit_px
    )


def _toothness(strip: F32, inside: F32, tooth: NDArray[Any], lip: NDArray[Any]) -> F32:
    """How far each pixel of the strip is tooth, 0 to 1: bright, and paler than the lips."""
    luma = LUMA.astype(np.float32)
    pale = 1 - redness(strip) / max(float(redness(np.asarray(lip, np.float32))), 0.04)
    light = strip @ luma
    seen = light[(inside > 0) & (pale > PALE[0])]
    bright = max(float(np.percentile(seen, 90)) if len(seen) else 0.0, LEAST_BRIGHT * float(tooth @ luma))
    whiteness = smoothstep((pale - PALE[0]) / (PALE[1] - PALE[0])) * smoothstep((light / bright - 0.45) / 0.25)
    return cast(F32, whiteness.astype(np.float32))


def _even_teeth(strip: F32, solid: F32, columns: float) -> F32:
    """Colour of the teeth along the mouth without the gaps between them, and how far there are any: (1, K, 4)."""
    weight = solid**3 * (strip @ LUMA.astype(np.float32)) ** 2
    kernel = np.exp(-0.5 * (np.arange(-2 * round(columns) - 1, 2 * round(columns) + 2) / columns) ** 2)
    sums = [np.convolve(line, kernel, mode="same") for line in (weight.sum(0), *(strip * weight[..., None]).sum(0).T)]
    colour = np.stack(sums[1:], -1) / np.maximum(sums[0], 1.0)[:, None]
    seen = np.convolve(np.clip(solid.max(0) * 1.5, 0, 1), kernel, mode="same") / kernel.sum()
    return np.dstack([colour[None], np.clip(2 * seen - 0.3, 0, 1)[None]]).astype(np.float32)


def _parting_rows(share: F32, strip: F32, inside: F32) -> F64:
    """Row between upper and lower teeth in each column: the smooth path that crosses least of either.

    Where they touch, it is the path that is darker than what lies above and below.
    """
    rows, columns = share.shape
    height = np.linspace(0, 1, rows)
    light = strip @ LUMA.astype(np.float32)
    around = np.stack([np.convolve(np.pad(line, VALLEY, mode="edge"), _EVEN_MEAN, "valid") for line in light.T], -1)
    valley = np.clip((around - light) / np.maximum(around, 16), -0.1, 0.3)
    tooth = np.where(inside > 0, share * (1 - VALLEY_SHARE * valley), AT_LIP)
    cost = tooth + 0.2 * np.abs(height - UPPER_FIRST)[:, None]
    best, came = cost[:, 0].copy(), np.zeros((rows, columns), np.int64)
    steps = np.arange(-2, 3)
    for column in range(1, columns):
        padded = np.pad(best, 2, constant_values=np.inf)
        options = np.stack([padded[2 + step : 2 + step + rows] + 0.03 * step * step for step in steps])
        pick = options.argmin(0)
        came[:, column] = np.arange(rows) + steps[pick]
        best = options.min(0) + cost[:, column]
    path = np.empty(columns, np.int64)
    path[-1] = best.argmin()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    return path.astype(np.float64)


def _filled(strip: F32, weight: F32, fallback: F64) -> F32:
    """The strip with what has no weight filled from what lies about it, or from ``fallback`` where nothing does."""
    few = DOUBT * weight.size
    mean = ((strip * weight[..., None]).sum((0, 1)) + few * fallback) / (float(weight.sum()) + few)
    result = np.broadcast_to(mean, strip.shape).astype(np.float32)
    for sigma in (12.0, 5.0, 2.0, 0.8):
        near = blur(weight, sigma)
        colour = blur(strip * weight[..., None], sigma) / np.maximum(near, 1e-5)[..., None]
        trust = np.clip(near * 3, 0, 1)[..., None]
        result = colour * trust + result * (1 - trust)
    return result
