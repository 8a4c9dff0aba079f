"""Integer arithmetic for a picture network: its convolutions in 8 bits, scaled by real frames.

Weights have a scale for each output channel, activations one for each tensor, found on frames that were drawn. What
enters and leaves the network, and how the picture is blended, stays as it is.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from engine.errors import ConfigError

Frames = Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]
"""Dynamic (6, S, S) and static (C, h, w) of each frame."""


_Feed = dict[str, NDArray[np.uint8] | NDArray[np.float32]]


class _Frames(CalibrationDataReader):  # type: ignore[misc]
    """Hands frames to the calibration, one at a time."""

    def __init__(self, frames: Frames) -> None:
        self._feeds: Iterator[_Feed] = (
            {"dynamic": dynamic[None], "static": static[None]} for dynamic, static in frames
        )

    def get_next(self) -> _Feed | None:
        """The next frame's inputs, None after the last."""
        return next(self._feeds, None)


def quantise(
    model: onnx.ModelProto, frames: Frames, keep: Sequence[str] = (), *, symmetric: bool = False
) -> onnx.ModelProto:
    """Let a frame's graph compute its convolutions in integers.

    Args:
        model: As from ``export.renderer.export_generator``; left as it was.
        frames: What its activations are scaled by: a few dozen, of several people and mouths.
        keep: Names of convolutions that stay float.
        symmetric: Activations in int8 with their zero at 0, as cards want them; processors are faster with uint8.

    Raises:
        ConfigError: There are no frames.
    """
    if not frames:
        raise ConfigError("Integers are scaled by real frames: give the calibration at least one.")
    with tempfile.TemporaryDirectory() as folder:
        exact, prepared, integers = (Path(folder) / f"{name}.onnx" for name in ("exact", "prepared", "integers"))
        onnx.save_model(model, exact)
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            integers,
            _Frames(frames),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Add", "Concat", "Resize", "MaxPool"],
            nodes_to_exclude=[*keep, *_outside(onnx.load_model(prepared))],
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                # Cards add a float bias to what they have summed.
                "QuantizeBias": not symmetric,
            },
        )
        result = onnx.load_model(integers)
    onnx.checker.check_model(result, full_check=True)
    return result


def convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of a graph's convolutions, in its order."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def _outside(model: onnx.ModelProto) -> list[str]:
    """Nodes before the first and after the last convolution: the way from bytes and back to them."""
    nodes = list(model.graph.node)
    places = [number for number, node in enumerate(nodes) if node.op_type == "Conv"]
    return [node.name for node in (*nodes[: places[0]], *nodes[places[-1] + 1 :])]
