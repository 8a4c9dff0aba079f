"""Picture networks that know nothing, of the presets' own sizes: a card is as fast with them as with trained ones."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from engine.artefacts.picture_network import PATTERNS_SHAPE, PictureNetwork
from engine.errors import ConfigError
from export.renderer import Generator, Lite, Paper, export_generator, picture_network
from models.generator import LiteGenerator, PaperGenerator, StaticEncoder


def untrained_network(preset: str, seed: int = 0) -> PictureNetwork | None:
    """A network of a preset with random weights, its mask half open; None for ``warp``.

    Args:
        preset: ``lite``, ``paper`` or ``warp``.
        seed: Of the weights.

    Raises:
        ConfigError: There is no such preset.
    """
    if preset == "warp":
        return None
    if preset not in ("lite", "paper"):
        raise ConfigError(f"What draws is lite, paper or warp, not {preset!r}.")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        generator = _lite() if preset == "lite" else _paper()
    return picture_network(preset, export_generator(generator), np.zeros(PATTERNS_SHAPE, np.uint8))


def _lite() -> Generator:
    drawn = LiteGenerator()
    # As they come both presets hardly draw, and nothing could be compared.
    drawn.outlet.weight.mul_(10)
    cast(Tensor, drawn.outlet.bias).zero_()
    return Lite(StaticEncoder(), drawn)


def _paper() -> Generator:
    drawn = PaperGenerator()
    cast(Tensor, drawn.outlet.bias)[3:] = 2
    return Paper(drawn)
