"""The commands ``mien avatar``, with the building itself replaced."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import ArtefactError, ConfigError, OutputError, PortraitError
from streaming import cli_avatar
from streaming.avatars import shipped_avatars


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Calls of the builder, which gives a shipped avatar."""
    calls: list[dict[str, object]] = []

    def build(path: Path, **options: object) -> Avatar:
        calls.append({"path": path, **options})
        return load_avatar(next(iter(shipped_avatars().values())))

    monkeypatch.setattr(cli_avatar, "avatar_from_photo", build)
    return calls


def run(*arguments: object) -> None:
    result = CliRunner().invoke(cli_avatar.app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_create_writes_the_avatar_and_its_preview(tmp_path: Path, built: list[dict[str, object]]) -> None:
    run("create", tmp_path / "me.jpg", "--out", tmp_path / "me.avatar")
    assert load_avatar(tmp_path / "me.avatar").image.shape == (512, 512, 3)
    drawn = cv2.imread(str(tmp_path / "me.preview.png"))
    assert drawn is not None
    assert drawn.shape == (512, 2560, 3)
    assert built[0]["name"] == "me"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.avatar", "me.preview.png"]


def test_create_takes_name_preview_and_rights(tmp_path: Path, built: list[dict[str, object]]) -> None:
    preview = tmp_path / "deep" / "look.png"
    run("create", "x.png", "--out", tmp_path / "a.avatar", "--name", "Ada", "--preview", preview, "--rights", "CC0")
    assert preview.exists()
    assert built[0]["name"] == "Ada"
    assert built[0]["rights"] == "CC0"


def test_create_takes_a_second_picture_for_the_teeth(
    tmp_path: Path, built: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Path] = []

    def add(avatar: Avatar, path: Path) -> Avatar:
        given.append(path)
        return replace(avatar, provenance={**avatar.provenance, "mouth_source": path.name})

    monkeypatch.setattr(cli_avatar, "with_smile", add)
    run("create", "x.png", "--out", tmp_path / "a.avatar", "--mouth", tmp_path / "smile.jpg")
    assert given == [tmp_path / "smile.jpg"]
    assert load_avatar(tmp_path / "a.avatar").provenance["mouth_source"] == "smile.jpg"


def test_wrong_options_are_refused_before_any_work(tmp_path: Path, built: list[dict[str, object]]) -> None:
    with pytest.raises(ConfigError, match=r"\.avatar"):
        run("create", "x.png", "--out", tmp_path / "a.zip")
    with pytest.raises(ConfigError, match=r"\.png"):
        run("create", "x.png", "--out", tmp_path / "a.avatar", "--preview", tmp_path / "a.jpg")
    assert not built


def test_an_unwritable_preview_is_our_error(tmp_path: Path, built: list[dict[str, object]]) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        run("create", "x.png", "--out", tmp_path / "a.avatar", "--preview", tmp_path / "file" / "a.png")


def test_a_picture_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_bytes(b"no picture")
    with pytest.raises(PortraitError, match="not a picture"):
        run("create", tmp_path / "me.jpg", "--out", tmp_path / "me.avatar")
    assert [path.name for path in tmp_path.iterdir()] == ["me.jpg"]


def test_list_names_the_shipped_ones() -> None:
    result = CliRunner().invoke(cli_avatar.app, ["list"])
    assert result.exit_code == 0
    assert all(name in result.output for name in shipped_avatars())


def test_shipped_avatars_say_where_they_come_from_and_are_small() -> None:
    for name, path in shipped_avatars().items():
        avatar = load_avatar(path)
        assert "free" in avatar.provenance["rights"], name
        assert avatar.provenance["source_sha256"]
        assert path.stat().st_size < 1 << 20
        error = np.abs(avatar.project(avatar.template) - avatar.source_points)
        assert error.max() < 0.5


def test_points_are_of_an_avatar_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no avatar"):
        run("points", tmp_path / "nobody.avatar")


def test_create_says_where_points_are_put_right(tmp_path: Path, built: list[dict[str, object]]) -> None:
    result = CliRunner().invoke(cli_avatar.app, ["create", "x.png", "--out", str(tmp_path / "me.avatar")])
    assert f"mien avatar points {tmp_path / 'me.avatar'}" in result.output
