"""A picture network: what draws over the geometric renderer's frame, as a bundle holds it.

Two graphs. What never changes during a session, the portrait and the style's patterns, goes through the first once::

    source uint8 (1, 4, S, S), patterns uint8 (1, 12, P, P)              -> static float32 (1, C, h, w)
    dynamic uint8 (batch, 6, S, S), static float32 (batch, C, h, w)      -> picture uint8 (batch, 3, S, S)

S is 256 for a network that works on the window of the face, 512 for one that draws the whole frame; the channels are
those of ``engine.renderer.network_input``. The patterns are four intermediate style patterns, RGB one after the other
(paper, section 4.2), P = 256; a style may bring its own in place of the bundle's neutral ones.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engine.errors import ArtefactError

PRESETS: Final = ("lite", "paper")
PATTERNS_SHAPE: Final = (12, 256, 256)
MAX_GRAPH_BYTES: Final = 512 << 20
PATTERNS_FILE: Final = "patterns.npz"


class PictureGeometry(BaseModel):
    """What a bundle's manifest says about a picture network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal[256, 512]
    """S: pixels that the network draws along a side."""
    static: tuple[int, int, int]
    """Channels, height and width of what is computed once."""
    precision: Literal["fp32", "fp16", "int8"]
    """In which weights are stored; with ``int8`` the arithmetic is integer as well."""
    better: bool = False
    """Whether it was found to draw better than the geometric renderer, so that it is used unless told otherwise."""
    provenance: dict[str, str] = {}

    def __str__(self) -> str:
        """For messages."""
        return f"{self.size}x{self.size}, {self.precision}"


@dataclass(frozen=True)
class PictureNetwork:
    """A picture network in memory.

    Attributes:
        name: One of PRESETS.
        geometry: What the manifest says about it.
        graph: ONNX bytes of what runs for every frame.
        static_graph: ONNX bytes of what runs once.
        patterns: uint8 (12, 256, 256), the neutral style's patterns.
    """

    name: str
    geometry: PictureGeometry
    graph: bytes
    static_graph: bytes
    patterns: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Refuse other names and shapes."""
        if self.name not in PRESETS:
            raise ArtefactError(f"A picture network is one of {', '.join(PRESETS)}, not {self.name!r}.")
        check_patterns(self.patterns)


def check_patterns(patterns: NDArray[np.uint8]) -> None:
    """Refuse what are no four style patterns.

    Raises:
        ArtefactError: They are not uint8 (12, 256, 256).
    """
    if patterns.shape != PATTERNS_SHAPE or patterns.dtype != np.uint8:
        raise ArtefactError(f"Style patterns are uint8 {PATTERNS_SHAPE}, not {patterns.dtype} {patterns.shape}.")


def stacked(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Four patterns as pictures, uint8 (4, 256, 256, 3) RGB, as a network takes them: uint8 (12, 256, 256)."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).reshape(PATTERNS_SHAPE)


def picture_files(network: PictureNetwork) -> dict[str, bytes]:
    """The files of a network, by their name in the bundle."""
    stored = io.BytesIO()
    np.savez_compressed(stored, patterns=network.patterns)
    names = file_names(network.name)
    return dict(zip(names, (network.graph, network.static_graph, stored.getvalue()), strict=True))


def file_names(name: str) -> tuple[str, str, str]:
    """Of the network ``name``: the graph of every frame, the one that runs once, and the patterns."""
    return f"{name}.onnx", f"{name}_static.onnx", f"{name}_{PATTERNS_FILE}"


def read_picture_network(name: str, geometry: PictureGeometry, files: Mapping[str, bytes]) -> PictureNetwork:
    """Put a network together from its files, as ``picture_files`` gave them.

    Raises:
        ArtefactError: The patterns cannot be read.
    """
    graph, static_graph, stored = (files[file] for file in file_names(name))
    try:
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            patterns = cast(NDArray[np.uint8], arrays["patterns"])
    except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"The bundle's {name}_{PATTERNS_FILE} is damaged; export or install it again.") from error
    return PictureNetwork(name, geometry, graph, static_graph, patterns)
