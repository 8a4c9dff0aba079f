import threading

import numpy as np
import pytest

from engine.backend_onnx import OnnxNetwork
from engine.backends import ort_graph
from engine.backends.device_network import DeviceNetwork
from engine.backends.float_graph import to_floats
from engine.backends.ort_graph import CPU, CUDA, TENSORRT, OrtGraph, cuda_provider, tensorrt_provider
from engine.backends.slotted import slotted
from engine.backends.turnstile import Turnstile
from engine.errors import ArtefactError, ConfigError, MissingExtraError
from tests.engine.backends.tiny_graphs import STATES, STATICS, tiny_step

pytest.importorskip("onnx", reason="banks are written with onnx, which is not installed")


@pytest.mark.parametrize("name", ["apc", "motion", "headpose"])
def test_bundles_networks_step_together_as_they_do_alone(random_bundle, name):
    """The same float graph: sessions of one batch on the device, each alone on the processor."""
    geometry = random_bundle.manifest.networks[name]
    graph = to_floats(random_bundle.graphs[name])
    axes = {state: shape.index("batch") for state, shape in geometry.state.items()}
    network = DeviceNetwork(OrtGraph(slotted(graph, axes)), axes, buckets=(1, 2, 4), capacity=9)
    single, rng = OnnxNetwork(graph, geometry), np.random.default_rng(0)
    ours = [network.init_state() for _ in range(3)]
    theirs = [single.init_state() for _ in range(3)]
    for _ in range(12):
        inputs = {
            key: rng.integers(0, 18, 3) if key in geometry.dtypes else rng.random([3, *shape[1:]], np.float32)
            for key, shape in geometry.inputs.items()
        }
        outputs, ours = network.run_many(inputs, ours)
        for row in range(3):
            expected, theirs[row] = single.run({key: array[[row]] for key, array in inputs.items()}, theirs[row])
            for key, array in expected.items():
                np.testing.assert_allclose(outputs[key][[row]], array, atol=2e-5)
    for key in axes:
        np.testing.assert_allclose(ours[2][key], theirs[2][key], atol=2e-5)


def test_floats_of_a_float_graph_are_itself(random_bundle):
    graph = to_floats(random_bundle.graphs["motion"])
    assert to_floats(graph) == graph


def test_integers_of_another_make_are_refused():
    import onnx

    model = onnx.ModelProto.FromString(tiny_step())
    node = model.graph.node[0]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 4), np.uint8), "w.u8"))
    node.op_type, node.input[0], node.input[1] = "MatMulInteger", "both.u8", "w.u8"
    quantise = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["both.u8", "scale", "zero"])
    cast = onnx.helper.make_node("Cast", ["heard"], ["heard.float"], to=onnx.TensorProto.FLOAT)
    model.graph.node.extend([quantise, cast, onnx.helper.make_node("Mul", ["heard.float", "half"], ["heard.half"])])
    with pytest.raises(ArtefactError, match="integers"):
        to_floats(model.SerializeToString())


def test_graph_says_its_ends():
    graph = OrtGraph(slotted(tiny_step(), STATES, STATICS))
    assert graph.inputs["bank.deep"].shape == (2, "places", 4) and graph.inputs["slots"].dtype == "int64"
    assert graph.inputs["bank.who_is_it"].shape == ("bound", 3) and set(graph.inputs) >= {"x", "who", "refresh"}
    assert set(graph.outputs) == {"y", "next.bank.deep", "next.bank.flat"}
    with pytest.raises(KeyError):
        graph.inputs["bank.deep"].sized(batch=2)


