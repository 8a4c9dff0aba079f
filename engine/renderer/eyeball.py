"""The layers of an eye, made once from a portrait: the whole eyeball, and skin without lashes and brow."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.renderer.colour import LUMA
from engine.renderer.geometry import ramp
from engine.renderer.pixels import F32, U8, blur, double, fill, opaque, polylines

F64 = NDArray[np.float64]

LID_LIGHT = 0.78
"""Least brightness of an unfolded lid as a share of the skin's about the eye: what comes out of its fold is lit."""
LID_HUE = 0.5
"""Share of the hue of the skin about the eye that an unfolded lid takes: brightened shade and make-up are too red."""
BROW_HEIGHT = 0.20
"""Height in fu about a brow's landmarks that may be brow, and is no skin where it is darker than BROW_LUMA."""
SOFT_PX = 1.0
"""Blur of where brow and lashes are."""
BROW_LUMA, SKIN_PERCENTILE = 0.95, 70
"""Of the brightness that is skin's about an eye: of what lies there, so many percent are darker."""
LASH_REACH, LASH_FADE = 0.075, 0.025
"""Distance in fu from the edge of the open eye within which what is darker than LASH_LUMA is its lashes and corners,
and how softly it ends: a shut eye has them elsewhere."""
LASH_LUMA, LASH_RAMP = 0.78, 0.2
"""Of the brightness that is skin's about an eye: what is so dark begins to be lashes, and so much darker is."""
LEAST_WHITE = 0.75
"""Brightness of the white of an eye as a share of the skin's, at least: what is darker is a narrow eye's shade."""


@dataclass(frozen=True)
class EyeLayers:
    """Pictures of one eye, all with the same top left pixel.

    Attributes:
        corner: float32 (2,) px, that pixel.
        ball: uint8 (2h, 2w, 3), doubled RGB of the clean eyeball, with white and iris complete.
        rim: float32 (h, w, 3), the ratio of the picture to it.
        skin: uint8 (h, w, 4), the skin around it without detail, RGBA.
        brow: float32 (h, w), how far each pixel is brow.
        lashes: float32 (h, w), how far it is lashes or a dark corner of the open eye.
    """

    corner: F32
    ball: U8
    rim: F32
    skin: U8
    brow: F32
    lashes: F32


