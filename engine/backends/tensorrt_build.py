"""Engines of TensorRT from ONNX graphs, kept by what they depend on.

The precision is the graph's own: every tensor has the type that the graph gives it (strong typing, the only way since
TensorRT 11), and integers are written as QuantizeLinear and DequantizeLinear.
"""

import importlib.metadata
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from engine.backends.cards import Card
from engine.backends.engine_cache import Recipe, engine_key, graph_digest, timing_key
from engine.backends.profiles import Profile
from engine.errors import ArtefactError, MissingExtraError, OutputError

logger = logging.getLogger(__name__)

WORKSPACE_BYTES = 4 << 30


def load_tensorrt() -> Any:
    """The library.

    Raises:
        MissingExtraError: It is not installed, or its own libraries cannot be loaded.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise MissingExtraError("Native TensorRT needs the package tensorrt: pip install 'mien[gpu]'.") from error
    return tensorrt


def engine_for(graph: bytes, shapes: Profile, precision: str, card: Card, cache: Path, trt: Any = None) -> bytes:
    """The engine of a graph: from the cache, or built now and put there. Building takes seconds to minutes.

    Args:
        graph: ONNX, with operators that TensorRT has.
        shapes: What its inputs may be.
        precision: That of the graph, for the key.
        card: What it is built on and for.
        cache: Folder of engines and timings.
        trt: The library; by default the one that is installed.

    Raises:
        ArtefactError: The graph cannot be read or built.
        OutputError: The cache cannot be written.
        MissingExtraError: TensorRT is not installed.
    """
    trt = trt or load_tensorrt()
    versions = {"tensorrt": str(trt.__version__)}
    sizes = tuple(sorted((name, str(each)) for name, each in shapes.items()))
    options = (("workspace", str(WORKSPACE_BYTES)), *sizes)
    batches = _batches(shapes)
    name = engine_key(Recipe(graph_digest(graph), precision, batches, options), card, versions)
    file, timings = cache / f"{name}.engine", cache / f"{timing_key(card, versions)}.timings"
    if file.exists():
        return file.read_bytes()
    logger.info("TensorRT builds an engine for %s; this happens once", card.name)
    known = timings.read_bytes() if timings.exists() else b""
    plan, measured = build_engine(trt, graph, shapes, known)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _replace(file, plan)
        _replace(timings, measured)
    except OSError as error:
        raise OutputError(f"Cannot keep an engine in {cache}: {error.strerror or error}.") from error
    return plan


def build_engine(trt: Any, graph: bytes, shapes: Profile, timings: bytes = b"") -> tuple[bytes, bytes]:
    """Build an engine.

    Args:
        trt: The library.
        graph: ONNX.
        shapes: What its inputs may be.
        timings: Of earlier builds.

    Returns:
        The engine, and what was measured with what was known.

    Raises:
        ArtefactError: The graph cannot be read or built; the message has the library's own first reason.
    """
    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    strong = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strong is None else 1 << int(strong))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason was given"
        raise ArtefactError(f"TensorRT cannot read a graph ({reason}): export it again for it.")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    profile = builder.create_optimization_profile()
    for name, (least, usual, most) in shapes.items():
        profile.set_shape(name, least, usual, most)
    config.add_optimization_profile(profile)
    config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ArtefactError("TensorRT cannot build an engine of a graph: its log says why.")
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def library_versions() -> dict[str, str]:
    """Of what builds and runs engines, as far as it is installed."""
    found = {}
    for name in ("tensorrt", "onnxruntime-gpu", "cuda-bindings", "torch-tensorrt"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _batches(shapes: Profile) -> tuple[int, int, int]:
    """Those of the input that is not always the same."""
    for least, usual, most in shapes.values():
        for one, other, last in zip(least, usual, most, strict=True):
            if one != last:
                return one, other, last
    return 1, 1, 1


def _replace(file: Path, data: bytes) -> None:
    """Write whole or not at all: two processes may build the same."""
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        part.write(data)
    os.replace(part.name, file)
