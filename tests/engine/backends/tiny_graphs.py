"""A recurrent step of a few units, as an ONNX graph and as a device that counts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backends.device_graph import BATCH, Dtype, TensorSpec
from engine.backends.slotted import BOUND, PLACES

STATES = {"deep": 1, "flat": 0}
STATICS = {"who_is_it": 0}


def tiny_step(seed: int = 0) -> bytes:
    """y (B, 4) of x (B, 4), who_is_it (B, 3), state.deep (2, B, 4) and state.flat (B, 4); a leaky, tangled sum."""
    onnx = pytest.importorskip("onnx", reason="the graph is written with onnx, which is not installed")
    helper, kind = onnx.helper, onnx.TensorProto
    rng = np.random.default_rng(seed)
    weights = {
        "w.x": rng.standard_normal((4, 4)),
        "w.deep": 0.6 * rng.standard_normal((2, 4, 4)),
        "w.who": rng.standard_normal((3, 4)),
        "half": np.array(0.5),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w.x"], ["heard"]),
        helper.make_node("MatMul", ["who_is_it", "w.who"], ["known"]),
        helper.make_node("Add", ["heard", "known"], ["both"]),
        helper.make_node("MatMul", ["state.deep", "w.deep"], ["own"]),
        helper.make_node("Add", ["own", "both"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["next.deep"]),
        helper.make_node("Mul", ["state.flat", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "heard"], ["next.flat"]),
        helper.make_node("ReduceSum", ["next.deep", "axis"], ["shown"], keepdims=0),
        helper.make_node("Add", ["shown", "next.flat"], ["y"]),
    ]

    def tensor(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, kind.FLOAT, list(shape))

    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            tensor("x", BATCH, 4),
            tensor("who_is_it", BATCH, 3),
            tensor("state.deep", 2, BATCH, 4),
            tensor("state.flat", BATCH, 4),
        ],
        [tensor("y", BATCH, 4), tensor("next.deep", 2, BATCH, 4), tensor("next.flat", BATCH, 4)],
        [
            *(onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()),
            onnx.numpy_helper.from_array(np.array([0], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


class CountingGraph:
    """A slotted graph in numpy that counts what is asked of it: y = flat + x, deep and flat are leaky sums."""

    def __init__(self) -> None:
        self.inputs = {
            "x": TensorSpec("float32", (BATCH, 2)),
            "slots": TensorSpec("int64", (BATCH,)),
            "refresh": TensorSpec("int64", (PLACES,)),
            "bank.deep": TensorSpec("float32", (3, PLACES, 2)),
            "inbox.deep": TensorSpec("float32", (3, BATCH, 2)),
            "bank.flat": TensorSpec("float32", (PLACES, 2)),
            "inbox.flat": TensorSpec("float32", (BATCH, 2)),
            "who": TensorSpec("int64", (BATCH,)),
            "bank.who_is_it": TensorSpec("float32", (BOUND, 2)),
        }
        self.outputs = {
            "y": TensorSpec("float32", (BATCH, 2)),
            "next.bank.deep": TensorSpec("float32", (3, PLACES, 2)),
            "next.bank.flat": TensorSpec("float32", (PLACES, 2)),
        }
        self.batches: list[int] = []
        self.written: list[int] = []
        self.reads: list[int] = []
        self.calls: dict[int, list[int]] = {}

    def buffer(self, shape: tuple[int, ...], dtype: Dtype) -> Any:
        return np.zeros(shape, dtype)

    def write(self, buffer: Any, array: NDArray[Any]) -> None:
        assert buffer.shape == array.shape and buffer.dtype == array.dtype
        self.written.append(array.nbytes)
        buffer[:] = array

    def read(self, buffer: Any) -> NDArray[Any]:
        self.reads.append(buffer.nbytes)
        array: NDArray[Any] = buffer.copy()
        return array

    def execute(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], call: int) -> None:
        addresses = [id(buffer) for buffer in (*inputs.values(), *outputs.values())]
        assert self.calls.setdefault(call, addresses) == addresses, "a call was given other buffers"
        assert not set(map(id, inputs.values())) & set(map(id, outputs.values()))
        x, slots, refresh = inputs["x"], inputs["slots"], inputs["refresh"]
        self.batches.append(len(x))
        new = {}
        for name, axis in STATES.items():
            everything = np.concatenate([inputs[f"bank.{name}"], inputs[f"inbox.{name}"]], axis)
            following = 0.5 * everything.take(slots, axis) + x + inputs["bank.who_is_it"][inputs["who"]]
            outputs[f"next.bank.{name}"][:] = np.concatenate([everything, following], axis).take(refresh, axis)
            new[name] = following
        outputs["y"][:] = new["flat"] + new["deep"].sum(0)

    def wait(self) -> None:
        """Nothing is under way."""
