"""A bundle's graph for a card: integer arithmetic, which processors like and cards do not, turned back into float.

The bundles that ship compute in integers: products as QuantizeLinear, MatMulInteger, a cast and a scale
(``export.integer``), convolutions between QuantizeLinear and DequantizeLinear (``export.picture_integers``). Cards
multiply in fp16 or faster, and TensorRT has no MatMulInteger. The weights are there, so all can be written as it was:
what the rounding of weights cost stays, that of activations goes. Needs the ``onnx`` package.
"""

from typing import Any

import numpy as np

from engine.errors import ArtefactError, MissingExtraError

_ZERO = 128
_BACK = "_DequantizeLinear_Output"


def to_floats(graph: bytes) -> bytes:
    """Write the integer products of a graph as float ones, and stored weights as float32.

    Args:
        graph: An ONNX graph of a bundle or a style, in any of its precisions; float ones come back as they are.

    Raises:
        ArtefactError: A product is not of the form that ``export.integer`` writes.
        MissingExtraError: The ``onnx`` package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
    model = onnx.ModelProto.FromString(graph)
    inner = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in inner.initializer}
    makers = {output: node for node in inner.node for output in node.output}
    users: dict[str, list[Any]] = {}
    for node in inner.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    floats: dict[str, np.ndarray[Any, Any]] = {}
    nodes: list[Any] = []
    gone: set[str] = set()
    same: dict[str, str] = {}
    """What only went to integers and back, and what it was before."""
    for node in inner.node:
        if node.op_type == "MatMulInteger":
            left, cast = makers[node.input[0]], users[node.output[0]][0]
            scaled = users[cast.output[0]][0]
            if (left.op_type, cast.op_type, scaled.op_type) != ("QuantizeLinear", "Cast", "Mul"):
                raise ArtefactError("A graph computes in integers in another way than this engine's; export it again.")
            weight = constants[node.input[1]]
            scale = constants[scaled.input[1]] / constants[left.input[1]]
            name = f"{node.input[1]}.float"
            floats[name] = (weight.astype(np.float32) - _ZERO) * scale.astype(np.float32)
            nodes.append(onnx.helper.make_node("MatMul", [left.input[0], name], [scaled.output[0]]))
            gone |= {left.output[0], cast.output[0], scaled.output[0]}
            continue
        if node.op_type == "DequantizeLinear":
            quantised = constants.get(node.input[0])
            if quantised is not None:
                floats[node.output[0]] = _dequantised(node, quantised, constants)
                continue
            whole = makers[node.input[0]]
            if _cuts_off(whole, constants):
                nodes.append(onnx.helper.make_node("Relu", [whole.input[0]], [node.output[0]]))
            else:
                same[node.output[0]] = whole.input[0]
            continue
        stored = constants.get(node.input[0]) if node.op_type == "Cast" else None
        if stored is not None and stored.dtype == np.float16:
            floats[node.output[0]] = stored.astype(np.float32)
            continue
        nodes.append(node)
    nodes = [node for node in nodes if node.op_type == "MatMul" or node.output[0] not in gone]
    _rename(nodes, same)
    _forget_integers(nodes, floats)
    wanted = {name for node in nodes for name in node.input} | {value.name for value in inner.output}
    nodes = [node for node in nodes if node.op_type != "QuantizeLinear" or node.output[0] in wanted]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in inner.initializer if tensor.name in used and tensor.name not in floats]
    made = [onnx.numpy_helper.from_array(array, name) for name, array in floats.items() if name in used]
    del inner.initializer[:]
    inner.initializer.extend([*kept, *made])
    del inner.node[:]
    inner.node.extend(nodes)
    del inner.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _dequantised(node: Any, values: np.ndarray[Any, Any], constants: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The float weights that a DequantizeLinear stands for."""
    scale, zero = constants[node.input[1]], constants.get(node.input[2]) if len(node.input) > 2 else None
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [1] * values.ndim
    if scale.ndim:
        shape[axis] = -1
    shift = 0 if zero is None else zero.astype(np.float32).reshape(shape if zero.ndim else [1] * values.ndim)
    weights: np.ndarray[Any, Any] = ((values.astype(np.float32) - shift) * scale.reshape(shape)).astype(np.float32)
    return weights


def _cuts_off(node: Any, constants: dict[str, Any]) -> bool:
    """Whether a QuantizeLinear has nothing below zero: it then stands for the ReLU before it, which was left out."""
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None:
        # Without one it is the zero of bytes.
        return True
    return bool((zero == np.iinfo(zero.dtype).min).all())


def _forget_integers(nodes: list[Any], floats: dict[str, np.ndarray[Any, Any]]) -> None:
    """Give what came back from integers names that say no more of it: whoever writes integers again uses the same."""
    for node in nodes:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                names[number] = name.replace(_BACK, ".float")
    for name in [name for name in floats if _BACK in name]:
        floats[name.replace(_BACK, ".float")] = floats.pop(name)


def _rename(nodes: list[Any], same: dict[str, str]) -> None:
    """Let nodes take what others were before they went to integers and back."""
    for node in nodes:
        for number, name in enumerate(node.input):
            while name in same:
                name = same[name]
            node.input[number] = name
