"""The colours of the inner mouth, taken from a portrait's own picture and light."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.renderer.colour import LUMA
from engine.renderer.mouth_layers import MouthPart
from engine.renderer.pixels import F32, blur, fill
from models.spec import IMAGE_SIZE

F64 = NDArray[np.float64]

CHEEKS = (50, 280, 205, 425, 117, 346, 187, 411)
LIPS = (37, 267, 84, 314, 17, 0, 85, 315)
LEAST_WHITE = 1.0
"""Brightness of teeth in full light as a share of the skin's, at least."""
YELLOW_LIPS = (1.5, 1.8)
"""Green over blue of lips from which and at which a picture is so yellow - old varnish, lamplight - that hue no longer
tells lips, teeth and tongue from each other: brightness has to."""
YELLOW_TOOTH = 0.2
"""Brightness, as a share of the skin's, that teeth then have beyond LEAST_WHITE at least."""
YELLOW_TONGUE = (0.5, 0.45, 0.4)
"""The tongue's colour then, as shares of the lips' red, green and blue: a brighter or redder one looks like a lip."""


def tint(part: MouthPart, name: str, tones: dict[str, F64]) -> F32:
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


def find_tones(avatar: Avatar) -> dict[str, F64]:
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
    yellow = _yellowness(lip)
    # Small eyes are blurred with their lids: the whites are seen darker and redder than they are.
    least = (LEAST_WHITE + YELLOW_TOOTH * yellow) * skin_luma + 8
    white_luma = float(np.clip(white @ LUMA, least, max(least, 1.10 * skin_luma + 30)))
    hue = 0.25 * white / (white @ LUMA) + 0.25 * skin / skin_luma + 0.5
    tooth = hue * [1.0, 0.99, 1.02] * white_luma
    red = lip / (lip @ LUMA)
    gum = red * [1.05, 0.92, 0.92] * float(lip @ LUMA) * 0.72
    tongue = (0.6 * red + 0.4) * [1.22, 0.86, 0.84] * float(lip @ LUMA)
    tongue += yellow * (lip * YELLOW_TONGUE - tongue)
    dark = lip * [0.17, 0.09, 0.085] + skin * 0.015
    return {"skin": skin, "lip": lip, "dark": dark, "tooth": np.clip(tooth, 0, 245), "gum": gum, "tongue": tongue}


def _yellowness(lip: F64) -> float:
    """How far the colour of lips (3,) is that of a yellow picture, 0 to 1."""
    first, whole = YELLOW_LIPS
    return min(max((float(lip[1] / max(lip[2], 1.0)) - first) / (whole - first), 0.0), 1.0)


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
