"""From picture to avatar with the real face models; skipped where they were never fetched."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import models.spec
from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import PortraitError
from engine.portrait.build import MIN_FACE_PX, build_avatar, find_face
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_models import models_cached
from engine.portrait.preview import preview

SHIPPED = Path(models.spec.__file__).parent / "pretrained" / "avatars"

needs_models = pytest.mark.skipif(
    not models_cached(), reason="the face models are not cached: `mien avatar create` fetches them"
)


@pytest.fixture(scope="module")
def ada() -> Avatar:
    return load_avatar(SHIPPED / "ada.avatar")


@pytest.fixture(scope="module")
def photo(ada: Avatar) -> np.ndarray:
    """The shipped avatar as a photo again."""
    opacity = ada.matte.astype(np.float32)[..., None] / 255
    return np.round(ada.image * opacity + ada.plate * (1 - opacity)).astype(np.uint8)


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker(static=True)


@needs_models
def test_an_avatar_is_found_again_in_its_own_picture(ada: Avatar, photo: np.ndarray, tracker: FaceTracker) -> None:
    again = build_avatar(photo, name="again", provenance={"source": "test"}, tracker=tracker)
    # The crop of the crop is nearly the same picture: landmarks agree once both are in pixels of the photo.
    assert np.abs(again.project(again.template) - again.source_points)[:48].max() < 0.01
    assert np.abs(again.template - ada.template).max() < 0.05
    opaque, clear = ada.matte > 200, ada.matte < 20
    shift = again.source_points.mean(0) - ada.source_points.mean(0)
    scale = np.ptp(again.source_points[:, 0]) / np.ptp(ada.source_points[:, 0])
    assert np.abs(shift).max() < 12
    assert scale == pytest.approx(1, abs=0.05)
    assert (again.matte[opaque] > 128).mean() > 0.97
    assert (again.matte[clear] < 128).mean() > 0.97
    assert again.provenance == {"source": "test"}


@needs_models
def test_the_parts_give_the_picture_again(photo: np.ndarray, tracker: FaceTracker) -> None:
    avatar = build_avatar(photo, name="again", provenance={}, tracker=tracker)
    opacity = avatar.matte.astype(np.float32)[..., None] / 255
    whole = avatar.image * opacity + avatar.plate * (1 - opacity)
    inside = avatar.matte > 250
    assert np.abs(whole - avatar.image)[inside].max() < 8
    # Where the person was, the plate shows the background's tones and nothing of the person.
    behind = avatar.plate[200:300, 226:286].reshape(-1, 3).mean(0)
    background = avatar.plate[avatar.matte == 0].mean(0)
    assert np.abs(behind - background).max() < 30
    assert preview(avatar).shape == (512, 5 * 512, 3)


@needs_models
def test_a_given_matte_is_used(ada: Avatar, photo: np.ndarray, tracker: FaceTracker) -> None:
    avatar = build_avatar(photo, alpha=ada.matte, name="again", provenance={}, tracker=tracker)
    assert np.abs(avatar.matte.astype(int) - ada.matte).mean() < 8
    with pytest.raises(PortraitError, match="transparency"):
        build_avatar(photo, alpha=255 - ada.matte, name="x", provenance={}, tracker=tracker)


def _empty(photo: np.ndarray) -> np.ndarray:
    return np.full_like(photo, 120)


def _twins(photo: np.ndarray) -> np.ndarray:
    return np.hstack([photo, photo])


def _far(photo: np.ndarray) -> np.ndarray:
    small = cv2.resize(photo, (120, 120), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((80, 80), (80, 80), (0, 0)), mode="edge")


def _lying(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(photo))


@needs_models
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_empty, "No face"),
        (_twins, "2 faces"),
        (_far, rf"only \d+ pixels.*at least {MIN_FACE_PX}"),
        (_lying, r"upright|side"),
    ],
)
def test_pictures_that_cannot_be_used(
    photo: np.ndarray, tracker: FaceTracker, change: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    with pytest.raises(PortraitError, match=says) as caught:
        build_avatar(change(photo), name="x", provenance={}, tracker=tracker)
    assert "\n" not in str(caught.value)


@needs_models
def test_a_bystander_far_behind_does_not_matter(photo: np.ndarray, tracker: FaceTracker) -> None:
    crowd = np.hstack([photo, np.repeat(photo[:, -1:], 200, 1)])
    crowd[:180, 532:712] = cv2.resize(photo, (180, 180), interpolation=cv2.INTER_AREA)
    assert find_face(crowd, tracker).points68[:, 0].max() < 512


@needs_models
def test_tracking_agrees_with_detection_and_loses_what_is_gone(photo: np.ndarray) -> None:
    moving = FaceTracker()
    first = moving.track(photo)
    assert first is not None
    again = moving.track(photo)
    assert again is not None
    assert np.abs(again.points68 - first.points68).max() < 2
    assert first.mesh.dtype == np.float32
    assert first.points68.shape == (68, 2)
    assert first.points68[36, 0] < first.points68[45, 0]
    assert moving.track(np.full_like(photo, 90)) is None
    moving.reset()
    assert moving.track(photo) is not None


@needs_models
def test_a_large_photo_gives_the_same_landmarks(photo: np.ndarray, tracker: FaceTracker) -> None:
    large = cv2.resize(photo, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    wide = np.pad(large, ((0, 0), (700, 0), (0, 0)), mode="edge")
    small = tracker.track(photo)
    found = tracker.track(wide)
    assert small is not None
    assert found is not None
    back = (found.points68 - [700, 0] + 0.5) / 4 - 0.5
    assert np.abs(back - small.points68).mean() < 0.7
