import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are written with onnx, which is not installed")

from engine.backends.half_graph import to_precision  # noqa: E402
from engine.errors import ConfigError  # noqa: E402
from tests.engine.backends.tiny_graphs import tiny_step  # noqa: E402


def read(precision="fp32", graph=None):
    return onnx.ModelProto.FromString(to_precision(graph or tiny_step(), precision))


@pytest.mark.parametrize(("half", "kind"), [("fp16", onnx.TensorProto.FLOAT16), ("bf16", onnx.TensorProto.BFLOAT16)])
def test_all_within_is_half_and_the_ends_are_not(half, kind):
    made = read(half)
    assert {tensor.data_type for tensor in made.graph.initializer} == {kind, onnx.TensorProto.INT64}
    ends = (*made.graph.input, *made.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {onnx.TensorProto.FLOAT}
    assert [value.name for value in made.graph.output] == ["y", "next.deep", "next.flat"]


def test_weights_are_rounded_to_the_nearest():
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in read().graph.initializer}
    for half, share in (("fp16", 2.0**-11), ("bf16", 2.0**-8)):
        for tensor in read(half).graph.initializer:
            ours = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            exact = weights[tensor.name]
            assert (np.abs(ours - exact) <= share * np.abs(exact) + 1e-9).all()


def test_what_does_not_fit_into_fp16_is_held_at_its_end():
    model = read()
    model.graph.initializer[3].CopyFrom(onnx.numpy_helper.from_array(np.array(1e9, np.float32), "half"))
    values = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in read("fp16", model.SerializeToString()).graph.initializer
    }
    assert values["half"] == 65504


def test_the_graph_still_runs():
    ort = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    feed = {
        "x": rng.standard_normal((2, 4), np.float32),
        "who_is_it": rng.standard_normal((2, 3), np.float32),
        "state.deep": rng.standard_normal((2, 2, 4), np.float32),
        "state.flat": rng.standard_normal((2, 4), np.float32),
    }
    results = []
    for model in (read(), read("fp16")):
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(["y"], feed)[0])
    assert 1e-6 < np.abs(results[0] - results[1]).max() < 0.05


def test_other_precisions_are_not_made_here():
    assert to_precision(tiny_step(), "fp32") == tiny_step()
    with pytest.raises(ConfigError, match="mien export"):
        to_precision(tiny_step(), "int8")


@pytest.mark.parametrize(("half", "kind"), [("fp16", onnx.TensorProto.FLOAT16), ("bf16", onnx.TensorProto.BFLOAT16)])
def test_steps_have_their_products_alone_in_half(half, kind):
    made = onnx.ModelProto.FromString(to_precision(tiny_step(), half, products_only=True))
    weights = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    products = [node for node in made.graph.node if node.op_type == "MatMul"]
    assert len(products) == 3 and all(weights[node.input[1]] == kind for node in products)
    assert weights["half"] == onnx.TensorProto.FLOAT and "w.x" not in weights
    inferred = onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert types["sum"] == types["kept"] == types["own"] == onnx.TensorProto.FLOAT
