"""MakeHuman proxies: meshes that hang on the base mesh (.mhclo), such as hair, teeth or a jacket.

A proxy's own coordinates mean nothing; it is fitted: every vertex is a weighted mean of three base vertices plus an
offset that is scaled, axis by axis, by how far two named base vertices lie apart.
"""

import posixpath
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError
from training.corpus.heads.assets import Assets
from training.corpus.heads.obj_file import QuadMesh, parse_obj


@dataclass(frozen=True)
class Proxy:
    """A fitted mesh's recipe.

    Attributes:
        name: File name of the .mhclo.
        mesh: Topology and texture coordinates; its points are not to be used.
        anchors: int64 (V, 3) base vertices.
        weights: float32 (V, 3).
        offsets: float32 (V, 3) decimetres at the mesh's own scale.
        scales: For each axis (base vertex, base vertex, distance), or None.
        hidden: Base vertices that the proxy covers, bool (base vertices,).
    """

    name: str
    mesh: QuadMesh
    anchors: NDArray[np.int64]
    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]
    scales: tuple[tuple[int, int, float] | None, ...]
    hidden: NDArray[np.bool_]

    def scale(self, head: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale of the offsets (3,) on a head without expression.

        On a head with one, an open mouth would stretch the teeth, for their height is measured across both jaws.
        """
        return np.array(
            [
                1.0 if s is None else abs(head[s[0], axis] - head[s[1], axis]) / s[2]
                for axis, s in enumerate(self.scales)
            ],
            np.float32,
        )

    def fit(self, head: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points float32 (V, 3) on a head, which may have an expression, with the ``scale`` of the neutral head."""
        held: NDArray[np.float32] = np.einsum("vk,vkc->vc", self.weights, head[self.anchors])
        return held + self.offsets * scale

    def carry(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of base vertices (n, k), such as skin weights, carried over to this mesh: (V, k)."""
        carried: NDArray[np.float32] = np.einsum("vk,vkc->vc", self.weights, values[self.anchors])
        return carried


def read_proxy(assets: Assets, name: str, base_vertices: int) -> Proxy:
    """Read a .mhclo and the .obj beside it.

    Raises:
        ArtefactError: One of them is missing or damaged.
    """
    scales: list[tuple[int, int, float] | None] = [None, None, None]
    held: list[list[float]] = []
    hidden = np.zeros(base_vertices, bool)
    mesh_file, section = "", ""
    try:
        for line in assets.text(name).splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] in ("verts", "weights", "delete_verts"):
                section = words[0]
            elif words[0] in ("x_scale", "y_scale", "z_scale"):
                scales["xyz".index(words[0][0])] = int(words[1]), int(words[2]), float(words[3])
            elif words[0] == "obj_file":
                mesh_file = words[1]
            elif section == "verts" and re.fullmatch(r"-?\d+", words[0]):
                held.append(_row(words))
            elif section == "delete_verts":
                _hide(hidden, words)
        table = np.array(held, np.float64).reshape(-1, 9)
    except (ValueError, IndexError) as error:
        raise ArtefactError(f"{name} is not a MakeHuman proxy: {error}.") from error
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), mesh_file))
    mesh = parse_obj(assets.text(path), path)
    anchors = table[:, :3].astype(np.int64)
    if len(mesh.points) != len(table) or (len(anchors) and anchors.max() >= base_vertices):
        raise ArtefactError(
            f"{name} does not fit its mesh or the base mesh; take both from the same MakeHuman release."
        )
    return Proxy(
        name, mesh, anchors, table[:, 3:6].astype(np.float32), table[:, 6:].astype(np.float32), tuple(scales), hidden
    )


def texture_of(assets: Assets, material: str) -> str:
    """Name of the picture that a .mhmat names as its diffuse texture.

    Raises:
        ArtefactError: The material is missing or names none.
    """
    for line in assets.text(material).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "diffuseTexture":
            return posixpath.normpath(posixpath.join(posixpath.dirname(material), words[1]))
    raise ArtefactError(f"{material} names no diffuseTexture.")


def _row(words: list[str]) -> list[float]:
    if len(words) == 1:
        return [float(words[0])] * 3 + [1.0] + [0.0] * 5
    return [float(x) for x in (words + ["0"] * 3)[:9]]


def _hide(hidden: NDArray[np.bool_], words: list[str]) -> None:
    """Mark ``5 - 8 12``: a range and a single vertex."""
    first, ranged = 0, False
    for word in words:
        if word == "-":
            ranged = True
            continue
        vertex = int(word)
        hidden[first if ranged else vertex : vertex + 1] = True
        first, ranged = vertex, False
