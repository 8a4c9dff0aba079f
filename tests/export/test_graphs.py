import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from export.graphs import compress, graph_spec, to_onnx  # noqa: E402
from models.apc import ApcEncoder  # noqa: E402
from models.headpose import HeadPoseNet  # noqa: E402
from models.motion import MotionGenerator  # noqa: E402


@pytest.fixture(scope="module", params=[ApcEncoder, MotionGenerator, HeadPoseNet])
def exported(request):
    torch.manual_seed(0)
    module = request.param()
    return module, to_onnx(module)


def test_ends_are_named_and_shaped_as_specified(exported):
    module, model = exported
    spec = graph_spec(module)

    def shapes(values):
        return {
            value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim) for value in values
        }

    states = spec.state.items()
    assert shapes(model.graph.input) == {**spec.inputs, **{f"state.{k}": v for k, v in states}}
    assert shapes(model.graph.output) == {**spec.outputs, **{f"next.{k}": v for k, v in states}}


def test_export_leaves_the_module_in_its_mode():
    module = MotionGenerator().train()
    to_onnx(module)
    assert module.training


@pytest.mark.parametrize(("precision", "share"), [("fp32", 1.0), ("fp16", 0.52), ("int8", 0.28)])
def test_compressed_weights_are_smaller(exported, precision, share):
    _, model = exported
    before = model.ByteSize()
    assert compress(model, precision).ByteSize() <= share * before
    assert model.ByteSize() == before


def test_int8_error_is_within_half_a_step_of_each_output():
    """Decoded int8 weights against the originals, read from the graph itself."""
    from onnx import numpy_helper

    torch.manual_seed(0)
    model = to_onnx(ApcEncoder())
    small = compress(model, "int8")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in small.graph.initializer}
    checked = 0
    for tensor in model.graph.initializer:
        if f"{tensor.name}.stored" not in stored:
            continue
        weight, scale = numpy_helper.to_array(tensor), stored[f"{tensor.name}.scale"]
        assert scale.shape == (1, weight.shape[1], 1)
        decoded = stored[f"{tensor.name}.stored"].astype(np.float32) * scale
        assert (np.abs(decoded - weight) <= 0.5001 * scale).all()
        checked += 1
    assert checked == 6


def test_unknown_module_is_refused():
    with pytest.raises(TypeError, match="Linear"):
        graph_spec(torch.nn.Linear(1, 1))
