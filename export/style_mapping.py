"""The style mapping into a bundle: one graph from a style's reference images to its Intermediate Style Patterns.

The canonical neutral person is baked in. The graph cuts the reference images itself: ``mien style create`` frames a
whole head, while the mapping learned from faces in their window (``engine.renderer.network_input.face_window``)::

    references uint8 (4, 3, 256, 256)  -> patterns uint8 (12, 256, 256)
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from engine.artefacts.bundle import Bundle, StyleMappingGeometry, save_bundle
from engine.artefacts.picture_network import PATTERNS_SHAPE
from engine.artefacts.style import PATTERN_SIZE, PATTERNS
from engine.errors import ArtefactError, ConfigError, InputError
from engine.images import decode_png
from export.graphs import Precision, compress
from export.renderer import trace
from models.style_mapping import NEUTRAL_PICTURE, StyleMapping

SIZES: Final = (64, 128, 256)
CUT: Final = (49, 38, 180)
"""First row, first column and side in px of what is cut out of a reference image. In those of the styles that ship, 68
landmarks are 126 px high about a nose at (126, 139); in the windows that the mapping learned from, 178 px of 256."""


class PatternGraph(nn.Module):
    """A style mapping with its neutral person, bytes to bytes."""

    neutral: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, mapping: StyleMapping, neutral: NDArray[np.uint8]) -> None:
        """Wrap ``mapping``; ``neutral`` is uint8 (3, S, S), the face that it is to draw, S its pictures' side."""
        super().__init__()
        self.mapping = mapping
        top, left, side = CUT
        self.register_buffer("neutral", torch.from_numpy(neutral.astype(np.float32) / 255)[None])
        self.register_buffer("rows", torch.from_numpy(area_weights(top, side, neutral.shape[-1])))
        self.register_buffer("columns", torch.from_numpy(area_weights(left, side, neutral.shape[-1]).T.copy()))

    def forward(self, references: Tensor) -> Tensor:
        """uint8 (4, 3, 256, 256) to uint8 (12, 256, 256)."""
        small = self.rows @ (references.float() / 255) @ self.columns
        made = self.mapping(torch.cat([self.neutral] * PATTERNS), small)[0]
        large = functional.interpolate(made, (PATTERN_SIZE, PATTERN_SIZE), mode="bicubic", align_corners=False)
        # What is cast is cut off, not rounded.
        return (255 * large.clamp(0, 1) + 0.5).to(torch.uint8).reshape(PATTERNS_SHAPE)


def area_weights(first: int, length: int, size: int) -> NDArray[np.float32]:
    """Means over areas as a matrix, float32 (size, 256): pixels ``first`` to ``first + length`` to ``size`` of them."""
    edges = first + np.arange(size + 1) * (length / size)
    pixels = np.arange(PATTERN_SIZE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(overlap.clip(min=0) * (size / length), np.float32)


def export_style_mapping(
    weights: Path,
    bundle: Bundle,
    out: Path,
    *,
    neutral: Path | None = None,
    precision: Precision = "fp16",
    provenance: dict[str, str] | None = None,
) -> int:
    """Export a trained style mapping, put it into ``bundle``, and write that to the folder ``out``.

    Args:
        weights: ``stylemap.safetensors`` of `mien train stylemap`.
        bundle: What it is put into.
        out: Folder; may be the one that ``bundle`` was read from.
        neutral: PNG of the neutral person's face as the mapping sees it; by default ``neutral.png`` beside the weights.
        precision: ``fp32`` or ``fp16``, in which the weights are stored.
        provenance: What to note.

    Returns:
        The largest difference from torch in grey levels, on pictures of coarse noise.

    Raises:
        ArtefactError: Weights or picture are missing or damaged.
        ConfigError: There is no such precision.
        OutputError: ``out`` cannot be written.
    """
    if precision not in ("fp32", "fp16"):
        raise ConfigError(f"A style mapping is stored in fp32 or fp16, not {precision!r}.")
    module = load_pattern_graph(weights, neutral or weights.with_name(NEUTRAL_PICTURE))
    graph = pattern_onnx(module, precision)
    geometry = StyleMappingGeometry(
        precision=precision, provenance={"torch": str(torch.__version__), **(provenance or {})}
    )
    manifest = bundle.manifest.model_copy(update={"style_mapping": geometry})
    worst = measure_pattern_parity(module, graph)
    save_bundle(replace(bundle, manifest=manifest, style_mapping=graph), out)
    return worst


def load_pattern_graph(weights: Path, neutral: Path) -> PatternGraph:
    """Read a trained style mapping and its neutral person; width and keypoints are told by the weights.

    Raises:
        ArtefactError: A file is missing, damaged or something else.
    """
    try:
        state = load_file(weights)
        mapping = StyleMapping(len(state["generator.encode.0.0.weight"]), len(state["keypoints.heat.weight"]))
        mapping.load_state_dict(state)
    except FileNotFoundError as error:
        raise ArtefactError(f"There is no file {weights}; train the style mapping first.") from error
    except (SafetensorError, KeyError, RuntimeError, ValueError, OSError) as error:
        raise ArtefactError(f"{weights} is damaged or of another network; train it again.") from error
    try:
        picture = decode_png(neutral.read_bytes())
    except (OSError, InputError, ArtefactError) as error:
        raise ArtefactError(f"{neutral} is missing or no PNG of the neutral person's face.") from error
    if picture.shape[0] not in SIZES or picture.shape != (picture.shape[0], picture.shape[0], 3):
        raise ArtefactError(f"{neutral} must be square with a side of 64, 128 or 256 px, not {picture.shape[:2]}.")
    return PatternGraph(mapping, np.ascontiguousarray(picture.transpose(2, 0, 1))).eval()


def pattern_onnx(module: PatternGraph, precision: Precision) -> bytes:
    """The graph as ONNX bytes at opset OPSET."""
    references = torch.zeros(PATTERNS, 3, PATTERN_SIZE, PATTERN_SIZE, dtype=torch.uint8)
    exported: onnx.ModelProto = trace(module, {"references": references}, "patterns", free_batch=False)
    return bytes(compress(exported, precision).SerializeToString())


def measure_pattern_parity(module: PatternGraph, graph: bytes) -> int:
    """The largest difference between ``module`` and its graph in grey levels, on pictures of coarse noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (PATTERNS, 3, 8, 8), np.uint8)
    references = coarse.repeat(PATTERN_SIZE // 8, 2).repeat(PATTERN_SIZE // 8, 3)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(references)).numpy()
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(["patterns"], {"references": references})[0])
    return int(np.abs(found.astype(int) - wanted.astype(int)).max())
