"""Teeth from a second picture, the face models replaced by what the drawn pictures are known to show."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import PortraitError
from engine.images import encode_png
from engine.portrait import smile
from engine.portrait.face_landmarks import Face, FaceTracker
from engine.portrait.face_models import models_cached
from engine.portrait.smile import with_smile
from engine.renderer.lip_line import LOWER_INNER, UPPER_INNER
from engine.renderer.warp import WarpRenderer
from streaming.avatars import shipped_avatars

GREEN = (60, 240, 60)


class NoTracker:
    """Stands for opened face models that nobody asks."""


@pytest.fixture(scope="module")
def ada() -> Avatar:
    return load_avatar(shipped_avatars()["ada"])


def smiling(ada: Avatar, tooth: tuple[int, int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Ada's picture and mesh with her lips 24 px apart and between them teeth, or lip."""
    mesh, picture = ada.mesh.copy(), ada.image.copy()
    height = 12 * np.sin(np.linspace(0, np.pi, 9)).astype(np.float32) ** 0.5
    mesh[list(UPPER_INNER[1:-1]), 1] -= height
    mesh[list(LOWER_INNER[1:-1]), 1] += height
    outline = np.concatenate([mesh[list(UPPER_INNER), :2], mesh[list(LOWER_INNER)[::-1], :2]])
    lip = picture[tuple(np.rint(mesh[14, 1::-1]).astype(int))].tolist()
    cv2.fillPoly(picture, [np.rint(outline * 16).astype(np.int32)], tooth or lip, cv2.LINE_AA, shift=4)
    return picture, mesh


@pytest.fixture
def photo(ada: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a picture in which ``mesh`` will be found."""

    def write(picture: np.ndarray, mesh: np.ndarray | None) -> Path:
        def find(rgb: np.ndarray, tracker: FaceTracker, *, closed_eyes: bool = False) -> Face:
            assert closed_eyes
            if mesh is None:
                raise PortraitError("No face was found in the picture.")
            return Face.of_mesh(mesh, 1.0)

        monkeypatch.setattr(smile, "find_face", find)
        path = tmp_path / "grin.png"
        path.write_bytes(encode_png(picture))
        return path

    return write


def test_the_teeth_of_the_second_picture_are_drawn(ada: Avatar, photo) -> None:
    avatar = with_smile(ada, photo(*smiling(ada, GREEN)), NoTracker())
    assert avatar.provenance["mouth_source"] == "grin.png"
    assert avatar.mouth is not None
    assert (avatar.mouth.image.any(-1)).mean() < 0.2
    landmarks = ada.template.copy()
    landmarks[[62, 61, 63], 1] -= 0.05
    landmarks[[65, 66, 67], 1] += 0.05
    frames = [WarpRenderer(one).render(landmarks, np.zeros(6), np.zeros(2)).astype(int) for one in (avatar, ada)]
    green = [(frame[..., 1] - frame[..., 0] > 40).sum() for frame in frames]
    assert green[0] > 100
    assert green[1] == 0
    # All else is the portrait's.
    assert np.array_equal(*(frame[:230] for frame in frames))


def test_colours_are_brought_to_the_portrait(ada: Avatar, photo) -> None:
    picture, mesh = smiling(ada, (220, 215, 200))
    bright = with_smile(ada, photo(picture, mesh), NoTracker()).mouth
    dim = with_smile(ada, photo((picture * 0.7).astype(np.uint8), mesh), NoTracker()).mouth
    assert bright is not None
    assert dim is not None
    assert float(dim.image.mean()) == pytest.approx(float(bright.image.mean()), rel=0.04)


def test_what_cannot_be_used_is_said(ada: Avatar, photo, tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match=r"picture of the mouth, grin\.png, cannot be used: No face"):
        with_smile(ada, photo(ada.image, None), NoTracker())
    with pytest.raises(PortraitError, match=r"No teeth are seen between the lips in grin\.png"):
        with_smile(ada, photo(ada.image, ada.mesh), NoTracker())
    with pytest.raises(PortraitError, match="not a picture"):
        (tmp_path / "text.png").write_text("text")
        with_smile(ada, tmp_path / "text.png", NoTracker())
    turned = ada.mesh.copy()
    middle = turned.mean(0)
    angle = np.deg2rad(34)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    with pytest.raises(PortraitError, match="turned by about"):
        with_smile(ada, photo(ada.image, ((turned - middle) @ turn.T + middle).astype(np.float32)), NoTracker())


@pytest.mark.skipif(not models_cached(), reason="the face models are not cached: `mien avatar create` fetches them")
def test_a_closed_mouth_is_refused_with_the_real_models(ada: Avatar, tmp_path: Path) -> None:
    share = ada.matte[..., None] / 255
    path = tmp_path / "closed.png"
    path.write_bytes(encode_png(np.rint(ada.image * share + ada.plate * (1 - share)).astype(np.uint8)))
    with pytest.raises(PortraitError, match="No teeth"):
        with_smile(replace(ada, name="again"), path)
