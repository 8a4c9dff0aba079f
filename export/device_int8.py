"""Integer arithmetic as TensorRT reads it, and the frames by which it is scaled.

TensorRT has one form: QuantizeLinear and DequantizeLinear with their zero at int8 0. The calibration set is made here:
the avatars that ship, which are nobody's, speaking, blinking and turning by chance (``export.picture_frames``).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from engine.artefacts.bundle import default_bundle
from engine.artefacts.picture_network import PictureNetwork
from engine.backends.painter import encode_static
from export.picture_frames import drawn_frames, read_portraits
from export.picture_integers import quantise

FRAMES_EACH = 6
"""Of every portrait."""


def calibration_set(
    network: PictureNetwork, portraits: Path | None = None, each: int = FRAMES_EACH, seed: int = 0
) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """What a picture network is given while integers are scaled: dynamic (6, S, S) and static (C, h, w) of each frame.

    Args:
        network: As a bundle holds it.
        portraits: Folder of .avatar files; by default those that ship.
        each: Frames of each.
        seed: Of the faces.

    Raises:
        ArtefactError: The folder holds no avatar.
    """
    avatars = read_portraits(portraits or default_bundle().parent / "avatars")
    frames, known, static = [], None, np.zeros(0, np.float32)
    for dynamic, source in drawn_frames(avatars, each, network.geometry.size, seed):
        if source is not known:
            known, static = source, encode_static(network, source)[0]
        frames.append((dynamic, static))
    return frames


def with_integers(network: PictureNetwork, portraits: Path | None = None) -> PictureNetwork:
    """The network with its convolutions in int8, for cards.

    Args:
        network: In float32.
        portraits: As for ``calibration_set``.

    Raises:
        ArtefactError: The folder holds no avatar.
    """
    frames = calibration_set(network, portraits)
    graph = quantise(onnx.ModelProto.FromString(network.graph), frames, symmetric=True)
    geometry = network.geometry.model_copy(update={"precision": "int8"})
    return replace(network, geometry=geometry, graph=graph.SerializeToString())
