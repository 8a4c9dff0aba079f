"""Landmark displacements of facial shapes: the articulation model's basis.

The shapes are those of one CC0 head mesh: 52 ARKit shapes and 14 visemes (MIT licence, see NOTICE) and MakeHuman's
own expression units (CC0). Only their offsets at the 68 landmark vertices are needed, so they ship as one small
file beside this module; ``build_face_basis`` makes it again from a MakeHuman data folder.
"""

import gzip
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError
from models.spec import EYE_MIDPOINT, LANDMARKS, OUTER_EYE_CORNERS

BASIS_FILE = Path(__file__).with_name("face_basis.npz")
_TO_FACE_AXES = np.array([1.0, -1.0, -1.0])
"""MakeHuman looks along +z with +y up; face coordinates have +y down and +z away from the camera."""


@dataclass(frozen=True)
class FaceBasis:
    """A neutral head and what each shape does to it at full weight.

    Attributes:
        neutral: float32 (68, 3) fu.
        shapes: Shape name -> displacement float32 (68, 3) fu.
    """

    neutral: NDArray[np.float32]
    shapes: dict[str, NDArray[np.float32]]

    def mix(self, weights: dict[str, float]) -> NDArray[np.float32]:
        """Weighted sum of shapes, float32 (68, 3) fu.

        Raises:
            KeyError: A shape that the basis does not hold.
        """
        total = np.zeros((LANDMARKS, 3), np.float32)
        for name, weight in weights.items():
            total += np.float32(weight) * self.shapes[name]
        return total


@lru_cache(maxsize=1)
def load_face_basis() -> FaceBasis:
    """The basis that ships with the training code.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    try:
        with np.load(BASIS_FILE, allow_pickle=False) as data:
            names = [str(name) for name in data["names"]]
            shapes = data["shapes"].astype(np.float32)
            neutral = data["neutral"].astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ArtefactError(f"{BASIS_FILE.name} is missing or damaged; check out the repository again.") from error
    return FaceBasis(neutral, dict(zip(names, shapes, strict=True)))


def build_face_basis(makehuman: Path, out: Path = BASIS_FILE) -> FaceBasis:
    """Read a MakeHuman data folder and write the basis.

    Args:
        makehuman: Folder with ``3dobjs/base.obj``, ``landmarks68.json``, ``targets/arkit`` and
            ``targets/expression/units/caucasian``.
        out: The .npz to write.

    Raises:
        ArtefactError: A file is missing.
    """
    try:
        lines = (makehuman / "3dobjs/base.obj").read_text().splitlines()
        vertices = np.array([[float(x) for x in line.split()[1:4]] for line in lines if line.startswith("v ")])
        numbers = np.array(json.loads((makehuman / "landmarks68.json").read_text())["vertices"])
        files = sorted((makehuman / "targets/arkit").glob("*.target.gz"))
        units = sorted((makehuman / "targets/expression/units/caucasian").glob("*.target.gz"))
        offsets = {_shape_name(file): _read_offsets(file, len(vertices))[numbers] for file in files}
        offsets |= {f"unit-{_shape_name(file)}": _read_offsets(file, len(vertices))[numbers] for file in units}
    except OSError as error:
        raise ArtefactError(f"{makehuman} is not a MakeHuman data folder: {error}.") from error
    right, left = OUTER_EYE_CORNERS
    neutral = vertices[numbers] * _TO_FACE_AXES
    scale = 1 / np.linalg.norm(neutral[right] - neutral[left])
    neutral = (neutral - (neutral[right] + neutral[left]) / 2) * scale + EYE_MIDPOINT
    shapes = {name: (offset * _TO_FACE_AXES * scale).astype(np.float32) for name, offset in offsets.items()}
    np.savez_compressed(
        out,
        neutral=neutral.astype(np.float32),
        names=np.array(list(shapes)),
        shapes=np.stack(list(shapes.values())).astype(np.float16),
    )
    return FaceBasis(neutral.astype(np.float32), shapes)


def _shape_name(file: Path) -> str:
    return file.name.removesuffix(".target.gz")


def _read_offsets(file: Path, vertices: int) -> NDArray[np.float64]:
    """A target file's offsets in decimetres, float64 (vertices, 3)."""
    offsets = np.zeros((vertices, 3))
    with gzip.open(file, "rt") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                index, *offset = line.split()
                offsets[int(index)] = [float(x) for x in offset[:3]]
    return offsets
