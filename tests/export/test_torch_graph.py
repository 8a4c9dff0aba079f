import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="graphs are run by torch, which is not installed")
onnx = pytest.importorskip("onnx", reason="graphs are read with onnx, which is not installed")

from engine.backends.device_network import DeviceNetwork  # noqa: E402
from engine.backends.float_graph import to_floats  # noqa: E402
from engine.backends.frame_graph import frame_graph  # noqa: E402
from engine.backends.half_graph import to_precision  # noqa: E402
from engine.backends.opening import Wanted  # noqa: E402
from engine.backends.ort_graph import OrtGraph  # noqa: E402
from engine.backends.painter import Painter  # noqa: E402
from engine.backends.slotted import slotted  # noqa: E402
from engine.errors import ArtefactError, ConfigError, MissingExtraError  # noqa: E402
from engine.renderer.sketch import SketchRenderer  # noqa: E402
from export import torch_graph  # noqa: E402
from export.renderer import Paper, export_generator  # noqa: E402
from export.torch_graph import TorchGraph  # noqa: E402
from models.generator import PaperGenerator  # noqa: E402
from tests.engine.backends.tiny_graphs import STATES, STATICS, tiny_step  # noqa: E402
from tests.engine.renderer.conftest import Motion, draw_person  # noqa: E402


def opened(graph, states):
    return DeviceNetwork(graph, states, buckets=(1, 2), capacity=6)


def worst_error(exact, other, geometry, steps):
    """Largest difference of any output in steps with the state fed back, as a share of the largest value."""
    rng, worst = np.random.default_rng(0), 0.0
    ours, theirs = ([network.init_state() for _ in range(2)] for network in (exact, other))
    for _ in range(steps):
        inputs = {
            name: np.array([0, 18]) if name in geometry.dtypes else 0.4 * rng.random([2, *shape[1:]], np.float32)
            for name, shape in geometry.inputs.items()
        }
        said, ours = exact.run_many(inputs, ours)
        heard, theirs = other.run_many(inputs, theirs)
        worst = max(worst, *(float(np.abs(said[name] - heard[name]).max() / np.abs(said[name]).max()) for name in said))
    return worst


@pytest.mark.parametrize("name", ["apc", "motion", "headpose"])
@pytest.mark.parametrize(("half", "most"), [(None, 2e-5), ("fp16", 5e-3), ("bf16", 4e-2)])
def test_torch_says_what_onnx_runtime_says(random_bundle, name, half, most):
    geometry, graph = random_bundle.manifest.networks[name], to_floats(random_bundle.graphs[name])
    states = {state: shape.index("batch") for state, shape in geometry.state.items()}
    exact = opened(OrtGraph(slotted(graph, states)), states)
    graph = to_precision(graph, half or "fp32", products_only=True)
    error = worst_error(exact, opened(TorchGraph(slotted(graph, states)), states), geometry, 12)
    assert error < most
    assert half is None or error > 1e-5, "half precision that loses nothing was not half"


def test_the_papers_network_draws_the_same_frames_whole():
    """A narrow one of the paper's layers: it draws the whole frame, so there is no window."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exported = export_generator(Paper(PaperGenerator(channels=(8,) * 8)))
    graph = frame_graph(exported.frame.SerializeToString(), 512, exported.static_shape)
    person = draw_person()
    sketcher = SketchRenderer(person, size=512)
    sketch = sketcher.sketch(*Motion(person)(jaw=0.1), np.zeros(2, np.float32))
    static = np.random.default_rng(0).random((1, *exported.static_shape), np.float32)
    frames = []
    for device in (OrtGraph(graph), TorchGraph(graph)):
        painter = Painter(device, buckets=(1,), avatars=2, size=512)
        bound = painter.bind(sketcher.source, person.plate, static)
        frames.append(painter.draw([sketch], [bound])[0].astype(int))
    assert np.abs(frames[0] - frames[1]).max() <= 1


def test_what_is_compiled_is_the_step_for_the_shapes_of_a_call(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: seen.append(module) or module)
    graph = slotted(tiny_step(), STATES, STATICS)
    results = []
    for kind in ("eager", "torch-compile"):
        network = DeviceNetwork(TorchGraph(graph, kind), STATES, STATICS, buckets=(1, 2), capacity=6, bound=2)
        bound = [network.bind({"who_is_it": np.ones((1, 3), np.float32)})]
        states = [network.init_state()]
        for step in range(4):
            outputs, states = network.run_many({"x": np.full((1, 4), 0.1 * step, np.float32)}, states, bound)
        results.append(outputs["y"])
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)
    assert len(seen) == 2 and all(isinstance(module, torch.fx.GraphModule) for module in seen)


def test_what_cannot_be_run_is_named():
    model = onnx.ModelProto.FromString(tiny_step())
    model.graph.node[5].op_type = "Erf"
    with pytest.raises(ArtefactError, match="operator Erf"):
        TorchGraph(model.SerializeToString())
    with pytest.raises(ConfigError, match="cuda-graph"):
        TorchGraph(tiny_step(), "fast")


def test_plugin_needs_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingExtraError, match="card that torch sees"):
        torch_graph.open_graph("cuda-graph", tiny_step(), Wanted({}))


def test_torch_tensorrt_that_is_missing_is_named():
    graph = TorchGraph(slotted(tiny_step(), STATES, STATICS), "torch-tensorrt")
    network = DeviceNetwork(graph, STATES, STATICS, buckets=(1,), capacity=4, bound=2)
    bound = [network.bind({"who_is_it": np.ones((1, 3), np.float32)})]
    try:
        import torch_tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="torch-tensorrt"):
            network.run_many({"x": np.zeros((1, 4), np.float32)}, [network.init_state()], bound)
