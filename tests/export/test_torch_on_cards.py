"""What torch's devices need on a card, as far as it can be seen on a processor: no copies from the host in a call that
is recorded, a recording that other threads do not break off, and the options of the libraries."""

import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="graphs are run by torch, which is not installed")
onnx = pytest.importorskip("onnx", reason="graphs are read with onnx, which is not installed")

from engine.artefacts.bundle import load_bundle, pick_renderer  # noqa: E402
from engine.backends.float_graph import to_floats  # noqa: E402
from engine.backends.graph_ends import settled  # noqa: E402
from engine.backends.half_graph import to_precision  # noqa: E402
from engine.backends.ort_graph import OrtGraph  # noqa: E402
from engine.backends.painter import painting_graph  # noqa: E402
from engine.backends.slotted import slotted  # noqa: E402
from export import torch_graph  # noqa: E402
from export.torch_graph import TorchGraph  # noqa: E402
from tests.engine.backends.tiny_graphs import STATES, STATICS, tiny_step  # noqa: E402

LENGTHS = {"batch": 2, "places": 6, "bound": 2, "patched": 8, "lined": 8}


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


def shipped(bundle, name):
    """A graph of the bundle that ships, as a card gets it."""
    if name in ("warp", "lite"):
        return settled(painting_graph(pick_renderer(bundle, name), "fp16"), {"bound": LENGTHS["bound"]})
    states = {state: shape.index("batch") for state, shape in bundle.manifest.networks[name].state.items()}
    return slotted(to_precision(to_floats(bundle.graphs[name]), "fp16", products_only=True), states)


def buffers(graph, ends, seed=0):
    rng, made = np.random.default_rng(seed), {}
    for name, spec in ends.items():
        made[name] = graph.buffer(spec.sized(**LENGTHS), spec.dtype)
        if spec.dtype == "float32":
            graph.write(made[name], rng.random(spec.sized(**LENGTHS), np.float32))
    return made


@pytest.mark.parametrize("name", ["apc", "motion", "headpose", "warp", "lite"])
def test_only_the_first_run_takes_anything_from_the_host(bundle, name, monkeypatch):
    """While a call is recorded, memory of the host cannot be copied to a card."""
    graph = TorchGraph(shipped(bundle, name))
    given = list(buffers(graph, graph.inputs).values())
    with torch.no_grad():
        graph._step(*given)
        for function in ("from_numpy", "as_tensor", "tensor"):
            monkeypatch.setattr(torch, function, lambda *_, **__: pytest.fail("taken from the host"))
        graph._step(*given)


def test_what_is_compiled_takes_nothing_from_the_host(bundle, monkeypatch):
    """Numbers of the host are on the device before the step is traced: none becomes a copy in what is traced."""
    before, after = [], []

    def tracing(step):
        def trace(*given):
            before.append(len(step._moved))
            traced = real(step)(*given)
            after.append(len(step._moved))
            return traced

        return trace

    real = torch_graph.make_fx
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: module)
    monkeypatch.setattr(torch_graph, "make_fx", tracing)
    graph = TorchGraph(shipped(bundle, "warp"), "torch-compile")
    graph.execute(buffers(graph, graph.inputs), buffers(graph, graph.outputs), 0)
    assert before == after and before[0] > 0


def test_the_network_that_ships_is_drawn_by_torch_as_by_onnx_runtime(bundle):
    stored = pick_renderer(bundle, "lite")
    given = {
        "dynamic": np.random.default_rng(1).integers(0, 256, (2, 6, 256, 256), np.uint8),
        "static": np.random.default_rng(2).random((2, *stored.geometry.static), np.float32),
    }
    pictures = []
    for graph in (OrtGraph(to_floats(stored.graph)), TorchGraph(to_floats(stored.graph))):
        inputs = {name: graph.buffer(array.shape, array.dtype.name) for name, array in given.items()}
        for name, array in given.items():
            graph.write(inputs[name], array)
        outputs = {"picture": graph.buffer((2, 3, 256, 256), "uint8")}
        graph.execute(inputs, outputs, 0)
        pictures.append(graph.read(outputs["picture"]).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


class FakeStream:
    def wait_stream(self, other):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def test_calls_are_warmed_up_recorded_in_one_pool_and_replayed(monkeypatch):
    log = []

    class Recording:
        def __init__(self, recorded, **options):
            log.append(options)

        def __enter__(self):
            pass

        def __exit__(self, *error):
            pass

    graph = TorchGraph(slotted(tiny_step(), STATES, STATICS), "cuda-graph")
    graph._device, graph._pool = types.SimpleNamespace(type="cuda"), "pool"
    runs = []
    monkeypatch.setattr(graph, "_step", lambda *given, step=graph._step: runs.append(1) or step(*given))
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: types.SimpleNamespace(replay=lambda: log.append("replay")))
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    calls = []
    for call in (0, 1, 0):
        if call >= len(calls):
            graph._device = torch.device("cpu")
            calls.append((buffers(graph, graph.inputs), buffers(graph, graph.outputs)))
            graph._device = types.SimpleNamespace(type="cuda")
        graph.execute(*calls[call], call)
    recorded = {"pool": "pool", "capture_error_mode": "thread_local"}
    assert log == [recorded, "replay", recorded, "replay", "replay"]
    assert len(runs) == 2 * (torch_graph.WARM_UPS + 1)


def test_torch_tensorrt_keeps_engines_whose_weights_can_be_replaced(tmp_path, monkeypatch):
    asked = {}

    def compiled(program, *, inputs, **options):
        asked.update(options, inputs=len(inputs))
        return program.module()

    library = types.SimpleNamespace(dynamo=types.SimpleNamespace(compile=compiled))
    monkeypatch.setitem(sys.modules, "torch_tensorrt", library)
    source = slotted(tiny_step(), STATES, STATICS)
    results = []
    for graph in (OrtGraph(source), TorchGraph(source, "torch-tensorrt", cache=tmp_path)):
        inputs, outputs = buffers(graph, graph.inputs), buffers(graph, graph.outputs)
        graph.execute(inputs, outputs, 0)
        results.append(graph.read(outputs["y"]))
    np.testing.assert_allclose(*results, atol=1e-5)
    assert asked["inputs"] == len(graph.inputs) and asked["min_block_size"] == 1
    assert asked["cache_built_engines"] and asked["reuse_cached_engines"] and asked["immutable_weights"] is False
    assert asked["engine_cache_dir"].startswith(str(tmp_path)) and asked["timing_cache_path"].startswith(str(tmp_path))
