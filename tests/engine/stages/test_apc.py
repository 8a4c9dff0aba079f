import numpy as np

from engine.stages.apc import Apc
from tests.fake_networks import FakeApc


def test_state_carries_what_was_heard():
    stage = Apc(FakeApc())
    mel = np.random.default_rng(0).random((6, 80)).astype(np.float32)
    state, features = stage.init_state(), []
    for pair in mel.reshape(3, 2, 80):
        y, state = stage.step(pair, state)
        assert y.shape == (2, 512) and y.dtype == np.float32
        features.append(y)
    whole, _ = FakeApc().run({"mel": mel[None]}, FakeApc().init_state())
    np.testing.assert_array_equal(np.concatenate(features), whole["features"][0])
    again, _ = stage.step(mel[:2], stage.init_state())
    np.testing.assert_array_equal(again, features[0])
    assert stage.flush(state).shape == (0, 512)
