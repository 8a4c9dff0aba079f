"""Integer arithmetic for a graph: 8-bit weights and activations, products summed in 32-bit integers.

A streaming step reads every weight once and does little with it, so it costs what its weights weigh in memory.
``compress`` makes them small on disk alone; here they stay small while the graph runs. Three passes on the exported
graph, each a graph of the same inputs, states and outputs:

1. ``expand_recurrent`` writes a GRU or LSTM operator out as matrix products and gates (ONNX has no integer kernel for
   them). The products with the inputs of all time steps of a call become one.
2. ``activation_ranges`` runs it on real sound and notes how large each product's left side gets.
3. ``to_integers`` replaces the products. A range is fixed per tensor, not found anew in each call, so that a result
   does not depend on what else is in the batch. Weights have a scale for each output. Both sides are unsigned with
   zero at 128: on processors without VNNI the kernels for mixed signs saturate.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.graphs import OPSET

MIN_INTEGER_ELEMENTS = 16_384
"""Smaller weights are left: converting what they are multiplied with would cost more than they do."""
_MARGIN = 1.2
"""On the largest activation seen: speech that was not heard may be a little louder, and what is beyond is clipped."""
_ZERO, _LARGEST = 128, 127


def expand_recurrent(model: onnx.ModelProto, steps: int) -> onnx.ModelProto:
    """Write out the recurrent operators of a graph.

    Args:
        model: As from ``to_onnx``; left as it was. Its recurrent operators are unidirectional, with biases and initial
            states, the GRU's reset applied after its product, as torch has it.
        steps: Time steps of one call.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = _constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type in ("GRU", "LSTM"):
            nodes += _Expansion(graph, node, weights, steps).nodes
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(result, full_check=True)
    return result


