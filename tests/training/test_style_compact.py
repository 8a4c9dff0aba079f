import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.style_compact import DENSE_ELEMENTS, factored, projected  # noqa: E402

RNG = np.random.default_rng(0)


def test_what_a_style_can_hold_is_of_low_rank():
    left, right = (RNG.standard_normal(shape).astype(np.float32) for shape in ((300, 2), (2, 200)))
    one, other = factored(left @ right, 2)
    np.testing.assert_allclose(one @ other, left @ right, atol=1e-4)
    base = {"large": torch.zeros(300, 200), "small": torch.zeros(20, 20), "bias": torch.zeros(5)}
    tuned = {name: torch.randn(value.shape) for name, value in base.items()}
    kept = projected(base, tuned, rank=3)
    assert 300 * 200 > DENSE_ELEMENTS and torch.linalg.matrix_rank(kept["large"]) == 3
    assert torch.equal(kept["small"], tuned["small"]) and torch.equal(kept["bias"], tuned["bias"])
