"""The bundle artefact: the trained networks of the signal path and the arrays that go with them.

A folder of ``manifest.json`` (schema version, rates, shapes, settings, provenance, SHA-256 of every other file),
one ONNX graph a network, and ``arrays.npz``. It may hold picture networks (``picture_network``), which draw over the
geometric renderer's frames, and a style mapping, which draws patterns for new styles; bundles without are as good.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artefacts.picture_network import (
    MAX_GRAPH_BYTES,
    PRESETS,
    PictureGeometry,
    PictureNetwork,
    file_names,
    picture_files,
    read_picture_network,
)
from engine.errors import ArtefactError, ConfigError, OutputError
from models.spec import (
    APC_UNITS,
    LANDMARKS,
    MANIFOLD_NEIGHBOURS,
    MAX_LOOKAHEAD,
    MEDIA_HZ,
    MEL_BANDS,
    MEL_FFT,
    MEL_FLOOR,
    MEL_HIGH_HZ,
    MEL_HZ,
    MEL_LAG,
    MEL_LOW_HZ,
    MEL_WINDOW,
    MELS_PER_MOTION,
    MOTION_DIM,
    MOTION_HZ,
    POSE_DIM,
    SAMPLE_HZ,
    SCHEMA_VERSION,
)

MAX_FILE_BYTES = 64 << 20
NETWORKS = ("apc", "motion", "headpose")
RENDERERS = ("warp", *PRESETS)
RendererName = Literal["warp", "lite", "paper"]
_ARRAYS_FILE = "arrays.npz"
_MANIFEST_FILE = "manifest.json"
STYLE_MAPPING_FILE = "style_mapping.onnx"

Shape = tuple[int | Literal["batch"], ...]


class _Model(BaseModel):
    """A part of the manifest: immutable, and closed to keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkGeometry(_Model):
    """Names and shapes of one graph. State ``x`` enters as ``state.x`` and leaves as ``next.x``."""

    file: str = Field(pattern=r"^[a-z0-9_]+\.onnx$")
    precision: Literal["fp32", "fp16", "int8", "w8a8"]
    """In which weights are stored; with ``w8a8`` the arithmetic is integer as well."""
    inputs: dict[str, Shape]
    state: dict[str, Shape]
    outputs: dict[str, Shape]
    dtypes: dict[str, Literal["float32", "int64"]] = {}
    """Type of every input that is not float32."""


class StyleMappingGeometry(_Model):
    """What is to be known of the style mapping; its ends are those of ``engine.backend_onnx.draw_patterns``."""

    precision: Literal["fp32", "fp16"]
    """In which weights are stored."""
    provenance: dict[str, str] = {}


class MelSettings(_Model):
    """The front end that the networks were trained on."""

    sample_hz: int = SAMPLE_HZ
    mel_hz: int = MEL_HZ
    bands: int = MEL_BANDS
    fft: int = MEL_FFT
    window: int = MEL_WINDOW
    low_hz: float = MEL_LOW_HZ
    high_hz: float = MEL_HIGH_HZ
    floor: float = MEL_FLOOR
    lag: int = 0
    """``MEL_LAG``; manifests that do not say are of networks that heard a window more."""


class ManifoldSettings(_Model):
    """Locally linear projection onto the bank of features.

    Attributes:
        strength: 0 keeps the raw feature, 1 takes the projection alone.
        regularisation: Share of the local Gram matrix's trace that is added to its diagonal.
    """

    neighbours: int = Field(default=MANIFOLD_NEIGHBOURS, ge=1, le=64)
    strength: float = Field(default=0.3, ge=0, le=1)
    regularisation: float = Field(default=1e-3, gt=0, le=1)


