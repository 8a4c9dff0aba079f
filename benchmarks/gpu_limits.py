"""What a device can do at most, measured: how fast it multiplies matrices, and how fast it copies its memory.

Both by graphs like those that it runs otherwise, on whatever runs them, so that the processor is measured by the same
script as a card.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from engine.backends.device_graph import DeviceGraph
from engine.backends.graph_writer import GraphWriter
from engine.backends.half_graph import to_precision

Opened = Callable[[bytes], DeviceGraph]
_CHAIN = 8
"""Products in one call, so that a call lasts longer than asking for it."""


@dataclass(frozen=True)
class Limits:
    """Measured ceilings of a device.

    Attributes:
        flops: Operations a second in large matrix products, a multiplication and an addition each one.
        copied: Bytes a second, read and written.
        uploaded: Bytes a second from the host.
        downloaded: The same to it.
    """

    flops: float
    copied: float
    uploaded: float
    downloaded: float


def measure_limits(opened: Opened, precision: str, *, side: int, megabytes: int, seconds: float) -> Limits:
    """Measure a device.

    Args:
        opened: Puts a graph on it.
        precision: Of the products: fp32, fp16 or bf16.
        side: Rows of the matrices.
        megabytes: Of what is copied; several times the device's caches.
        seconds: For each of the two.
    """
    products = opened(to_precision(_products(side), precision))
    shape = (side, side)
    ends = {"x": products.buffer(shape, "float32"), "w": products.buffer(shape, "float32")}
    rng = np.random.default_rng(0)
    # Random data: zeros are multiplied faster than anything else is.
    for buffer in ends.values():
        products.write(buffer, (rng.standard_normal(shape) / np.sqrt(side)).astype(np.float32))
    call = best_of(products, ends, {"y": products.buffer(shape, "float32")}, seconds)
    count = megabytes * 2**20 // 4
    copies = opened(_negation())
    taken, given = copies.buffer((count,), "float32"), copies.buffer((count,), "float32")
    copied = best_of(copies, {"x": taken}, {"y": given}, seconds)
    host = np.ones(count, np.float32)
    up = _best(lambda: copies.write(taken, host), copies, seconds / 2)
    down = _best(lambda: copies.read(taken), copies, seconds / 2)
    bytes_ = 4.0 * count
    return Limits(2.0 * _CHAIN * side**3 / call, 2 * bytes_ / copied, bytes_ / up, bytes_ / down)


def best_of(graph: DeviceGraph, inputs: Mapping[str, Any], outputs: Mapping[str, Any], seconds: float) -> float:
    """The shortest of many calls, s."""
    return _best(lambda: graph.execute(inputs, outputs, 0), graph, seconds)


def _best(work: Callable[[], Any], graph: DeviceGraph, seconds: float) -> float:
    for _ in range(3):
        work()
    graph.wait()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        work()
        graph.wait()
        best = min(best, time.perf_counter() - began)
    return best


def multiplications(graph: bytes) -> float:
    """Multiply-accumulates of the convolutions of a picture network for one frame."""
    model = onnx.ModelProto.FromString(graph)
    for value in (*model.graph.input, *model.graph.output):
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param:
                length.dim_value = 1
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [length.dim_value for length in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    total = 0.0
    for node in inferred.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            total += float(np.prod(shapes[node.output[0]])) * float(np.prod(weights[node.input[1]][1:]))
    return total


def _products(side: int) -> bytes:
    write = GraphWriter("products")
    for name in ("x", "w"):
        write.input(name, "float32", (side, side))
    made = "x"
    for _ in range(_CHAIN):
        made = write("MatMul", made, "w")
    write.output(made, "y", "float32", (side, side))
    return write.finish()


def _negation() -> bytes:
    """What reads and writes every byte once, and is not left out as a copy would be."""
    write = GraphWriter("negation")
    write.input("x", "float32", ("count",))
    write.output(write("Sub", write.number(0.0), "x"), "y", "float32", ("count",))
    return write.finish()
