import numpy as np
import pytest

pytest.importorskip("scipy")

from models.spec import MOTION_DIM
from training.style_target import MOUTH_COLUMNS, band_gains, learn_map, mouth_map, seen_mouth, transport

RNG = np.random.default_rng(0)
LOWER = [3 * (point - 27) + 1 for point in (65, 66, 67)]
UPPER = [3 * (point - 27) + 1 for point in (61, 62, 63)]
CORNERS = [3 * (point - 27) for point in (48, 54)]


def mouth(frames: int, opening: float, widening: float, hz: float = 3.0) -> np.ndarray:
    """Lips that open and corners that move, at one rhythm; displacements (n, 123)."""
    time, motion = np.arange(frames) / 60, 1e-4 * RNG.standard_normal((frames, MOTION_DIM))
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * hz * time)
    motion[:, LOWER] += opening * beat[:, None]
    motion[:, CORNERS] += widening * np.sin(2 * np.pi * 0.7 * time)[:, None] * [-1, 1]
    return motion.astype(np.float32)


def gap(motion: np.ndarray) -> np.ndarray:
    return (motion[:, LOWER] - motion[:, UPPER]).mean(1)


def test_transport_of_one_dimension_is_a_ratio():
    base, reference = RNG.standard_normal((400, 1)), 2 * RNG.standard_normal((500, 1))
    ratio = np.sqrt(np.mean(reference**2) / np.mean(base**2))
    assert transport(base, reference) == pytest.approx(np.array([[ratio]]), rel=1e-3)


def test_transport_brings_second_moments_over_and_moves_the_least():
    base = RNG.standard_normal((4000, 3)) @ np.diag([1.0, 0.8, 0.6])
    turn = np.array([[0.9, 0.3, 0], [-0.3, 0.9, 0], [0, 0, 1.2]])
    reference = RNG.standard_normal((4000, 3)) @ turn
    matrix = transport(base, reference)
    moved = base @ matrix.T
    np.testing.assert_allclose(moved.T @ moved / 4000, reference.T @ reference / 4000, atol=0.03)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(transport(base, base), np.eye(3), atol=1e-9)


def test_noise_is_not_blown_up():
    base = np.column_stack([RNG.standard_normal(500), 1e-6 * RNG.standard_normal(500)])
    reference = RNG.standard_normal((500, 2))
    assert np.linalg.eigvalsh(transport(base, reference)).max() <= 3.0 + 1e-9


def test_a_wider_mouth_is_learned():
    base, reference = mouth(1200, 0.10, 0.02), mouth(900, 0.20, 0.02)
    style = learn_map(base, reference, np.zeros((900, 10, 3)), np.zeros((204, MOTION_DIM), np.float32))
    moved = style.apply(base, rhythm=False)
    assert np.ptp(gap(moved)) == pytest.approx(0.20, rel=0.1)
    assert np.corrcoef(gap(moved), gap(base))[0, 1] > 0.98, "what opened the mouth still opens it"
    nose = slice(0, 27)
    np.testing.assert_allclose(moved[:, nose], base[:, nose], atol=1e-7)


def test_rhythm_moves_energy_between_bands_and_nothing_in_time():
    slow, fast = mouth(1200, 0.1, 0.0, hz=1.2), mouth(1200, 0.1, 0.0, hz=5.0)
    both = (0.7 * slow + 0.3 * fast).astype(np.float32)
    wanted = (0.3 * slow + 0.7 * fast).astype(np.float32)
    style = learn_map(both, wanted, np.zeros((1200, 10, 3)), np.zeros((204, MOTION_DIM), np.float32))
    plain, shaped = style.apply(both, rhythm=False), style.apply(both)

    def energy(motion: np.ndarray, low: float, high: float) -> float:
        power = np.abs(np.fft.rfft(gap(motion) - gap(motion).mean())) ** 2
        hertz = np.fft.rfftfreq(len(motion), 1 / 60)
        return float(power[(hertz > low) & (hertz < high)].sum() / power.sum())

    assert energy(shaped, 4.5, 5.5) > 1.5 * energy(plain, 4.5, 5.5)
    lags = [np.corrcoef(gap(shaped)[5 + k : 1100 + k], gap(plain)[5:1100])[0, 1] for k in range(-5, 6)]
    assert int(np.argmax(lags)) == 5


def test_equal_rhythms_have_no_gains():
    motion = mouth(600, 0.1, 0.05)[:, MOUTH_COLUMNS][:, :3].astype(np.float64) + RNG.standard_normal((600, 3))
    np.testing.assert_allclose(band_gains(motion, 3 * motion), 1, atol=1e-9)


def test_a_mouth_gets_the_spread_and_the_shape_and_lips_still_meet():
    wanted = mouth(900, 0.2, 0.02)
    wanted[:, CORNERS] += np.float32(0.06) * np.array([-1, 1], np.float32)
    made = mouth(1200, 0.12, 0.02)
    made[:, LOWER] += np.float32(0.03)
    matrix, offset = mouth_map(made, wanted)
    moved = made @ matrix.T + offset
    assert np.ptp(gap(moved)) == pytest.approx(0.2, rel=0.1)
    assert np.percentile(gap(moved), 3) < 0.006
    np.testing.assert_allclose(moved[:, CORNERS].mean(0), wanted[:, CORNERS].mean(0), atol=0.003)


def test_lips_that_never_meet_in_the_reference_need_not():
    wanted = mouth(900, 0.1, 0.02)
    wanted[:, LOWER] += np.float32(0.05)
    made = mouth(1200, 0.1, 0.02)
    matrix, offset = mouth_map(made, wanted)
    assert gap(made @ matrix.T + offset).min() == pytest.approx(0.05, abs=0.01)


def test_guessed_depth_is_replaced_by_that_of_the_shape():
    base = mouth(600, 0.1, 0.03)
    depth = np.arange(MOUTH_COLUMNS.start + 2, MOUTH_COLUMNS.stop, 3)
    base[:, depth] = 0.5 * gap(base)[:, None]
    seen = mouth(300, 0.2, 0.03)
    seen[:, depth] = RNG.standard_normal((300, len(depth)))
    found = seen_mouth(seen, base)
    np.testing.assert_allclose(found[:, depth].mean(1), 0.5 * gap(seen), atol=0.01)
    np.testing.assert_allclose(gap(found), gap(seen), atol=1e-3)


def test_a_measured_mouth_stays_crooked_but_does_not_go_from_side_to_side():
    seen, across = mouth(300, 0.2, 0.03), np.arange(MOUTH_COLUMNS.start, MOUTH_COLUMNS.stop, 3)
    crooked = seen.copy()
    crooked[:, across] += np.float32(0.01) + 0.02 * np.sin(np.arange(300) / 7)[:, None].astype(np.float32)
    base = mouth(600, 0.1, 0.03)
    plain, found = (seen_mouth(each, base)[:, across] for each in (seen, crooked))
    np.testing.assert_allclose(found.mean(0), crooked[:, across].mean(0), atol=1e-6)
    np.testing.assert_allclose(np.diff(found, axis=0), np.diff(plain, axis=0), atol=1e-6)
