"""Eyes: lids that slide over an eyeball, and an eyeball that looks about.

The eyeball is a layer of its own: the picture's eye, with white and iris carried on under the lids. A blink moves
the edges of the opening and the skin beside them; what the opening shows is never squeezed.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.colour import LUMA
from engine.renderer.eyeball import eye_layers
from engine.renderer.geometry import ramp, smoothstep
from engine.renderer.pixels import F32, U8, affine, join, opaque, planes, remap, rounded

F64 = NDArray[np.float64]

RIGHT_LANDMARKS = slice(36, 42)
LEFT_LANDMARKS = slice(42, 48)
RIGHT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
RIGHT_BROW = (17, 18, 19, 20, 21)
LEFT_BROW = (22, 23, 24, 25, 26)

LASHES = 0.026
"""Height in fu of the rim of the upper lid that keeps its lashes and moves without stretching."""
EYEBALL_RADIUS = 0.135
"""Radius in fu: 12 mm of about 90 mm between the outer corners."""
COVERED_RIM = 0.030
"""Height in fu of the lower lid's rim that a shut upper lid covers."""
SPARED_RIM = 0.010
"""Height in fu of the upper lid's rim that is left out where the lids meet."""
SMOOTHED = 0.95
"""Share of smooth colour where an unfolding lid is stretched most: stretched texture would be streaks."""
LASH_SHADE = (0.12, 0.6)
"""What the lashes of a shut eye leave of the skin's brightness behind them, darkest and brightest."""
LASHES_DARKER = 0.75
"""That as a share of what the rim of the open eye shows: there skin is mixed with them."""
LASH_TONE = (1.06, 0.98, 0.92)
"""And of red, green and blue in this: shade on skin is warm."""
LASH_THICKNESS = (0.016, 0.036)
"""How far in fu the lashes of a shut eye reach above the line where the lids meet, and how far they hang below it."""
LASH_ENDS = (0.25, 0.4)
"""Share of the eye's width over which lashes grow thinner towards the corners, and their thickness there."""
SEAM = 0.08
"""Distance in fu from the line where the lids meet within which skin is drawn smooth: where lids are measured a little
inside the eye, it would show a strip of it."""
LASHES_FROM = 0.45
"""How far an eye is shut when its lashes begin to lie on the lower lid."""
BROW_STAYS = 0.25
"""How far skin has come down, as a share of the lid's edge, from which what was brow in it is drawn as skin."""
STEPS = 4
"""Entries of a lid's table for a pixel along the eye."""
WIDEST = 0.36
"""Height of a wide open eye as a share of its width: a narrowed one may be opened so far by either lid."""
EDGE_PX = 1.3
"""Pixels over which a lid's edge is smoothed."""
MEET_BELOW = 0.2
"""Lids meet so far, in openings, below where the lower one rests: a blink is the upper lid's, whatever is measured."""
SHUT_ENDS = (0.25, 0.6)
"""The lids of a shut eye meet along a nearly straight line: where it ends below the inner and the outer corner, as
shares of the lower lid's depth at rest."""
LEVELLED = 1.2
"""And how much further below the outer corner, as a share of this corner's height over the inner one: shut lids fall
outwards, however much the open eye slants."""
BENDS = 0.1
"""How much of the lower lid's curve at rest is left in that line."""
BEYOND_CORNERS = (0.13, 0.20)
"""Distance beyond a corner, as a share of the eye's width, from which the skin follows that line, and over which it
comes to do so."""
CLEANED_BEYOND = (0.28, 0.20)
"""Distance beyond a corner, as a share of the eye's width, from which a shut eye's skin is drawn without the lashes of
the open one, and over which it comes to be."""
MARGIN, SHUT_MARGIN = 0.06, 0.11
"""Width in fu of what is drawn beside the eye's corners, and beside those of one that shuts."""
SHUT_FROM, SHUT_AT = 0.5, 0.88
"""A measured blink rarely brings the lid landmarks together: closing from the first to the second is drawn as closing
from the first to shut."""


@dataclass(frozen=True)
class LidMotion:
    """How far the lids of one eye have come: shares of the opening at rest, positive towards closing."""

    upper: float
    lower: float

    @property
    def shut(self) -> float:
        """How far the lids have come to each other, 0 to 1."""
        return min(max(self.upper + self.lower, 0.0), 1.0)


