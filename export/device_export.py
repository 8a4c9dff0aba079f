"""Graphs and engines for graphics cards, of all that a bundle computes.

What is written: ``apc.onnx``, ``motion.onnx`` and ``headpose.onnx``, each with the states of many sessions in banks
(``engine.backends.slotted``), ``frame.onnx``, which draws (``engine.backends.frame_graph``), and ``device.json`` that
says what they are. For TensorRT engines are built from them, on the card and for it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import onnx

from engine.artefacts.bundle import Bundle, pick_renderer
from engine.artefacts.picture_network import PictureNetwork
from engine.backends.cards import Card, cards
from engine.backends.device_graph import BATCH
from engine.backends.device_network import BUCKETS, CAPACITY
from engine.backends.engine_cache import graph_digest
from engine.backends.float_graph import to_floats
from engine.backends.graph_ends import ends_of, settled
from engine.backends.half_graph import to_precision
from engine.backends.opening import Wanted
from engine.backends.painter import AVATARS, frame_lengths, painting_graph
from engine.backends.profiles import Lengths, batches_of, profile
from engine.backends.slotted import PLACES, slotted
from engine.backends.tensorrt_build import engine_for, library_versions
from engine.errors import ConfigError, MissingExtraError, OutputError
from export.device_int8 import with_integers
from export.operators import check_readable

Target = Literal["onnx", "tensorrt", "torch-tensorrt"]
CardPrecision = Literal["fp32", "fp16", "bf16", "int8"]
SCHEMA: Final = 1
_STEPS: Final = ("apc", "motion", "headpose")


@dataclass(frozen=True)
class DeviceSettings:
    """How graphs are written for a card.

    Attributes:
        to: What they become.
        preset: ``lite`` or ``paper``, or ``warp`` for the geometric renderer alone.
        precision: In which the networks compute; with int8 the picture network does, and all else in fp16.
        most: Largest batch.
        avatars: Places for portraits.
        places: Places for states.
    """

    to: Target = "onnx"
    preset: str = "lite"
    precision: CardPrecision = "fp16"
    most: int = BUCKETS[-1]
    avatars: int = AVATARS
    places: int = CAPACITY

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        if self.to not in get_args(Target):
            raise ConfigError(f"Graphs are exported to {', '.join(get_args(Target))}, not {self.to!r}.")
        if self.precision not in get_args(CardPrecision):
            raise ConfigError(f"A card computes in {', '.join(get_args(CardPrecision))}, not {self.precision!r}.")
        if self.most not in BUCKETS:
            raise ConfigError(f"The largest batch is one of {', '.join(map(str, BUCKETS))}, not {self.most}.")

    @property
    def buckets(self) -> tuple[int, ...]:
        """Sizes of batches."""
        return tuple(size for size in BUCKETS if size <= self.most)


def parse_batch(text: str) -> int:
    """The largest batch of "32" or "1..32".

    Raises:
        ConfigError: It is neither.
    """
    first, dots, last = text.partition("..")
    if not (last if dots else first).isdigit() or (dots and first != "1"):
        raise ConfigError(f"--batch takes the largest batch, as in 32 or 1..32, not {text!r}.")
    return int(last if dots else first)


def device_graphs(bundle: Bundle, settings: DeviceSettings, network: PictureNetwork | None = None) -> dict[str, bytes]:
    """The graphs, checked against TensorRT's operators.

    Args:
        bundle: As from ``load_bundle``.
        settings: How they are written.
        network: Draws instead of the bundle's own.

    Raises:
        ArtefactError: TensorRT could not read one.
        ConfigError: The bundle does not hold the preset.
    """
    half = "fp16" if settings.precision == "int8" else settings.precision
    graphs = {}
    for name in _STEPS:
        states = {state: shape.index(BATCH) for state, shape in bundle.manifest.networks[name].state.items()}
        graphs[name] = slotted(to_precision(to_floats(bundle.graphs[name]), half, products_only=True), states)
    drawn = network or pick_renderer(bundle, settings.preset)
    if drawn is not None and settings.precision == "int8":
        drawn = with_integers(replace(drawn, graph=to_floats(drawn.graph)))
        graphs["frame"] = painting_graph(drawn, "int8")
    else:
        graphs["frame"] = painting_graph(drawn, half)
    for name, graph in graphs.items():
        check_readable(onnx.ModelProto.FromString(graph), f"{name}.onnx", types=settings.precision != "bf16")
    return graphs


def export_for_device(
    bundle: Bundle, out: Path, settings: DeviceSettings, network: PictureNetwork | None = None
) -> dict[str, int]:
    """Write graphs, and build their engines where that is asked for.

    Args:
        bundle: As from ``load_bundle``.
        out: Folder to write; for engines also the cache that ``MIEN_ENGINE_CACHE`` may name afterwards.
        settings: How they are written.
        network: Draws instead of the bundle's own.

    Returns:
        Bytes of each file, by name.

    Raises:
        ArtefactError: TensorRT cannot read or build one.
        ConfigError: The bundle does not hold the preset.
        MissingExtraError: A library or the card is missing.
        OutputError: The folder cannot be written.
    """
    card = _card(settings.to) if settings.to != "onnx" else None
    graphs = device_graphs(bundle, settings, network)
    files = {f"{name}.onnx": graph for name, graph in graphs.items()}
    files["device.json"] = _description(bundle, settings, graphs, card)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (out / name).write_bytes(data)
    except OSError as error:
        raise OutputError(f"Cannot write {out}: {error.strerror or error}.") from error
    sizes = {name: len(data) for name, data in files.items()}
    if card is not None:
        for name, graph in graphs.items():
            sizes[f"{name} engine"] = _build(graph, _lengths(name, settings), settings, card, out)
    return sizes


def _build(graph: bytes, lengths: Lengths, settings: DeviceSettings, card: Card, out: Path) -> int:
    """Build one engine; its size in bytes, 0 where torch-TensorRT keeps it in files of its own."""
    # As it is opened at run time: the engine's name depends on the graph.
    graph = settled(graph, lengths)
    if settings.to == "tensorrt":
        shapes = profile(ends_of(graph).inputs, batches_of(settings.buckets), lengths)
        return len(engine_for(graph, shapes, settings.precision, card, out))
    from export.torch_graph import build_all

    build_all(graph, Wanted(lengths, settings.buckets, settings.precision, cache=out))
    return 0


def _lengths(name: str, settings: DeviceSettings) -> Lengths:
    return frame_lengths(settings.buckets, settings.avatars) if name == "frame" else {PLACES: settings.places}


def _card(target: str) -> Card:
    """The card that engines are built on; checked before anything is written.

    Raises:
        MissingExtraError: There is none.
    """
    found = cards()
    if not found:
        raise MissingExtraError(
            f"--to {target} builds engines on the card that will run them, and no driver here shows one (nvidia-smi): "
            "export --to onnx here, and build there."
        )
    return found[0]


def _description(bundle: Bundle, settings: DeviceSettings, graphs: Mapping[str, bytes], card: Card | None) -> bytes:
    said: dict[str, Any] = {
        "kind": "device-graphs",
        "schema_version": SCHEMA,
        "bundle": bundle.manifest.name,
        "preset": settings.preset,
        "precision": settings.precision,
        "buckets": list(settings.buckets),
        "places": settings.places,
        "avatars": settings.avatars,
        "card": None if card is None else card.name,
        "versions": {"onnx": str(onnx.__version__), **library_versions()},
        "sha256": {f"{name}.onnx": graph_digest(graph) for name, graph in graphs.items()},
        "weights_sha256": hashlib.sha256(b"".join(bundle.graphs[name] for name in _STEPS)).hexdigest(),
    }
    return (json.dumps(said, indent=2, sort_keys=True) + "\n").encode()
