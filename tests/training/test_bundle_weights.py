import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from engine.artefacts.graph_weights import apply_changes  # noqa: E402
from engine.backend_onnx import OnnxNetwork, open_networks  # noqa: E402
from engine.errors import ArtefactError  # noqa: E402
from export.parity import TOLERANCES, measure_parity  # noqa: E402
from tests.bundles import random_trained  # noqa: E402
from training.bundle_weights import load_networks, state_changes, take_apart  # noqa: E402


@pytest.fixture(scope="module")
def networks(random_bundle):
    return dict(zip(("apc", "motion", "headpose"), load_networks(random_bundle), strict=True))


@pytest.mark.parametrize("name", ["apc", "motion", "headpose"])
def test_networks_say_what_the_graphs_say(random_bundle, networks, name):
    opened = getattr(open_networks(random_bundle), name)
    assert measure_parity(networks[name], opened, "w8a8", steps=60).worst < TOLERANCES["w8a8"]


@pytest.mark.parametrize("name", ["motion", "headpose"])
def test_weights_come_back_as_they_were_trained(networks, name):
    trained = random_trained().modules[name].state_dict()
    for key, found in networks[name].state_dict().items():
        wanted = trained[key]
        if key.startswith("lstm.bias_ih"):
            wanted, found = wanted + trained[key.replace("ih", "hh")], found
        elif key.startswith("conditions") and key.endswith("bias"):
            wanted = wanted + trained[key.replace("conditions", "filters")]
        elif (key.startswith(("lstm.bias_hh", "filters")) and "bias" in key) or key.startswith("residuals.13"):
            assert found.abs().max() == 0
            continue
        if wanted.is_floating_point():
            torch.testing.assert_close(found, wanted, atol=float(wanted.abs().max()) / 120 + 1e-6, rtol=0)


@pytest.mark.parametrize("name", ["motion", "headpose"])
def test_a_state_dict_becomes_changes_of_the_graph(random_bundle, networks, name):
    module, parts = networks[name], take_apart(random_bundle.graphs[name])
    assert state_changes(parts, module.state_dict()) == []
    tuned = type(module)()
    generator = torch.Generator().manual_seed(1)
    state = {
        key: value + 0.2 * value.std() * torch.randn(value.shape, generator=generator)
        if value.is_floating_point() and value.dim() > 1
        else value
        for key, value in module.state_dict().items()
    }
    tuned.load_state_dict(state)
    graph = apply_changes(random_bundle.graphs[name], state_changes(parts, tuned.state_dict()))
    opened = OnnxNetwork(graph, random_bundle.manifest.networks[name])
    assert measure_parity(tuned.eval(), opened, "w8a8", steps=40).worst < 2 * TOLERANCES["w8a8"]
    assert measure_parity(module, opened, "w8a8", steps=40).worst > 4 * TOLERANCES["w8a8"]


def test_a_bundle_stored_otherwise_is_refused():
    node = onnx.helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)
    graph = onnx.helper.make_graph([node], "g", [], [])
    with pytest.raises(ArtefactError, match="not stored as w8a8"):
        take_apart(onnx.helper.make_model(graph).SerializeToString())