class MotionSettings(_Model):
    """How the motion generator is asked.

    Attributes:
        heard_frames: The lookahead, in frames of 60 Hz, with which it speaks best. Of a longer one the rest smooths.
        smoothing_frames: Standard deviation of that smoothing, in frames of 60 Hz; 0 for none.
    """

    heard_frames: int = Field(default=MAX_LOOKAHEAD, ge=0, le=MAX_LOOKAHEAD)
    smoothing_frames: float = Field(default=0.0, ge=0, le=6)


class PoseSettings(_Model):
    """How head poses are drawn from the network's distribution.

    Attributes:
        temperature: Factor on the network's deviation.
        limits: Rotation vector (rad) and translation (fu) beyond which a spring pulls back.
        smoothing_frames: Time constant of the causal smoothing of what is shown, in frames of 60 Hz.
    """

    temperature: float = Field(default=0.6, ge=0, le=2)
    limits: tuple[float, float, float, float, float, float] = (0.13, 0.2, 0.1, 0.06, 0.06, 0.06)
    smoothing_frames: float = Field(default=3.0, ge=0, le=60)


class BundleManifest(_Model):
    """All that a bundle says about itself."""

    kind: Literal["bundle"] = "bundle"
    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    media_hz: int = MEDIA_HZ
    motion_hz: int = MOTION_HZ
    max_lookahead_frames: int = Field(default=MAX_LOOKAHEAD, ge=0, le=MAX_LOOKAHEAD)
    mel: MelSettings = MelSettings(lag=MEL_LAG)
    manifold: ManifoldSettings = ManifoldSettings()
    motion: MotionSettings = MotionSettings()
    pose: PoseSettings = PoseSettings()
    networks: dict[str, NetworkGeometry]
    renderers: dict[Literal["lite", "paper"], PictureGeometry] = {}
    """Picture networks by preset."""
    style_mapping: StyleMappingGeometry | None = None
    provenance: dict[str, str] = {}
    sha256: dict[str, str] = {}


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory, checked.

    Attributes:
        manifest: What it says about itself.
        graphs: ONNX bytes by network name: apc, motion, headpose.
        bank: float32 (N, 512), features of the manifold (stored as float16).
        completion: float32 (204, 123), what the whole face does for a displacement of the 41 points: jaw and
            brows have their share. Rows and columns are points x, y, z.
        motion_mean: float32 (123,) fu, added to the motion network's scaled output.
        motion_scale: fu per unit of the motion network's output.
        renderers: Picture networks by preset, as many as there are.
        style_mapping: ONNX bytes of what draws a style's patterns (paper, section 4.2); None where there is none. No
            session runs it, and styles do not depend on it (``engine.artefacts.style.bundle_digest``).
    """

    manifest: BundleManifest
    graphs: Mapping[str, bytes]
    bank: NDArray[np.float32]
    completion: NDArray[np.float32]
    motion_mean: NDArray[np.float32]
    motion_scale: float
    renderers: Mapping[str, PictureNetwork] = field(default_factory=dict)
    style_mapping: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse shapes and numbers that the signal path cannot use."""
        if set(self.graphs) != set(NETWORKS) or set(self.manifest.networks) != set(NETWORKS):
            raise ArtefactError(f"A bundle holds the networks {', '.join(NETWORKS)}; this one does not.")
        for name, geometry in self.manifest.networks.items():
            _check_geometry(name, geometry)
        neighbours = self.manifest.manifold.neighbours
        if self.bank.ndim != 2 or self.bank.shape[1] != APC_UNITS or len(self.bank) < neighbours:
            raise ArtefactError(f"The bundle's bank must be (N >= {neighbours}, {APC_UNITS}), not {self.bank.shape}.")
        if self.completion.shape != (3 * LANDMARKS, MOTION_DIM) or self.motion_mean.shape != (MOTION_DIM,):
            raise ArtefactError("The bundle's completion or mean has the wrong shape; export the bundle again.")
        arrays = (self.bank, self.completion, self.motion_mean)
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays):
            raise ArtefactError("The bundle's arrays must be finite float32; export the bundle again.")
        if not 0 < self.motion_scale < np.inf:
            raise ArtefactError("The bundle's motion scale must be positive; export the bundle again.")
        if {name: one.geometry for name, one in self.renderers.items()} != self.manifest.renderers:
            raise ArtefactError("The bundle's picture networks are not those of its manifest; export the bundle again.")
        if (self.style_mapping is None) != (self.manifest.style_mapping is None):
            raise ArtefactError("The bundle's style mapping is not that of its manifest; export the bundle again.")


