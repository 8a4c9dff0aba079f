"""Writes ONNX graphs node by node, and takes other graphs in."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingExtraError

OPSET = 17
_IR_VERSION = 8

Kind = Literal["float32", "int64", "int32", "uint8"]


class GraphWriter:
    """One graph in the making. Calling it adds a node and gives the name of what that gives."""

    def __init__(self, name: str) -> None:
        """Begin.

        Raises:
            MissingExtraError: The ``onnx`` package is not installed.
        """
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
        self._onnx: Any = onnx
        self._name, self._count = name, 0
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output."""
        output = self._fresh()
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def input(self, name: str, kind: Kind, shape: tuple[int | str, ...]) -> None:
        """Declare an input; free lengths are named."""
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, self._type(kind), list(shape)))

    def output(self, tensor: str, name: str, kind: Kind, shape: tuple[int | str, ...]) -> None:
        """Declare that ``tensor``, which a node made and no other takes, leaves as ``name``.

        It gets that name where it is made: TensorRT takes bytes only from the very Cast that makes them.
        """
        maker = next(node for node in self._nodes if tensor in node.output)
        maker.output[list(maker.output).index(tensor)] = name
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, self._type(kind), list(shape)))

    def constant(self, value: NDArray[Any]) -> str:
        """A tensor that is always the same; whole numbers are int64."""
        name = self._fresh()
        array = value.astype(np.int64) if value.dtype.kind == "i" else value
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32))

    def cast(self, tensor: str, kind: Kind) -> str:
        """Another type."""
        return self("Cast", tensor, to=self._type(kind))

    def whole(self, tensor: str) -> str:
        """The nearest whole number within 0..255, as float."""
        return self("Round", self("Clip", tensor, self.number(0.0), self.number(255.0)))

    def rounded(self, tensor: str) -> str:
        """The same as uint8."""
        return self.cast(self.whole(tensor), "uint8")

    def split(self, tensor: str, parts: int, axis: int) -> list[str]:
        """Parts of one each along an axis."""
        outputs = [self._fresh() for _ in range(parts)]
        sizes = self.constant(np.ones(parts, np.int64))
        self._nodes.append(self._onnx.helper.make_node("Split", [tensor, sizes], outputs, axis=axis))
        return outputs

    def inline(self, graph: bytes, given: Mapping[str, str]) -> list[str]:
        """Put another graph in; where it makes bytes, their values stay floats: TensorRT has bytes at its ends alone.

        Args:
            graph: ONNX of this opset.
            given: What its inputs are, by name.

        Returns:
            Names of its outputs, in order.
        """
        model = self._onnx.ModelProto.FromString(graph)
        assert {opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")} == {OPSET}
        prefix = f"{self._fresh()}."

        def renamed(name: str) -> str:
            return given.get(name, f"{prefix}{name}") if name else ""

        for tensor in model.graph.initializer:
            copy = self._onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = renamed(tensor.name)
            self._constants.append(copy)
        for node in model.graph.node:
            copy = self._onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = node.name and f"{prefix}{node.name}"
            if node.op_type == "Cast" and node.attribute[0].i == self._type("uint8"):
                copy.op_type = "Floor"
                del copy.attribute[:]
            for field in (copy.input, copy.output):
                names = [renamed(name) for name in field]
                del field[:]
                field.extend(names)
            self._nodes.append(copy)
        return [renamed(value.name) for value in model.graph.output]

    def finish(self) -> bytes:
        """The ONNX file, checked with all its shapes."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        # Opset 17 names bf16 for few operators, though what runs these graphs takes it for all.
        brain = any(tensor.data_type == self._onnx.TensorProto.BFLOAT16 for tensor in self._constants)
        self._onnx.checker.check_model(model, full_check=not brain)
        return bytes(model.SerializeToString())

    def _fresh(self) -> str:
        self._count += 1
        return f"{self._name}.{self._count}"

    def _type(self, kind: Kind) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
