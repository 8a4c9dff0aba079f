import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from engine.artefacts.bundle import NetworkGeometry, graph_shapes  # noqa: E402
from engine.backend_onnx import OnnxNetwork  # noqa: E402
from export.graphs import compress, graph_spec, to_onnx  # noqa: E402
from export.parity import STEPS, TOLERANCES, measure_parity  # noqa: E402
from models.apc import ApcEncoder  # noqa: E402
from models.headpose import HeadPoseNet  # noqa: E402
from models.motion import MotionGenerator  # noqa: E402


@pytest.fixture(scope="module", params=[ApcEncoder, MotionGenerator, HeadPoseNet])
def exported(request):
    torch.manual_seed(0)
    module = request.param()
    return module, to_onnx(module)


def open_graph(module, model, precision) -> OnnxNetwork:
    spec = graph_spec(module)
    geometry = NetworkGeometry(
        file="network.onnx",
        precision=precision,
        inputs=graph_shapes(spec.inputs),
        state=graph_shapes(spec.state),
        outputs=graph_shapes(spec.outputs),
        dtypes={name: "int64" for name in spec.integers},
    )
    return OnnxNetwork(compress(model, precision).SerializeToString(), geometry)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_graph_says_what_the_network_says(exported, precision):
    module, model = exported
    # The full count at the precision that is strictest, a share of it for the others.
    steps = STEPS if precision == "fp32" else 60
    parity = measure_parity(module, open_graph(module, model, precision), precision, steps)
    assert parity.holds, parity.errors
    assert parity.worst > 0 and len(parity.errors) >= 2
    if precision == "int8":
        assert parity.worst > TOLERANCES["fp32"], "int8 that loses nothing was not int8"


def test_other_weights_are_noticed():
    torch.manual_seed(0)
    module = ApcEncoder()
    network = open_graph(module, to_onnx(module), "fp32")
    with torch.no_grad():
        module.gru.weight_hh_l2[1024:] *= 1.05
    assert not measure_parity(module, network, "fp32", 30).holds
