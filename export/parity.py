"""Does an exported graph say what the torch network says, step after step, with state fed back?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.artefacts.bundle import Bundle
from engine.backend import Network
from engine.backend_onnx import open_networks
from export.bundle import Trained
from export.graphs import BATCH, GraphSpec, Precision, Shape, graph_spec
from models.spec import POSE_DIM

STEPS = 500

TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 5e-3, "int8": 5e-2, "w8a8": 5e-2}
"""Largest accepted RMS error of a tensor, as a share of that tensor's own RMS."""

_SPREAD = {"mel": (0.35, 0.25), "pose": (0.0, np.repeat([0.05, 0.003], POSE_DIM))}
"""Mean and deviation of the inputs that are not features; steps of a pose are far smaller than poses."""
_FEATURE_SPREAD = (0.0, 0.4)
_BATCH_SIZE = 2


@dataclass(frozen=True)
class Parity:
    """How far a graph strays from its network.

    Attributes:
        precision: In which the graph stores its weights.
        steps: Steps run.
        errors: By output over all steps, and by state after them: RMS difference as a share of the tensor's RMS.
        largest: By tensor, largest difference anywhere, in the tensor's own unit.
    """

    precision: Precision
    steps: int
    errors: Mapping[str, float]
    largest: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The largest of ``errors``."""
        return max(self.errors.values())

    @property
    def holds(self) -> bool:
        """Whether the worst tensor is within the precision's tolerance."""
        return self.worst <= TOLERANCES[self.precision]


def measure_parity(
    module: nn.Module, network: Network, precision: Precision, steps: int = STEPS, seed: int = 0
) -> Parity:
    """Run both on the same random inputs, two sessions at once, each with its own state fed back.

    Args:
        module: The torch network.
        network: The graph, opened.
        precision: In which it stores its weights.
        steps: How many.
        seed: Of the inputs.
    """
    spec = graph_spec(module)
    stretch = _inputs(spec, steps, seed)
    training = module.training
    module.eval()
    # Torch hears the whole stretch in one call, the graph step by step: the same layers (STYLE 11) either way.
    with torch.inference_mode():
        exact = module(*stretch.values(), *spec.example(_BATCH_SIZE)[len(spec.inputs) :])
    module.train(training)
    state, heard = network.init_state(_BATCH_SIZE), []
    for step in range(steps):
        inputs = {name: _step_of(tensor, spec.inputs[name], step) for name, tensor in stretch.items()}
        outputs, state = network.run(inputs, state)
        heard.append(outputs)
    said = {name: np.concatenate([outputs[name] for outputs in heard], axis=1) for name in spec.outputs}
    # In the order in which torch says them; a manifest may name them in another.
    found = {**said, **{f"next.{name}": state[name] for name in spec.state}}
    errors, largest = {}, {}
    for (name, ours), theirs in zip(found.items(), exact, strict=True):
        truth = theirs.numpy().astype(np.float64)
        errors[name] = float(np.sqrt(np.square(ours - truth).mean() / max(np.square(truth).mean(), 1e-30)))
        largest[name] = float(np.abs(ours - truth).max())
    return Parity(precision, steps, errors, largest)


def verify_bundle(bundle: Bundle, trained: Trained, steps: int = STEPS) -> dict[str, Parity]:
    """Parity of every network of a bundle with the checkpoints it claims to be made of.

    Args:
        bundle: As from ``load_bundle``.
        trained: As from ``load_trained``.
        steps: How many.

    Raises:
        ArtefactError: A graph of the bundle cannot be run.
    """
    networks = open_networks(bundle)
    opened: dict[str, Network] = {
        "apc": networks.apc,
        "motion": networks.motion,
        "headpose": networks.headpose,
    }
    return {
        name: measure_parity(module, opened[name], bundle.manifest.networks[name].precision, steps)
        for name, module in trained.modules.items()
    }


def _inputs(spec: GraphSpec, steps: int, seed: int) -> dict[str, Tensor]:
    """Random inputs for a stretch in the range of real ones, frames along axis 1; integers differ by session."""
    generator = torch.Generator().manual_seed(seed)
    stretch = {}
    for name, shape in spec.inputs.items():
        if name in spec.integers:
            stretch[name] = torch.tensor([0, 18])
            continue
        _, frames, width = (_BATCH_SIZE if length == BATCH else int(length) for length in shape)
        mean, deviation = _SPREAD.get(name, _FEATURE_SPREAD)
        noise = torch.randn(_BATCH_SIZE, steps * frames, width, generator=generator)
        stretch[name] = mean + torch.as_tensor(deviation, dtype=torch.float32) * noise
    return stretch


def _step_of(stretch: Tensor, shape: Shape, step: int) -> NDArray[Any]:
    """What one step of a stretch is given."""
    if len(shape) == 1:
        return np.asarray(stretch)
    frames = int(shape[1])
    return np.ascontiguousarray(stretch[:, step * frames : (step + 1) * frames])
