import numpy as np
import pytest

from engine.errors import ConfigError
from engine.stages.motion import Motion
from tests.fake_networks import FakeMotion

MEAN = np.linspace(-1, 1, 123, dtype=np.float32)


def make(lookahead: int, network: FakeMotion | None = None) -> Motion:
    return Motion(network or FakeMotion(), mean=MEAN, scale=0.5, lookahead_frames=lookahead, max_lookahead_frames=18)


@pytest.mark.parametrize("lookahead", [0, 3, 18])
def test_motion_comes_after_the_lookahead_and_in_fu(lookahead):
    network = FakeMotion()
    stage = make(lookahead, network)
    features = np.random.default_rng(0).standard_normal((25, 2, 512)).astype(np.float32)
    state, moves = stage.init_state(), []
    raw_state = network.init_state()
    for number, pair in enumerate(features):
        y, state = stage.step(pair, state)
        told = {"features": pair.reshape(1, 1, -1), "lookahead": np.array([lookahead])}
        raw, raw_state = network.run(told, raw_state)
        assert len(y) == (0 if number < lookahead else 1) and y.shape[1:] == (41, 3) and y.dtype == np.float32
        if len(y):
            np.testing.assert_array_equal(y.ravel(), raw["displacement"].ravel() * np.float32(0.5) + MEAN)
        moves.extend(y)
    assert len(moves) == 25 - lookahead
    assert network.lookaheads == {lookahead}
    assert stage.lookahead_ticks == 800 * lookahead
    assert stage.flush(state).shape == (0, 41, 3)


@pytest.mark.parametrize("lookahead", [-1, 19])
def test_lookahead_out_of_range_is_refused(lookahead):
    with pytest.raises(ConfigError, match="0 to 18"):
        make(lookahead)