def test_what_cannot_run_here_says_what_to_install(monkeypatch):
    monkeypatch.setattr(ort_graph, "available", lambda: [CPU])
    with pytest.raises(MissingExtraError, match="pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"):
        OrtGraph(tiny_step(), cuda_provider())
    # A build with the provider, on a machine without its libraries, goes on on the processor without saying so.
    monkeypatch.setattr(ort_graph, "available", lambda: [TENSORRT, CUDA, CPU])

    class Silent:
        def __init__(self, *_, **__):
            pass

        def get_providers(self):
            return [CPU]

    monkeypatch.setattr(ort_graph.ort, "InferenceSession", Silent)
    with pytest.raises(MissingExtraError, match="NVIDIA driver"):
        OrtGraph(tiny_step(), cuda_provider())


def test_libraries_that_pip_brought_are_loaded_for_cards_alone(monkeypatch, capsys):
    """A provider links to libraries in folders that no system looks into."""
    loaded = []
    monkeypatch.setattr(ort_graph.ort, "preload_dlls", lambda: loaded.append("cuda") or print("noise"), raising=False)
    monkeypatch.setattr(ort_graph, "load_tensorrt", lambda: loaded.append("tensorrt"))
    monkeypatch.setattr(ort_graph, "available", lambda: [TENSORRT, CUDA, CPU])
    OrtGraph(tiny_step())
    assert loaded == []

    class Broken:
        def __init__(self, *_, **__):
            raise RuntimeError("no card")

    monkeypatch.setattr(ort_graph.ort, "InferenceSession", Broken)
    for providers in (cuda_provider(), tensorrt_provider("cache", "key")):
        with pytest.raises(ArtefactError, match="no card"):
            OrtGraph(tiny_step(), providers)
    assert loaded == ["cuda", "cuda", "tensorrt"] and capsys.readouterr().out == ""


def test_whoever_records_is_alone_with_the_card(monkeypatch):
    """Stand-ins for a card's session: what is asked of it, and who else could be there."""
    log = []

    class Guard(Turnstile):
        def passing(self):
            log.append("passing")
            return super().passing()

        def alone(self):
            log.append("alone")
            return super().alone()

    graph = OrtGraph(tiny_step())
    sizes = {"batch": 1}
    buffers = [
        {name: graph.buffer(spec.sized(**sizes), spec.dtype) for name, spec in ends.items()}
        for ends in (graph.inputs, graph.outputs)
    ]
    monkeypatch.setattr(ort_graph, "CARD", Guard())
    graph.execute(*buffers, 0)
    assert log == []
    graph._place, graph._cuda_graphs = "cuda", True
    for call in (0, 0, 1, 0):
        graph.execute(*buffers, call)
    graph.read(buffers[1]["y"])
    assert log == ["alone", "passing", "alone", "passing", "passing"]


def test_each_thread_records_its_calls_for_itself():
    graph, others = OrtGraph(tiny_step()), []
    ours = [graph.recording(call) for call in (0, 5, 0)]
    thread = threading.Thread(target=lambda: others.extend(graph.recording(call) for call in (5, 0)))
    thread.start()
    thread.join()
    assert ours[0] == ours[2] and len({*ours, *others}) == 4 and min(*ours, *others) >= 1


def test_damaged_graphs_and_no_threads_are_refused():
    with pytest.raises(ArtefactError, match=r"cannot be loaded by CPUExecutionProvider \(.*INVALID_PROTOBUF"):
        OrtGraph(b"not a graph")
    with pytest.raises(ConfigError, match="thread"):
        OrtGraph(tiny_step(), threads=0)


def test_tensorrt_is_told_shapes_and_where_its_engines_lie():
    (name, options), (fallback, _), (last, _) = tensorrt_provider(
        "cache", "key", shapes={"x": ("1x4", "8x4", "32x4"), "slots": ("1", "8", "32")}
    )
    assert (name, fallback, last) == (TENSORRT, CUDA, CPU)
    assert options["trt_profile_opt_shapes"] == "x:8x4,slots:8"
    assert options["trt_engine_cache_path"] == "cache" and options["trt_engine_cache_prefix"] == "key"
    assert all(isinstance(value, str) for value in options.values())
