import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are read with onnx, which is not installed")
pytest.importorskip("torch", reason="graphs are exported with torch, which is not installed")

from engine.artefacts.bundle import load_bundle  # noqa: E402
from engine.artefacts.picture_network import PATTERNS_SHAPE  # noqa: E402
from engine.backends.float_graph import to_floats  # noqa: E402
from engine.backends.frame_graph import frame_graph  # noqa: E402
from engine.backends.slotted import slotted  # noqa: E402
from engine.errors import ArtefactError  # noqa: E402
from export.device_export import DeviceSettings, device_graphs  # noqa: E402
from export.operators import check_readable, tensorrt_operators, unreadable  # noqa: E402
from export.renderer import Paper, export_generator, picture_network  # noqa: E402
from models.generator import PaperGenerator  # noqa: E402
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


def narrow_paper():
    """The paper's layers with few channels each."""
    exported = export_generator(Paper(PaperGenerator(channels=(8,) * 8)))
    return picture_network("paper", exported, np.zeros(PATTERNS_SHAPE, np.uint8))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("preset", ["lite", "paper", "warp"])
def test_all_that_ships_is_for_cards(preset, precision):
    """The bundle's own networks, and what a preset has that it does not hold: checked, all shapes inferred."""
    bundle = load_bundle()
    network = narrow_paper() if preset == "paper" and preset not in bundle.renderers else None
    graphs = device_graphs(bundle, DeviceSettings(preset=preset, precision=precision), network)
    for name, graph in graphs.items():
        assert unreadable(read(graph), types=precision != "bf16") == [], name


def test_bytes_are_taken_and_made_by_casts_at_the_ends_alone():
    """All else TensorRT's parser refuses, be it a Reshape."""
    casts = onnx.helper.make_node
    for nodes, problem in (
        ([casts("Cast", ["x"], ["b"], to=2), casts("Cast", ["b"], ["f"], to=1)], "Cast on bytes"),
        ([casts("Cast", ["x"], ["b"], to=2), casts("Identity", ["b"], ["out"])], "Identity on bytes"),
        ([casts("Transpose", ["in"], ["t"], perm=[1, 0]), casts("Cast", ["t"], ["f"], to=1)], "Transpose on bytes"),
        ([casts("Cast", ["in"], ["f"], to=1), casts("Cast", ["x"], ["out"], to=2)], None),
    ):
        model = read(tiny_step())
        model.graph.node.extend(nodes)
        model.graph.input.append(onnx.helper.make_tensor_value_info("in", 2, ["batch", 4]))
        if any("out" in node.output for node in nodes):
            model.graph.output.append(onnx.helper.make_tensor_value_info("out", 2, ["batch", 4]))
        found = unreadable(model)
        assert (found == []) if problem is None else problem in found


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
