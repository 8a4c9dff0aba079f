import numpy as np
import pytest

from engine.artefacts.graph_weights import Change, apply_changes, stored_tensors, weight
from engine.errors import ArtefactError

onnx = pytest.importorskip("onnx", reason="the graphs of these tests are written with onnx, which is not installed")

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((5, 3)).astype(np.float32)
LEFT_SCALE = np.float32(0.02)


def graph() -> bytes:
    """An integer product, a float16 and a float32 weight, as the bundle stores them."""
    scales = np.abs(MATRIX).max(0) / np.float32(127)
    tensors = {
        "m.u8": (np.rint(MATRIX / scales) + 128).astype(np.uint8),
        "x.m.scale": scales * LEFT_SCALE,
        "x.scale": LEFT_SCALE,
        "half.stored": np.arange(4, dtype=np.float16).reshape(2, 2),
        "plain": np.arange(3, dtype=np.float32),
        "count": np.array([7], np.int64),
    }
    made = onnx.helper.make_graph(
        [], "g", [], [], [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()]
    )
    return bytes(onnx.helper.make_model(made).SerializeToString())


def parsed(data: bytes) -> dict[str, np.ndarray]:
    model = onnx.ModelProto.FromString(data)
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_every_initialiser_is_found_where_onnx_has_it():
    data = graph()
    for name, stored in stored_tensors(data).items():
        array = parsed(data)[name]
        assert (stored.shape, stored.dtype) == (array.shape, array.dtype)
        assert data[stored.start : stored.start + stored.size] == array.tobytes()


def test_weights_are_read_however_they_are_stored():
    data = graph()
    tensors = stored_tensors(data)
    np.testing.assert_allclose(weight(data, tensors, "m"), MATRIX, atol=0.5 * np.abs(MATRIX).max() / 127)
    np.testing.assert_array_equal(weight(data, tensors, "half"), np.arange(4).reshape(2, 2))
    np.testing.assert_array_equal(weight(data, tensors, "plain"), np.arange(3))


def test_changes_are_added_and_nothing_else_is_touched():
    data, delta = graph(), 0.3 * RNG.standard_normal((5, 3)).astype(np.float32)
    changed = apply_changes(
        data,
        [
            Change("m", delta),
            Change("half", np.full((2, 2), 0.5, np.float32)),
            Change("plain", np.full(3, -1, np.float32)),
        ],
    )
    tensors = stored_tensors(changed)
    wanted = weight(data, stored_tensors(data), "m") + delta
    assert len(changed) == len(data)
    np.testing.assert_allclose(weight(changed, tensors, "m"), wanted, atol=0.51 * np.abs(wanted).max() / 127)
    np.testing.assert_array_equal(parsed(changed)["half.stored"], np.arange(4).reshape(2, 2) + 0.5)
    np.testing.assert_array_equal(parsed(changed)["plain"], np.arange(3) - 1)
    assert parsed(changed)["count"] == 7 and parsed(changed)["x.scale"] == LEFT_SCALE


def test_a_larger_activation_scale_keeps_the_product():
    data = graph()
    changed = parsed(apply_changes(data, [Change("m", np.zeros((5, 3), np.float32), activation=0.05)]))
    assert changed["x.scale"] == np.float32(0.05)
    # What an integer of the left side and one of the weight stand for, together.
    before = parsed(data)
    np.testing.assert_allclose(changed["x.m.scale"] / 0.05, before["x.m.scale"] / LEFT_SCALE, rtol=1e-5)


@pytest.mark.parametrize("name", ["nowhere", "count", "m.u8"])
def test_what_cannot_be_changed_is_refused(name):
    with pytest.raises(ArtefactError, match="no weight"):
        apply_changes(graph(), [Change(name, np.zeros(3, np.float32))])


def test_other_shapes_are_refused():
    with pytest.raises(ArtefactError, match=r"\(5, 3\) in this bundle"):
        apply_changes(graph(), [Change("m", np.zeros((3, 5), np.float32))])


@pytest.mark.parametrize("data", [b"\xff" * 40, b"\x3a\x7f", b"\x3b", graph()[:-9]])
def test_bytes_of_something_else_are_refused(data):
    with pytest.raises(ArtefactError):
        stored_tensors(data)