def eye_layers(picture: U8, outline: F64, iris: F64, brow_line: F32, unit_px: float) -> EyeLayers:
    """Make the layers of an eye.

    Args:
        picture: uint8 (H, W, 3) RGB, the portrait.
        outline: float64 (n, 2) px, the opening between the lids, all around.
        iris: float64 (3,) px, its centre and radius.
        brow_line: float32 (5, 2) px, the brow's landmarks.
        unit_px: Pixels of a face unit.
    """
    margin = round(0.14 * unit_px)
    low = np.maximum(np.floor(outline.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + margin, picture.shape[0])
    image = picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    corner = low.astype(np.float32)
    edge = (outline - low).astype(np.float32)
    soft = blur(fill((image.shape[0], image.shape[1]), edge), 0.6)
    ball = _whole_ball(image, soft, iris - [*low, 0])
    # What the picture has beyond the clean eyeball - shadow of the lid, roots of the lashes - stays where it is
    # when the eye turns.
    shown = np.clip(blur(soft, 1.0) / 0.10, 0, 1)[..., None]
    rim = np.where(shown > 0, 1 + ((image + 1) / (ball + 1) - 1) * shown, 1.0)
    luma = blur(image @ LUMA, 1.0)
    skin_luma = max(float(np.percentile(luma, SKIN_PERCENTILE)), 1.0)
    around = 1 - np.clip(blur(soft, 2.0) * 8, 0, 1)
    brow = _along(soft, brow_line - corner, BROW_HEIGHT * unit_px, closed=False) > 0
    dark = ramp((BROW_LUMA - luma / skin_luma) / 0.08) * brow
    ring = blur(_along(soft, edge, 2 * LASH_REACH * unit_px, closed=True), LASH_FADE * unit_px)
    lashes = ramp((LASH_LUMA - luma / skin_luma) / LASH_RAMP) * ring
    bare = around * (1 - dark) * (1 - lashes)
    skin = blur(_spread(image, bare), 0.035 * unit_px)
    skin *= np.maximum(LID_LIGHT * skin_luma / np.maximum(skin @ LUMA, 1), 1)[..., None]
    lit = _mean(image, bare * (luma > LID_LIGHT * skin_luma))
    plain = (skin @ LUMA)[..., None] * (lit / max(float(lit @ LUMA), 1.0))
    skin += np.float32(LID_HUE) * (plain - skin)
    return EyeLayers(
        corner=corner,
        ball=double(ball.astype(np.uint8)),
        rim=rim.astype(np.float32),
        skin=opaque(np.clip(np.rint(skin), 0, 255).astype(np.uint8)),
        brow=blur((dark * around).astype(np.float32), SOFT_PX),
        lashes=blur(lashes.astype(np.float32), SOFT_PX),
    )


def _whole_ball(image: F32, soft: F32, iris: F64) -> F32:
    """The eyeball as if no lid covered it, whole grey levels, float32 (h, w, 3).

    Args:
        image: (h, w, 3).
        soft: (h, w), the opening between the lids.
        iris: (3,) px, centre and radius.
    """
    deep = np.clip((blur(soft, 1.2) - 0.80) / 0.17, 0, 1)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    radius = np.hypot(x - iris[0], y - iris[1]) / iris[2]
    white = (deep > 0.9).astype(np.float32) * (radius > 1.15)
    if white.sum() < 6:
        white = deep if deep.sum() >= 6 else np.ones_like(deep)
    ball = _whitened(_spread(image, white), _mean(image, white), _mean(image, 1 - soft))
    rings = np.linspace(0, 1.3, 14)
    profile = np.array([_mean(image, deep * np.exp(-(((radius - ring) / 0.08) ** 2))) for ring in rings])
    coloured = np.stack([np.interp(radius, rings, profile[:, c]) for c in range(3)], -1)
    cover = np.clip((1.12 - radius) / 0.2, 0, 1)[..., None]
    ball = ball * (1 - cover) + coloured * cover
    ball = image * deep[..., None] + ball * (1 - deep[..., None])
    return cast(F32, np.clip(np.rint(ball), 0, 255))


def _along(like: F32, line: F32, thickness: float, *, closed: bool) -> F32:
    """A line (n, 2) px drawn ``thickness`` px thick, float32 0..1, as large as ``like`` (h, w)."""
    canvas = np.zeros(like.shape, np.uint8)
    polylines(canvas, [(line, closed)], max(round(thickness), 1))
    return canvas.astype(np.float32) / np.float32(255)


def _mean(image: F32, weight: NDArray[np.floating[Any]]) -> F64:
    """Weighted mean colour (3,); an even mean where nothing has weight."""
    total = float(weight.sum())
    if total < 1e-3:
        return cast(F64, image.reshape(-1, 3).mean(0).astype(np.float64))
    return cast(F64, ((image * weight[..., None]).reshape(-1, 3).sum(0) / total).astype(np.float64))


def _whitened(ball: F32, white: F64, skin: F64) -> F32:
    """``ball`` (h, w, 3) with a likely white where a narrow eye shows none; ``skin`` (3,) is around it."""
    white_luma, skin_luma = float(white @ LUMA), float(skin @ LUMA)
    missing = min(max(1 - white_luma / (LEAST_WHITE * skin_luma + 1e-3), 0.0) * 3, 1.0)
    likely = LEAST_WHITE * (skin_luma + skin) / 2
    return cast(F32, (ball + (likely - ball) * missing).astype(np.float32))


def _spread(image: F32, weight: NDArray[np.floating[Any]]) -> F32:
    """Fill an image outwards from where ``weight`` is, finest scale first."""
    result = np.broadcast_to(_mean(image, weight), image.shape).astype(np.float32)
    for sigma in (8.0, 3.0, 1.2):
        near = blur(weight.astype(np.float32), sigma)
        colour = blur(image * weight[..., None].astype(np.float32), sigma) / np.maximum(near, 1e-5)[..., None]
        trust = np.clip(near * 12, 0, 1)[..., None]
        result = colour * trust + result * (1 - trust)
    return result
