"""The avatar artefact: one portrait, prepared once, ready to be moved.

A folder, or a zip with the suffix ``.avatar``, holding ``manifest.json`` (schema version, name, provenance, SHA-256
of every other file), ``image.png``, ``matte.png``, ``plate.png`` and ``geometry.npz``; and where the person's teeth
come from a second picture, ``mouth.png`` and ``mouth.npz``.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.files import read_files, write_files
from engine.errors import ArtefactError
from engine.images import decode_png, encode_png
from models.spec import IMAGE_SIZE, LANDMARKS, SCHEMA_VERSION

MAX_FILE_BYTES = 16 << 20
_IMAGES = ("image", "matte", "plate")
_FILES = ("manifest.json", *(f"{image}.png" for image in _IMAGES), "geometry.npz")
_ARRAYS: dict[str, tuple[int, ...]] = {
    "source_points": (LANDMARKS, 2),
    "template": (LANDMARKS, 3),
    "camera": (3, 4),
    "irises": (2, 3),
    "mesh": (478, 3),
}


_MOUTH_FILES = ("mouth.png", "mouth.npz")
_MOUTH_ARRAYS = {key: _ARRAYS[key] for key in ("source_points", "template", "camera", "mesh")}


@dataclass(frozen=True)
class MouthPicture:
    """A second picture of an avatar's person, which shows the teeth.

    Attributes:
        image: uint8 (512, 512, 3) RGB, the usual crop in the portrait's colours; black but about the mouth.
        source_points: float32 (68, 2) px, as for the avatar, in this picture.
        template: float32 (68, 3) fu, the person at rest as measured in it.
        camera: float32 (3, 4), its camera.
        mesh: float32 (478, 3) px, the dense face mesh in it.
    """

    image: NDArray[np.uint8]
    source_points: NDArray[np.float32]
    template: NDArray[np.float32]
    camera: NDArray[np.float32]
    mesh: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse wrong shapes, types and numbers that are not finite."""
        _check("Mouth picture", self, ("image",), _MOUTH_ARRAYS)