def _check_geometry(name: str, geometry: NetworkGeometry) -> None:
    """Refuse a network whose ends do not fit the stages around it."""
    wanted: dict[str, tuple[dict[str, Shape], dict[str, Shape]]] = {
        "apc": (
            {"mel": ("batch", MELS_PER_MOTION, MEL_BANDS)},
            {"features": ("batch", MELS_PER_MOTION, APC_UNITS)},
        ),
        "motion": (
            {"features": ("batch", 1, MELS_PER_MOTION * APC_UNITS), "lookahead": ("batch",)},
            {"displacement": ("batch", 1, MOTION_DIM)},
        ),
        "headpose": (
            {"pose": ("batch", 1, 2 * POSE_DIM), "features": ("batch", 1, APC_UNITS)},
            {"mean": ("batch", 1, POSE_DIM), "sigma": ("batch", 1, POSE_DIM)},
        ),
    }
    if (geometry.inputs, geometry.outputs) != wanted[name]:
        raise ArtefactError(f"The bundle's network {name} has other inputs or outputs than this engine uses.")


def default_bundle() -> Path:
    """Where the bundle that ships with Mien lies."""
    return Path(__file__).resolve().parents[2] / "models" / "pretrained" / "bundle"


def save_bundle(bundle: Bundle, path: Path) -> None:
    """Write ``bundle`` as a folder. The manifest comes last: a folder without one is not a bundle.

    Raises:
        OutputError: The place cannot be written.
    """
    stored = io.BytesIO()
    np.savez_compressed(
        stored,
        bank=bundle.bank.astype(np.float16),
        completion=bundle.completion,
        motion_mean=bundle.motion_mean,
        motion_scale=np.float32(bundle.motion_scale),
    )
    files = {bundle.manifest.networks[name].file: graph for name, graph in bundle.graphs.items()}
    files[_ARRAYS_FILE] = stored.getvalue()
    for network in bundle.renderers.values():
        files |= picture_files(network)
    if bundle.style_mapping is not None:
        files[STYLE_MAPPING_FILE] = bundle.style_mapping
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = bundle.manifest.model_copy(update={"sha256": digests})
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / _MANIFEST_FILE).unlink(missing_ok=True)
        for name, data in files.items():
            (path / name).write_bytes(data)
        partial = path / f".{_MANIFEST_FILE}.part"
        partial.write_text(text)
        os.replace(partial, path / _MANIFEST_FILE)
    except OSError as error:
        raise OutputError(f"Cannot write the bundle {path}: {error.strerror or error}.") from error


