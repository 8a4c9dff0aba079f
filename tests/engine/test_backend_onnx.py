import numpy as np
import pytest

from engine.backend_onnx import OnnxNetwork, open_networks
from engine.errors import ArtefactError, ConfigError


def test_state_has_the_manifests_shapes_and_any_batch(random_bundle):
    networks = open_networks(random_bundle)
    for name in ("apc", "motion", "headpose"):
        declared = random_bundle.manifest.networks[name].state
        state = getattr(networks, name).init_state(3)
        assert set(state) == set(declared)
        for key, shape in declared.items():
            assert state[key].shape == tuple(3 if length == "batch" else length for length in shape)
            assert state[key].dtype == np.float32 and not state[key].any()


def test_sessions_in_one_batch_equal_sessions_alone(random_bundle):
    apc = open_networks(random_bundle).apc
    mel = np.random.default_rng(0).random((6, 2, 2, 80)).astype(np.float32)
    both, one, other = apc.init_state(2), apc.init_state(), apc.init_state()
    for step in mel:
        together, both = apc.run({"mel": step}, both)
        first, one = apc.run({"mel": step[:1]}, one)
        second, other = apc.run({"mel": step[1:]}, other)
    alone = np.concatenate([first["features"], second["features"]])
    np.testing.assert_allclose(together["features"], alone, atol=1e-6)


def test_run_leaves_its_arguments_alone(random_bundle):
    apc = open_networks(random_bundle).apc
    mel = np.ones((1, 2, 80), np.float32)
    _, state = apc.run({"mel": mel}, apc.init_state())
    before = state["hidden"].copy()
    apc.run({"mel": mel}, state)
    np.testing.assert_array_equal(state["hidden"], before)
    np.testing.assert_array_equal(mel, 1)


def test_graph_that_is_not_the_manifests_is_refused(random_bundle):
    geometry = random_bundle.manifest.networks
    with pytest.raises(ArtefactError, match="not the one"):
        OnnxNetwork(random_bundle.graphs["motion"], geometry["apc"])
    wrong = geometry["apc"].model_copy(update={"state": {"hidden": (3, "batch", 256)}})
    with pytest.raises(ArtefactError, match="not the one"):
        OnnxNetwork(random_bundle.graphs["apc"], wrong)


def test_damaged_graph_is_refused(random_bundle):
    with pytest.raises(ArtefactError, match=r"apc\.onnx cannot be loaded"):
        OnnxNetwork(b"not a graph", random_bundle.manifest.networks["apc"])


def test_threads_must_be_positive(random_bundle):
    with pytest.raises(ConfigError, match="thread"):
        open_networks(random_bundle, threads=0)
