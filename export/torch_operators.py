"""ONNX operators in torch: those that our graphs have.

Shapes and indices that are known when a graph is set up are numpy arrays and stay on the host, so that nothing is
waited for while a card computes; everything else is tensors. An operator is given either.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional

from engine.errors import ArtefactError

Value: TypeAlias = "Tensor | NDArray[Any] | None"
Attributes: TypeAlias = Mapping[str, Any]
Operator: TypeAlias = "Callable[[list[Any], Attributes], Any]"
DTYPES: Mapping[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}


def ints(value: Any) -> list[int]:
    """A host value as whole numbers."""
    assert isinstance(value, np.ndarray), "shapes are known before a card computes"
    return [int(each) for each in value.ravel()]


def _slice(given: list[Any], _: Attributes) -> Any:
    data, starts, ends = given[0], ints(given[1]), ints(given[2])
    axes = ints(given[3]) if len(given) > 3 and given[3] is not None else list(range(len(starts)))
    steps = ints(given[4]) if len(given) > 4 and given[4] is not None else [1] * len(starts)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end if abs(end) < 2**31 - 1 else None, step)
    return data[tuple(index)]


def _gather(given: list[Any], attributes: Attributes) -> Any:
    data, index, axis = given[0], given[1], attributes.get("axis", 0)
    if isinstance(data, np.ndarray) and isinstance(index, np.ndarray):
        return np.take(data, index, axis)
    if isinstance(index, np.ndarray) and index.ndim == 0:
        return data.select(axis, int(index))
    where = index if isinstance(index, Tensor) else torch.as_tensor(index, device=data.device)
    taken = data.index_select(axis, where.reshape(-1))
    return taken.reshape(*data.shape[:axis], *where.shape, *data.shape[axis + 1 :])


def _reshape(given: list[Any], _: Attributes) -> Any:
    data, shape = given[0], ints(given[1])
    return data.reshape([data.shape[place] if length == 0 else length for place, length in enumerate(shape)])


def _concat(given: list[Any], attributes: Attributes) -> Any:
    if all(isinstance(each, np.ndarray) for each in given):
        return np.concatenate(given, attributes["axis"])
    return torch.cat(given, attributes["axis"])


def _split(given: list[Any], attributes: Attributes) -> Any:
    return torch.split(given[0], ints(given[1]), attributes.get("axis", 0))


def _squeeze(given: list[Any], _: Attributes) -> Any:
    data, axes = given[0], tuple(ints(given[1]))
    return np.squeeze(data, axes) if isinstance(data, np.ndarray) else data.squeeze(axes)


def _unsqueeze(given: list[Any], _: Attributes) -> Any:
    data = given[0]
    for axis in sorted(ints(given[1])):
        data = np.expand_dims(data, axis) if isinstance(data, np.ndarray) else data.unsqueeze(axis)
    return data


def _conv(given: list[Any], attributes: Attributes) -> Any:
    x, weight, bias = given[0], given[1], given[2] if len(given) > 2 else None
    pads = attributes.get("pads", [0, 0, 0, 0])
    assert pads[:2] == pads[2:], "the same before and after"
    return functional.conv2d(
        x,
        weight,
        bias,
        attributes.get("strides", [1, 1]),
        pads[:2],
        attributes.get("dilations", [1, 1]),
        attributes.get("group", 1),
    )


def _max_pool(given: list[Any], attributes: Attributes) -> Any:
    pads, strides = attributes.get("pads", [0, 0, 0, 0]), attributes.get("strides", [1, 1])
    assert pads[:2] == pads[2:] and not attributes.get("ceil_mode", 0), "the same before and after"
    dilations = attributes.get("dilations", [1, 1])
    return functional.max_pool2d(given[0], attributes["kernel_shape"], strides, pads[:2], dilations)


def _resize(given: list[Any], attributes: Attributes) -> Any:
    x, scales = given[0], given[2] if len(given) > 2 else None
    if scales is not None and scales.size:
        size = [int(length * float(scale)) for length, scale in zip(x.shape[2:], scales[2:], strict=True)]
    else:
        size = ints(given[3])[2:]
    if attributes.get("mode", b"nearest") == b"nearest":
        return functional.interpolate(x, size, mode="nearest")
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def _grid_sample(given: list[Any], attributes: Attributes) -> Any:
    return functional.grid_sample(
        given[0],
        given[1],
        mode="bilinear",
        padding_mode=attributes.get("padding_mode", b"zeros").decode(),
        align_corners=bool(attributes.get("align_corners", 0)),
    )


def _scatter(given: list[Any], _: Attributes) -> Any:
    data, index, updates = given
    assert index.shape[-1] == 1, "rows are put in place of rows"
    return data.index_put((index[..., 0],), updates)


def _depth_to_space(given: list[Any], attributes: Attributes) -> Any:
    assert attributes.get("mode") == b"CRD", "as torch's pixel_shuffle"
    return functional.pixel_shuffle(given[0], attributes["blocksize"])


def _normalise(given: list[Any], attributes: Attributes) -> Any:
    x, scale, shift, mean, variance = given
    return functional.batch_norm(x, mean, variance, scale, shift, False, 0.0, attributes.get("epsilon", 1e-5))


def _clip(given: list[Any], _: Attributes) -> Any:
    low, high = (float(each) if each is not None else None for each in (*given[1:], None, None)[:2])
    return given[0].clamp(low, high)


def _reduce(given: list[Any], attributes: Attributes) -> Any:
    return given[0].sum(ints(given[1]), keepdim=bool(attributes.get("keepdims", 1)))


def _cast(given: list[Any], attributes: Attributes) -> Any:
    dtype = DTYPES[attributes["to"]]
    if isinstance(given[0], np.ndarray):
        return given[0].astype(torch.zeros(0, dtype=dtype).numpy().dtype)
    return given[0].to(dtype)


def _expand(given: list[Any], _: Attributes) -> Any:
    data, shape = given[0], ints(given[1])
    if isinstance(data, np.ndarray):
        return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(shape)))
    return data.expand(np.broadcast_shapes(tuple(data.shape), tuple(shape)))


def _arithmetic(on_host: Any, on_device: Any) -> Operator:
    """An operator of two values, on the host where both are there."""

    def run(given: list[Any], _: Attributes) -> Any:
        if all(isinstance(each, np.ndarray) for each in given):
            return on_host(*given)
        return on_device(*given)

    return run


def _divide(one: Any, other: Any) -> Any:
    return one / other if one.is_floating_point() else torch.div(one, other, rounding_mode="trunc")


def _where(given: list[Any], _: Attributes) -> Any:
    return np.where(*given) if isinstance(given[0], np.ndarray) else torch.where(*given)


def _constant_of_shape(given: list[Any], attributes: Attributes) -> Any:
    value = attributes.get("value")
    return np.full(ints(given[0]), np.float32(0) if value is None else value.ravel()[0])


OPERATORS: Mapping[str, Operator] = {
    "Add": _arithmetic(np.add, torch.add),
    "AveragePool": lambda given, a: functional.avg_pool2d(given[0], a["kernel_shape"], a.get("strides")),
    "BatchNormalization": _normalise,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Div": _arithmetic(np.floor_divide, _divide),
    "Equal": _arithmetic(np.equal, torch.eq),
    "Expand": _expand,
    "Floor": lambda given, _: torch.floor(given[0]),
    "Gather": _gather,
    "GridSample": _grid_sample,
    "Identity": lambda given, _: given[0],
    "LeakyRelu": lambda given, a: functional.leaky_relu(given[0], a.get("alpha", 0.01)),
    "MatMul": lambda given, _: torch.matmul(given[0], given[1]),
    "MaxPool": _max_pool,
    "Mul": _arithmetic(np.multiply, torch.mul),
    "Range": lambda given, _: np.arange(int(given[0]), int(given[1]), int(given[2])),
    "ReduceSum": _reduce,
    "Relu": lambda given, _: torch.relu(given[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda given, _: torch.round(given[0]),
    "ScatterND": _scatter,
    "Shape": lambda given, _: np.array(given[0].shape, np.int64),
    "Sigmoid": lambda given, _: torch.sigmoid(given[0]),
    "Slice": _slice,
    "Softplus": lambda given, _: functional.softplus(given[0]),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _arithmetic(np.subtract, torch.sub),
    "Tanh": lambda given, _: torch.tanh(given[0]),
    "Transpose": lambda given, a: given[0].permute(a["perm"]),
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}


def operator(kind: str) -> Operator:
    """One of them.

    Raises:
        ArtefactError: There is none.
    """
    try:
        return OPERATORS[kind]
    except KeyError as error:
        raise ArtefactError(
            f"Graphs with the operator {kind} are not run by torch here: choose another device."
        ) from error
