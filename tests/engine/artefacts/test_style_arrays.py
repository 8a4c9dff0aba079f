import io

import numpy as np
import pytest

from engine.artefacts.style_arrays import FactoredChange, StyleArrays, pack_arrays, unpack_arrays
from engine.errors import ArtefactError

RNG = np.random.default_rng(0)


def arrays() -> StyleArrays:
    left, right = (RNG.standard_normal(shape).astype(np.float32) for shape in ((40, 3), (3, 30)))
    changes = {
        "motion": (FactoredChange("a", left, right, 0.01), FactoredChange("b", None, np.arange(5, dtype=np.float32))),
        "headpose": (FactoredChange("c", None, np.ones((2, 3), np.float32)),),
    }
    rest = 0.1 * RNG.standard_normal((68, 3)).astype(np.float32)
    return StyleArrays(changes, rest, RNG.standard_normal((4, 68, 3)).astype(np.float32))


def test_round_trip_up_to_rounding():
    before = arrays()
    after = unpack_arrays(pack_arrays(before))
    for network, changes in before.changes.items():
        for one, other in zip(changes, after.changes[network], strict=True):
            exact, found = one.change(), other.change()
            assert exact.tensor == found.tensor and found.activation == (
                None if exact.activation is None else pytest.approx(exact.activation)
            )
            assert np.abs(exact.delta - found.delta).max() < 0.02 * np.abs(exact.delta).max()
    np.testing.assert_allclose(after.rest, before.rest, atol=1e-3)
    np.testing.assert_array_equal(after.reference_landmarks, before.reference_landmarks)


def changed(**parts) -> bytes:
    data = dict(np.load(io.BytesIO(pack_arrays(arrays()))))
    data |= parts
    stored = io.BytesIO()
    np.savez(stored, **{name: value for name, value in data.items() if value is not None})
    return stored.getvalue()


@pytest.mark.parametrize(
    "parts",
    [
        {"rest": np.zeros((67, 3))},
        {"rest": np.full((68, 3), np.nan)},
        {"rest": np.full((68, 3), 5.0)},
        {"references": np.zeros((4, 68, 2))},
        {"rest": None},
        {"motion.0.left": np.zeros((40, 2), np.int8)},
        {"motion.0.left": None},
        {"motion.0.left_scale": np.full((1, 3), np.inf)},
        {"motion.activations": np.array([-1.0, np.nan])},
        {"motion.activations": np.zeros(1)},
        {"motion.names": np.array([1, 2])},
        {"headpose.0.dense": np.full((2, 3), np.nan)},
    ],
)
def test_damaged_arrays_are_refused(parts):
    with pytest.raises(ArtefactError, match="damaged"):
        unpack_arrays(changed(**parts))


def test_what_unpacks_to_too_much_is_refused():
    stored = io.BytesIO()
    np.savez_compressed(stored, rest=np.zeros(5_000_000))
    with pytest.raises(ArtefactError, match="too large"):
        unpack_arrays(stored.getvalue())
