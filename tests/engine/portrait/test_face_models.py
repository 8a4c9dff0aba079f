"""Fetching, checking and caching the face models, with a runner in pip's place."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import ArtefactError, MissingExtraError
from engine.portrait import face_models
from engine.portrait.face_models import MODELS, cache_dir, ensure_models, models_cached, models_dir


class Pip:
    """Stands for pip: writes a wheel to --dest, or fails."""

    def __init__(self, wheel: bytes | None, stderr: str = "", code: int = 0) -> None:
        self.wheel, self.stderr, self.code = wheel, stderr, code
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.commands.append(list(command))
        if self.wheel is not None:
            folder = Path(command[list(command).index("--dest") + 1])
            (folder / "mediapipe-0.10.21-cp311-cp311-linux.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(list(command), self.code, "", self.stderr)


def wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, folder in MODELS.items():
            archive.writestr(f"mediapipe/modules/{folder}/{name}.tflite", f"model {name}")
    return data.getvalue()


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """A wheel whose digest is the expected one, and a conversion that only marks what it was given."""
    converter = pytest.importorskip(
        "engine.portrait.tflite_onnx", reason="needs the avatar extra", exc_type=ImportError
    )
    data = wheel()
    monkeypatch.setattr(face_models, "WHEEL_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(converter, "convert", lambda source, name: b"converted " + source)
    return Pip(data)


def test_fetches_once_and_works_offline_afterwards(tmp_path: Path, good: Pip) -> None:
    folder = ensure_models(tmp_path, good)
    assert folder == models_dir(tmp_path)
    assert (folder / "selfie_segmentation.onnx").read_bytes() == b"converted model selfie_segmentation"
    assert models_cached(tmp_path)

    def offline(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        raise AssertionError("asked for the network")

    assert ensure_models(tmp_path, offline) == folder
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert not list(folder.glob(".*"))


def test_asks_pip_for_one_exact_wheel(tmp_path: Path, good: Pip) -> None:
    ensure_models(tmp_path, good)
    (command,) = good.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[-1] == "mediapipe==0.10.21"
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert command.count("--platform") > 1
    assert not any("://" in part for part in command)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest"])
def test_a_damaged_cache_is_fetched_again(tmp_path: Path, good: Pip, harm: str) -> None:
    folder = ensure_models(tmp_path, good)
    model = folder / "face_landmark_with_attention.onnx"
    if harm == "flip":
        model.write_bytes(b"x" + model.read_bytes()[1:])
    elif harm == "cut":
        model.write_bytes(b"")
    elif harm == "remove":
        model.unlink()
    else:
        (folder / "manifest.json").write_text("{")
    assert not models_cached(tmp_path)
    ensure_models(tmp_path, good)
    assert models_cached(tmp_path)
    assert len(good.commands) == 2


def test_another_wheel_is_refused_and_nothing_is_kept(tmp_path: Path, good: Pip) -> None:
    good.wheel = b"something else"
    with pytest.raises(ArtefactError, match="SHA-256"):
        ensure_models(tmp_path, good)
    assert not models_cached(tmp_path)
    assert not list(models_dir(tmp_path).iterdir())


def test_no_network_is_one_sentence(tmp_path: Path, good: Pip) -> None:
    good.wheel, good.code = None, 1
    good.stderr = "WARNING: Retrying\nERROR: No matching distribution found for mediapipe==0.10.21\n"
    with pytest.raises(MissingExtraError, match="No matching distribution") as caught:
        ensure_models(tmp_path, good)
    assert "\n" not in str(caught.value)
    assert "offline afterwards" in str(caught.value)


@pytest.mark.parametrize("failure", [OSError("no such file"), subprocess.TimeoutExpired("pip", 900)])
def test_pip_that_cannot_run(tmp_path: Path, good: Pip, failure: Exception) -> None:
    def broken(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        raise failure

    with pytest.raises(MissingExtraError, match="pip"):
        ensure_models(tmp_path, broken)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engine.portrait.tflite_onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"mien\[avatar\]"):
        ensure_models(tmp_path, Pip(None))


def test_a_cache_that_cannot_be_written(tmp_path: Path, good: Pip) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(MissingExtraError, match="MIEN_CACHE"):
        ensure_models(blocked, good)


def test_a_manifest_without_models_is_no_cache(tmp_path: Path) -> None:
    assert not models_cached(tmp_path)
    folder = models_dir(tmp_path)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"sha256": {}}))
    assert not models_cached(tmp_path)


@pytest.mark.parametrize(
    ("platform", "variables", "ends"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x/cache"}, ("cache", "mien")),
        ("linux", {}, (".cache", "mien")),
        ("darwin", {}, ("Caches", "mien")),
        ("win32", {}, ("mien", "cache")),
        ("linux", {"MIEN_CACHE": "/y/own"}, ("y", "own")),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], ends: tuple[str, str]
) -> None:
    for name in ("MIEN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_dir().parts[-2:] == ends
