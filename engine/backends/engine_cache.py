"""Where built engines are kept, and when one that was built before may be used again.

An engine is good for the card, the driver, the libraries and the graph that it was built with, in one precision and
for one range of batches: all of them are in its key. What the builder measured of single layers (timings) depends on
the card and the libraries alone and is kept for all graphs.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.backends.cards import Card

_DIGITS = 24
FOLDER_VARIABLE = "MIEN_ENGINE_CACHE"
"""Environment variable that names another folder for engines."""


@dataclass(frozen=True)
class Recipe:
    """What an engine is built from, beside the machine.

    Attributes:
        graph_sha256: Of the ONNX file.
        precision: fp32, fp16, bf16 or int8.
        batches: Smallest, usual and largest batch.
        options: Whatever else the builder is told.
    """

    graph_sha256: str
    precision: str
    batches: tuple[int, int, int]
    options: tuple[tuple[str, str], ...] = ()


def engine_key(recipe: Recipe, card: Card, versions: Mapping[str, str]) -> str:
    """Name of an engine: a pure function of all that it depends on, 24 hexadecimal digits.

    Args:
        recipe: What it is built from.
        card: What it shall run on. Its memory does not matter, for the builder's limit is in the recipe's options.
        versions: Of the libraries that build and run it, by name.
    """
    machine = {"card": card.name, "capability": card.capability, "driver": card.driver, "versions": dict(versions)}
    return _digest({**asdict(recipe), **machine})


def timing_key(card: Card, versions: Mapping[str, str]) -> str:
    """Name of the timings of layers: the same for all graphs of a machine."""
    return _digest({"card": card.name, "capability": card.capability, "versions": dict(versions)})


def graph_digest(graph: bytes) -> str:
    """SHA-256 of an ONNX file, 64 hexadecimal digits."""
    return hashlib.sha256(graph).hexdigest()


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where engines are kept: $MIEN_ENGINE_CACHE, else mien/engines in the user's cache folder."""
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE])
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path(environment.get("HOME", ".")) / ".cache") / "mien" / "engines"


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
