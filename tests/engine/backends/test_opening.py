import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="banks are written with onnx, which is not installed")

from engine.backend import Networks
from engine.backend_onnx import OnnxNetwork
from engine.backends import opening
from engine.backends.cards import Card
from engine.backends.devices import DEVICES, PLUGINS, TORCH
from engine.backends.float_graph import to_floats
from engine.backends.graph_ends import ends_of, settled
from engine.backends.opening import Wanted, network_opener, open_graph, open_networks_on, open_step, resolve
from engine.backends.ort_graph import TENSORRT, OrtGraph
from engine.backends.slots import DeviceState
from engine.errors import ArtefactError, ConfigError, MissingExtraError
from engine.pipeline import Pipeline, open_manifold
from engine.snapshot import load_state, save_state, state_arrays
from tests.bundles import face_template
from tests.engine.backends.test_device_choice import FULL
from tests.engine.backends.tiny_graphs import STATES, STATICS, tiny_step

SMALL = {"buckets": (1, 2), "capacity": 8}


def test_on_the_processor_networks_are_those_of_the_processor(random_bundle):
    assert network_opener("cpu") is OnnxNetwork
    assert isinstance(open_networks_on("cpu", random_bundle).apc, OnnxNetwork)


def test_the_whole_signal_path_runs_on_a_device_and_can_be_saved(random_bundle):
    """Handles in the place of arrays, through the pipeline, a snapshot in its midst."""
    names = ("apc", "motion", "headpose")

    def step(name):
        geometry = random_bundle.manifest.networks[name]
        states = {state: shape.index("batch") for state, shape in geometry.state.items()}
        return open_step("cpu", to_floats(random_bundle.graphs[name]), states, **SMALL)

    exact = Networks(
        *(OnnxNetwork(to_floats(random_bundle.graphs[n]), random_bundle.manifest.networks[n]) for n in names)
    )
    manifold, frames, ends = open_manifold(random_bundle), [], []
    sound = (0.2 * np.random.default_rng(0).standard_normal(6400)).clip(-1, 1).astype(np.float32)
    for networks in (exact, Networks(*(step(name) for name in names))):
        pipeline = Pipeline(random_bundle, face_template(), 3, networks=networks, manifold=manifold)
        first, state = pipeline.step(sound[:3000], pipeline.init_state())
        restored = load_state(save_state(state), pipeline.init_state())
        rest, end = pipeline.step(sound[3000:], restored)
        frames.append([*first, *rest])
        ends.append(end)
    assert len(frames[0]) == len(frames[1]) > 15
    for ours, theirs in zip(*frames, strict=True):
        np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=2e-5)
    handles = [part for part in vars(ends[1]).values() if hasattr(part, "network")]
    assert any(isinstance(part.network, DeviceState) for part in handles)
    assert set(state_arrays(ends[0])) == set(state_arrays(ends[1]))