@dataclass(frozen=True)
class Avatar:
    """A person's picture with all that the renderer must know of it.

    Attributes:
        name: What the avatar is called.
        image: uint8 (512, 512, 3) RGB, the head-and-shoulders crop. Where the matte is partial it holds the
            person's own colour, so that the picture is ``image * matte + plate * (1 - matte)``.
        matte: uint8 (512, 512), 255 where the person is, soft at hair.
        plate: uint8 (512, 512, 3) RGB, the background with the person painted out.
        source_points: float32 (68, 2) px, the iBUG landmarks as they lie in ``image``.
        template: float32 (68, 3) fu (see models.spec), the person's landmarks at rest: mouth closed, eyes open.
        camera: float32 (3, 4), maps a homogeneous point of face coordinates, before any head pose, to
            homogeneous pixels; it contains the pose that the head has in the picture.
        irises: float32 (2, 3), centre x, y and radius in px of the right and the left iris.
        mesh: float32 (478, 3) px, the dense face mesh as it lies in ``image`` (z towards the camera negative).
        provenance: Where the picture came from and who may use it.
        mouth: A second picture that the teeth are taken from, if there is one.
    """

    name: str
    image: NDArray[np.uint8]
    matte: NDArray[np.uint8]
    plate: NDArray[np.uint8]
    source_points: NDArray[np.float32]
    template: NDArray[np.float32]
    camera: NDArray[np.float32]
    irises: NDArray[np.float32]
    mesh: NDArray[np.float32]
    provenance: dict[str, str] = field(default_factory=dict)
    mouth: MouthPicture | None = None

    def __post_init__(self) -> None:
        """Refuse wrong shapes, types and numbers that are not finite."""
        _check(f"Avatar {self.name!r}", self, _IMAGES, _ARRAYS)

    def project(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Project points of face coordinates through the camera.

        Args:
            points: (..., 3) in fu.

        Returns:
            float32 (..., 2) px.
        """
        homogeneous = points @ self.camera[:, :3].T + self.camera[:, 3]
        return cast(NDArray[np.float32], (homogeneous[..., :2] / homogeneous[..., 2:]).astype(np.float32))


def _check(what: str, thing: object, images: tuple[str, ...], arrays: dict[str, tuple[int, ...]]) -> None:
    size = (IMAGE_SIZE, IMAGE_SIZE)
    for key in images:
        picture = getattr(thing, key)
        expected = size if key == "matte" else (*size, 3)
        if picture.shape != expected or picture.dtype != np.uint8:
            raise ArtefactError(f"{what}: {key} is {picture.dtype} {picture.shape}, expected uint8 {expected}.")
    for key, shape in arrays.items():
        array = getattr(thing, key)
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ArtefactError(f"{what}: {key} must be finite float32 {shape}; create the avatar again.")


def save_avatar(avatar: Avatar, path: Path) -> None:
    """Write ``avatar`` to ``path``: a zip if the suffix is ``.avatar``, else a folder.

    The file appears under its name only when it is complete.

    Raises:
        OutputError: The place cannot be written.
    """
    files = {f"{key}.png": encode_png(getattr(avatar, key)) for key in _IMAGES}
    files["geometry.npz"] = _packed(avatar, _ARRAYS)
    if avatar.mouth is not None:
        files |= {"mouth.png": encode_png(avatar.mouth.image), "mouth.npz": _packed(avatar.mouth, _MOUTH_ARRAYS)}
    manifest = {
        "kind": "avatar",
        "schema_version": SCHEMA_VERSION,
        "name": avatar.name,
        "provenance": avatar.provenance,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    files["manifest.json"] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    write_files(path, files, "manifest.json", "avatar")


def load_avatar(path: Path) -> Avatar:
    """Read an avatar folder or ``.avatar`` zip.

    Raises:
        ArtefactError: It is missing, damaged, of another schema version, or too large to be one.
    """
    files = read_files(path, dict.fromkeys((*_FILES, *_MOUTH_FILES), MAX_FILE_BYTES), "an avatar")
    try:
        manifest = json.loads(files["manifest.json"])
        version, digests = manifest["schema_version"], manifest["sha256"]
        kind, name = manifest["kind"], str(manifest["name"])
        provenance = {str(k): str(v) for k, v in manifest.get("provenance", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is not an avatar: its manifest is missing or damaged.") from error
    if kind != "avatar" or version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{path} is a {kind} of schema version {version}; this engine reads avatars of version "
            f"{SCHEMA_VERSION}. Create it again with `mien avatar create`."
        )
    mouth_too = any(file in digests for file in _MOUTH_FILES)
    for file in (*_FILES[1:], *(_MOUTH_FILES if mouth_too else ())):
        if file not in files or hashlib.sha256(files[file]).hexdigest() != digests.get(file):
            raise ArtefactError(f"{path}: {file} is missing or damaged. Create the avatar again.")
    image, matte, plate = (decode_png(files[f"{key}.png"], grey=key == "matte") for key in _IMAGES)
    geometry = _unpacked(path, "geometry.npz", files, _ARRAYS)
    mouth = None
    if mouth_too:
        mouth = MouthPicture(image=decode_png(files["mouth.png"]), **_unpacked(path, "mouth.npz", files, _MOUTH_ARRAYS))
    return Avatar(name=name, provenance=provenance, image=image, matte=matte, plate=plate, mouth=mouth, **geometry)


def _packed(thing: object, keys: Iterable[str]) -> bytes:
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **{key: getattr(thing, key) for key in keys})
    return arrays.getvalue()


def _unpacked(path: Path, file: str, files: dict[str, bytes], keys: Iterable[str]) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(files[file]), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in keys}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path}: {file} is damaged. Create the avatar again.") from error
