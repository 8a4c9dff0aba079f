"""What all rendered people of a process share: the data, the base mesh, the graphics, and proxies read once."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from training.corpus.heads import pictures
from training.corpus.heads.assets import Assets
from training.corpus.heads.base_head import BaseHead, load_base_head
from training.corpus.heads.gl_renderer import HeadRenderer
from training.corpus.heads.proxy import Proxy, read_proxy, texture_of
from training.corpus.heads.render_mesh import RenderMesh, build_mesh
from training.corpus.heads.subdivision import subdivide
from training.corpus.heads.targets import Targets

_SMOOTHED: Final = ("hair", "cloth", "tongue")
"""Materials whose meshes are subdivided; the others are fine enough."""


@dataclass(frozen=True)
class Worn:
    """A proxy made ready to draw.

    Attributes:
        proxy: How it hangs on the head.
        mesh: What is drawn; its matrix takes the proxy's points.
    """

    proxy: Proxy
    mesh: RenderMesh


class Studio:
    """Data and graphics that all people of a process share."""

    def __init__(self, assets: Assets, renderer: HeadRenderer) -> None:
        """Read the base mesh.

        Args:
            assets: MakeHuman data.
            renderer: What draws.

        Raises:
            ArtefactError: The data is not complete.
        """
        self.assets, self.renderer = assets, renderer
        self.targets = Targets(assets)
        self.base: BaseHead = load_base_head(assets)
        self._worn: dict[tuple[str, str], Worn] = {}

    def worn(self, name: str, material: str) -> Worn:
        """A proxy, read once.

        Raises:
            ArtefactError: It is missing or damaged.
        """
        if (name, material) not in self._worn:
            proxy = read_proxy(self.assets, name, len(self.base.points))
            mesh = proxy.mesh
            count = len(mesh.points)
            none = np.zeros(len(mesh.quads), np.uint8)
            if material in _SMOOTHED:
                step = subdivide(count, mesh.quads, len(mesh.uv), mesh.uv_quads)
                uv = step.uv_matrix @ mesh.uv
                drawn = build_mesh(step.matrix, step.quads, uv, step.uv_quads, np.repeat(none, 4))
            else:
                drawn = build_mesh(sp.identity(count, format="csr"), mesh.quads, mesh.uv, mesh.uv_quads, none)
            self._worn[name, material] = Worn(proxy, drawn)
        return self._worn[name, material]

    def picture(self, material: str) -> pictures.Picture:
        """The texture that a material names.

        Raises:
            ArtefactError: It is missing or no picture.
        """
        name = texture_of(self.assets, material)
        return pictures.decode(self.assets.read(name), name)

    def worn_material(self, name: str) -> str:
        """The material beside a proxy."""
        folder = name.rsplit("/", 1)[0]
        return next(iter(self.assets.names(f"{folder}/", ".mhmat")), name.replace(".mhclo", ".mhmat"))
