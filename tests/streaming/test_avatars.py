from pathlib import Path

import numpy as np
import pytest

from engine.artefacts.avatar import load_avatar, save_avatar
from engine.errors import ArtefactError, MienError
from streaming.avatars import resolve_avatar, shipped_avatars


def test_at_least_two_avatars_ship_and_load() -> None:
    shipped = shipped_avatars()
    assert len(shipped) >= 2
    for name in shipped:
        assert resolve_avatar(name).name == name


def test_an_artefact_is_taken_by_its_path(tmp_path: Path) -> None:
    avatar = load_avatar(next(iter(shipped_avatars().values())))
    for path in (tmp_path / "me.avatar", tmp_path / "folder"):
        save_avatar(avatar, path)
        np.testing.assert_array_equal(resolve_avatar(path).image, avatar.image)
        np.testing.assert_array_equal(resolve_avatar(str(path)).image, avatar.image)


@pytest.mark.parametrize("wanted", ["nobody", "nowhere/me.avatar", "", "x" * 5000, "a\0b"])
def test_what_is_no_avatar_is_refused(wanted: str) -> None:
    with pytest.raises(ArtefactError) as caught:
        resolve_avatar(wanted)
    assert "\n" not in str(caught.value)


def test_a_refusal_names_those_that_ship() -> None:
    with pytest.raises(ArtefactError, match=next(iter(shipped_avatars()))):
        resolve_avatar("nobody")


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_bytes(b"no picture")
    with pytest.raises(MienError):
        resolve_avatar(tmp_path / "me.jpg")
