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


def moves(stage: Motion, features: np.ndarray) -> np.ndarray:
    """All motion of a stream, (frames, 123) in the network's units."""
    state, seen = stage.init_state(), []
    for pair in features:
        y, state = stage.step(pair, state)
        seen.extend(y)
    return (np.array(seen).reshape(-1, 123) - MEAN) / 0.5


def heard(lookahead: int, smoothing: float) -> tuple[Motion, FakeMotion]:
    network = FakeMotion()
    options = {"lookahead_frames": lookahead, "heard_frames": 4, "smoothing_frames": smoothing}
    return Motion(network, mean=MEAN, scale=0.5, max_lookahead_frames=18, **options), network


@pytest.mark.parametrize("lookahead", [2, 4, 9])
def test_the_network_is_asked_for_no_more_than_it_speaks_best_with_and_nothing_shifts(lookahead):
    features = np.random.default_rng(0).standard_normal((40, 2, 512)).astype(np.float32)
    stage, network = heard(lookahead, 0.0)
    seen = moves(stage, features)
    asked = min(lookahead, 4)
    assert network.lookaheads == {asked} and stage.lookahead_ticks == 800 * lookahead
    np.testing.assert_allclose(seen, moves(make(asked), features)[: 40 - lookahead], atol=1e-6)


def test_what_is_left_of_the_lookahead_smooths_about_each_frame():
    """Weights e^(-k^2 / 2 s^2) of the neighbours on both sides: with s = 1.2, and room for two."""
    features = np.random.default_rng(1).standard_normal((40, 2, 512)).astype(np.float32)
    plain, seen = moves(make(4), features), moves(heard(6, 1.2)[0], features)
    weights = np.exp(-np.array([4, 1, 0, 1, 4]) / (2 * 1.2**2))
    expected = [weights @ plain[n - 2 : n + 3] / weights.sum() for n in range(2, 30)]
    np.testing.assert_allclose(seen[2:30], expected, atol=1e-5)
    # Before the stream's first frame there is that frame again.
    first = weights @ plain[[0, 0, 0, 1, 2]] / weights.sum()
    np.testing.assert_allclose(seen[0], first, atol=1e-5)
