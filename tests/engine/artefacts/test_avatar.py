"""The avatar artefact and its second picture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.artefacts.avatar import Avatar, MouthPicture, load_avatar, save_avatar
from engine.errors import ArtefactError


def plain() -> Avatar:
    picture = np.arange(512 * 512 * 3, dtype=np.uint32).astype(np.uint8).reshape(512, 512, 3)
    return Avatar(
        name="plain",
        image=picture,
        matte=np.full((512, 512), 255, np.uint8),
        plate=np.zeros_like(picture),
        source_points=np.full((68, 2), 3, np.float32),
        template=np.full((68, 3), 2, np.float32),
        camera=np.eye(3, 4, dtype=np.float32),
        irises=np.ones((2, 3), np.float32),
        mesh=np.ones((478, 3), np.float32),
    )


def with_mouth() -> Avatar:
    avatar = plain()
    mouth = MouthPicture(
        image=avatar.image[::-1].copy(),
        source_points=avatar.source_points + 1,
        template=avatar.template * 2,
        camera=avatar.camera * 3,
        mesh=avatar.mesh * 4,
    )
    return replace(avatar, mouth=mouth)


@pytest.mark.parametrize("name", ["a.avatar", "folder"])
def test_a_second_picture_is_kept(tmp_path: Path, name: str) -> None:
    avatar = with_mouth()
    save_avatar(avatar, tmp_path / name)
    again = load_avatar(tmp_path / name)
    assert avatar.mouth is not None
    assert again.mouth is not None
    for key in ("image", "source_points", "template", "camera", "mesh"):
        assert np.array_equal(getattr(again.mouth, key), getattr(avatar.mouth, key))
        assert np.array_equal(getattr(again, key), getattr(avatar, key))


def test_an_avatar_without_one_has_none(tmp_path: Path) -> None:
    save_avatar(with_mouth(), tmp_path / "a")
    save_avatar(plain(), tmp_path / "a")
    assert load_avatar(tmp_path / "a").mouth is None


@pytest.mark.parametrize("file", ["mouth.png", "mouth.npz"])
@pytest.mark.parametrize("damage", ["gone", "changed", "unlisted"])
def test_a_damaged_second_picture_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    save_avatar(with_mouth(), tmp_path / "a")
    if damage == "gone":
        (tmp_path / "a" / file).unlink()
    elif damage == "changed":
        (tmp_path / "a" / file).write_bytes(b"other")
    else:
        manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
        del manifest["sha256"][file]
        (tmp_path / "a" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=file):
        load_avatar(tmp_path / "a")


def test_a_second_picture_of_another_shape_is_refused() -> None:
    mouth = with_mouth().mouth
    assert mouth is not None
    with pytest.raises(ArtefactError, match="Mouth picture: mesh"):
        replace(mouth, mesh=np.zeros((468, 3), np.float32))
