"""From tuned networks to a style's few hundred kilobytes: differences from the bundle, as thin factors."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.artefacts.graph_weights import apply_changes
from engine.artefacts.style_arrays import FactoredChange
from models.motion import MotionGenerator
from models.spec import MAX_LOOKAHEAD
from training.bundle_weights import GraphWeights, state_changes
from training.style_sound import Heard

Float = NDArray[np.float32]

DENSE_ELEMENTS: Final = 12_000
"""Matrices up to this size are stored whole."""
NARROW: Final = 80
"""So are those with no more rows or columns than this: the generator's last two layers, which are set anew."""
_MARGIN: Final = 1.15
_LARGEST: Final = 127


def factored(delta: Float, rank: int) -> tuple[Float, Float]:
    """The nearest product of (rows, rank) and (rank, columns); both factors of about the same size."""
    u, values, vt = np.linalg.svd(delta.astype(np.float64), full_matrices=False)
    root = np.sqrt(values[:rank])
    return (u[:, :rank] * root).astype(np.float32), (root[:, None] * vt[:rank]).astype(np.float32)


def kept_whole(shape: tuple[int, ...], rank: int) -> bool:
    """Whether the change of a weight of this shape is stored as it is, and not in factors."""
    return len(shape) != 2 or int(np.prod(shape)) <= DENSE_ELEMENTS or min(shape) <= max(rank, NARROW)


def compact_changes(
    parts: GraphWeights, state: Mapping[str, Tensor], rank: int, activations: Mapping[str, float]
) -> list[FactoredChange]:
    """What a style stores of a network.

    Args:
        parts: Of the bundle's graph.
        state: The tuned network's state_dict.
        rank: Of the difference of each matrix.
        activations: By weight, the largest magnitude of what it is multiplied with in the style.
    """
    result = []
    for change in state_changes(parts, state):
        delta, activation = change.delta, _activation(parts, change.tensor, activations)
        if kept_whole(delta.shape, rank):
            result.append(FactoredChange(change.tensor, None, delta, activation))
        else:
            result.append(FactoredChange(change.tensor, *factored(delta, rank), activation))
    return result


def changed_graph(parts: GraphWeights, changes: list[FactoredChange]) -> bytes:
    """The bundle's graph with these changes."""
    return apply_changes(parts.graph, [change.change() for change in changes])


def projected(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Tuned weights with the difference of each large matrix brought to ``rank``: what a style can hold of them."""
    result = {}
    for name, tensor in tuned.items():
        delta = (tensor - base[name]).detach().cpu()
        matrix = delta.reshape(len(delta), -1) if delta.dim() > 1 else delta
        if delta.is_floating_point() and not kept_whole(tuple(matrix.shape), rank) and matrix.abs().max() > 0:
            left, right = factored(matrix.numpy(), rank)
            delta = torch.from_numpy(left @ right).reshape(delta.shape)
        result[name] = base[name] + delta if delta.is_floating_point() else tensor
    return result


@torch.no_grad()
def motion_activations(network: MotionGenerator, parts: GraphWeights, sounds: list[Heard]) -> dict[str, float]:
    """Largest magnitudes of what the weights of the motion generator are multiplied with, by weight.

    Hidden states of its LSTM are left out: they are never larger than 1, which the bundle's scales hold.
    """
    largest: dict[str, float] = {}
    handles = []
    for number, module in ((1, network.mix), (2, network.lstm), (9, network.mlp[2]), (10, network.mlp[4])):
        name = parts.products[number].name

        def look(_: object, inputs: tuple[Tensor, ...], name: str = name) -> None:
            largest[name] = max(largest.get(name, 0.0), float(inputs[0].abs().max()))

        handles.append(module.register_forward_pre_hook(look))
    for heard in sounds:
        hidden, cell = network.init_state(1)
        network(heard.pairs[None], torch.tensor([MAX_LOOKAHEAD]), hidden, cell)
    for handle in handles:
        handle.remove()
    return largest


def _activation(parts: GraphWeights, name: str, activations: Mapping[str, float]) -> float | None:
    """The scale of what a weight is multiplied with, if it must grow."""
    if name not in activations:
        return None
    left = next(product.left for product in parts.products if product.name == name)
    now = float(parts.weight(f"{left}.scale"))
    wanted = _MARGIN * activations[name] / _LARGEST
    return wanted if wanted > now else None
