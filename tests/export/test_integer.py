import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from engine.artefacts.bundle import NetworkGeometry, graph_shapes  # noqa: E402
from engine.backend_onnx import OnnxNetwork  # noqa: E402
from export.calibration import calibration_calls  # noqa: E402
from export.graphs import STEPS_A_CALL, graph_spec, to_onnx  # noqa: E402
from export.integer import activation_ranges, expand_recurrent, to_integers  # noqa: E402
from export.parity import measure_parity  # noqa: E402
from tests.bundles import random_trained  # noqa: E402

NAMES = ("apc", "motion", "headpose")


@pytest.fixture(scope="module")
def modules():
    return random_trained(seed=2).modules


@pytest.fixture(scope="module")
def exact(modules):
    return {name: to_onnx(module) for name, module in modules.items()}


@pytest.fixture(scope="module")
def geometry(modules):
    def of(name: str) -> NetworkGeometry:
        spec = graph_spec(modules[name])
        return NetworkGeometry(
            file=f"{name}.onnx",
            precision="w8a8",
            inputs=graph_shapes(spec.inputs),
            state=graph_shapes(spec.state),
            outputs=graph_shapes(spec.outputs),
            dtypes={integer: "int64" for integer in spec.integers},
        )

    return {name: of(name) for name in NAMES}


@pytest.fixture(scope="module")
def integers(exact, geometry):
    rng = np.random.default_rng(0)
    calls = calibration_calls(exact, geometry, 0.35 + 0.25 * rng.standard_normal((120, 80)))
    made = {}
    for name in NAMES:
        expanded = expand_recurrent(exact[name], STEPS_A_CALL[name])
        made[name] = to_integers(expanded, activation_ranges(expanded, calls[name]))
    return made


def opened(model, geometry) -> OnnxNetwork:
    return OnnxNetwork(model.SerializeToString(), geometry)


@pytest.mark.parametrize("name", ["apc", "motion"])
def test_written_out_layers_say_what_the_operators_say(modules, exact, geometry, name):
    expanded = expand_recurrent(exact[name], STEPS_A_CALL[name])
    assert not {"GRU", "LSTM"} & {node.op_type for node in expanded.graph.node}
    parity = measure_parity(modules[name], opened(expanded, geometry[name]), "fp32", 60)
    assert parity.worst < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_integers_are_close_and_not_the_same(modules, integers, geometry, name):
    parity = measure_parity(modules[name], opened(integers[name], geometry[name]), "w8a8", 60)
    assert 1e-5 < parity.worst and parity.holds


def test_weights_are_bytes(exact, integers):
    for name in NAMES:
        assert integers[name].ByteSize() < 0.3 * exact[name].ByteSize()


@pytest.mark.parametrize("name", NAMES)
def test_a_session_does_not_hear_its_neighbours(integers, geometry, name):
    """Ranges that were found anew in each call would let a loud session coarsen a quiet one."""
    network, shapes = opened(integers[name], geometry[name]), geometry[name]
    rng = np.random.default_rng(1)
    quiet, loud = (
        {
            key: np.full(1, 3, np.int64) if shapes.dtypes.get(key) else size * rng.random([1, *shape[1:]], np.float32)
            for key, shape in shapes.inputs.items()
        }
        for size in (0.1, 1.0)
    )
    alone, _ = network.run(quiet, network.init_state(1))
    both, _ = network.run({key: np.concatenate([quiet[key], loud[key]]) for key in quiet}, network.init_state(2))
    for key, array in alone.items():
        np.testing.assert_allclose(both[key][:1], array, rtol=0, atol=1e-6)
