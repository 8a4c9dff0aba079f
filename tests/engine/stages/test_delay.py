import numpy as np
import pytest

from engine.stages.delay import Delay


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_gives_each_vector_back_later(frames):
    delay = Delay(frames, 3)
    state, out = delay.init_state(), []
    vectors = np.arange(36, dtype=np.float32).reshape(12, 3) + 1
    for vector in vectors:
        y, state = delay.step(vector, state)
        out.append(y)
    np.testing.assert_array_equal(out, np.concatenate([np.zeros((frames, 3)), vectors[: 12 - frames]]))
    np.testing.assert_array_equal(delay.flush(state), vectors[12 - frames :])
