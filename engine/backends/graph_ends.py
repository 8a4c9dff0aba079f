"""The inputs and outputs that an ONNX file declares, read and settled without loading it into a runtime."""

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


def settled(graph: bytes, lengths: Mapping[str, int | tuple[int, int, int]]) -> bytes:
    """The graph with those of its free lengths that never change written into it.

    What follows from them is then computed once, when the graph is loaded. Left free, a length that enters the
    arithmetic would be copied from the processor in every call, and ONNX Runtime records no call with such a copy.

    Args:
        graph: ONNX.
        lengths: By name; where a range is given, the length stays free.

    Raises:
        MissingExtraError: The ``onnx`` package is not installed.
    """
    fixed = {name: length for name, length in lengths.items() if isinstance(length, int)}
    if not fixed:
        return graph
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
    model = onnx.ModelProto.FromString(graph)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param in fixed:
                length.dim_value = fixed[length.dim_param]
    return bytes(model.SerializeToString())