def load_bundle(path: Path | None = None) -> Bundle:
    """Read a bundle folder.

    Args:
        path: The folder; by default the bundle that ships with Mien.

    Raises:
        ArtefactError: It is missing, damaged, of another schema version, or made for another front end.
    """
    path = default_bundle() if path is None else path
    manifest = _read_manifest(path)
    names = {name: geometry.file for name, geometry in manifest.networks.items()}
    files = {file: _read(path / file) for file in (*names.values(), _ARRAYS_FILE)}
    for name in manifest.renderers:
        files |= {file: _read(path / file, MAX_GRAPH_BYTES) for file in file_names(name)}
    if manifest.style_mapping is not None:
        files[STYLE_MAPPING_FILE] = _read(path / STYLE_MAPPING_FILE)
    for file, data in files.items():
        if hashlib.sha256(data).hexdigest() != manifest.sha256.get(file):
            raise ArtefactError(f"{path}: {file} is damaged or of another bundle; export or install it again.")
    try:
        with np.load(io.BytesIO(files[_ARRAYS_FILE]), allow_pickle=False) as arrays:
            bank, completion = arrays["bank"].astype(np.float32), arrays["completion"]
            mean, scale = arrays["motion_mean"], float(arrays["motion_scale"])
    except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path}: {_ARRAYS_FILE} is damaged; export or install the bundle again.") from error
    graphs = {name: files[file] for name, file in names.items()}
    renderers: dict[str, PictureNetwork] = {
        name: read_picture_network(name, one, files) for name, one in manifest.renderers.items()
    }
    return Bundle(manifest, graphs, bank, completion, mean, scale, renderers, files.get(STYLE_MAPPING_FILE))


def _read_manifest(path: Path) -> BundleManifest:
    """The manifest, of our schema and for our rates and front end."""
    try:
        raw = json.loads(_read(path / _MANIFEST_FILE))
    except ValueError as error:
        raise ArtefactError(f"{path} is not a bundle: its manifest is damaged.") from error
    kind, version = (raw.get("kind"), raw.get("schema_version")) if isinstance(raw, dict) else (None, None)
    if kind != "bundle":
        raise ArtefactError(f"{path} is not a bundle: its manifest says it is {kind!r}.")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{path} is a bundle of schema version {version}; this engine reads version {SCHEMA_VERSION}. "
            "Export it again with `mien export bundle`."
        )
    try:
        manifest = BundleManifest.model_validate(raw)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ArtefactError(f"{path}: the manifest is damaged at {place!r}; export the bundle again.") from error
    ours = (MEDIA_HZ, MOTION_HZ, MelSettings(lag=MEL_LAG))
    if (manifest.media_hz, manifest.motion_hz, manifest.mel) != ours:
        raise ArtefactError(f"{path} was made for other rates or another log-mel than this engine computes.")
    return manifest


def _read(file: Path, most: int = MAX_FILE_BYTES) -> bytes:
    try:
        if file.stat().st_size > most:
            raise ArtefactError(f"{file} is too large to be part of a bundle.")
        return file.read_bytes()
    except FileNotFoundError as error:
        where = file.parent
        what = "is missing" if where.is_dir() else f"is missing: there is no folder {where}"
        raise ArtefactError(f"The bundle's {file.name} {what}; export or install the bundle.") from error
    except OSError as error:
        raise ArtefactError(f"The bundle's {file} cannot be read: {error.strerror or error}.") from error


def pick_renderer(bundle: Bundle, name: str | None) -> PictureNetwork | None:
    """The picture network that a renderer's name stands for.

    Args:
        bundle: As from ``load_bundle``.
        name: ``warp``, ``lite`` or ``paper``; None for the bundle's own choice: the fast network where it has one that
            was found better than the geometric renderer.

    Returns:
        The network; None for ``warp``, the geometric renderer alone.

    Raises:
        ConfigError: There is no such renderer, or the bundle does not hold it.
    """
    if name not in (None, *RENDERERS):
        raise ConfigError(f"The renderer is {', '.join(RENDERERS[:-1])} or {RENDERERS[-1]}, not {name!r}.")
    if name is None:
        lite = bundle.renderers.get("lite")
        return lite if lite is not None and lite.geometry.better else None
    if name != "warp" and name not in bundle.renderers:
        raise ConfigError(
            f"The bundle {bundle.manifest.name!r} holds no renderer {name!r}: choose warp, or a bundle that has it."
        )
    return bundle.renderers.get(name)


def graph_shapes(shapes: Mapping[str, tuple[int | str, ...]]) -> dict[str, Shape]:
    """Shapes as the manifest holds them."""
    return cast(dict[str, Shape], dict(shapes))
