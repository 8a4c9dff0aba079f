"""Wavefront .obj as MakeHuman writes it: quads with texture coordinates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError


@dataclass(frozen=True)
class QuadMesh:
    """A mesh of quads.

    Attributes:
        points: float32 (V, 3).
        uv: float32 (U, 2), origin at the bottom left of the texture.
        quads: int32 (F, 4) into ``points``; a triangle repeats its last corner.
        uv_quads: int32 (F, 4) into ``uv``.
    """

    points: NDArray[np.float32]
    uv: NDArray[np.float32]
    quads: NDArray[np.int32]
    uv_quads: NDArray[np.int32]


def parse_obj(text: str, name: str) -> QuadMesh:
    """Read a mesh.

    Args:
        text: Content of the file.
        name: Its name, for errors.

    Raises:
        ArtefactError: It is no such mesh.
    """
    points: list[list[float]] = []
    uvs: list[list[float]] = []
    quads: list[list[int]] = []
    uv_quads: list[list[int]] = []
    try:
        for line in text.splitlines():
            if line.startswith("v "):
                points.append([float(x) for x in line.split()[1:4]])
            elif line.startswith("vt "):
                uvs.append([float(x) for x in line.split()[1:3]])
            elif line.startswith("f "):
                corners = [corner.split("/") for corner in line.split()[1:5]]
                corners += corners[-1:] * (4 - len(corners))
                quads.append([int(c[0]) - 1 for c in corners])
                uv_quads.append([int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in corners])
        mesh = QuadMesh(
            np.array(points, np.float32).reshape(-1, 3),
            np.array(uvs or [[0.0, 0.0]], np.float32).reshape(-1, 2),
            np.array(quads, np.int32).reshape(-1, 4),
            np.array(uv_quads, np.int32).reshape(-1, 4),
        )
    except ValueError as error:
        raise ArtefactError(f"{name} is not a mesh of quads: {error}.") from error
    if not len(mesh.quads) or mesh.quads.max() >= len(mesh.points) or mesh.uv_quads.max() >= len(mesh.uv):
        raise ArtefactError(f"{name} is not a mesh of quads: its faces name vertices that it does not hold.")
    return mesh
