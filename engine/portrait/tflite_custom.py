"""The three custom operators of the attention face mesh, expanded to standard ONNX.

The mesh network crops its own feature maps around lips and eyes: ``Landmarks2TransformMatrix`` fits an upright box to
a subset of the coarse points, ``TransformTensorBilinear`` samples the feature map in it, and ``TransformLandmarks``
brings the refined points back. Semantics as in the published operators of the model's makers.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray
from onnx import TensorProto

from engine.portrait.tflite_graph import Operator, TfliteGraph


class Builder(Protocol):
    """What an expansion needs of the converter."""

    graph: TfliteGraph
    metadata: dict[str, list[list[int]]]

    def constant(self, value: Any) -> str:
        """Add an initializer; returns its name."""
        ...

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; returns its name."""
        ...

    def tensor(self, number: int, rank: int = 0) -> str:
        """Name of a tensor."""
        ...


def _landmarks_to_matrix(b: Builder, o: Operator) -> None:
    options = flexbuffers.Loads(o.custom_options())
    subset = [int(i) for i in options["subset_idxs"]]
    b.metadata.setdefault("subset_idxs", []).append(subset)
    points = _slice(b, b.tensor(o.inputs[0]), 0, 2, 2)

    def pick(indices: list[int]) -> str:
        return b.add("Gather", [points, b.constant(_ints(indices))], axis=1)

    # (cos, sin) of the line between the two rotation points: the rows of the box's basis are (c, s) and (-s, c).
    line = b.add("Sub", [pick([options["right_rotation_idx"]]), pick([options["left_rotation_idx"]])])
    unit = b.add("Div", [line, b.add("ReduceL2", [line], axes=[2], keepdims=1)])
    along = b.add("Reshape", [unit, b.constant(_ints([2]))])
    across = b.add("MatMul", [along, b.constant(_floats([[0, 1], [-1, 0]]))])
    basis = b.add("Reshape", [b.add("Concat", [along, across], axis=0), b.constant(_ints([2, 2]))])
    basis_t = b.add("Transpose", [basis], perm=[1, 0])
    rotated = b.add("MatMul", [pick(subset), basis_t])
    high = b.add("ReduceMax", [rotated], axes=[1], keepdims=0)
    low = b.add("ReduceMin", [rotated], axes=[1], keepdims=0)
    middle = b.add("Mul", [b.add("Add", [high, low]), b.constant(np.float32(0.5))])
    centre = b.add("Transpose", [b.add("MatMul", [middle, basis])], perm=[1, 0])
    width, height = float(options["output_width"]), float(options["output_height"])
    scale = b.constant(_floats([[options["scale_x"] / width, options["scale_y"] / height]]))
    matrix = b.add("Mul", [basis_t, b.add("Mul", [b.add("Sub", [high, low]), scale])])
    half = b.add("MatMul", [matrix, b.constant(_floats([[width / 2], [height / 2]]))])
    shift = b.add("Sub", [centre, half])
    rows = b.add("Concat", [matrix, b.constant(_floats([[0], [0]])), shift], axis=1)
    square = b.add("Concat", [rows, b.constant(_floats([[0, 0, 1, 0], [0, 0, 0, 1]]))], axis=0)
    b.add("Unsqueeze", [square, b.constant(_ints([0]))], f"t{o.outputs[0]}")


def _transform_tensor(b: Builder, o: Operator) -> None:
    options = flexbuffers.Loads(o.custom_options())
    out_height, out_width = int(options["output_height"]), int(options["output_width"])
    height, width = b.graph.shapes[o.inputs[0]][1:3]
    yy, xx = np.mgrid[:out_height, :out_width]
    n = out_height * out_width
    # The matrix maps pixel corners: sample at centres, then back to the index of a pixel.
    centres = np.stack([xx.ravel() + 0.5, yy.ravel() + 0.5, np.zeros(n), np.ones(n)])
    mapped = _slice(b, b.add("MatMul", [b.tensor(o.inputs[1]), b.constant(_floats(centres))]), 0, 2, 1)
    where = b.add("Sub", [b.add("Transpose", [mapped], perm=[0, 2, 1]), b.constant(np.float32(0.5))])
    limit, zero = b.constant(_floats([width - 1, height - 1])), b.constant(np.float32(0))
    inside = b.add("And", [b.add("GreaterOrEqual", [where, zero]), b.add("LessOrEqual", [where, limit])])
    inside = b.add("ReduceMin", [b.add("Cast", [inside], to=TensorProto.FLOAT)], axes=[2], keepdims=0)
    unit = b.add("Mul", [where, b.constant(_floats([2 / (width - 1), 2 / (height - 1)]))])
    grid = b.add("Sub", [unit, b.constant(np.float32(1))])
    grid = b.add("Reshape", [grid, b.constant(_ints([1, out_height, out_width, 2]))])
    sampled = b.add("GridSample", [b.tensor(o.inputs[0]), grid], mode="bilinear", padding_mode="zeros", align_corners=1)
    # The operator gives zero for a sample outside, not a blend with zero as GridSample does.
    keep = b.add("Reshape", [inside, b.constant(_ints([1, 1, out_height, out_width]))])
    b.add("Mul", [sampled, keep], f"t{o.outputs[0]}")


def _transform_landmarks(b: Builder, o: Operator) -> None:
    rows = _slice(b, b.tensor(o.inputs[1]), 0, 2, 1)
    linear = b.add("Transpose", [_slice(b, rows, 0, 2, 2)], perm=[0, 2, 1])
    shift = b.add("Transpose", [_slice(b, rows, 3, 4, 2)], perm=[0, 2, 1])
    b.add("Add", [b.add("MatMul", [b.tensor(o.inputs[0]), linear]), shift], f"t{o.outputs[0]}")


def _slice(b: Builder, x: str, start: int, stop: int, axis: int) -> str:
    return b.add("Slice", [x, *(b.constant(_ints([v])) for v in (start, stop, axis))])


def _ints(values: Any) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _floats(values: Any) -> NDArray[np.float32]:
    return np.array(values, np.float32)


CUSTOM: dict[str, Callable[[Builder, Operator], None]] = {
    "Landmarks2TransformMatrix": _landmarks_to_matrix,
    "TransformTensorBilinear": _transform_tensor,
    "TransformLandmarks": _transform_landmarks,
}
"""Expansions by the operator's name in the file."""
