import numpy as np
import pytest

from training.style_sync import Sync, measure_sync


def test_sync_is_found_with_its_lag():
    curve = np.cumsum(np.random.default_rng(0).standard_normal(600)).astype(np.float32)
    late = measure_sync(curve[6:], curve[:-6])
    assert late.r > 0.99 and late.lag_s == pytest.approx(0.1) and late.holds
    assert not Sync(0.9, 0.3).holds and not Sync(0.1, 0.0).holds
    assert measure_sync(curve, np.zeros(600, np.float32)).r == 0