@dataclass(frozen=True)
class Lids:
    """What a window of the frame shows around one eye, all float32.

    Attributes:
        upper: (h, w, 2) px, where the skin of the upper lid comes from.
        lower: (h, w, 2) px, where the skin of the lower lid comes from.
        upper_share: (h, w), how far the upper of the two is seen.
        unfolded: (h, w), how much of the upper lid's skin is drawn smooth, where it is stretched.
        opening: (h, w), how far the eyeball is seen.
        below: (h, w) px below the edge of the upper lid.
        lashes: (h, w), how much of the skin the lashes of a shut eye cover; None while it is open.
        seam: (h, w), how much of the skin beside the line where the lids meet is drawn smooth; None while it is open.
    """

    upper: F32
    lower: F32
    upper_share: F32
    unfolded: F32
    opening: F32
    below: F32
    lashes: F32 | None
    seam: F32 | None


class Eye:
    """One eye of an avatar.

    Attributes:
        landmarks: iBUG points of the eye: left corner in the picture, two upper, right corner, two lower.
        lash_shade: What its lashes leave of the colours behind them, red, green and blue.
    """

    def __init__(self, avatar: Avatar, unit_px: float, *, left: bool) -> None:
        """Measure the opening and make the eyeball; ``left`` is the person's left eye."""
        self.landmarks = LEFT_LANDMARKS if left else RIGHT_LANDMARKS
        self._unit_px = unit_px
        points = avatar.source_points[self.landmarks].astype(np.float64)
        self._corner = points[0]
        self._width = float(np.linalg.norm(points[3] - points[0]))
        self._along = (points[3] - points[0]) / self._width
        self._down = np.array([-self._along[1], self._along[0]])
        self._down_x, self._down_y = float(self._down[0]), float(self._down[1])
        self._u = np.linspace(0, self._width, 4 * round(self._width) + 1)
        lines = (LEFT_UPPER, LEFT_LOWER) if left else (RIGHT_UPPER, RIGHT_LOWER)
        self._upper, self._lower = (self._lid(avatar.mesh[list(line), :2].astype(np.float64)) for line in lines)
        middle = (self._upper + self._lower) / 2
        half = np.maximum(self._lower - self._upper, 0) / 2
        self._upper, self._lower = middle - half, middle + half
        self._beyond = 0.3 * self._width
        table_u = np.arange(round((self._width + 2 * self._beyond) * STEPS) + 1) / STEPS - self._beyond
        rest = [np.interp(table_u, self._u, height) for height in (self._upper, self._lower)]
        share = table_u / self._width
        outwards = share if left else 1 - share
        settled = self._settled(rest[1], np.clip(outwards, 0, 1), self._slant(avatar, left=left))
        to_corner = np.minimum(share, 1 - share)
        inside = smoothstep((to_corner + 0.10) / 0.14)
        follows = smoothstep((to_corner + BEYOND_CORNERS[0]) / BEYOND_CORNERS[1])
        cleaned = smoothstep((to_corner + CLEANED_BEYOND[0]) / CLEANED_BEYOND[1])
        self._table = np.stack([*rest, inside, settled, follows]).astype(np.float32)
        self._cleaned = cleaned.astype(np.float32)
        thickness = LASH_ENDS[1] + (1 - LASH_ENDS[1]) * smoothstep((to_corner + 0.10) / LASH_ENDS[0])
        self._thinness = (1 / thickness).astype(np.float32)
        axes = np.stack([self._along, self._down])
        self._axes = np.concatenate([axes, -axes @ self._corner[:, None]], 1).astype(np.float32)
        upper, lower = self._heights(points[[1, 2]]), self._heights(points[[5, 4]])
        self._gap = max(float((lower - upper).mean()), 0.02 * unit_px)
        self._widest = max(WIDEST * self._width / self._gap - 1, 0.6)
        self._brow = avatar.source_points[list(LEFT_BROW if left else RIGHT_BROW)]
        to_brow = float(upper.mean() - self._heights(self._brow.astype(np.float64)).mean())
        self._fold = float(np.clip(0.42 * to_brow, 0.5 * self._gap + 0.05 * unit_px, 0.16 * unit_px))
        self._iris = avatar.irises[1 if left else 0].astype(np.float64)
        ends = self._corner + self._u[:, None] * self._along
        outline = [ends + self._upper[:, None] * self._down, (ends + self._lower[:, None] * self._down)[::-1]]
        self._layers = eye_layers(avatar.image, np.concatenate(outline), self._iris, self._brow, unit_px)
        self.lash_shade = self._lash_shade(avatar)

    def _heights(self, pixels: F64) -> F64:
        """Distance below the line between the corners of ``pixels`` (N, 2)."""
        return cast(F64, (pixels - self._corner) @ self._down)

    def _lid(self, line: F64) -> F64:
        """A lid's height at every ``_u``, 0 at the corners: a smooth curve through the mesh's points."""
        u = (line - self._corner) @ self._along
        order = np.argsort(u)
        inner = order[(u[order] > 0.04 * self._width) & (u[order] < 0.96 * self._width)]
        known_u = np.concatenate([[0], u[inner], [self._width]])
        known_v = np.concatenate([[0], self._heights(line[inner]), [0]])
        height = np.interp(self._u, known_u, known_v)
        kernel = np.hanning(4 * max(2, round(self._width * 0.10)) + 1)
        pad = len(kernel) // 2
        padded = np.concatenate([-height[pad:0:-1], height, -height[-2 : -pad - 2 : -1]])
        return np.convolve(padded, kernel / kernel.sum(), mode="valid")

    def _slant(self, avatar: Avatar, *, left: bool) -> float:
        """Height in px of the outer corner over the inner one, by the line between both eyes' outer corners."""
        corners = avatar.source_points[[RIGHT_LANDMARKS.start, LEFT_LANDMARKS.start + 3]].astype(np.float64)
        across = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
        outwards = self._along if left else -self._along
        return self._width * max(float(outwards @ [across[1], -across[0]]), 0.0)

    def _settled(self, lower: F64, outwards: F64, slant: float) -> F64:
        """How far below the ``lower`` lid at rest the lids of a shut eye lie; ``outwards`` is 0 to 1, ``slant`` px."""
        depth = max(float(lower.max()), 0.02 * self._unit_px)
        inner, outer = SHUT_ENDS[0] * depth, SHUT_ENDS[1] * depth + LEVELLED * slant
        return inner + (outer - inner) * outwards - (1 - BENDS) * lower

    def _lash_shade(self, avatar: Avatar) -> tuple[float, float, float]:
        """As the upper lid's rim shows its lashes: its darker pixels against the skin beside the eye."""
        rim = self._corner + self._u[:, None] * self._along + self._upper[:, None] * self._down
        place = np.clip(np.rint(rim), 1, avatar.image.shape[0] - 2).astype(int)
        seen = np.concatenate([avatar.image[place[:, 1] + row, place[:, 0]] for row in (-1, 0, 1)]).astype(np.float64)
        luma = np.sort(seen @ LUMA)
        skin = float((self._layers.skin[..., :3] @ LUMA).mean())
        seen_left = luma[: max(len(luma) // 4, 1)].mean() / max(skin, 1.0)
        left = float(np.clip(LASHES_DARKER * seen_left, *LASH_SHADE))
        red, green, blue = (left * tone for tone in LASH_TONE)
        return red, green, blue

    def motion(self, displacement: F32) -> LidMotion:
        """Read the lids' motion from the 68 displacements (68, 2) px in the source picture."""
        moved = (displacement[self.landmarks] @ self._down).tolist()
        rigid = (moved[0] + moved[3]) / 2
        upper = ((moved[1] + moved[2]) / 2 - rigid) / self._gap
        lower = -((moved[4] + moved[5]) / 2 - rigid) / self._gap
        closing = upper + lower
        if closing > SHUT_FROM:
            full = SHUT_FROM + (closing - SHUT_FROM) * (1 - SHUT_FROM) / (SHUT_AT - SHUT_FROM)
            factor = min(full, 1.0) / closing
            upper, lower = upper * factor, lower * factor
            sinks = min(max((factor * closing - SHUT_FROM) / (1 - SHUT_FROM), 0.0), 1.0) * (lower + MEET_BELOW)
            if sinks > 0:
                upper, lower = upper + sinks, lower - sinks
        return LidMotion(min(max(upper, -self._widest), 1.3), min(max(lower, -self._widest), 1.3))

    def slide(self, source: F32, motion: LidMotion) -> Lids:
        """Move the lids; ``source`` (h, w, 2) px is where each frame pixel would come from were they at rest."""
        u, v = planes(affine(source, self._axes))
        index = (u * STEPS + (self._beyond * STEPS + 0.5)).astype(np.intp)
        profile = self._profile(motion)
        upper_now, lower_now, upper_reach, lower_reach, lift, sink, shown, seam = (
            line.take(index, mode="clip") for line in profile
        )
        below, over = v - upper_now, lower_now - v
        resting = smoothstep((below + LASHES * self._unit_px) * upper_reach)
        rests = resting - 1
        closing = min(max(motion.upper, 0.0), 1.0)
        stretched = rests * resting * (-4 * SMOOTHED * closing)
        skin = source + self._downwards(lift * rests)
        if closing > 0:
            # A brow that is close to the eye is not drawn out over the lid.
            drawn_out = np.minimum(-rests * (closing / BROW_STAYS), 1)
            stretched = np.maximum(stretched, remap(self._layers.brow, skin - self._layers.corner) * drawn_out)
            stretched = stretched * self._smooth_along(index, motion)
        above = seam - v
        lower = source + self._downwards(sink * (1 - smoothstep(over * lower_reach)))
        lashes, beside = self._along_seam(above, index, motion.shut)
        if beside is not None:
            shown_skin = np.where((above > 0)[..., None], skin, lower)
            old_lashes = remap(self._layers.lashes, shown_skin - self._layers.corner)
            beside = np.maximum(beside, old_lashes * self._smooth_along(index, motion) * motion.shut**4)
        return Lids(
            upper=skin,
            lower=lower,
            unfolded=cast(F32, stretched),
            upper_share=_edge(above),
            opening=_edge(below) * _edge(over) * shown,
            below=below,
            lashes=lashes,
            seam=beside,
        )

    def _smooth_along(self, index: NDArray[np.intp], motion: LidMotion) -> F32:
        """How far skin may be drawn smooth at places ``index`` (h, w): beyond the corners the picture goes on."""
        follows = self._table[4]
        shut = max(motion.shut - LASHES_FROM, 0.0) / (1 - LASHES_FROM)
        line = follows + (self._cleaned - follows) * np.float32(min(2 * shut, 1.0))
        return cast(F32, line.take(index, mode="clip"))

    def _along_seam(self, above: F32, index: NDArray[np.intp], shut: float) -> tuple[F32, F32] | tuple[None, None]:
        """Lashes along the line where the lids meet, and what lies close to it, none while the eye is open.

        Args:
            above: (h, w) px above that line.
            index: (h, w) places in the tables along the eye.
            shut: How far the lids have come to each other.
        """
        if shut <= LASHES_FROM:
            return None, None
        inside, thinness = (line.take(index, mode="clip") for line in (self._table[2], self._thinness))
        amount = smoothstep(np.full((), (shut - LASHES_FROM) / (1 - LASHES_FROM), np.float32))
        up, down = (self._unit_px * thickness for thickness in LASH_THICKNESS)
        away = thinness * np.maximum(above * np.float32(1 / up), above * np.float32(-1 / down))
        beside = 1 - smoothstep(np.abs(above) * (1 / (SEAM * self._unit_px)))
        return inside * (amount * (1 - smoothstep(away))), inside * (shut**4 * beside)

    def _profile(self, motion: LidMotion) -> tuple[F32, ...]:
        """What is the same all along a line across the eye, as lines (K,) over the table's places along it.

        Returns:
            Heights of the upper and the lower edge now; -1 / px over which the skin above and below comes to rest;
            px by which the skin at the edge of the upper lid has come down and that of the lower one comes up; how
            far the eyeball shows at all; height of the seam between the lids' skins.
        """
        upper, lower, inside, settled, follows = self._table
        opening = lower - upper
        drop, rise = opening * motion.upper, opening * motion.lower
        upper_now, lower_now = upper + drop, lower - rise
        seam = (upper_now + np.maximum(lower_now, upper_now)) / 2
        if motion.shut > 0:
            # Shutting, both come to lie along the line of a shut eye.
            settling = settled * motion.shut**4
            seam += settling
            settling *= follows
            drop, rise = drop + settling, rise - settling
            upper_now, lower_now = upper_now + settling, lower_now + settling
        # And each leaves out the rim that measured lines share with the white of the eye; the lower lid's
        # comes to lie under the upper one.
        shut = inside * (self._unit_px * motion.shut**4)
        hidden = COVERED_RIM * shut
        # Towards the rim the skin moves with the lid; further off it unfolds until, at the fold, it rests.
        upper_reach = np.maximum(drop + (self._fold - LASHES * self._unit_px), 1)
        lower_reach = np.maximum(rise + 2 * hidden + 0.5 * self._fold, 1)
        return (
            upper_now,
            lower_now,
            -1 / upper_reach,
            -1 / lower_reach,
            drop + SPARED_RIM * shut,
            hidden + rise,
            smoothstep((lower_now - upper_now - 0.05) / 2),
            seam,
        )

    def reach(self, motion: LidMotion) -> tuple[float, float, float]:
        """How far in px above the eye's landmarks, below and beside them its lids can change the skin."""
        unit, fold = self._unit_px, self._fold
        above = fold + (max(motion.upper, 0.0) + 0.3) * self._gap + 0.02 * unit
        below = 0.5 * fold + (max(motion.lower, 0.0) + 0.3) * self._gap + (0.02 + 2 * COVERED_RIM * motion.shut) * unit
        return above, below, (SHUT_MARGIN if motion.shut > LASHES_FROM else MARGIN) * unit

    def _downwards(self, shift: F32) -> F32:
        """Shift (h, w) px away from the brow as (h, w, 2) px in the picture."""
        return join(shift * self._down_x, shift * self._down_y)

    def smooth_skin(self, where: F32) -> U8:
        """The skin around the eye without detail, uint8 (h, w, 4) RGBA, at ``where`` (h, w, 2) px of the source."""
        return remap(self._layers.skin, where - self._layers.corner)

    def look(self, source: F32, gaze: NDArray[np.floating[Any]], below: F32, motion: LidMotion) -> U8:
        """The eyeball's picture.

        Args:
            source: float32 (h, w, 2) px, source position of each frame pixel with the lids at rest.
            gaze: (2,) rad, yaw to the picture's right and pitch down, from where the eye looks in the portrait.
            below: Distance in px below the upper lid's edge.
            motion: The lids' motion, which casts the shadow.

        Returns:
            uint8 (h, w, 4) RGBA.
        """
        iris_x, iris_y, radius = self._iris.tolist()
        shift_x, shift_y = (
            math.sin(min(max(float(angle), -0.6), 0.6)) * EYEBALL_RADIUS * self._unit_px for angle in gaze
        )
        far = math.hypot(shift_x, shift_y)
        allowed = min(1.0, 0.55 * radius / max(far, 1e-9))
        shift_x, shift_y, far = shift_x * allowed, shift_y * allowed, far * allowed
        x, y = planes(source)
        away = np.hypot(x - (iris_x + shift_x), y - (iris_y + shift_y))
        carried = smoothstep(away * (1 / (1.3 * radius)) - 1.1 / 1.3) - 1
        here = source - self._layers.corner
        where = here + join(carried * shift_x, carried * shift_y)
        rim = remap(self._layers.rim, here)
        # Bright skin at the edge of the opening must not be carried onto white that has come there.
        rim -= min(1.0, far / 1.5) * np.maximum(rim - 1.1, 0)
        picture = (remap(self._layers.ball, where * 2) + np.float32(1)) * rim - 1
        if motion.upper > 0:
            depth = np.maximum(below, 0) * (-1 / (0.04 * self._unit_px))
            picture *= (1 - (0.34 * motion.upper) * np.exp(depth))[..., None]
        return opaque(rounded(picture))


def _edge(inside: F32) -> F32:
    """How far a pixel is seen that lies ``inside`` px beyond an edge."""
    return ramp(inside * (1 / EDGE_PX) + 0.5)
