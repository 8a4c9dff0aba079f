"""Reading TensorFlow Lite model files: tensors, constants and operators, without TensorFlow."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from engine.errors import ArtefactError

_DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    9: np.int8,
}
_BUILTIN_NAMES: dict[int, str] = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)
}
_CUSTOM = 32
_INDEX_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}


@dataclass(frozen=True)
class Operator:
    """One operator of the graph.

    Attributes:
        kind: Builtin name in capitals (``CONV_2D``) or the custom operator's own name.
        inputs: Tensor numbers; -1 stands for an input left out.
        outputs: Tensor numbers.
        raw: The flatbuffer object, for its options.
    """

    kind: str
    inputs: list[int]
    outputs: list[int]
    raw: Any

    def options(self, table: type[Any]) -> Any:
        """The builtin options, read as ``table`` (a class of the ``tflite`` package)."""
        options, union = table(), self.raw.BuiltinOptions()
        options.Init(union.Bytes, union.Pos)
        return options

    def custom_options(self) -> bytes:
        """The options of a custom operator, as stored."""
        return bytes(self.raw.CustomOptionsAsNumpy())


class TfliteGraph:
    """The first subgraph of a TensorFlow Lite file.

    Attributes:
        shapes: Shape of each tensor, NHWC for pictures.
        constants: Tensors with values in the file; a sparse one is stored flat until ``densify``.
        inputs: Tensor numbers of the graph's inputs.
        outputs: Tensor numbers of the graph's outputs.
    """

    def __init__(self, data: bytes) -> None:
        """Parse ``data``.

        Raises:
            ArtefactError: It is no TensorFlow Lite file.
        """
        if data[4:8] != b"TFL3":
            raise ArtefactError("A face model is damaged: it is not a TensorFlow Lite file.")
        try:
            self._model = tflite.Model.GetRootAsModel(data, 0)
            self._graph = self._model.Subgraphs(0)
            self.inputs: list[int] = self._graph.InputsAsNumpy().tolist()
            self.outputs: list[int] = self._graph.OutputsAsNumpy().tolist()
            tensors = [self._graph.Tensors(i) for i in range(self._graph.TensorsLength())]
            self.shapes = [
                [int(v) for v in tensor.ShapeAsNumpy()] if tensor.ShapeLength() else [] for tensor in tensors
            ]
            self.constants: dict[int, NDArray[Any]] = {}
            for number, tensor in enumerate(tensors):
                buffer = self._model.Buffers(tensor.Buffer())
                if buffer.DataLength() and number not in self.inputs:
                    values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
                    self.constants[number] = values if tensor.Sparsity() else values.reshape(self.shapes[number])
        except (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ArtefactError("A face model is damaged: its tensors cannot be read.") from error

    def name(self, number: int) -> str:
        """The name that the file gives a tensor."""
        return str(self._graph.Tensors(number).Name().decode())

    def operators(self) -> Iterator[Operator]:
        """The operators in the order of execution."""
        for index in range(self._graph.OperatorsLength()):
            raw = self._graph.Operators(index)
            code = self._model.OperatorCodes(raw.OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            kind = code.CustomCode().decode() if builtin == _CUSTOM else _BUILTIN_NAMES[builtin]
            yield Operator(kind, raw.InputsAsNumpy().tolist(), raw.OutputsAsNumpy().tolist(), raw)

    def densify(self, number: int) -> NDArray[Any]:
        """Expand a sparse constant (TACO-style levels: dense or compressed, with inner blocks).

        Returns:
            The tensor's values in its full shape.
        """
        sparsity = self._graph.Tensors(number).Sparsity()
        shape, values = self.shapes[number], self.constants[number]
        rank, block_rank = len(shape), int(sparsity.BlockMapLength())
        order = sparsity.TraversalOrderAsNumpy().tolist()
        block_map = sparsity.BlockMapAsNumpy().tolist() if block_rank else []
        levels = [_Level.read(sparsity.DimMetadata(i)) for i in range(sparsity.DimMetadataLength())]
        # Coordinates of every stored value along each level, widened level by level.
        parents = np.zeros(1, np.int64)
        coordinates = np.zeros((1, 0), np.int64)
        for level in levels:
            parents, rows, index = level.children(parents)
            coordinates = np.column_stack([coordinates[rows], index])
        full = np.zeros((len(coordinates), rank), np.int64)
        block_sizes = {block_map[i]: levels[rank + i].size for i in range(block_rank)}
        for level_number in range(rank):
            axis = order[level_number]
            full[:, axis] = coordinates[:, level_number] * block_sizes.get(axis, 1)
        for i in range(block_rank):
            full[:, block_map[i]] += coordinates[:, rank + i]
        dense = np.zeros(shape, values.dtype)
        dense[tuple(full.T)] = values[parents]
        return dense


@dataclass(frozen=True)
class _Level:
    """One level of a sparse tensor: ``size`` dense children, or compressed segments of indices."""

    size: int
    segments: NDArray[np.int64] | None = None
    indices: NDArray[np.int64] | None = None

    @classmethod
    def read(cls, metadata: Any) -> "_Level":
        if metadata.Format() == 0:
            return cls(int(metadata.DenseSize()))
        vectors = []
        for kind, table in (
            (metadata.ArraySegmentsType(), metadata.ArraySegments()),
            (metadata.ArrayIndicesType(), metadata.ArrayIndices()),
        ):
            vector = _INDEX_VECTORS[kind]()
            vector.Init(table.Bytes, table.Pos)
            vectors.append(vector.ValuesAsNumpy().astype(np.int64))
        return cls(0, vectors[0], vectors[1])

    def children(self, parents: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Positions of the children, the row of the parent each belongs to, and the index along this level."""
        if self.segments is None or self.indices is None:
            index = np.tile(np.arange(self.size), len(parents))
            rows = np.repeat(np.arange(len(parents)), self.size)
            return parents[rows] * self.size + index, rows, index
        counts = self.segments[parents + 1] - self.segments[parents]
        rows = np.repeat(np.arange(len(parents)), counts)
        starts = np.repeat(self.segments[parents] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        positions = np.arange(int(counts.sum())) + starts
        return positions, rows, self.indices[positions]
