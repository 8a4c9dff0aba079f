"""Points corrected by hand, and what follows them."""

import numpy as np
import pytest

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import PortraitError
from engine.portrait.correct import correct_points, matte_outline
from engine.portrait.face_mesh import RIGHT_IRIS, ibug68
from engine.portrait.geometry import fit_head
from engine.portrait.lips import LOWER_INNER, UPPER_INNER
from engine.renderer.lids import RIGHT_LOWER, RIGHT_UPPER
from engine.renderer.warp import WarpRenderer
from streaming.avatars import shipped_avatars

ADA = load_avatar(shipped_avatars()["ada"])
LIPS = np.r_[48:68]


def moved(index: object, dx: float, dy: float) -> np.ndarray:
    points = ADA.source_points.astype(float)
    points[index] += (dx, dy)
    return points


def test_points_that_stay_change_nothing() -> None:
    same = correct_points(ADA, ADA.source_points)
    for name in ("source_points", "template", "camera", "irises", "mesh"):
        np.testing.assert_allclose(getattr(same, name), getattr(ADA, name), atol=2e-3, err_msg=name)
    assert same.provenance["points"] == "corrected by hand" and "points" not in ADA.provenance


def test_a_point_takes_what_is_about_it_along_and_nothing_else() -> None:
    corrected = correct_points(ADA, moved([48, 60], -8, 3))
    np.testing.assert_array_equal(ibug68(corrected.mesh)[:, :2], corrected.source_points)
    away = np.linalg.norm(corrected.mesh[:, :2] - ADA.mesh[:, :2], axis=1)
    near = np.linalg.norm(ADA.mesh[:, :2] - ADA.source_points[48], axis=1)
    assert away.max() < 9 and away[near < 5].min() > 4 and away[near > 90].max() < 0.6
    # Eyes, brows, nose and jaw are at rest in the picture: the template lies on them, seen through the camera.
    assert np.abs(corrected.project(corrected.template) - corrected.source_points)[17:48].max() < 0.5


def test_the_head_is_fitted_anew() -> None:
    jaw = correct_points(ADA, moved(np.r_[4:13], 0, 12))
    assert (jaw.template[8] - ADA.template[8])[1] > 0.08
    turned = correct_points(ADA, moved(np.r_[27:36], 14, 0))
    before, after = fit_head(ADA.mesh).yaw_deg, fit_head(turned.mesh).yaw_deg
    assert abs(after - before) > 4, "a nose further to the side is a head that is turned"


def test_the_whole_face_elsewhere_and_larger() -> None:
    points = 1.06 * ADA.source_points - 12
    corrected = correct_points(ADA, points)
    np.testing.assert_allclose(corrected.mesh[:, :2], 1.06 * ADA.mesh[:, :2] - 12, atol=0.01)
    np.testing.assert_allclose(corrected.irises[:, :2], 1.06 * ADA.irises[:, :2] - 12, atol=0.01)
    np.testing.assert_allclose(corrected.irises[:, 2], 1.06 * ADA.irises[:, 2], rtol=1e-3)
    np.testing.assert_allclose(corrected.template, ADA.template, atol=0.03)


def test_lips_that_touched_part_each_with_its_own_side() -> None:
    points = moved([61, 62, 63], 0, -4)
    points[[65, 66, 67]] += (0, 5)
    corrected = correct_points(ADA, points)
    by = (corrected.mesh - ADA.mesh)[:, 1]
    assert (by[list(UPPER_INNER)[2:7]] < -1.5).all() and (by[list(LOWER_INNER)[2:7]] > 1.5).all()
    closed = corrected.template[[61, 62, 63, 65, 66, 67], 1]
    assert np.ptp(closed) < 0.03, "at rest the mouth is closed"


