"""What a process is to draw, and how that gets there."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar, MouthPicture
from engine.artefacts.picture_network import PictureGeometry, PictureNetwork, stacked
from engine.artefacts.style import Style
from engine.care import Care
from engine.renderer.network import NetworkRenderer
from engine.renderer.sketch import SketchRenderer, pack_sketch
from engine.renderer.warp import Floats, WarpRenderer


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and with what.

    Attributes:
        avatar: Whom to draw.
        network: Refines the pictures; the geometric renderer draws alone without one.
        patterns: A style's patterns for it, uint8 (12, 256, 256); the network's neutral ones by default.
        sketched: Pixels along a side of what a network draws elsewhere, on a card: the pictures are then no pictures
            but what a card needs to draw them (``engine.renderer.sketch``). 0 where they are drawn here.
    """

    avatar: Avatar
    network: PictureNetwork | None = None
    patterns: NDArray[np.uint8] | None = None
    sketched: int = 0


def in_style(avatar: Avatar, network: PictureNetwork | None, style: Style | None) -> Drawing:
    """What to draw of a person in a style; one without patterns leaves the network its neutral ones.

    Raises:
        ArtefactError: The style's patterns are damaged.
    """
    pictures = None if network is None or style is None else style.isp_images()
    return Drawing(avatar, network, None if pictures is None else stacked(pictures))


def drawer(drawing: Drawing) -> Callable[..., object]:
    """Draws a frame: landmarks, pose, gaze, torso, care, and where to."""
    if drawing.sketched:
        sketcher = SketchRenderer(drawing.avatar, size=drawing.sketched)
        return lambda *face: pack_sketch(sketcher.sketch(*face[:4]), face[5])
    if drawing.network is not None:
        return NetworkRenderer(drawing.avatar, drawing.network, drawing.patterns).render
    alone = WarpRenderer(drawing.avatar)

    def draw(
        landmarks: Floats, pose: Floats, gaze: Floats, torso: Floats, care: Care, out: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        return alone.render(landmarks, pose, gaze, torso, care is Care.ECONOMY, out)

    return draw


def pack(drawing: Drawing) -> bytes:
    """As bytes that ``unpack`` reads: arrays only, nothing that could run."""
    alone = replace(drawing.avatar, mouth=None)
    arrays: dict[str, Any] = {**_fields_of("avatar", alone), "sketched": np.array(drawing.sketched)}
    if drawing.avatar.mouth is not None:
        arrays |= _fields_of("mouth", drawing.avatar.mouth)
    if drawing.network is not None:
        arrays |= _fields_of("network", drawing.network)
    if drawing.patterns is not None:
        arrays["patterns"] = drawing.patterns
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    return stored.getvalue()


def _fields_of(prefix: str, thing: Any) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{item.name}": _as_array(getattr(thing, item.name)) for item in fields(thing)}


def _as_array(value: Any) -> NDArray[Any]:
    if isinstance(value, bytes):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, PictureGeometry):
        value = value.model_dump(mode="json")
    return value if isinstance(value, np.ndarray) else np.array(json.dumps(value))


def unpack(stored: bytes) -> Drawing:
    """What ``pack`` was given."""
    parts: dict[str, dict[str, Any]] = {"avatar": {}, "mouth": {}, "network": {}}
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        for key in arrays:
            thing, _, name = key.partition(".")
            if name:
                parts[thing][name] = json.loads(str(a)) if (a := arrays[key]).dtype.kind == "U" else a
        patterns = arrays["patterns"] if "patterns" in arrays else None
        sketched = int(arrays["sketched"])
    avatar, network = Avatar(**parts["avatar"]), parts["network"]
    if parts["mouth"]:
        avatar = replace(avatar, mouth=MouthPicture(**parts["mouth"]))
    if not network:
        return Drawing(avatar, sketched=sketched)
    network["geometry"] = PictureGeometry.model_validate(network["geometry"])
    network |= {name: network[name].tobytes() for name in ("graph", "static_graph")}
    return Drawing(avatar, PictureNetwork(**network), patterns)
