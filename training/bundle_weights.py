"""From a bundle's graphs back to torch: what ships is enough to train on.

A bundle holds ONNX graphs whose large weights are integers (``export.integer``). Here they become the state_dicts of
the networks again, which then say what the graphs say, but for the rounding of activations. Two things are not in a
graph: the two biases of a recurrent layer (only their sum is), and the last residual convolution of the head-pose
network (nothing hears it). The way back, ``graph_arrays``, names every weight of a state_dict as the graph has it,
so that a difference of two state_dicts becomes changes of a graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.artefacts.bundle import Bundle
from engine.artefacts.graph_weights import Change, Stored, stored_tensors, weight
from engine.errors import ArtefactError
from models.apc import ApcEncoder
from models.headpose import RESIDUAL, HeadPoseNet
from models.motion import MotionGenerator
from models.spec import MOTION_LSTM_LAYERS, MOTION_LSTM_UNITS

Float = NDArray[np.float32]

_MLP: Final = (0, 2, 4, 5)
_NORM: Final = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
"""In the order in which a graph's normalisation has them. It may have two that are equal as one, so that they are read
by their place and never changed."""


@dataclass(frozen=True)
class Product:
    """A product with constant weights in a graph.

    Attributes:
        name: Of the weight, as ``engine.artefacts.graph_weights`` names it.
        bias: Of what is added to it, if that is constant.
        left: Name of what it is multiplied with.
    """

    name: str
    bias: str | None
    left: str


@dataclass(frozen=True)
class GraphWeights:
    """A graph taken apart.

    Attributes:
        graph: The ONNX file's bytes.
        tensors: Where its weights lie.
        products: In the order in which they are computed.
        nodes: Its operators.
    """

    graph: bytes
    tensors: Mapping[str, Stored]
    products: tuple[Product, ...]
    nodes: tuple[onnx.NodeProto, ...]

    def weight(self, name: str) -> Float:
        """A weight in float32; one that equals another may be stored as that."""
        same = {node.output[0]: node.input[0] for node in self.nodes if node.op_type == "Identity"}
        return weight(self.graph, self.tensors, same.get(name, name))


def take_apart(graph: bytes) -> GraphWeights:
    """Find the products of a graph.

    Args:
        graph: A graph of a bundle whose networks are stored as ``w8a8``.

    Raises:
        ArtefactError: It has recurrent operators: its bundle is stored otherwise.
    """
    nodes = tuple(onnx.ModelProto.FromString(graph).graph.node)
    if any(node.op_type in ("GRU", "LSTM") for node in nodes):
        raise ArtefactError(
            "The bundle's networks are not stored as w8a8, which learning a style starts from; export it again "
            "without --precision."
        )
    tensors = stored_tensors(graph)
    consumers = {name: node for node in nodes for name in node.input}
    produced = {name: node for node in nodes for name in node.output}
    products = []
    for node in nodes:
        if node.op_type not in ("MatMul", "MatMulInteger"):
            continue
        name, last = node.input[1], node
        if node.op_type == "MatMulInteger":
            name = name.removesuffix(".u8")
            # Cast and Mul bring the sums back to float.
            last = consumers[consumers[node.output[0]].output[0]]
        if not ({name, f"{name}.stored", f"{name}.u8"} & tensors.keys()):
            continue
        left = node.input[0]
        left = produced[left].input[0] if node.op_type == "MatMulInteger" else left
        products.append(Product(name, _bias(consumers.get(last.output[0]), last.output[0], tensors), left))
    return GraphWeights(graph, tensors, tuple(products), nodes)


def load_networks(bundle: Bundle) -> tuple[ApcEncoder, MotionGenerator, HeadPoseNet]:
    """The networks of a bundle in torch, set to inference.

    Raises:
        ArtefactError: The bundle is stored otherwise than as ``w8a8``, or is of other networks.
    """
    parts = {name: take_apart(bundle.graphs[name]) for name in ("apc", "motion", "headpose")}
    apc, motion, headpose = ApcEncoder(), MotionGenerator(), HeadPoseNet()
    try:
        _load(apc, _apc_state(parts["apc"]), {"head"})
        _load(motion, _motion_state(parts["motion"]), set())
        _load(headpose, _headpose_state(parts["headpose"]), set())
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise ArtefactError("The bundle's graphs are of other networks than this version trains.") from error
    return apc.eval(), motion.eval(), headpose.eval()


def graph_arrays(parts: GraphWeights, state: Mapping[str, Tensor]) -> dict[str, Float]:
    """The weights of a state_dict as its graph names and orders them.

    Args:
        parts: Of the bundle's graph of this network.
        state: Of a ``MotionGenerator`` or a ``HeadPoseNet``.

    Returns:
        Name -> float32 in the graph's shape, for every weight that training may change: all but the normalisation's.
    """
    arrays = {name: tensor.detach().cpu().float() for name, tensor in state.items()}
    named = _motion_arrays(parts, arrays) if "mlp.5.weight" in arrays else _headpose_arrays(parts, arrays)
    return {name: np.ascontiguousarray(tensor.numpy(), np.float32) for name, tensor in named.items()}


def state_changes(parts: GraphWeights, state: Mapping[str, Tensor]) -> list[Change]:
    """What turns a bundle's graph into that of a state_dict; weights that are as they were are left out."""
    changes = []
    for name, array in graph_arrays(parts, state).items():
        delta = array - parts.weight(name)
        if np.abs(delta).max() > 1e-6 * max(1e-6, float(np.abs(array).max())):
            changes.append(Change(name, delta))
    return changes


