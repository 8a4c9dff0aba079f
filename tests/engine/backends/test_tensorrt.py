import builtins
import gc

import numpy as np
import pytest

from engine.backends.cards import Card
from engine.backends.cuda_memory import load_cuda
from engine.backends.device_graph import TensorSpec
from engine.backends.device_network import DeviceNetwork
from engine.backends.profiles import as_options, batches_of, profile
from engine.backends.tensorrt_build import engine_for, load_tensorrt
from engine.backends.tensorrt_graph import TensorRtGraph
from engine.errors import ArtefactError, MienError, MissingExtraError
from tests.engine.backends.fake_cuda import FakeCuda, FakeTensorRt

CARD = Card("NVIDIA H200", "580.159.03", 143771, "9.0")
SHAPES = profile({"x": TensorSpec("float32", ("batch", 3))}, (1, 4, 8))


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def trt(cuda):
    return FakeTensorRt(cuda)


def test_profiles_have_a_shape_for_each_batch():
    inputs = {"bank": TensorSpec("float32", (3, "places", 5)), "x": TensorSpec("float32", ("batch", 80))}
    shapes = profile(inputs, batches_of((1, 2, 4, 8, 16, 32)), {"places": 7})
    assert shapes["bank"] == ((3, 7, 5),) * 3 and shapes["x"] == ((1, 80), (8, 80), (32, 80))
    assert as_options(shapes)["x"] == ("1x80", "8x80", "32x80")
    assert profile(inputs, (1, 1, 1), {"places": (2, 4, 9)})["bank"] == ((3, 2, 5), (3, 4, 5), (3, 9, 5))
    with pytest.raises(KeyError):
        profile(inputs, (1, 1, 1))


def test_an_engine_is_built_once_and_its_timings_help_the_next(trt, tmp_path):
    assert engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt) == b"plan"
    assert trt.flags == 2 and trt.shapes["x"] == SHAPES["x"]
    assert engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt) == b"plan" and trt.builds == 1
    engine_for(b"other", SHAPES, "fp16", CARD, tmp_path, trt)
    assert trt.builds == 2 and trt.timings == [b"", b"measured"]
    assert len(list(tmp_path.glob("*.engine"))) == 2 and len(list(tmp_path.glob("*.timings"))) == 1


def test_graphs_that_cannot_be_read_or_built_are_named(trt, tmp_path):
    trt.readable = False
    with pytest.raises(ArtefactError, match="no such operator"):
        engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt)
    trt.readable, trt.buildable = True, False
    with pytest.raises(ArtefactError, match="cannot build"):
        engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt)
    assert list(tmp_path.iterdir()) == []


def test_calls_are_set_up_then_recorded_then_replayed(trt, cuda, tmp_path):
    plan = engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt)
    network = DeviceNetwork(TensorRtGraph(plan, trt=trt, cuda=cuda), {}, buckets=(1, 4), capacity=5)
    for turn in range(4):
        for count in (1, 3):
            x = np.arange(3 * count, dtype=np.float32).reshape(count, 3) + turn
            np.testing.assert_array_equal(network.run_many({"x": x}, [])[0]["y"], 2 * x)
    assert cuda.log.count("replay") == 6 and cuda.log.count("destroy") == 2
    assert cuda.log.count(2) == 8, "one copy back to the host a launch"
    del network
    gc.collect()
    assert cuda.memory == {}


def test_calls_compute_in_one_memory_and_their_tensors_are_the_engines(trt, cuda):
    trt.shapes["x"] = SHAPES["x"]
    graph = TensorRtGraph(b"plan", trt=trt, cuda=cuda)
    calls = [{name: graph.buffer((batch, 3), "float32") for name in "xy"} for batch in (1, 8)]
    for number, call in enumerate(calls):
        graph.execute({"x": call["x"]}, {"y": call["y"]}, number)
    assert graph._contexts[0].scratch is graph._contexts[1].scratch
    with pytest.raises(MienError, match="no z"):
        graph.execute({"x": calls[0]["x"]}, {"z": calls[0]["y"]}, 2)


def test_a_batch_beyond_the_profile_is_refused(trt, cuda, tmp_path):
    plan = engine_for(b"graph", SHAPES, "fp16", CARD, tmp_path, trt)
    network = DeviceNetwork(TensorRtGraph(plan, trt=trt, cuda=cuda), {}, buckets=(16,), capacity=17)
    with pytest.raises(MienError, match="build it for that batch"):
        network.run_many({"x": np.zeros((9, 3), np.float32)}, [])


def test_an_engine_of_another_version_is_refused(trt, cuda):
    trt.loadable = False
    with pytest.raises(ArtefactError, match="empty the engine cache"):
        TensorRtGraph(b"old", trt=trt, cuda=cuda)


def test_a_card_that_refuses_is_quoted(trt, cuda):
    graph = TensorRtGraph(b"plan", trt=trt, cuda=cuda)
    cuda.fails = 2
    with pytest.raises(MienError, match="out of memory"):
        graph.buffer((1, 3), "float32")


@pytest.mark.parametrize(("load", "name"), [(load_tensorrt, "tensorrt"), (load_cuda, "cuda")])
def test_a_library_that_is_missing_is_named(monkeypatch, load, name):
    real = builtins.__import__

    def blocked(module, *arguments, **options):
        if module.split(".")[0] == name:
            raise ImportError(module)
        return real(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[gpu\]'"):
        load()
