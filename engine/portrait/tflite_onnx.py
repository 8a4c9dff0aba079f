"""TensorFlow Lite to ONNX, as far as the published face models need it.

Pictures are NCHW inside the ONNX graph; its inputs and outputs keep the file's NHWC layout. A model with an operator
that is not known here is refused by name. Needs the ``avatar`` extra; running the converted models does not.
"""

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ArtefactError
from engine.portrait import tflite_custom
from engine.portrait.tflite_graph import Operator, TfliteGraph

OPSET = 17
_NHWC_AXIS = (0, 2, 3, 1)
"""Axis of NCHW that holds axis i of NHWC."""


def convert(data: bytes, name: str) -> bytes:
    """Convert one model.

    Args:
        data: The ``.tflite`` file.
        name: Name of the ONNX graph.

    Returns:
        The serialized ONNX model (opset 17, float32). The metadata entry ``subset_idxs``, where present, lists
        which mesh points the refined outputs of the attention mesh replace.

    Raises:
        ArtefactError: The file is damaged or holds an operator that is not known here.
    """
    return _Converter(TfliteGraph(data)).run(name)


class _Converter:
    """Builds the ONNX graph operator by operator."""

    def __init__(self, graph: TfliteGraph) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.initializers: dict[str, NDArray[Any]] = {}
        self.metadata: dict[str, list[list[int]]] = {}
        self._count = 0

    def run(self, name: str) -> bytes:
        graph = self.graph
        inputs = [
            helper.make_tensor_value_info(graph.name(i), TensorProto.FLOAT, graph.shapes[i]) for i in graph.inputs
        ]
        outputs = [
            helper.make_tensor_value_info(graph.name(i), TensorProto.FLOAT, graph.shapes[i]) for i in graph.outputs
        ]
        for i in graph.inputs:
            self.add("Transpose", [graph.name(i)], f"t{i}", perm=[0, 3, 1, 2])
        for operator in graph.operators():
            self._operator(operator)
        for i in graph.outputs:
            if len(graph.shapes[i]) == 4:
                self.add("Transpose", [f"t{i}"], graph.name(i), perm=[0, 2, 3, 1])
            else:
                self.add("Identity", [f"t{i}"], graph.name(i))
        tensors = [numpy_helper.from_array(value, key) for key, value in self.initializers.items()]
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, tensors),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=8,
        )
        if self.metadata:
            helper.set_model_props(model, {key: json.dumps(value) for key, value in self.metadata.items()})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def constant(self, value: Any) -> str:
        """Add an initializer; returns its name."""
        self._count += 1
        name = f"c{self._count}"
        self.initializers[name] = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        if output is None:
            self._count += 1
            output = f"n{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def tensor(self, number: int, rank: int = 0) -> str:
        """Name of a tensor; a constant that meets a tensor of rank 4 is laid out to broadcast in NCHW."""
        if number not in self.graph.constants:
            return f"t{number}"
        value = self.graph.constants[number]
        if value.dtype == np.float16:
            value = value.astype(np.float32)
        if rank == 4:
            if value.ndim >= 3:
                value = np.moveaxis(value, -1, -3)
            elif value.ndim == 1 and value.size > 1:
                value = value.reshape(-1, 1, 1)
        return self.constant(value)

    def activate(self, x: str, code: int, output: str) -> None:
        """Apply the activation fused into an operator."""
        if code == tflite.ActivationFunctionType.NONE:
            self.add("Identity", [x], output)
        elif code == tflite.ActivationFunctionType.RELU:
            self.add("Relu", [x], output)
        elif code == tflite.ActivationFunctionType.RELU6:
            self.add("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))], output)
        else:
            raise ArtefactError(f"A face model uses the fused activation {code}, which is not known here.")

    def _operator(self, operator: Operator) -> None:
        custom = tflite_custom.CUSTOM.get(operator.kind)
        if custom is not None:
            custom(self, operator)
            return
        handler = _HANDLERS.get(operator.kind)
        if handler is None:
            raise ArtefactError(f"A face model uses the operator {operator.kind}, which is not known here.")
        handler(self, operator)

    def float_constant(self, number: int) -> NDArray[np.float32]:
        return self.graph.constants[number].astype(np.float32)


def _dequantize(c: _Converter, o: Operator) -> None:
    c.graph.constants[o.outputs[0]] = c.float_constant(o.inputs[0])


def _densify(c: _Converter, o: Operator) -> None:
    c.graph.constants[o.outputs[0]] = c.graph.densify(o.inputs[0])


def _convolution(c: _Converter, o: Operator) -> None:
    depthwise = o.kind.startswith("DEPTHWISE")
    options = o.options(tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
    weights = c.float_constant(o.inputs[1]).transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    shape = c.graph.shapes[o.inputs[0]]
    strides = (options.StrideH(), options.StrideW())
    dilations = (options.DilationHFactor(), options.DilationWFactor())
    kernel = weights.shape[2:]
    names = [c.tensor(o.inputs[0]), c.constant(weights)]
    if len(o.inputs) > 2 and o.inputs[2] >= 0:
        names.append(c.constant(c.float_constant(o.inputs[2])))
    y = c.add(
        "Conv",
        names,
        strides=strides,
        dilations=dilations,
        kernel_shape=kernel,
        pads=_pads(options.Padding(), shape[1:3], kernel, strides, dilations),
        group=shape[3] if depthwise else 1,
    )
    c.activate(y, options.FusedActivationFunction(), f"t{o.outputs[0]}")


def _transposed_convolution(c: _Converter, o: Operator) -> None:
    _, stride_w, stride_h = struct.unpack("<3i", o.custom_options()[:12])
    weights = c.float_constant(o.inputs[1]).transpose(3, 0, 1, 2)
    height, width = c.graph.shapes[o.inputs[0]][1:3]
    out_height, out_width = c.graph.shapes[o.outputs[0]][1:3]
    kernel = weights.shape[2:]
    ph = (height - 1) * stride_h + kernel[0] - out_height
    pw = (width - 1) * stride_w + kernel[1] - out_width
    c.add(
        "ConvTranspose",
        [c.tensor(o.inputs[0]), c.constant(weights), c.constant(c.float_constant(o.inputs[2]))],
        f"t{o.outputs[0]}",
        strides=[stride_h, stride_w],
        kernel_shape=kernel,
        pads=[ph // 2, pw // 2, ph - ph // 2, pw - pw // 2],
    )


def _prelu(c: _Converter, o: Operator) -> None:
    # As (1 - a) relu(x) + a x, because PRelu takes half of the whole mesh's time on onnxruntime's CPU provider.
    slope = c.float_constant(o.inputs[1]).transpose(2, 0, 1)
    x = c.tensor(o.inputs[0])
    positive = c.add("Mul", [c.add("Relu", [x]), c.constant(1 - slope)])
    c.add("Add", [positive, c.add("Mul", [x, c.constant(slope)])], f"t{o.outputs[0]}")


def _arithmetic(c: _Converter, o: Operator) -> None:
    kind, table = {
        "ADD": ("Add", tflite.AddOptions),
        "MUL": ("Mul", tflite.MulOptions),
        "SUB": ("Sub", tflite.SubOptions),
    }[o.kind]
    rank = len(c.graph.shapes[o.outputs[0]])
    y = c.add(kind, [c.tensor(o.inputs[0], rank), c.tensor(o.inputs[1], rank)])
    c.activate(y, o.options(table).FusedActivationFunction(), f"t{o.outputs[0]}")


def _pool(c: _Converter, o: Operator) -> None:
    options = o.options(tflite.Pool2DOptions)
    kernel = (options.FilterHeight(), options.FilterWidth())
    strides = (options.StrideH(), options.StrideW())
    pads = _pads(options.Padding(), c.graph.shapes[o.inputs[0]][1:3], kernel, strides, (1, 1))
    kind = "MaxPool" if o.kind.startswith("MAX") else "AveragePool"
    y = c.add(kind, [c.tensor(o.inputs[0])], kernel_shape=kernel, strides=strides, pads=pads)
    c.activate(y, options.FusedActivationFunction(), f"t{o.outputs[0]}")


def _pad(c: _Converter, o: Operator) -> None:
    pads = c.graph.constants[o.inputs[1]]
    if len(c.graph.shapes[o.outputs[0]]) == 4:
        pads = pads[[0, 3, 1, 2]]
    c.add("Pad", [c.tensor(o.inputs[0]), c.constant(pads.T.reshape(-1).astype(np.int64))], f"t{o.outputs[0]}")


def _reshape(c: _Converter, o: Operator) -> None:
    shapes, out = c.graph.shapes, o.outputs[0]
    x = c.tensor(o.inputs[0])
    if len(shapes[o.inputs[0]]) == 4:
        x = c.add("Transpose", [x], perm=[0, 2, 3, 1])
    to_picture = len(shapes[out]) == 4
    x = c.add("Reshape", [x, c.constant(np.array(shapes[out], np.int64))], None if to_picture else f"t{out}")
    if to_picture:
        c.add("Transpose", [x], f"t{out}", perm=[0, 3, 1, 2])


def _concatenation(c: _Converter, o: Operator) -> None:
    rank = len(c.graph.shapes[o.outputs[0]])
    axis = o.options(tflite.ConcatenationOptions).Axis() % rank
    c.add("Concat", [c.tensor(i) for i in o.inputs], f"t{o.outputs[0]}", axis=_NHWC_AXIS[axis] if rank == 4 else axis)


def _resize(c: _Converter, o: Operator) -> None:
    options = o.options(tflite.ResizeBilinearOptions)
    mode = "align_corners" if options.AlignCorners() else "half_pixel" if options.HalfPixelCenters() else "asymmetric"
    n, height, width, channels = c.graph.shapes[o.outputs[0]]
    size = c.constant(np.array([n, channels, height, width], np.int64))
    c.add(
        "Resize",
        [c.tensor(o.inputs[0]), "", "", size],
        f"t{o.outputs[0]}",
        mode="linear",
        coordinate_transformation_mode=mode,
    )


def _depth_to_space(c: _Converter, o: Operator) -> None:
    block = o.options(tflite.DepthToSpaceOptions).BlockSize()
    c.add("DepthToSpace", [c.tensor(o.inputs[0])], f"t{o.outputs[0]}", blocksize=block, mode="DCR")


def _mean(c: _Converter, o: Operator) -> None:
    axes = [_NHWC_AXIS[axis] for axis in c.graph.constants[o.inputs[1]].reshape(-1)]
    c.add("ReduceMean", [c.tensor(o.inputs[0])], f"t{o.outputs[0]}", axes=axes, keepdims=1)


def _unary(c: _Converter, o: Operator) -> None:
    kind = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "HARD_SWISH": "HardSwish"}[o.kind]
    c.add(kind, [c.tensor(o.inputs[0])], f"t{o.outputs[0]}")


def _strided_slice(c: _Converter, o: Operator) -> None:
    if c.graph.shapes[o.inputs[0]] != c.graph.shapes[o.outputs[0]]:
        raise ArtefactError("A face model cuts a tensor with STRIDED_SLICE, which is not known here.")
    c.add("Identity", [c.tensor(o.inputs[0])], f"t{o.outputs[0]}")


def _pads(
    padding: int, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """ONNX pads of TensorFlow's padding; with SAME an odd pixel goes to the bottom and right."""
    if padding == tflite.Padding.VALID:
        return [0, 0, 0, 0]
    begin, end = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        begin.append(total // 2)
        end.append(total - total // 2)
    return begin + end


_HANDLERS: dict[str, Callable[[_Converter, Operator], None]] = {
    "DEQUANTIZE": _dequantize,
    "DENSIFY": _densify,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "Convolution2DTransposeBias": _transposed_convolution,
    "PRELU": _prelu,
    "ADD": _arithmetic,
    "MUL": _arithmetic,
    "SUB": _arithmetic,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenation,
    "RESIZE_BILINEAR": _resize,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MEAN": _mean,
    "RELU": _unary,
    "LOGISTIC": _unary,
    "HARD_SWISH": _unary,
    "STRIDED_SLICE": _strided_slice,
}
