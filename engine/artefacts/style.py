"""The style artefact: how somebody moves when speaking, learned on top of one bundle.

A folder, or a zip with the suffix ``.style``:

- ``manifest.json``: schema version, name, the bundle that it belongs to, settings of head, eyes and lids, figures that
  were measured when it was made, provenance, SHA-256 of every other file;
- ``arrays.npz``: what it changes in the weights of the bundle's motion and head-pose networks, its resting expression,
  the landmarks of its reference images (``engine.artefacts.style_arrays``);
- ``reference_0.jpg`` ... ``reference_3.jpg``: the style reference images (paper, section 4.1), if it has any;
- ``isp_0.jpg`` ... ``isp_3.jpg``: the Intermediate Style Pattern (section 4.2), 256x256, if it has one.

Files come from anywhere: whatever is read is bounded and checked first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artefacts.bundle import Bundle
from engine.artefacts.files import read_files, write_files
from engine.artefacts.graph_weights import apply_changes
from engine.artefacts.style_arrays import StyleArrays, pack_arrays, unpack_arrays
from engine.errors import ArtefactError
from engine.images import decode_jpeg, encode_jpeg

STYLE_SCHEMA_VERSION: Final = 2
"""1 held two whole graphs."""
PATTERNS: Final = 4
PATTERN_SIZE: Final = 256
MAX_ARRAYS_BYTES: Final = 8 << 20
MAX_PICTURE_BYTES: Final = 256 << 10
MAX_MANIFEST_BYTES: Final = 256 << 10
_MANIFEST_FILE: Final = "manifest.json"
_ARRAYS_FILE: Final = "arrays.npz"
_REFERENCES: Final = tuple(f"reference_{number}.jpg" for number in range(PATTERNS))
_ISP: Final = tuple(f"isp_{number}.jpg" for number in range(PATTERNS))
_FILES: Final = {
    _MANIFEST_FILE: MAX_MANIFEST_BYTES,
    _ARRAYS_FILE: MAX_ARRAYS_BYTES,
    **dict.fromkeys((*_REFERENCES, *_ISP), MAX_PICTURE_BYTES),
}
_JPEG_QUALITY: Final = 88

Limit = Annotated[float, Field(gt=0, le=0.4)]
Offset = Annotated[float, Field(ge=-0.3, le=0.3)]


class _Model(BaseModel):
    """A part of the manifest: immutable, and closed to keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Six = tuple[Offset, Offset, Offset, Offset, Offset, Offset]


class StyleRhythm(_Model):
    """What the head does over and over while somebody speaks.

    Attributes:
        hz: Its frequency.
        cosine: Amplitudes of the cosine in a pose's six numbers, rad and fu.
        sine: Of the sine.
    """

    hz: float = Field(gt=0, le=6)
    cosine: Six
    sine: Six


class StylePose(_Model):
    """How head poses are drawn from the style's distribution.

    Attributes:
        temperature: Factor on the network's deviation.
        limits: Rotation vector (rad) and translation (fu) beyond which a spring pulls back.
        centre: The pose about which the head moves, rad and fu.
        smoothing_frames: Time constant of the causal smoothing of what is shown; None as the bundle's.
        rhythm: Oscillations that are added.
    """

    temperature: float = Field(ge=0, le=2)
    limits: tuple[Limit, Limit, Limit, Limit, Limit, Limit]
    centre: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    smoothing_frames: float | None = Field(default=None, ge=0, le=30)
    rhythm: tuple[StyleRhythm, ...] = Field(default=(), max_length=8)


class StyleLife(_Model):
    """Blinks, lids and gaze (``engine.stages.liveliness``); the first four are factors on what every face does.

    Attributes:
        blink_rate: On how often the eyes blink.
        gaze_spread: On how far the eyes move.
        gaze_away: On how often they leave the camera.
        fixation_time: On how long they rest.
        lid_rest: How far the lids hang when they are open, 0 as in the portrait, 1 shut.
        shut_share: Share of the time of speech in which the eyes are held shut.
        shut_time: How long they are, at a time, in s.
    """

    blink_rate: float = Field(default=1.0, ge=0.25, le=4)
    gaze_spread: float = Field(default=1.0, ge=0, le=3)
    gaze_away: float = Field(default=1.0, ge=0, le=3)
    fixation_time: float = Field(default=1.0, ge=0.25, le=4)
    lid_rest: float = Field(default=0.0, ge=-0.3, le=0.7)
    shut_share: float = Field(default=0.0, ge=0, le=0.95)
    shut_time: float = Field(default=1.5, ge=0.3, le=20)


class StyleMotion(_Model):
    """How the motion of mouth and eyes is drawn.

    Attributes:
        smoothing_frames: Time constant of each of the two causal poles that it goes through; 0 for none. The networks
            are trained to speak so much earlier, as far as the lookahead lets them.
    """

    smoothing_frames: float = Field(default=0.0, ge=0, le=10)


