import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.rotation import rotation_matrix  # noqa: E402
from models.style_mapping import HeadState, StyleMapping, placed, rotation_matrices  # noqa: E402


def test_rotations_are_those_of_the_engine_for_rows():
    vectors = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    expected = np.stack([rotation_matrix(vector).T for vector in vectors.numpy()])
    np.testing.assert_allclose(rotation_matrices(vectors), expected, atol=1e-6)
    assert torch.allclose(rotation_matrices(torch.zeros(1, 3)), torch.eye(3)[None])


def test_keypoints_are_placed_as_equation_5_says():
    points = torch.rand(1, 4, 3)
    quarter = rotation_matrices(torch.tensor([[0.0, 0.0, torch.pi / 2]]))
    state = HeadState(quarter, torch.tensor([[0.1, 0.2, 0.3]]), torch.full((1, 4, 3), 0.05))
    x, y, z = placed(points, state).unbind(-1)
    assert torch.allclose(x, -points[..., 1] + 0.15, atol=1e-6)
    assert torch.allclose(y, points[..., 0] + 0.25, atol=1e-6)
    assert torch.allclose(z, points[..., 2] + 0.35, atol=1e-6)


def test_identity_comes_from_the_one_and_style_from_the_other():
    torch.manual_seed(0)
    mapping = StyleMapping(width=12, keypoints=5).eval()
    neutral, reference = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    pattern, keypoints, style = mapping(neutral, reference)
    assert pattern.shape == (2, 3, 64, 64) and keypoints.shape == (2, 5, 3)
    # Equation 6: the neutral picture's keypoints with the reference's pose and expression.
    assert torch.allclose(keypoints, placed(mapping.keypoints(neutral), style))
    assert torch.allclose(style.rotation, mapping.state(reference).rotation)


def test_bfloat16_keeps_places_exact():
    torch.manual_seed(0)
    mapping = StyleMapping(width=12, keypoints=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pattern, keypoints, _ = mapping(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    assert torch.isfinite(pattern).all() and keypoints.dtype == torch.float32
