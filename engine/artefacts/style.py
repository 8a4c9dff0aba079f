"""The style artefact: how somebody moves when speaking, learned on top of one bundle.

A folder, or a zip with the suffix ``.style``, holding ``manifest.json`` (schema version, name, the bundle that it
belongs to, shapes, settings, provenance, SHA-256 of both graphs), ``motion.onnx`` and ``headpose.onnx``: the networks
of the bundle with the style's own weights. Files come from anywhere: whatever is read is bounded and checked first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artefacts.bundle import Bundle, NetworkGeometry
from engine.artefacts.files import read_files, write_files
from engine.errors import ArtefactError
from models.spec import SCHEMA_VERSION

STYLE_NETWORKS = ("motion", "headpose")
MAX_GRAPH_BYTES = 32 << 20
MAX_MANIFEST_BYTES = 256 << 10
_MANIFEST_FILE = "manifest.json"
_FILES = {_MANIFEST_FILE: MAX_MANIFEST_BYTES, **{f"{name}.onnx": MAX_GRAPH_BYTES for name in STYLE_NETWORKS}}

Limit = Annotated[float, Field(gt=0, le=0.4)]


class _Model(BaseModel):
    """A part of the manifest: immutable, and closed to keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StylePose(_Model):
    """How head poses are drawn from the style's distribution.

    Attributes:
        temperature: Factor on the network's deviation.
        limits: Rotation vector (rad) and translation (fu) beyond which a spring pulls back.
    """

    temperature: float = Field(ge=0, le=2)
    limits: tuple[Limit, Limit, Limit, Limit, Limit, Limit]


class StyleLife(_Model):
    """Blinks and gaze, as factors on what every face does (``engine.stages.liveliness``).

    Attributes:
        blink_rate: On how often the eyes blink.
        gaze_spread: On how far the eyes move.
        gaze_away: On how often they leave the camera.
        fixation_time: On how long they rest.
    """

    blink_rate: float = Field(default=1.0, ge=0.25, le=4)
    gaze_spread: float = Field(default=1.0, ge=0, le=3)
    gaze_away: float = Field(default=1.0, ge=0, le=3)
    fixation_time: float = Field(default=1.0, ge=0.25, le=4)


class StyleManifest(_Model):
    """All that a style says about itself."""

    kind: Literal["style"] = "style"
    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(min_length=1, max_length=100)
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """``bundle_digest`` of the bundle that it was learned on."""
    networks: dict[str, NetworkGeometry]
    pose: StylePose
    life: StyleLife = StyleLife()
    provenance: dict[str, str] = {}
    sha256: dict[str, str] = {}


@dataclass(frozen=True)
class Style:
    """A style in memory, checked; ``check_fits`` says whether it belongs to a bundle.

    Attributes:
        manifest: What it says about itself.
        graphs: ONNX bytes by network name: motion, headpose. What they give is normalised as the bundle's is.
    """

    manifest: StyleManifest
    graphs: Mapping[str, bytes]

    def __post_init__(self) -> None:
        """Refuse other networks than a style's."""
        if set(self.graphs) != set(STYLE_NETWORKS) or set(self.manifest.networks) != set(STYLE_NETWORKS):
            raise ArtefactError(f"A style holds the networks {' and '.join(STYLE_NETWORKS)}; this one does not.")
        for name, geometry in self.manifest.networks.items():
            if geometry.file != f"{name}.onnx":
                raise ArtefactError(f"A style's network {name} lies in {name}.onnx, not in {geometry.file}.")

    @property
    def name(self) -> str:
        """What the style is called."""
        return self.manifest.name

    def check_fits(self, bundle: Bundle) -> None:
        """Hold the style against the bundle that a session runs on.

        Raises:
            ArtefactError: It was learned on another one.
        """
        if self.manifest.bundle_sha256 != bundle_digest(bundle):
            raise ArtefactError(
                f"The style {self.name!r} was learned on another bundle than {bundle.manifest.name!r} as it is now: "
                "use that bundle, or train the style again on this one."
            )
        for name, ours in self.manifest.networks.items():
            if _ends(ours) != _ends(bundle.manifest.networks[name]):
                raise ArtefactError(f"The style {self.name!r}: its network {name} has other shapes than the bundle's.")


def bundle_digest(bundle: Bundle) -> str:
    """SHA-256 of all in a bundle that a style depends on: graphs, arrays, manifold. 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(bundle.graphs):
        digest.update(hashlib.sha256(bundle.graphs[name]).digest())
    for array in (bundle.bank, bundle.completion, bundle.motion_mean):
        digest.update(hashlib.sha256(array.tobytes()).digest())
    digest.update(f"{bundle.motion_scale!r} {bundle.manifest.manifold.model_dump_json()}".encode())
    return digest.hexdigest()


def save_style(style: Style, path: Path) -> None:
    """Write ``style`` to ``path``: a zip if the suffix is ``.style``, else a folder.

    The zip appears under its name only when it is complete; in a folder the manifest comes last.

    Raises:
        OutputError: The place cannot be written.
    """
    files = {f"{name}.onnx": style.graphs[name] for name in STYLE_NETWORKS}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = style.manifest.model_copy(update={"sha256": digests})
    files[_MANIFEST_FILE] = (json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()
    write_files(path, files, _MANIFEST_FILE, "style")


def load_style(path: Path) -> Style:
    """Read a style folder or ``.style`` zip.

    Raises:
        ArtefactError: It is missing, damaged, of another schema version, or too large to be one.
    """
    files = read_files(path, _FILES, "a style")
    manifest = _manifest(path, files.get(_MANIFEST_FILE))
    graphs = {}
    for name in STYLE_NETWORKS:
        data = files.get(f"{name}.onnx")
        if data is None or hashlib.sha256(data).hexdigest() != manifest.sha256.get(f"{name}.onnx"):
            raise ArtefactError(f"{path}: {name}.onnx is missing or damaged; fetch or train the style again.")
        graphs[name] = data
    return Style(manifest, graphs)


def _manifest(path: Path, data: bytes | None) -> StyleManifest:
    """The manifest, of our schema."""
    if data is None:
        raise ArtefactError(f"{path} is not a style: it has no {_MANIFEST_FILE}.")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is not a style: its manifest is damaged.") from error
    kind, version = (raw.get("kind"), raw.get("schema_version")) if isinstance(raw, dict) else (None, None)
    if kind != "style":
        raise ArtefactError(f"{path} is not a style: its manifest says it is {kind!r}.")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{path} is a style of schema version {version}; this engine reads version {SCHEMA_VERSION}: "
            "train it again with this engine."
        )
    try:
        return StyleManifest.model_validate(raw)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ArtefactError(f"{path}: the manifest is damaged at {place!r}; fetch or train the style again.") from error


def _ends(geometry: NetworkGeometry) -> tuple[object, ...]:
    """What the engine sees of a network; in which precision weights are stored is the style's own affair."""
    return geometry.inputs, geometry.state, geometry.outputs, geometry.dtypes