def test_irises_go_with_the_eyes() -> None:
    corrected = correct_points(ADA, moved(np.r_[36:42], 3, -2))
    np.testing.assert_allclose(corrected.irises[0, :2] - ADA.irises[0, :2], (3, -2), atol=0.6)
    np.testing.assert_allclose(corrected.irises[1], ADA.irises[1], atol=0.4)
    np.testing.assert_allclose(corrected.mesh[RIGHT_IRIS.start, :2], corrected.irises[0, :2], atol=2)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (ADA.source_points[:67], "68 points"),
        (moved(5, float("nan"), 0), "68 points"),
        (moved(5, 1e300, 0), "Point 6 lies outside"),
        (moved(40, 0, 400), "Point 41 lies outside"),
        (moved(30, 0, 120), "Point 31 lies far"),
        (ADA.source_points[np.r_[:36, 42:48, 36:42, 48:68]], "far from where a face has it"),
        (np.full((68, 2), 200.0), "pixels high"),
        (ADA.source_points * 0.3, "pixels high"),
        (moved([61, 62, 63], 0, 20), "belongs above"),
        (moved([37, 38, 43, 44], 0, 9.5), "eyes are closed"),
        (moved(slice(None), 150, 0), "beside the person"),
    ],
)
def test_what_is_no_face_is_refused_in_a_sentence(points: np.ndarray, says: str) -> None:
    with pytest.raises(PortraitError, match=says) as refused:
        correct_points(ADA, points)
    assert "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_anything_at_all_is_refused_or_becomes_an_avatar() -> None:
    draw = np.random.default_rng(3)
    taken = 0
    for spread in (1, 3, 10, 40, 300):
        for _ in range(10):
            try:
                corrected = correct_points(ADA, ADA.source_points + spread * draw.standard_normal((68, 2)))
            except PortraitError:
                continue
            taken += 1
            assert isinstance(corrected, Avatar) and np.abs(corrected.template).max() < 3
    assert taken >= 10


def test_the_outline_lies_where_the_matte_is_half() -> None:
    (outline,) = matte_outline(ADA)
    inner = outline[(outline > 2).all(1) & (outline < 509).all(1)].astype(int)
    about = np.stack([ADA.matte[y - 2 : y + 3, x - 2 : x + 3] for x, y in inner])
    assert len(inner) > 50
    assert (about.max((1, 2)) >= 128).all() and (about.min((1, 2)) < 128).mean() > 0.95


def test_points_that_were_wrong_and_are_put_right_give_the_face_again() -> None:
    """A mouth that was found 6 px beside itself, as on some drawings."""
    wrong = correct_points(ADA, moved(LIPS, 6, 5))
    again = correct_points(wrong, ADA.source_points)
    np.testing.assert_allclose(again.template, ADA.template, atol=2e-3)
    np.testing.assert_allclose(again.mesh, ADA.mesh, atol=2)
    np.testing.assert_allclose(again.irises, ADA.irises, atol=0.2)
    right, beside, mended = (_speaking(avatar) for avatar in (ADA, wrong, again))
    assert np.abs(beside - right).mean() > 4, "the mouth opens beside the lips"
    assert np.abs(mended - right).mean() < 1


def _speaking(avatar: Avatar) -> np.ndarray:
    """Mouth and chin of a picture with the mouth open."""
    opened = avatar.template.copy()
    opened[np.r_[6:11, 55:60, 65:68], 1] += 0.13
    still = np.zeros(6, np.float32)
    return WarpRenderer(avatar).render(opened, still, still[:2])[240:340, 190:320].astype(int)


def test_irises_are_put_where_they_are_wanted_or_refused() -> None:
    wanted = ADA.irises + np.array([[3, -1, 2], [-2, 1, -1]])
    corrected = correct_points(ADA, ADA.source_points, wanted)
    np.testing.assert_allclose(corrected.irises, wanted, atol=1e-3)
    np.testing.assert_array_equal(corrected.source_points, ADA.source_points)
    for change, says in (
        ([[40, 0, 0], [0, 0, 0]], "right iris lies beside"),
        ([[0, 0, 0], [0, 60, 0]], "left iris lies beside"),
        ([[0, 0, 0], [0, 0, 90]], "left iris is"),
        ([[0, 0, -20], [0, 0, 0]], "right iris is"),
        ([[1e300, 0, 0], [0, 0, 0]], "right iris lies beside"),
        ([[np.nan, 0, 0], [0, 0, 0]], "three numbers"),
    ):
        with pytest.raises(PortraitError, match=says):
            correct_points(ADA, ADA.source_points, ADA.irises + np.array(change))


def test_lids_that_are_drawn_far_apart_are_followed_by_the_whole_of_their_edge() -> None:
    """As on a drawn face whose large eyes were found too small."""
    points = moved([37, 38], 0, -14)
    points[[40, 41]] += (0, 14)
    corrected = correct_points(ADA, points)
    by = (corrected.mesh - ADA.mesh)[:, 1]
    upper, lower = by[list(RIGHT_UPPER)], by[list(RIGHT_LOWER)]
    assert (upper[2:7] < -7).all() and (lower[2:7] > 7).all() and abs(upper[[0, -1]]).max() < 1
    assert (np.diff(upper[:4]) < 0).all() and (np.diff(upper[-4:]) > 0).all(), "one arc"