def test_tensorrts_provider_is_told_the_card_the_shapes_and_the_cache(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(opening, "cards", lambda: (Card("NVIDIA L4", "550", 23034, "8.9"),))
    monkeypatch.setattr(opening, "OrtGraph", lambda graph, providers: asked.append(providers))
    graph = opening.slotted(tiny_step(), STATES, STATICS)
    wanted = Wanted({"places": 9, "bound": 3}, (1, 2, 4), "fp16", cache=tmp_path)
    open_graph("tensorrt", graph, wanted)
    name, options = asked[0][0]
    assert name == TENSORRT and options["trt_engine_cache_path"] == str(tmp_path)
    assert options["trt_cuda_graph_enable"] == "0", "it keeps one recording for all batches"
    assert "bank.deep:2x9x4" in options["trt_profile_max_shapes"] and "x:4x4" in options["trt_profile_max_shapes"]
    assert len(options["trt_engine_cache_prefix"]) == 24


def test_calls_that_cannot_be_recorded_are_made_one_by_one(monkeypatch, caplog):
    asked = []

    def opened(graph, providers, cuda_graphs=False):
        asked.append((providers[0][1]["enable_cuda_graph"], cuda_graphs))
        if cuda_graphs:
            raise ArtefactError("A graph cannot be loaded.") from RuntimeError("a node on the processor")

    monkeypatch.setattr(opening, "OrtGraph", opened)
    open_graph("cuda", b"", Wanted({}))
    open_graph("cuda", b"", Wanted({}, cuda_graphs=False))
    assert asked == [("1", True), ("0", False), ("0", False)]
    assert "a node on the processor" in caplog.text


def test_engines_for_other_places_have_other_names(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(opening, "cards", lambda: (Card("NVIDIA L4", "550", 23034, "8.9"),))
    monkeypatch.setattr(opening, "OrtGraph", lambda graph, providers: asked.append(providers[0][1]))
    graph = opening.slotted(tiny_step(), STATES, STATICS)
    for places in (9, (9, 9, 9), (4, 9, 9), (4, 9, 9)):
        open_graph("tensorrt", graph, Wanted({"places": places, "bound": 3}, (1, 2), cache=tmp_path))
    keys = [options["trt_engine_cache_prefix"] for options in asked]
    assert len(set(keys[:3])) == 3 and keys[2] == keys[3]


@pytest.fixture
def tried(monkeypatch):
    """A machine on which all is installed; what is tried on it, and how that ends."""
    ends, asked = {}, []

    def opened(device, graph, wanted):
        asked.append(device)
        if device in ends:
            raise ends[device]
        return OrtGraph(graph)

    opening._failure.cache_clear()
    monkeypatch.setattr(opening, "detect", lambda: FULL)
    monkeypatch.setattr(opening, "open_graph", opened)
    yield ends, asked
    opening._failure.cache_clear()


def test_what_is_installed_is_tried_before_it_is_taken(tried, caplog):
    _, asked = tried
    assert resolve("auto").device == resolve("auto").device == "tensorrt"
    assert asked == ["tensorrt"] and caplog.records == []


def test_what_does_not_run_is_said_and_the_next_is_tried(tried):
    ends, asked = tried
    ends["tensorrt"] = MissingExtraError("It needs libnvinfer.so.10.")
    ends["native-tensorrt"] = RuntimeError("CUDA driver version is insufficient\nat line 5")
    said = []
    assert resolve("auto", said.append).device == "cuda"
    assert asked == ["tensorrt", "native-tensorrt", "cuda"]
    assert said[0] == "tensorrt does not run here: It needs libnvinfer.so.10."
    assert "(CUDA driver version is insufficient)" in said[1] and said[2] == "So cuda is used."


def test_where_nothing_runs_the_processor_does(tried):
    ends, _ = tried
    ends.update((device, RuntimeError()) for device in DEVICES)
    said = []
    assert resolve("cuda-graph", said.append).device == "cpu"
    assert len(said) == 3 and "RuntimeError" in said[0]


def test_what_computes_nonsense_is_not_taken(tried, monkeypatch):
    monkeypatch.setattr(OrtGraph, "read", lambda graph, buffer: np.zeros((1, 4)))
    said = []
    assert resolve("cuda", said.append).device == "cpu" and "does not compute what it should" in said[0]


def test_lengths_that_never_change_are_written_into_a_graph():
    graph = opening.slotted(tiny_step(), STATES, STATICS)
    ends = ends_of(settled(graph, {"places": 9, "bound": (1, 2, 3)}))
    assert ends.inputs["bank.deep"].shape == (2, 9, 4) and ends.outputs["next.bank.flat"].shape == (9, 4)
    assert ends.inputs["bank.who_is_it"].shape == ("bound", 3) and ends.inputs["x"].shape == ("batch", 4)
    assert settled(graph, {}) is graph


def test_without_a_card_tensorrt_says_so(monkeypatch):
    monkeypatch.setattr(opening, "cards", lambda: ())
    with pytest.raises(MissingExtraError, match="NVIDIA card"):
        open_graph("native-tensorrt", opening.slotted(tiny_step(), STATES, STATICS), Wanted({"places": 9, "bound": 3}))


def test_plugins_are_found_by_their_name(monkeypatch):
    class Entry:
        name = "cuda-graph"

        def load(self):
            return lambda device, graph, wanted: (device, wanted.precision)

    monkeypatch.setattr(opening.importlib.metadata, "entry_points", lambda group: [Entry()])
    assert open_graph("cuda-graph", b"", Wanted({})) == ("cuda-graph", "fp32")
    with pytest.raises(MissingExtraError, match="not registered"):
        open_graph("torch-compile", b"", Wanted({}))


def test_what_is_missing_is_logged(caplog):
    choice = resolve("tensorrt")
    assert choice.device == "cpu" or not choice.sentences
    assert [record.message for record in caplog.records] == list(choice.sentences)
    with pytest.raises(ConfigError):
        resolve("fast")


def test_the_plugins_that_are_registered_are_there():
    pytest.importorskip("torch", reason="the plug-ins keep torch, which is not installed")
    settings = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    plugins = settings["project"]["entry-points"][PLUGINS]
    assert set(plugins) == set(TORCH)
    for place in plugins.values():
        module, name = place.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_no_extra_brings_both_runtimes():
    """onnxruntime and onnxruntime-gpu are one module: whichever is installed last overwrites the other."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    assert any(each.startswith("onnxruntime>") for each in project["dependencies"])
    assert not any("onnxruntime-gpu" in each for each in (*project["dependencies"], *extras))
