"""Torch modules to ONNX graphs with named state, and the precisions in which their weights are stored.

A graph is one streaming step. Its state enters as ``state.<name>`` and leaves as ``next.<name>``; the batch
dimension is free, every other one is fixed. A module's ``forward`` is exported as it is.
"""

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.apc import ApcEncoder
from models.headpose import HeadPoseNet
from models.motion import MotionGenerator
from models.spec import APC_UNITS, MEL_BANDS, MELS_PER_MOTION, MOTION_DIM, POSE_DIM

Precision = Literal["fp32", "fp16", "int8", "w8a8"]
Shape = tuple[int | str, ...]
"""Lengths of a tensor's dimensions; the free one is called "batch"."""

BATCH = "batch"
OPSET = 17
STEPS_A_CALL: Mapping[str, int] = {"apc": MELS_PER_MOTION, "motion": 1, "headpose": 1}
"""Time steps that one call of a network makes."""
MIN_COMPRESSED_ELEMENTS = 4096
"""Smaller initialisers (biases, scales) stay float32: they cost nothing and matter most."""


@dataclass(frozen=True)
class GraphSpec:
    """What goes in and out of one streaming step, in the order of the module's ``forward``.

    Attributes:
        inputs: Shape by name of what a step is given.
        state: Shape by name of what it carries from step to step.
        outputs: Shape by name of what it says.
        integers: The inputs that are int64; all other tensors are float32.
    """

    inputs: Mapping[str, Shape]
    state: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    integers: frozenset[str] = frozenset()

    def example(self, batch: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Arguments for ``forward`` with a zero state; inputs are random if a generator is given."""

        def fill(name: str, shape: Shape) -> Tensor:
            sizes = [batch if length == BATCH else int(length) for length in shape]
            if name in self.integers:
                return torch.zeros(sizes, dtype=torch.int64)
            if generator is None or name in self.state:
                return torch.zeros(sizes)
            return torch.randn(sizes, generator=generator)

        return [fill(name, shape) for name, shape in (*self.inputs.items(), *self.state.items())]


def graph_spec(module: nn.Module) -> GraphSpec:
    """The streaming step of one of the three networks of the signal path.

    Raises:
        TypeError: The module is none of them.
    """
    if isinstance(module, ApcEncoder):
        return GraphSpec(
            inputs={"mel": (BATCH, MELS_PER_MOTION, MEL_BANDS)},
            state={"hidden": _free_batch(module.init_state(1), 1)},
            outputs={"features": (BATCH, MELS_PER_MOTION, module.units)},
        )
    if isinstance(module, MotionGenerator):
        hidden, cell = module.init_state(1)
        return GraphSpec(
            inputs={"features": (BATCH, 1, MELS_PER_MOTION * APC_UNITS), "lookahead": (BATCH,)},
            state={"hidden": _free_batch(hidden, 1), "cell": _free_batch(cell, 1)},
            outputs={"displacement": (BATCH, 1, MOTION_DIM)},
            integers=frozenset({"lookahead"}),
        )
    if isinstance(module, HeadPoseNet):
        caches = module.init_state(1)
        return GraphSpec(
            inputs={"pose": (BATCH, 1, 2 * POSE_DIM), "features": (BATCH, 1, APC_UNITS)},
            state={f"cache{layer:02}": _free_batch(cache, 0) for layer, cache in enumerate(caches)},
            outputs={"mean": (BATCH, 1, POSE_DIM), "sigma": (BATCH, 1, POSE_DIM)},
        )
    raise TypeError(f"{type(module).__name__} is not a network of the signal path")


def _free_batch(state: Tensor, axis: int) -> Shape:
    """The state's shape, with its batch dimension free."""
    return tuple(BATCH if number == axis else length for number, length in enumerate(state.shape))


def to_onnx(module: nn.Module) -> onnx.ModelProto:
    """Export one streaming step of a network, weights in float32.

    The TorchScript exporter is used on purpose: it maps a recurrent layer with its initial state to the one ONNX
    operator that runtimes have a fast kernel for, where the newer one surrounds it with some twenty reshapes.

    Args:
        module: An ``ApcEncoder``, ``MotionGenerator`` or ``HeadPoseNet``; its mode is left as it was.

    Raises:
        TypeError: The module is none of them.
    """
    spec = graph_spec(module)
    tensors = {
        **spec.inputs,
        **{f"state.{name}": shape for name, shape in spec.state.items()},
        **spec.outputs,
        **{f"next.{name}": shape for name, shape in spec.state.items()},
    }
    entering = len(spec.inputs) + len(spec.state)
    names = list(tensors)
    training = module.training
    module.eval()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # What torch says of this exporter's age; its version is pinned.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Torch's own recurrent layers compare sizes while they are traced; the graph's free batch is tested.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        # Not a hazard here: the initial state is an input.
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        torch.onnx.export(
            module,
            tuple(spec.example(2)),
            f"{folder}/graph.onnx",
            dynamo=False,
            opset_version=OPSET,
            input_names=names[:entering],
            output_names=names[entering:],
            dynamic_axes={name: {shape.index(BATCH): BATCH} for name, shape in tensors.items()},
        )
        model = onnx.load_model(f"{folder}/graph.onnx")
    module.train(training)
    onnx.checker.check_model(model, full_check=True)
    return model


def compress(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Store a graph's weights in fewer bytes; the arithmetic stays float32.

    A stored weight is brought back by ``Cast`` (and for int8 ``Mul`` with a scale), which the
    runtime folds into constants when it loads the graph: it costs nothing per step.

    Args:
        model: As from ``to_onnx``; left as it was.
        precision: "fp16"; "int8" (symmetric, a scale for each output of a layer); "fp32" changes nothing. Of a graph
            that ``export.integer`` has made, "w8a8" stores what is still float in fp16.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if precision == "fp32":
        return result
    graph = result.graph
    kept, nodes = [], []
    for initializer in graph.initializer:
        weight = numpy_helper.to_array(initializer)
        if weight.dtype != np.float32 or weight.size < MIN_COMPRESSED_ELEMENTS:
            kept.append(initializer)
            continue
        name, stored = initializer.name, f"{initializer.name}.stored"
        if precision in ("fp16", "w8a8"):
            kept.append(numpy_helper.from_array(weight.astype(np.float16), stored))
            nodes.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
            continue
        axes = _axes_of_one_output(graph, name, weight.ndim)
        scale = np.abs(weight).max(axis=axes, keepdims=True) / np.float32(127)
        scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
        kept.append(numpy_helper.from_array(np.rint(weight / scale).astype(np.int8), stored))
        kept.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [stored], [f"{name}.unscaled"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.unscaled", f"{name}.scale"], [name]))
    body = list(graph.node)
    del graph.initializer[:]
    del graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend([*nodes, *body])
    onnx.checker.check_model(result, full_check=True)
    return result


def _axes_of_one_output(graph: onnx.GraphProto, name: str, dimensions: int) -> tuple[int, ...]:
    """Axes of a weight that are summed over for one output of its layer: they share one scale."""
    operator = next(node.op_type for node in graph.node if name in node.input)
    if operator == "MatMul":
        return (0,)
    # Recurrent layers hold (direction, gates, inputs), convolutions (outputs, inputs, taps), Gather (rows, width).
    return tuple(range(1, dimensions)) if operator == "Conv" else (dimensions - 1,)
