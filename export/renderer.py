"""Image generators to picture networks: two graphs, scaled, blended and bordered inside.

A generator in torch has two parts, of one contract for all presets and alignments::

    encode(source (B, 4, S, S), patterns (B, 12, P, P))  -> static (B, C, h, w)         all 0..1 but static
    forward(dynamic (B, 6, S, S), static (B, C, h, w))   -> residual (B, 3, S, S), mask (B, 1, S, S)

The graphs take and give uint8 (``engine.artefacts.picture_network``), so that what crosses memory is small: the
picture is ``warped + border * mask * residual``, where the warped frame is the first three channels of ``dynamic``.
"""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from engine.artefacts.picture_network import PATTERNS_SHAPE, PictureGeometry, PictureNetwork
from engine.errors import ArtefactError
from engine.renderer.network_input import DYNAMIC_CHANNELS, SOURCE_CHANNELS, border
from export.graphs import BATCH, OPSET, compress
from export.picture_integers import quantise
from models.generator import LiteGenerator, PaperGenerator, StaticEncoder, openness, refined

PicturePrecision = Literal["fp32", "fp16", "int8"]


class Generator(nn.Module):
    """A generator as the graphs need it."""

    size: Literal[256, 512]
    """S."""

    def encode(self, source: Tensor, patterns: Tensor) -> Tensor:
        """What does not change during a session."""
        raise NotImplementedError


class Lite(Generator):
    """The preset ``lite``."""

    size = 256

    def __init__(self, encoder: StaticEncoder, generator: LiteGenerator) -> None:
        """Join the two networks that were trained together."""
        super().__init__()
        self.encoder, self.generator = encoder, generator

    def encode(self, source: Tensor, patterns: Tensor) -> Tensor:
        """Features of portrait and style."""
        return cast(Tensor, self.encoder(source, patterns))

    def forward(self, dynamic: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
        """Residual and mask, which is closed while the lips are."""
        residual, mask = self.generator(dynamic, static)
        return residual, openness(dynamic) * mask


class Paper(Generator):
    """The preset ``paper``: nothing is encoded, so what is static is the portrait and the patterns themselves."""

    size = 512

    def __init__(self, generator: PaperGenerator) -> None:
        """Take the network, of either alignment."""
        super().__init__()
        self.generator = generator

    def encode(self, source: Tensor, patterns: Tensor) -> Tensor:
        """The portrait, where it is drawn from as it is, and the patterns in the frame's size."""
        size = (source.shape[2], source.shape[3])
        shown = functional.interpolate(patterns, size, mode="bilinear", align_corners=False)
        return torch.cat([source[:, :3], shown], 1) if self.generator.alignment == "raw" else shown

    def forward(self, dynamic: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
        """Residual and mask; what is drawn anew is put as its difference from the frame."""
        # Not expanded: that becomes a calculation of shapes that TensorRT cannot read.
        frame, facial_map = dynamic[:, :3], torch.cat([dynamic[:, 5:]] * 3, 1)
        if self.generator.alignment == "raw":
            drawn, mask = self.generator(static[:, :3], facial_map, static[:, 3:])
            return drawn - frame, mask
        return cast(tuple[Tensor, Tensor], self.generator(frame, facial_map, static))


class StaticGraph(nn.Module):
    """What runs once."""

    def __init__(self, generator: Generator) -> None:
        """Wrap ``generator``."""
        super().__init__()
        self.generator = generator

    def forward(self, source: Tensor, patterns: Tensor) -> Tensor:
        """Bytes to features."""
        return self.generator.encode(source.float() / 255, patterns.float() / 255)


class FrameGraph(nn.Module):
    """What runs for every frame."""

    border: Tensor

    def __init__(self, generator: Generator) -> None:
        """Wrap ``generator``."""
        super().__init__()
        self.generator = generator
        self.register_buffer("border", torch.from_numpy(border(generator.size))[None, None])

    def forward(self, dynamic: Tensor, static: Tensor) -> Tensor:
        """Bytes to bytes."""
        seen = dynamic.float() / 255
        residual, mask = self.generator(seen, static)
        # What is cast is cut off, not rounded.
        return (refined(seen[:, :3], residual, self.border * mask) * 255 + 0.5).to(torch.uint8)


@dataclass(frozen=True)
class ExportedGenerator:
    """Both graphs, weights in float32.

    Attributes:
        frame: What runs for every frame.
        static: What runs once.
        static_shape: Channels, height and width of what it gives.
        size: S.
    """

    frame: onnx.ModelProto
    static: onnx.ModelProto
    static_shape: tuple[int, int, int]
    size: Literal[256, 512]


def export_generator(generator: Generator) -> ExportedGenerator:
    """Export both parts of a generator at opset OPSET; it is switched to evaluation."""
    frame, once, size = FrameGraph(generator).eval(), StaticGraph(generator).eval(), generator.size
    source = torch.zeros(1, SOURCE_CHANNELS, size, size, dtype=torch.uint8)
    patterns = torch.zeros(1, *PATTERNS_SHAPE, dtype=torch.uint8)
    with torch.inference_mode():
        static = once(source, patterns)
    dynamic = torch.zeros(1, DYNAMIC_CHANNELS, size, size, dtype=torch.uint8)
    channels, height, width = static.shape[1:]
    return ExportedGenerator(
        frame=trace(frame, {"dynamic": dynamic, "static": static.clone()}, "picture", free_batch=True),
        static=trace(once, {"source": source, "patterns": patterns}, "static", free_batch=False),
        static_shape=(int(channels), int(height), int(width)),
        size=size,
    )


def picture_network(
    name: str,
    exported: ExportedGenerator,
    patterns: NDArray[np.uint8],
    *,
    precision: PicturePrecision = "fp32",
    frames: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]] = (),
    better: bool = False,
    provenance: dict[str, str] | None = None,
) -> PictureNetwork:
    """Put a network together for a bundle.

    Args:
        name: ``lite`` or ``paper``.
        exported: As from ``export_generator``.
        patterns: uint8 (12, 256, 256), of the neutral style.
        precision: In which weights are stored; ``int8`` also computes in integers, and needs ``frames``.
        frames: Inputs of the frame's graph by which integers are scaled: dynamic (6, S, S) and static (C, h, w).
        better: Whether it draws better than the geometric renderer.
        provenance: What to note.

    Raises:
        ConfigError: Integers are wanted without frames to scale them by.
    """
    if precision == "int8":
        graph = quantise(exported.frame, frames)
    else:
        graph = compress(exported.frame, precision)
    geometry = PictureGeometry(
        size=exported.size,
        static=exported.static_shape,
        precision=precision,
        better=better,
        provenance={"torch": str(torch.__version__), **(provenance or {})},
    )
    static = compress(exported.static, "fp32" if precision == "fp32" else "fp16")
    return PictureNetwork(name, geometry, graph.SerializeToString(), static.SerializeToString(), patterns)


