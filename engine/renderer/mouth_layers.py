"""The inner mouth's textures that ship with the engine: teeth and tongue, drawn once from a mesh.

They are made by ``training/corpus/mouth_layers.py``.
"""

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from engine.errors import ArtefactError
from engine.images import decode_png
from engine.renderer.pixels import U8
from models.spec import SCHEMA_VERSION

PARTS = ("upper", "lower", "tongue")


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

    def padded(self, margin: float) -> "MouthPart":
        """The same with ``margin`` fu of empty texture on all sides."""
        pixels = round(margin / self.pixel)
        return replace(
            self,
            colour=np.pad(self.colour, ((pixels, pixels), (pixels, pixels), (0, 0))),
            alpha=np.pad(self.alpha, pixels),
            origin=(self.origin[0] - pixels * self.pixel, self.origin[1] - pixels * self.pixel),
        )


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
