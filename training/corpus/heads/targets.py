"""MakeHuman targets: sparse vertex offsets, read on demand and kept."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError
from training.corpus.heads.assets import Assets

_SUFFIXES: Final = (".target.gz", ".target")


class Targets:
    """All targets of a data folder by name, such as ``mouth/mouth-angles-up`` or ``arkit/jawOpen``."""

    def __init__(self, assets: Assets) -> None:
        """Look at what is there; nothing is read yet.

        Args:
            assets: The data.
        """
        self._assets = assets
        self._files: dict[str, str] = {}
        for suffix in reversed(_SUFFIXES):
            for file in assets.names("targets/", suffix):
                self._files[file.removeprefix("targets/").removesuffix(suffix)] = file
        self._read: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def names(self, folder: str) -> list[str]:
        """Names of the targets in a folder, sorted."""
        return sorted(name for name in self._files if name.startswith(f"{folder}/"))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def offsets(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """A target.

        Returns:
            Base-mesh vertices int64 (n,) and their offsets float32 (n, 3) in decimetres.

        Raises:
            ArtefactError: There is no such target or it is damaged.
        """
        if name not in self._read:
            if name not in self._files:
                raise ArtefactError(f"The MakeHuman data holds no target {name}; see docs/heads.md for what it needs.")
            text = self._assets.text(self._files[name])
            rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
            try:
                table = np.array(rows, np.float64).reshape(-1, 4)
            except ValueError as error:
                raise ArtefactError(f"{self._files[name]} is not a target file: {error}.") from error
            self._read[name] = table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32)
        return self._read[name]

    def add(self, points: NDArray[np.float32], name: str, weight: float) -> None:
        """Add ``weight`` times a target to base-mesh points (V, 3), in place.

        Raises:
            ArtefactError: There is no such target, or it is damaged or of another mesh.
        """
        if weight == 0.0:
            return
        vertices, offsets = self.offsets(name)
        if len(vertices) and vertices.max() >= len(points):
            raise ArtefactError(f"Target {name} names vertices that the base mesh does not have.")
        points[vertices] += offsets * np.float32(weight)
