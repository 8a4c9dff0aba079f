import numpy as np

from engine.renderer.inverse import as_pairs, as_points, invert
from engine.renderer.pixels import remap

Y, X = np.mgrid[:64, :60].astype(np.float32)
NODES = X + 1j * Y


def bump(height):
    return (height * (0.6 + 1j) * np.exp(-(np.abs(NODES - (30 + 32j)) ** 2) / 100)).astype(np.complex64)


def test_going_back_and_forth_is_standing_still():
    forward = bump(3.5)
    x = invert(forward, NODES)
    assert np.abs(x + as_points(remap(as_pairs(forward), as_pairs(x))) - NODES).max() < 0.02


def test_any_points_can_be_turned_round():
    forward = bump(3.5)
    rng = np.random.default_rng(2)
    targets = (rng.uniform(5, 55, (8, 16)) + 1j * rng.uniform(5, 55, (8, 16))).astype(np.complex64)
    x = invert(forward, targets)
    assert np.abs(x + as_points(remap(as_pairs(forward), as_pairs(x))) - targets).max() < 0.05


def test_what_is_known_at_the_targets_need_not_be_looked_up():
    forward = bump(2.0)
    assert np.abs(invert(forward, NODES, forward) - invert(forward, NODES)).max() < 1e-4


def test_no_motion_has_no_inverse_motion():
    assert np.array_equal(invert(np.zeros((64, 60), np.complex64), NODES), NODES)


def test_a_fold_gives_points_in_reach():
    x = invert(bump(40.0), NODES)
    assert np.isfinite(x).all()
    assert np.abs(x - NODES).max() < 60