def activation_ranges(
    model: onnx.ModelProto, calls: Iterable[Mapping[str, NDArray[np.float32] | NDArray[np.int64]]]
) -> dict[str, float]:
    """The largest magnitude of what is multiplied with each weight.

    Args:
        model: As from ``expand_recurrent``.
        calls: Everything that one call after another is given, states included.

    Returns:
        By tensor name, for each left side of a product that ``to_integers`` would replace.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = sorted({node.input[0] for node, _ in _products(model.graph)})
    inputs = {tensor.name for tensor in model.graph.input}
    made = [name for name in names if name not in inputs]
    given = {output.name for output in probe.graph.output}
    probe.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made if name not in given
    )
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(names, 0.0)
    for call in calls:
        found = dict(zip(made, session.run(made, dict(call)), strict=True))
        for name in names:
            array = found[name] if name in found else call[name]
            largest[name] = max(largest[name], float(np.abs(array).max()))
    return largest


def to_integers(model: onnx.ModelProto, ranges: Mapping[str, float]) -> onnx.ModelProto:
    """Replace the products with large constant weights by products of integers.

    Args:
        model: As from ``expand_recurrent``; left as it was.
        ranges: As from ``activation_ranges`` of that graph.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    replaced = {node.output[0]: weight for node, weight in _products(graph)}
    constants = [numpy_helper.from_array(np.array(_ZERO, np.uint8), "integer.zero")]
    nodes: list[onnx.NodeProto] = []
    converted: set[str] = set()
    for node in graph.node:
        if node.output[0] not in replaced:
            nodes.append(node)
            continue
        left, name, product = node.input[0], node.input[1], node.output[0]
        scale = np.array(max(_MARGIN * ranges[left], 1e-6) / _LARGEST, np.float32)
        if left not in converted:
            converted.add(left)
            constants.append(numpy_helper.from_array(scale, f"{left}.scale"))
            nodes.append(helper.make_node("QuantizeLinear", [left, f"{left}.scale", "integer.zero"], [f"{left}.u8"]))
        integers = [f"{left}.u8", f"{name}.u8", "integer.zero", "integer.zero"]
        nodes.append(helper.make_node("MatMulInteger", integers, [f"{product}.i32"]))
        nodes.append(helper.make_node("Cast", [f"{product}.i32"], [f"{product}.unscaled"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{product}.unscaled", f"{left}.{name}.scale"], [product]))
        weight = replaced[product]
        scales = np.abs(weight).max(axis=0) / np.float32(_LARGEST)
        scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
        constants.append(numpy_helper.from_array(scales * scale, f"{left}.{name}.scale"))
        # Time steps of one call share their weight.
        if name not in converted:
            converted.add(name)
            stored = (np.rint(weight / scales) + _ZERO).astype(np.uint8)
            constants.append(numpy_helper.from_array(stored, f"{name}.u8"))
    used = {name for node in nodes for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *constants])
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(result, full_check=True)
    return result


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _products(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, NDArray[np.float32]]]:
    """The products with weights large enough, and these weights (inputs, outputs)."""
    weights = _constants(graph)
    return [
        (node, weights[node.input[1]])
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in weights
        and weights[node.input[1]].ndim == 2
        and weights[node.input[1]].size >= MIN_INTEGER_ELEMENTS
    ]


class _Expansion:
    """The nodes that stand for one recurrent operator."""

    def __init__(
        self, graph: onnx.GraphProto, node: onnx.NodeProto, weights: Mapping[str, NDArray[np.float32]], steps: int
    ) -> None:
        assert not any(a.name == "direction" and a.s != b"forward" for a in node.attribute), "one direction only"
        self._graph, self._name, self.nodes = graph, node.output[0], list[onnx.NodeProto]()
        x, w, r, b, _, *initial = node.input
        bias_in, bias_own = np.split(weights[b][0].copy(), 2)
        self._own = self._constant("own", np.ascontiguousarray(weights[r][0].T))
        units = weights[r].shape[2]
        self._axis = self._constant("axis", np.array([0], np.int64))
        states = [self._node("Squeeze", [state, self._axis], f"initial{n}") for n, state in enumerate(initial)]
        heard = self._node("MatMul", [x, self._constant("input", np.ascontiguousarray(weights[w][0].T))], "heard")
        step = self._gru_step if node.op_type == "GRU" else self._lstm_step
        if node.op_type == "GRU":
            # The reset gate acts on the own product with its bias: that part must not be added before.
            bias_in[: 2 * units] += bias_own[: 2 * units]
            self._late = self._constant("late", bias_own[2 * units :])
        else:
            bias_in = bias_in + bias_own
        heard = self._node("Add", [heard, self._constant("bias", bias_in)], "biased")
        moments = self._split(heard, [1] * steps, 0, "moment")
        shown = []
        for number, moment in enumerate(moments):
            states = step(self._node("Squeeze", [moment, self._axis], f"now{number}"), states, units, f"{number}")
            shown.append(states[0])
        pair = self._constant("pair", np.array([0, 1], np.int64))
        rows = [self._node("Unsqueeze", [hidden, pair], f"row{n}") for n, hidden in enumerate(shown)]
        outputs = list(node.output)
        self.nodes.append(helper.make_node("Concat", rows, [outputs[0]], axis=0))
        for state, output in zip(states, outputs[1:], strict=False):
            if output:
                self.nodes.append(helper.make_node("Unsqueeze", [state, self._axis], [output]))

    def _gru_step(self, heard: str, states: list[str], units: int, step: str) -> list[str]:
        """z, r = sigma(x + U h); n = tanh(x + r * (U h + b)); h' = n + z * (h - n). ONNX orders z, r, n."""
        (hidden,) = states
        own = self._node("MatMul", [hidden, self._own], f"own{step}")
        heard_gates, heard_new = self._split(heard, [2 * units, units], 1, f"heard{step}")
        own_gates, own_new = self._split(own, [2 * units, units], 1, f"kept{step}")
        gates = self._node("Sigmoid", [self._node("Add", [heard_gates, own_gates], f"sum{step}")], f"gates{step}")
        update, reset = self._split(gates, [units, units], 1, f"gate{step}")
        late = self._node("Mul", [reset, self._node("Add", [own_new, self._late], f"late{step}")], f"reset{step}")
        new = self._node("Tanh", [self._node("Add", [heard_new, late], f"candidate{step}")], f"new{step}")
        gap = self._node("Mul", [update, self._node("Sub", [hidden, new], f"gap{step}")], f"share{step}")
        return [self._node("Add", [new, gap], f"hidden{step}")]

    def _lstm_step(self, heard: str, states: list[str], units: int, step: str) -> list[str]:
        """i, o, f = sigma(x + U h); c' = f * c + i * tanh(x + U h); h' = o * tanh(c'). ONNX orders i, o, f, c."""
        hidden, cell = states
        own = self._node("MatMul", [hidden, self._own], f"own{step}")
        total = self._node("Add", [heard, own], f"sum{step}")
        open_, new = self._split(total, [3 * units, units], 1, f"part{step}")
        into, out, forget = self._split(self._node("Sigmoid", [open_], f"gates{step}"), [units] * 3, 1, f"gate{step}")
        kept = self._node("Mul", [forget, cell], f"kept{step}")
        added = self._node("Mul", [into, self._node("Tanh", [new], f"new{step}")], f"added{step}")
        cell = self._node("Add", [kept, added], f"cell{step}")
        return [self._node("Mul", [out, self._node("Tanh", [cell], f"shown{step}")], f"hidden{step}"), cell]

    def _split(self, tensor: str, sizes: list[int], axis: int, name: str) -> list[str]:
        outputs = [f"{self._name}.{name}.{number}" for number in range(len(sizes))]
        lengths = self._constant(f"{name}.sizes", np.array(sizes, np.int64))
        self.nodes.append(helper.make_node("Split", [tensor, lengths], outputs, axis=axis))
        return outputs

    def _node(self, kind: str, inputs: list[str], name: str) -> str:
        output = f"{self._name}.{name}"
        self.nodes.append(helper.make_node(kind, inputs, [output]))
        return output

    def _constant(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        full = f"{self._name}.{name}"
        self._graph.initializer.append(numpy_helper.from_array(value, full))
        return full


assert OPSET >= 13, "Split, Squeeze and Unsqueeze take their sizes and axes as inputs since then"
