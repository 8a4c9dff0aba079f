import numpy as np
import pytest

from engine.stages.manifold import Manifold


def make(bank: np.ndarray, strength: float = 1.0, neighbours: int = 10) -> Manifold:
    return Manifold(bank, neighbours=neighbours, strength=strength, regularisation=1e-3)


@pytest.fixture
def bank() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((200, 512)).astype(np.float32)


@pytest.fixture
def queries(bank) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal((2, 512))
    return (bank[[3, 150]] + 0.3 * noise).astype(np.float32)


def test_neighbours_are_the_nearest_and_weights_sum_to_one(bank, queries):
    neighbours, weights = make(bank).weights(queries)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    for query, found in zip(queries, neighbours, strict=True):
        distances = np.square(bank.astype(float) - query).sum(axis=1)
        assert set(found) == set(np.argsort(distances)[:10])


def test_weights_minimise_the_regularised_error(bank, queries):
    """Against the constrained least squares solved by its Lagrangian in float64."""
    neighbours, weights = make(bank).weights(queries)
    for query, found, weight in zip(queries, neighbours, weights, strict=True):
        offsets = bank[found].astype(float) - query
        gram = offsets @ offsets.T
        gram += 1e-3 * np.trace(gram) * np.eye(10)
        system = np.block([[2 * gram, np.ones((10, 1))], [np.ones((1, 10)), np.zeros((1, 1))]])
        expected = np.linalg.solve(system, np.r_[np.zeros(10), 1])[:10]
        np.testing.assert_allclose(weight, expected, atol=1e-4)


def test_a_feature_of_the_bank_comes_back(bank):
    projected, _ = make(bank).step(bank[:2], make(bank).init_state())
    strayed = np.linalg.norm(projected - bank[:2], axis=1)
    assert (strayed < 0.03 * np.linalg.norm(bank[:2] - bank[2:4], axis=1)).all()


def test_points_of_the_neighbours_plane_come_back():
    """A bank on a plane: what lies on it is kept, what stands off it falls onto it."""
    rng = np.random.default_rng(2)
    axes = np.linalg.qr(rng.standard_normal((512, 3)))[0].T.astype(np.float32)
    bank = rng.uniform(-1, 1, (400, 2)).astype(np.float32) @ axes[:2]
    inside = np.array([[0.1, -0.2], [0.3, 0.4]], np.float32) @ axes[:2]
    stage = make(bank)
    projected, _ = stage.step(inside + 0.5 * axes[2], stage.init_state())
    np.testing.assert_allclose(projected @ axes[2], 0, atol=1e-5)
    np.testing.assert_allclose(projected, inside, atol=0.05)


def test_strength_blends(bank, queries):
    state = make(bank).init_state()
    full, _ = make(bank, 1.0).step(queries, state)
    half, _ = make(bank, 0.5).step(queries, state)
    none, _ = make(bank, 0.0).step(queries, state)
    assert np.abs(full - queries).max() > 0.1
    np.testing.assert_allclose(half, (full + queries) / 2, atol=1e-5)
    np.testing.assert_array_equal(none, queries)


def test_queries_do_not_touch_each_other(bank, queries):
    stage = make(bank)
    both, state = stage.step(queries, stage.init_state())
    alone, _ = stage.step(queries[1:], state)
    np.testing.assert_array_equal(both[1:], alone)
    assert both.dtype == np.float32 and stage.flush(state).shape == (0, 512)


def test_equal_neighbours_are_no_trouble():
    bank = np.ones((20, 512), np.float32)
    stage = make(bank)
    for query in (np.ones((1, 512), np.float32), np.zeros((1, 512), np.float32)):
        projected, _ = stage.step(query, stage.init_state())
        np.testing.assert_allclose(projected, 1, atol=1e-4)


@pytest.mark.parametrize("rank", [8, 100, 512])
def test_coarse_search_is_exact(rank, monkeypatch):
    """Real features fill few dimensions, where the short search is enough; where it is not, all is searched."""
    rng = np.random.default_rng(rank)
    axes = np.linalg.qr(rng.standard_normal((512, rank)))[0].T * 0.8 ** np.arange(rank)[:, None]
    bank = (rng.standard_normal((500, rank)) @ axes + 0.2 + 1e-4 * rng.standard_normal((500, 512))).astype(np.float32)
    queries = (bank[:40] + 0.05 * rng.standard_normal((40, rank)) @ axes).astype(np.float32)
    stage = make(bank)
    if rank < 512:
        monkeypatch.setattr(stage, "_nearest_of_all", lambda _: pytest.fail("the short search was not enough"))
    neighbours, _ = stage.weights(queries)
    for query, found in zip(queries, neighbours, strict=True):
        distances = np.square(bank.astype(float) - query).sum(axis=1)
        assert set(found) == set(np.argsort(distances)[:10])


def test_isotropic_bank_falls_back_to_the_whole(bank, queries, monkeypatch):
    stage, calls = make(bank), []
    whole = stage._nearest_of_all
    monkeypatch.setattr(stage, "_nearest_of_all", lambda query: calls.append(1) or whole(query))
    stage.weights(queries)
    assert len(calls) == 2
