"""The inputs and outputs that an ONNX file declares, read without loading it into a runtime."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.backends.device_graph import Dtype, TensorSpec
from engine.errors import ArtefactError, MissingExtraError


@dataclass(frozen=True)
class Ends:
    """What a graph takes and gives, by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def ends_of(graph: bytes) -> Ends:
    """Read them.

    Raises:
        ArtefactError: A tensor has a type that no device here takes.
        MissingExtraError: The ``onnx`` package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
    types: Mapping[int, Dtype] = {
        onnx.TensorProto.FLOAT: "float32",
        onnx.TensorProto.FLOAT16: "float16",
        onnx.TensorProto.INT64: "int64",
        onnx.TensorProto.INT32: "int32",
        onnx.TensorProto.UINT8: "uint8",
    }
    model = onnx.ModelProto.FromString(graph)

    def read(values: Iterable[Any]) -> dict[str, TensorSpec]:
        found = {}
        for value in values:
            tensor = value.type.tensor_type
            if tensor.elem_type not in types:
                raise ArtefactError(f"The graph's {value.name} has a type that no device here takes; export it again.")
            shape = tuple(length.dim_param or int(length.dim_value) for length in tensor.shape.dim)
            found[value.name] = TensorSpec(types[tensor.elem_type], shape)
        return found

    return Ends(read(model.graph.input), read(model.graph.output))