def load_generator(checkpoints: Path, preset: str, alignment: Literal["warp", "raw"] = "warp") -> Generator:
    """Read a trained generator: ``renderer.safetensors`` and, for ``lite``, ``renderer_static.safetensors``.

    Args:
        checkpoints: Folder of them.
        preset: ``lite`` or ``paper``.
        alignment: What the paper's generator was trained to be given.

    Raises:
        ArtefactError: A file is missing, damaged or of another network.
    """
    if preset == "paper":
        paper = PaperGenerator(alignment)
        _load(paper, checkpoints / "renderer.safetensors")
        return Paper(paper).eval()
    drawn, encoder = LiteGenerator(), StaticEncoder()
    _load(drawn, checkpoints / "renderer.safetensors")
    _load(encoder, checkpoints / "renderer_static.safetensors")
    return Lite(encoder, drawn).eval()


def _load(module: nn.Module, file: Path) -> None:
    try:
        module.load_state_dict(load_file(file))
    except FileNotFoundError as error:
        raise ArtefactError(f"There is no checkpoint {file}; train the generator first.") from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ArtefactError(f"{file} is damaged or of another network; train it again.") from error


def trace(module: nn.Module, inputs: dict[str, Tensor], output: str, *, free_batch: bool) -> onnx.ModelProto:
    """Trace ``module``, as ``export.graphs.to_onnx`` does and for its reasons."""
    axes = {name: {0: BATCH} for name in (*inputs, output)} if free_batch else None
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            f"{folder}/graph.onnx",
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=axes,
        )
        model = onnx.load_model(f"{folder}/graph.onnx")
    onnx.checker.check_model(model, full_check=True)
    return model
