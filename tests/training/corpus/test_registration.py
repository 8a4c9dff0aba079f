import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.spec import MOUTH
from training.corpus.registration import CAMERA_DISTANCE, register, umeyama


def template() -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.uniform([-1.0, -1.2, -0.5], [1.0, 1.0, 0.3], (68, 3))
    points[36], points[45] = (-0.5, -0.55, -0.9), (0.5, -0.55, -0.9)
    return points


def test_umeyama_finds_the_similarity() -> None:
    rotation = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    source = template()
    found = umeyama(source, 80.0 * source @ rotation.T + [200.0, 150.0, 5.0])
    assert found.scale == pytest.approx(80.0)
    assert found.rotation == pytest.approx(rotation, abs=1e-9)
    assert found.translation == pytest.approx([200.0, 150.0, 5.0])


def test_umeyama_never_mirrors_and_refuses_a_line() -> None:
    source = template()
    found = umeyama(source, source * [-1.0, 1.0, 1.0])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="line"):
        umeyama(np.outer(np.arange(5.0), [1.0, 2.0, 3.0]), source[:5])


def test_pose_is_factored_out_of_a_moving_talking_head() -> None:
    rng = np.random.default_rng(1)
    frames = 40
    neutral = template()
    motion = np.zeros((frames, 68, 3))
    # The mouth opens in a third of the frames, so that the median face is the one at rest.
    motion[::3, MOUTH, 1] = 0.2 * rng.random((len(range(0, frames, 3)), 1))
    vectors = 0.25 * np.sin(np.arange(frames)[:, None] * [0.3, 0.2, 0.1])
    scales = 90.0 * (1.0 + 0.1 * np.sin(np.arange(frames) * 0.4))
    shifts = 20.0 * np.sin(np.arange(frames)[:, None] * [0.15, 0.25, 0.0])
    rotations = Rotation.from_rotvec(vectors).as_matrix()
    measured = scales[:, None, None] * np.einsum("tij,tpj->tpi", rotations, neutral + motion) + shifts[:, None]
    found = register(measured, neutral)
    assert found.pose.shape == (frames, 6) and found.displacement.shape == (frames, 68, 3)
    assert found.pose.dtype == found.displacement.dtype == found.neutral.dtype == np.float32
    assert found.neutral == pytest.approx(neutral, abs=1e-3)
    assert found.displacement == pytest.approx(motion, abs=2e-3)
    assert found.pose[:, :3] == pytest.approx(vectors, abs=2e-3)
    usual = np.median(scales)
    sideways = shifts[:, :2] / usual
    assert found.pose[:, 3:5] == pytest.approx(sideways - np.median(sideways, 0), abs=2e-3)
    nearer = CAMERA_DISTANCE * (usual / scales - 1.0)
    assert found.pose[:, 5] == pytest.approx(nearer - np.median(nearer), abs=0.02)


def test_another_face_than_the_template_gets_no_pose_for_it() -> None:
    rng = np.random.default_rng(2)
    other = template() + 0.03 * rng.standard_normal((68, 3))
    found = register(np.repeat(100.0 * other[None], 5, 0), template())
    assert np.abs(found.pose).max() < 0.02
    assert np.abs(found.displacement).max() < 1e-5


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected landmarks"):
        register(np.zeros((3, 68, 2)), template())
    with pytest.raises(ValueError, match="expected landmarks"):
        register(np.zeros((0, 68, 3)), template())
