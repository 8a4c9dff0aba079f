"""Does an exported picture network draw what the generator in torch draws?"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.artefacts.picture_network import PictureNetwork
from engine.backend_onnx import OnnxPictureNetwork
from engine.renderer.network_input import DYNAMIC_CHANNELS, SOURCE_CHANNELS
from export.renderer import FrameGraph, Generator

_BLOCK = 16
"""Noise finer than this is no picture; a network that has learned on faces is not asked to keep it."""


@dataclass(frozen=True)
class PictureParity:
    """How far a picture network strays from its generator.

    Attributes:
        precision: In which it computes.
        frames: Pictures drawn.
        psnr_db: Of the graph's pictures against torch's, over all frames; 100 if they are the same.
        largest: Largest difference, in grey levels.
        changed: Mean of what torch changed of the frames it was given, in grey levels: with 0 nothing was compared.
    """

    precision: str
    frames: int
    psnr_db: float
    largest: float
    changed: float


def measure_picture_parity(
    generator: Generator,
    network: PictureNetwork,
    inputs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] | None = None,
    *,
    frames: int = 16,
    seed: int = 0,
) -> PictureParity:
    """Draw with both and compare.

    Args:
        generator: In torch; it is switched to evaluation.
        network: The exported one.
        inputs: Dynamic uint8 (6, S, S) and source uint8 (4, S, S) of each frame; coarse noise by default.
        frames: How many of that noise.
        seed: Of it.
    """
    given = inputs or _noise(generator.size, frames, seed)
    frame, squared, largest, changed = FrameGraph(generator).eval(), 0.0, 0.0, 0.0
    shown = None
    for dynamic, source in given:
        if source is not shown:
            shown, opened = source, OnnxPictureNetwork(network, source, network.patterns)
        with torch.inference_mode():
            static = generator.encode(_unit(source), _unit(network.patterns))
            exact = frame(torch.from_numpy(dynamic)[None], static)[0].permute(1, 2, 0).numpy()
        drawn = np.empty_like(exact, order="C")
        opened.draw(lambda seen, dynamic=dynamic: np.copyto(seen, dynamic), drawn)  # type: ignore[misc]
        difference = drawn.astype(np.float64) - exact
        squared += float(np.square(difference).mean()) / len(given)
        largest = max(largest, float(np.abs(difference).max()))
        changed += float(np.abs(exact.astype(np.float64) - np.moveaxis(dynamic[:3], 0, 2)).mean()) / len(given)
    psnr = 100.0 if squared == 0 else min(100.0, float(10 * np.log10(255**2 / squared)))
    return PictureParity(network.geometry.precision, len(given), psnr, largest, changed)


def _unit(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture)[None].float() / 255


def _noise(size: int, frames: int, seed: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    rng, cells = np.random.default_rng(seed), size // _BLOCK

    def coarse(channels: int) -> NDArray[np.uint8]:
        noise = rng.integers(0, 256, (channels, cells, cells), np.uint8)
        return np.asarray(noise.repeat(_BLOCK, 1).repeat(_BLOCK, 2))

    source = coarse(SOURCE_CHANNELS)
    return [(coarse(DYNAMIC_CHANNELS), source) for _ in range(frames)]
