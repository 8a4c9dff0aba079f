import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are read with onnx, which is not installed")

from engine.backends.float_graph import to_floats  # noqa: E402
from engine.backends.frame_graph import frame_graph  # noqa: E402
from engine.backends.slotted import slotted  # noqa: E402
from engine.errors import ArtefactError  # noqa: E402
from export.operators import check_readable, tensorrt_operators, unreadable  # noqa: E402
from tests.engine.backends.tiny_graphs import STATES, STATICS, tiny_step  # noqa: E402


def read(graph):
    return onnx.ModelProto.FromString(graph)


def test_the_list_knows_what_is_there_and_what_is_not():
    known = tensorrt_operators()
    assert known.opset == 17 and len(known.supported) > 100
    assert {"Conv", "GridSample", "ScatterND", "GRU", "LSTM", "Resize"} <= set(known.supported)
    assert not {"MatMulInteger", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"} & set(known.supported)


@pytest.mark.parametrize("name", ["apc", "motion", "headpose"])
def test_the_bundles_graphs_are_for_processors_and_their_float_ones_for_cards(random_bundle, name):
    graph = random_bundle.graphs[name]
    assert "the operator MatMulInteger" in unreadable(read(graph))
    with pytest.raises(ArtefactError, match=r"cannot read apc: .*MatMulInteger"):
        check_readable(read(graph), "apc")
    states = {state: shape.index("batch") for state, shape in random_bundle.manifest.networks[name].state.items()}
    check_readable(read(slotted(to_floats(graph), states)), name)


@pytest.mark.parametrize("layout", ["rgb", "nv12"])
def test_the_frames_graph_is_for_cards(layout):
    check_readable(read(frame_graph(None, 256, (1, 1, 1), layout)), "frame")


def test_banks_are_for_cards():
    check_readable(read(slotted(tiny_step(), STATES, STATICS)), "tiny")


def broken(kind, inputs, constants=(), **attributes):
    """The tiny step with one more node in it."""
    model = read(tiny_step())
    model.graph.node.append(onnx.helper.make_node(kind, inputs, ["extra"], **attributes))
    for name, array in constants:
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return unreadable(model)


@pytest.mark.parametrize(
    ("kind", "inputs", "constants", "attributes", "problem"),
    [
        ("IsInf", ["x"], (), {}, "operator IsInf"),
        ("QuantizeLinear", ["x", "s", "z"], (("s", np.float32(1)), ("z", np.uint8(128))), {}, "zero is not at int8 0"),
        (
            "Resize",
            ["x4", "", "r"],
            (("r", np.ones(4, np.float32)), ("x4", np.ones((1, 1, 4, 4), np.float32))),
            {"mode": "cubic"},
            "neither nearest nor linear",
        ),
        ("Not", ["flags"], (("flags", np.zeros(2, bool)),), {}, None),
        ("Acos", ["wide"], (("wide", np.zeros(2, np.float64)),), {}, "Acos on DOUBLE"),
    ],
)
def test_what_is_lacking_is_named(kind, inputs, constants, attributes, problem):
    named = [(name, np.asarray(value)) for name, value in constants]
    found = broken(kind, inputs, named, **attributes)
    assert (found == []) if problem is None else any(problem in each for each in found)


def test_newer_opsets_and_broken_graphs_are_refused():
    model = read(tiny_step())
    model.opset_import[0].version = 20
    assert any("opset 20" in each for each in unreadable(model))
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ArtefactError, match="no sound ONNX graph"):
        unreadable(model)
