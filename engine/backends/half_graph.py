"""A float graph in half precision: every tensor within it fp16 or bf16, its ends as they were.

TensorRT computes in the types that a graph has, so the precision is written into the graph. fp16 has eleven bits and a
range of 65504, bf16 eight bits and float32's range. What comes in and goes out stays float32 or bytes. Steps that feed
their state back have their products in half precision alone: what is added up over hundreds of steps is kept in full.
Needs the ``onnx`` package.
"""

from typing import Any, Literal, get_args

import numpy as np

from engine.errors import ConfigError, MissingExtraError

Half = Literal["fp16", "bf16"]
_LARGEST = 65504.0
# Scales and regions of a Resize are float32 whatever it resizes.
_KEPT = {"Resize": (1, 2)}
_SINGLE = ("Softplus",)
"""Operators that compute in float32 whatever surrounds them: exponentials of what may be large."""


def to_precision(graph: bytes, precision: str, *, products_only: bool = False) -> bytes:
    """A float graph in one of the precisions that a graph can be written in without more.

    Args:
        graph: ONNX, in float32 arithmetic.
        precision: fp32, fp16 or bf16.
        products_only: Whether all but its matrix products stays in float32.

    Raises:
        ConfigError: It is none of them.
        MissingExtraError: The ``onnx`` package is not installed.
    """
    if precision == "fp32":
        return graph
    if precision not in get_args(Half):
        raise ConfigError(f"A graph is written in fp32, fp16 or bf16, not {precision!r}; int8 is made by mien export.")
    halves = _Halves(graph, precision)
    return halves.write_products() if products_only else halves.write()


class _Halves:
    """One graph on its way to half precision."""

    def __init__(self, graph: bytes, half: str) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
        self._onnx: Any = onnx
        self._float = onnx.TensorProto.FLOAT
        self._kind = onnx.TensorProto.FLOAT16 if half == "fp16" else onnx.TensorProto.BFLOAT16
        self._model = onnx.ModelProto.FromString(graph)
        self._graph = self._model.graph

    def write(self) -> bytes:
        """The graph in its new types."""
        self._halve_constants()
        self._keep_single()
        before, after = [], []
        node = self._onnx.helper.make_node
        for value in self._graph.input:
            if value.type.tensor_type.elem_type == self._float:
                before.append(node("Cast", [value.name], [f"{value.name}.half"], to=self._kind))
                self._rename(value.name, f"{value.name}.half", outputs=False)
        for value in self._graph.output:
            if value.type.tensor_type.elem_type == self._float:
                after.append(node("Cast", [f"{value.name}.half"], [value.name], to=self._float))
                self._rename(value.name, f"{value.name}.half", outputs=True)
        self._set_nodes([*before, *self._graph.node, *after])
        # They were inferred for float32.
        del self._graph.value_info[:]
        # Opset 17 names bf16 for few operators, though what runs these graphs takes it for all: types are not checked.
        self._onnx.checker.check_model(self._model, full_check=self._kind == self._onnx.TensorProto.FLOAT16)
        return bytes(self._model.SerializeToString())

    def write_products(self) -> bytes:
        """The graph with its matrix products in the new type, between casts."""
        make, nodes, narrow = self._onnx.helper.make_node, list[Any](), dict[str, str]()
        weights = {tensor.name: tensor for tensor in self._graph.initializer}
        for node in self._graph.node:
            if node.op_type != "MatMul":
                nodes.append(node)
                continue
            taken = []
            for name in node.input:
                if name not in narrow:
                    narrow[name] = f"{name}.half"
                    if name in weights:
                        half = self._halved(weights[name])
                        half.name = narrow[name]
                        self._graph.initializer.append(half)
                    else:
                        nodes.append(make("Cast", [name], [narrow[name]], to=self._kind))
                taken.append(narrow[name])
            product = node.output[0]
            nodes.append(make("MatMul", taken, [f"{product}.half"]))
            nodes.append(make("Cast", [f"{product}.half"], [product], to=self._float))
        self._set_nodes(nodes)
        used = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        self._onnx.checker.check_model(self._model, full_check=True)
        return bytes(self._model.SerializeToString())

    def _halve_constants(self) -> None:
        kept = {
            node.input[place]
            for node in self._graph.node
            for place in _KEPT.get(node.op_type, ())
            if place < len(node.input) and node.input[place]
        }
        for tensor in self._graph.initializer:
            if tensor.data_type == self._float and tensor.name not in kept:
                tensor.CopyFrom(self._halved(tensor))
        for node in self._graph.node:
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == self._float:
                    attribute.i = self._kind
                holds = attribute.type == self._onnx.AttributeProto.TENSOR and attribute.t.data_type == self._float
                if holds and node.output[0] not in kept:
                    attribute.t.CopyFrom(self._halved(attribute.t))

    def _keep_single(self) -> None:
        """Put casts around the operators that compute in float32."""
        make, nodes = self._onnx.helper.make_node, []
        for node in self._graph.node:
            if node.op_type not in _SINGLE:
                nodes.append(node)
                continue
            taken, given = node.input[0], node.output[0]
            nodes.append(make("Cast", [taken], [f"{given}.wide"], to=self._float))
            nodes.append(make(node.op_type, [f"{given}.wide"], [f"{given}.result"]))
            nodes.append(make("Cast", [f"{given}.result"], [given], to=self._kind))
        self._set_nodes(nodes)

    def _halved(self, tensor: Any) -> Any:
        values = self._onnx.numpy_helper.to_array(tensor)
        if self._kind == self._onnx.TensorProto.FLOAT16:
            held = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
            return self._onnx.numpy_helper.from_array(held, tensor.name)
        # The upper half of a float32, rounded to the nearest.
        bits = np.ascontiguousarray(values).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        stored = rounded.astype(np.uint16).tobytes()
        return self._onnx.helper.make_tensor(tensor.name, self._kind, values.shape, stored, raw=True)

    def _set_nodes(self, nodes: list[Any]) -> None:
        copies = list(nodes)
        del self._graph.node[:]
        self._graph.node.extend(copies)

    def _rename(self, old: str, new: str, *, outputs: bool) -> None:
        """Let the nodes take another tensor, or give one under another name."""
        for node in self._graph.node:
            for names in (node.input, node.output) if outputs else (node.input,):
                for number, name in enumerate(names):
                    if name == old:
                        names[number] = new
