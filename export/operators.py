"""Does a graph hold only what TensorRT has? Checked against its published list, without TensorRT.

The list (``tensorrt_operators.json``) is the support matrix of its ONNX parser: facts on operators and types, of a
release that is old enough to be a floor. Its restrictions that our graphs could meet are checked as well.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from engine.errors import ArtefactError

_FILE = Path(__file__).with_name("tensorrt_operators.json")
_TYPES = {
    TensorProto.FLOAT: "FP32",
    TensorProto.FLOAT16: "FP16",
    TensorProto.BFLOAT16: "FP16",
    TensorProto.INT32: "INT32",
    # Cast down where they are shapes or indices, as all of ours are.
    TensorProto.INT64: "INT32",
    TensorProto.INT8: "INT8",
    TensorProto.BOOL: "BOOL",
}
_ANY_INDEX = {"Gather", "GatherND", "GatherElements", "ScatterND", "ScatterElements", "Slice", "Reshape"}


@dataclass(frozen=True)
class Operators:
    """What a TensorRT release can read.

    Attributes:
        opset: The newest.
        supported: Types by operator.
    """

    opset: int
    supported: dict[str, frozenset[str]]


@cache
def tensorrt_operators() -> Operators:
    """The published list."""
    stored = json.loads(_FILE.read_text(encoding="utf-8"))
    return Operators(stored["opset"], {name: frozenset(types.split()) for name, types in stored["supported"].items()})


def unreadable(model: onnx.ModelProto, *, types: bool = True) -> list[str]:
    """What in a graph TensorRT could not read, one sentence each; empty where it can read all.

    The graph is checked by onnx and its shapes are inferred on the way.

    Args:
        model: The graph.
        types: Whether types are checked as well: ONNX names bf16 for few operators of this opset, TensorRT takes it.

    Raises:
        ArtefactError: It is no sound graph.
    """
    try:
        onnx.checker.check_model(model, full_check=types)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=types, strict_mode=types, data_prop=True)
    except Exception as error:  # onnx raises its own and its C++ library's.
        raise ArtefactError(f"This is no sound ONNX graph ({str(error).splitlines()[0]}); export it again.") from error
    known = tensorrt_operators()
    found = [
        f"opset {opset.version} of {opset.domain or 'ai.onnx'}, where TensorRT reads up to {known.opset}"
        for opset in model.opset_import
        if opset.domain not in ("", "ai.onnx") or opset.version > known.opset
    ]
    return found + sorted(set(_problems(inferred.graph, known)))


def check_readable(model: onnx.ModelProto, name: str, *, types: bool = True) -> None:
    """Refuse a graph that TensorRT could not read.

    Args:
        model: The graph.
        name: Of its file.
        types: As for ``unreadable``.

    Raises:
        ArtefactError: It holds something that TensorRT lacks; the message names it.
    """
    problems = unreadable(model, types=types)
    if problems:
        raise ArtefactError(f"TensorRT cannot read {name}: {'; '.join(problems)}. Export it as fp32 or fp16.")


def _problems(graph: onnx.GraphProto, known: Operators) -> Iterator[str]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    fixed = set(constants) | {node.output[0] for node in graph.node if node.op_type == "Constant"}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    leaving = {value.name for value in graph.output}
    for node in graph.node:
        allowed = known.supported.get(node.op_type)
        if allowed is None:
            yield f"the operator {node.op_type}"
            continue
        # Of those that go to integers and back the list names what they take.
        given = () if node.op_type in ("QuantizeLinear", "DequantizeLinear") else node.output[:1]
        tensors = [name for name in (*node.input[:1], *given) if name]
        for name in tensors:
            kind = types.get(name)
            if kind == TensorProto.UINT8:
                # Bytes enter by way of a Cast and leave from one; nothing else may take or make them.
                if node.op_type != "Cast" or (name in node.output and name not in leaving):
                    yield f"{node.op_type} on bytes"
            elif kind is not None and _TYPES.get(kind) not in allowed and node.op_type not in _ANY_INDEX:
                yield f"{node.op_type} on {TensorProto.DataType.Name(kind)}"
        yield from _restrictions(node, fixed, constants)


def _restrictions(node: onnx.NodeProto, fixed: set[str], constants: dict[str, TensorProto]) -> Iterator[str]:
    """What the list says beside the operator's name."""
    attributes: dict[str, Any] = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    given = list(node.input)
    if node.op_type in ("Squeeze", "Unsqueeze") and len(given) > 1 and given[1] not in fixed:
        yield f"{node.op_type} with axes that are computed"
    if node.op_type == "Slice" and len(given) > 3 and given[3] not in fixed:
        yield "Slice with axes that are computed"
    if node.op_type == "Resize":
        if attributes.get("mode", b"nearest") not in (b"nearest", b"linear"):
            yield "Resize that is neither nearest nor linear"
        modes = (b"half_pixel", b"pytorch_half_pixel", b"tf_half_pixel_for_nn", b"asymmetric", b"align_corners")
        if attributes.get("coordinate_transformation_mode", b"half_pixel") not in modes:
            yield "Resize of that coordinate transformation"
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(given) > 2 and given[2]:
        zero = constants.get(given[2])
        if zero is None or onnx.numpy_helper.to_array(zero).any() or zero.data_type != TensorProto.INT8:
            yield f"{node.op_type} whose zero is not at int8 0"
    if node.op_type == "TopK" and given[1] not in fixed:
        yield "TopK with a number that is computed"