class StyleManifest(_Model):
    """All that a style says about itself."""

    kind: Literal["style"] = "style"
    schema_version: Literal[2] = STYLE_SCHEMA_VERSION
    name: str = Field(min_length=1, max_length=100)
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """``bundle_digest`` of the bundle that it was learned on."""
    pose: StylePose
    life: StyleLife = StyleLife()
    motion: StyleMotion = StyleMotion()
    figures: dict[str, float] = {}
    """What was measured of the clip and of the result when the style was made; nothing reads it but people."""
    provenance: dict[str, str] = {}
    sha256: dict[str, str] = {}


@dataclass(frozen=True)
class Style:
    """A style in memory, checked; ``check_fits`` says whether it belongs to a bundle.

    Attributes:
        manifest: What it says about itself.
        packed: ``arrays.npz``.
        references: The style reference images as JPEG: four, or none.
        isp: The Intermediate Style Pattern as JPEG: four, or none.
    """

    manifest: StyleManifest
    packed: bytes
    references: tuple[bytes, ...] = ()
    isp: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that no style has."""
        if len(self.references) not in (0, PATTERNS) or len(self.isp) not in (0, PATTERNS):
            raise ArtefactError(f"A style holds {PATTERNS} reference images and {PATTERNS} patterns, or none.")
        unpack_arrays(self.packed)

    @property
    def name(self) -> str:
        """What the style is called."""
        return self.manifest.name

    @property
    def arrays(self) -> StyleArrays:
        """Its numbers, unpacked anew on every call."""
        return unpack_arrays(self.packed)

    def graphs(self, bundle: Bundle) -> dict[str, bytes]:
        """The bundle's graphs with the style's weights, as ONNX bytes by network: motion, headpose.

        Raises:
            ArtefactError: The style was learned on another bundle, or changes what is not there.
        """
        self.check_fits(bundle)
        changes = self.arrays.changes
        return {
            name: apply_changes(bundle.graphs[name], [part.change() for part in changes.get(name, ())])
            for name in ("motion", "headpose")
        }

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

    def reference_images(self) -> list[NDArray[np.uint8]]:
        """The style reference images, uint8 (H, W, 3) RGB each; none if it has none."""
        return [decode_jpeg(data) for data in self.references]

    def isp_images(self) -> NDArray[np.uint8] | None:
        """The Intermediate Style Pattern, uint8 (4, 256, 256, 3) RGB; None without one.

        Raises:
            ArtefactError: The pictures are of another size.
        """
        if not self.isp:
            return None
        pictures = [decode_jpeg(data) for data in self.isp]
        if any(picture.shape != (PATTERN_SIZE, PATTERN_SIZE, 3) for picture in pictures):
            raise ArtefactError(f"The style {self.name!r}: its pattern is not {PATTERN_SIZE}x{PATTERN_SIZE}.")
        return np.stack(pictures)

    def with_isp(self, pictures: NDArray[np.uint8]) -> "Style":
        """The same style with an Intermediate Style Pattern, uint8 (4, 256, 256, 3) RGB."""
        assert pictures.shape == (PATTERNS, PATTERN_SIZE, PATTERN_SIZE, 3) and pictures.dtype == np.uint8
        return replace(self, isp=tuple(encode_jpeg(picture, _JPEG_QUALITY) for picture in pictures))


def make_style(manifest: StyleManifest, arrays: StyleArrays, references: list[NDArray[np.uint8]]) -> Style:
    """Put a style together.

    Args:
        manifest: What it says about itself.
        arrays: Its numbers.
        references: The style reference images, uint8 (H, W, 3) RGB: four, or none.
    """
    return Style(manifest, pack_arrays(arrays), tuple(encode_jpeg(picture, _JPEG_QUALITY) for picture in references))


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
    files = {_ARRAYS_FILE: style.packed}
    files |= dict(zip(_REFERENCES, style.references, strict=False)) | dict(zip(_ISP, style.isp, strict=False))
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
    for name in {_ARRAYS_FILE, *manifest.sha256}:
        data = files.get(name)
        if data is None or hashlib.sha256(data).hexdigest() != manifest.sha256.get(name):
            raise ArtefactError(f"{path}: {name} is missing or damaged; fetch or train the style again.")
    return Style(manifest, files[_ARRAYS_FILE], _listed(manifest, files, _REFERENCES), _listed(manifest, files, _ISP))


def _listed(manifest: StyleManifest, files: Mapping[str, bytes], names: tuple[str, ...]) -> tuple[bytes, ...]:
    """Those of the files that the manifest speaks of."""
    return tuple(files[name] for name in names if name in manifest.sha256)


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
    if version != STYLE_SCHEMA_VERSION:
        raise ArtefactError(
            f"{path} is a style of schema version {version}; this engine reads version {STYLE_SCHEMA_VERSION}: "
            "make it again from its clip with `mien style create`."
        )
    try:
        return StyleManifest.model_validate(raw)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ArtefactError(f"{path}: the manifest is damaged at {place!r}; fetch or train the style again.") from error