def _bias(node: onnx.NodeProto | None, product: str, tensors: Mapping[str, Stored]) -> str | None:
    """The constant that is added to a product, if any."""
    if node is None or node.op_type != "Add":
        return None
    (other,) = [name for name in node.input if name != product] or [""]
    return other if other in tensors else None


def _load(module: nn.Module, state: Mapping[str, Float], absent: set[str]) -> None:
    """Fill a module; what is ``absent`` in the graph stays as it was made."""
    own = module.state_dict()
    filled = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in state.items()}
    kept = {name: value for name, value in own.items() if name.split(".")[0] in absent or value.dtype == torch.int64}
    module.load_state_dict({**kept, **filled})


def _gates(array: Float, order: tuple[int, ...]) -> Float:
    """Reorder the gates along the last axis."""
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[gate] for gate in order], axis=-1)


_TO_TORCH_LSTM: Final = (0, 2, 3, 1)
"""ONNX orders input, output, forget, cell; torch input, forget, cell, output."""
_TO_ONNX_LSTM: Final = (0, 3, 1, 2)
_TO_TORCH_GRU: Final = (1, 0, 2)
"""ONNX orders update, reset, new; torch reset, update, new."""


def _apc_state(parts: GraphWeights) -> dict[str, Float]:
    """Each layer has one product with what it hears and one a step with its own state, of one weight."""
    names = list(dict.fromkeys(product.name for product in parts.products))
    state: dict[str, Float] = {}
    for layer in range(len(names) // 2):
        heard, own = (parts.weight(name) for name in names[2 * layer : 2 * layer + 2])
        prefix = names[2 * layer].removesuffix(".input")
        bias, late = parts.weight(f"{prefix}.bias"), parts.weight(f"{prefix}.late")
        state[f"gru.weight_ih_l{layer}"] = _gates(heard, _TO_TORCH_GRU).T
        state[f"gru.weight_hh_l{layer}"] = _gates(own, _TO_TORCH_GRU).T
        state[f"gru.bias_ih_l{layer}"] = _gates(bias, _TO_TORCH_GRU)
        state[f"gru.bias_hh_l{layer}"] = np.concatenate([np.zeros(2 * len(late), np.float32), late])
    return state


def _motion_state(parts: GraphWeights) -> dict[str, Float]:
    matrices = [parts.weight(product.name) for product in parts.products]
    state = {"inlet.weight": matrices[0].T, "mix.weight": matrices[1].T}
    for layer in range(MOTION_LSTM_LAYERS):
        heard, own = matrices[2 + 2 * layer : 4 + 2 * layer]
        bias = parts.weight(_required(parts.products[2 + 2 * layer].bias))
        state[f"lstm.weight_ih_l{layer}"] = _gates(heard, _TO_TORCH_LSTM).T
        state[f"lstm.weight_hh_l{layer}"] = _gates(own, _TO_TORCH_LSTM).T
        state[f"lstm.bias_ih_l{layer}"] = _gates(bias, _TO_TORCH_LSTM)
        state[f"lstm.bias_hh_l{layer}"] = np.zeros(4 * MOTION_LSTM_UNITS, np.float32)
    for number, matrix in zip(_MLP, matrices[-len(_MLP) :], strict=True):
        state[f"mlp.{number}.weight"] = matrix.T
    for name in ("inlet.bias", "mix.bias", "lookahead.weight", *(f"mlp.{number}.bias" for number in _MLP)):
        state[name] = parts.weight(name)
    norm = next(node for node in parts.nodes if node.op_type == "BatchNormalization")
    return state | {name: parts.weight(stored) for name, stored in zip(_NORM, norm.input[1:], strict=True)}


def _motion_arrays(parts: GraphWeights, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    def gates(tensor: Tensor) -> Tensor:
        blocks = tensor.chunk(4, dim=-1)
        return torch.cat([blocks[gate] for gate in _TO_ONNX_LSTM], dim=-1)

    matrices, biases = [state["inlet.weight"].T, state["mix.weight"].T], dict[str, Tensor]()
    for layer in range(MOTION_LSTM_LAYERS):
        matrices += [gates(state[f"lstm.weight_{part}_l{layer}"].T) for part in ("ih", "hh")]
        name = _required(parts.products[2 + 2 * layer].bias)
        biases[name] = gates(state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"])
    matrices += [state[f"mlp.{number}.weight"].T for number in _MLP]
    named = {product.name: matrix for product, matrix in zip(parts.products, matrices, strict=True)}
    for name in ("inlet.bias", "mix.bias", "lookahead.weight", *(f"mlp.{number}.bias" for number in _MLP)):
        named[name] = state[name]
    return {**named, **biases}


def _headpose_state(parts: GraphWeights) -> dict[str, Float]:
    matrices = [parts.weight(product.name) for product in parts.products]
    count = len(HeadPoseNet().dilations)
    state = {
        "inlet.weight": matrices[0].T[..., None],
        "inlet.bias": parts.weight("inlet.bias"),
        "condition.weight": matrices[1].T[..., None],
        "condition.bias": parts.weight("condition.bias"),
        "outlet.1.weight": matrices[-2].T[..., None],
        "outlet.1.bias": parts.weight("outlet.1.bias"),
        "outlet.3.weight": matrices[-1].T[..., None],
        "outlet.3.bias": parts.weight("outlet.3.bias"),
        "step_scale": parts.weight("step_scale"),
        "pose_scale": parts.weight(_division(parts))[:6],
    }
    conditions = np.split(matrices[2].T, count)
    biases = np.split(parts.weight(_required(parts.products[2].bias)), count)
    skips, skip_biases = np.split(matrices[-3].T, count, axis=1), parts.weight(_skip_biases(parts))
    for layer in range(count):
        # Filters and residuals alternate; nothing hears the last residual.
        taps = matrices[3 + 2 * layer].T
        state[f"filters.{layer}.weight"] = np.stack(np.split(taps, 2, axis=1), axis=2)
        state[f"filters.{layer}.bias"] = np.zeros(2 * RESIDUAL, np.float32)
        state[f"conditions.{layer}.weight"] = conditions[layer][..., None]
        state[f"conditions.{layer}.bias"] = biases[layer]
        heard = layer < count - 1
        residual = matrices[4 + 2 * layer].T if heard else np.zeros((RESIDUAL, RESIDUAL), np.float32)
        state[f"residuals.{layer}.weight"] = residual[..., None]
        state[f"residuals.{layer}.bias"] = (
            parts.weight(f"residuals.{layer}.bias") if heard else np.zeros(RESIDUAL, np.float32)
        )
        state[f"skips.{layer}.weight"] = skips[layer][..., None]
        state[f"skips.{layer}.bias"] = skip_biases[layer]
    return state


def _headpose_arrays(parts: GraphWeights, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    count = len(HeadPoseNet().dilations)

    def flat(name: str) -> Tensor:
        return state[f"{name}.weight"][:, :, 0]

    matrices = [flat("inlet").T, flat("condition").T, torch.cat([flat(f"conditions.{k}") for k in range(count)]).T]
    named: dict[str, Tensor] = {}
    for layer in range(count):
        taps = state[f"filters.{layer}.weight"]
        matrices.append(torch.cat([taps[:, :, 0], taps[:, :, 1]], dim=1).T)
        if layer < count - 1:
            matrices.append(flat(f"residuals.{layer}").T)
            named[f"residuals.{layer}.bias"] = state[f"residuals.{layer}.bias"]
    matrices += [torch.cat([flat(f"skips.{k}") for k in range(count)], dim=1).T, flat("outlet.1").T, flat("outlet.3").T]
    named |= {product.name: matrix for product, matrix in zip(parts.products, matrices, strict=True)}
    for name in ("inlet.bias", "condition.bias", "outlet.1.bias", "outlet.3.bias", "step_scale"):
        named[name] = state[name]
    added = [state[f"filters.{k}.bias"] + state[f"conditions.{k}.bias"] for k in range(count)]
    named[_required(parts.products[2].bias)] = torch.cat(added)
    named[_skip_biases(parts)] = torch.stack([state[f"skips.{k}.bias"] for k in range(count)])
    named[_division(parts)] = torch.cat([state["pose_scale"], state["step_scale"]])
    return named


def _division(parts: GraphWeights) -> str:
    """The constant by which poses and steps are divided."""
    return str(next(node.input[1] for node in parts.nodes if node.op_type == "Div" and node.input[0] == "pose"))


def _skip_biases(parts: GraphWeights) -> str:
    """The biases of the skips, which are added up."""
    sums = (node.input[0] for node in parts.nodes if node.op_type == "ReduceSum")
    return str(next(name for name in sums if name in parts.tensors))


def _required(name: str | None) -> str:
    if name is None:
        raise KeyError("a product without its bias")
    return name
