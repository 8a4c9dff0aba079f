"""The numbers of a style as one npz: what it changes in the bundle's weights, its resting expression, its references.

A change of a matrix is a product of two thin ones (rank r), each stored as 8-bit integers with a scale for each of the
r parts; a change of a vector, or of a matrix too small for that to pay, is stored as float16. So a style weighs some
300 KB where the two networks weigh 5 MB.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.graph_weights import Change
from engine.errors import ArtefactError
from models.spec import LANDMARKS

Float = NDArray[np.float32]

STYLE_NETWORKS: Final = ("motion", "headpose")
_MOST_BYTES: Final = 16 << 20
_MOST_CHANGES: Final = 256
_DAMAGED: Final = "The style's arrays are damaged; fetch or train the style again."


@dataclass(frozen=True)
class FactoredChange:
    """What is different in one weight, as it is stored.

    Attributes:
        tensor: Name of the weight in the bundle's graph.
        left: float32 (rows, r); None for a dense change.
        right: float32 (r, columns); for a dense change float32 in the weight's shape.
        activation: Scale of what the weight is multiplied with; None as it was.
    """

    tensor: str
    left: Float | None
    right: Float
    activation: float | None = None

    def change(self) -> Change:
        """The whole difference."""
        delta = self.right if self.left is None else self.left @ self.right
        return Change(self.tensor, np.asarray(delta, np.float32), self.activation)


@dataclass(frozen=True)
class StyleArrays:
    """All numbers of a style.

    Attributes:
        changes: By network (``STYLE_NETWORKS``); a network that is not there is as the bundle's.
        rest: float32 (68, 3) fu, how the face at rest differs from a neutral one.
        reference_landmarks: float32 (k, 68, 3) fu, posed, of the style reference images; k may be 0.
    """

    changes: Mapping[str, Sequence[FactoredChange]]
    rest: Float = field(default_factory=lambda: np.zeros((LANDMARKS, 3), np.float32))
    reference_landmarks: Float = field(default_factory=lambda: np.zeros((0, LANDMARKS, 3), np.float32))


def pack_arrays(arrays: StyleArrays) -> bytes:
    """The bytes of an npz."""
    stored: dict[str, NDArray[Any]] = {
        "rest": arrays.rest.astype(np.float16),
        "references": arrays.reference_landmarks.astype(np.float32),
    }
    for network, changes in arrays.changes.items():
        stored[f"{network}.names"] = np.array([change.tensor for change in changes], str)
        none = float("nan")
        activations = [none if change.activation is None else change.activation for change in changes]
        stored[f"{network}.activations"] = np.array(activations, np.float32)
        for number, change in enumerate(changes):
            if change.left is None:
                stored[f"{network}.{number}.dense"] = change.right.astype(np.float16)
                continue
            for side, factor, axis in (("left", change.left, 0), ("right", change.right, 1)):
                scale = np.maximum(np.abs(factor).max(axis=axis, keepdims=True), 1e-12) / 127
                stored[f"{network}.{number}.{side}"] = np.rint(factor / scale).astype(np.int8)
                stored[f"{network}.{number}.{side}_scale"] = scale.astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **stored)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> StyleArrays:
    """What ``pack_arrays`` packed, up to the rounding of what is stored.

    Raises:
        ArtefactError: The bytes are damaged, too much, or of something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise ArtefactError("The style's arrays are too large to be a style's; fetch or train it again.")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        changes = {network: _changes(arrays, network) for network in STYLE_NETWORKS if f"{network}.names" in arrays}
        rest, references = arrays["rest"].astype(np.float32), arrays["references"].astype(np.float32)
    except (ValueError, KeyError, OSError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise ArtefactError(_DAMAGED) from error
    if rest.shape != (LANDMARKS, 3) or references.ndim != 3 or references.shape[1:] != (LANDMARKS, 3):
        raise ArtefactError(_DAMAGED)
    if not (np.isfinite(rest).all() and np.isfinite(references).all()) or np.abs(rest).max() > 1:
        raise ArtefactError(_DAMAGED)
    return StyleArrays(changes, rest, references)


def _changes(arrays: Mapping[str, NDArray[Any]], network: str) -> tuple[FactoredChange, ...]:
    names, activations = arrays[f"{network}.names"], arrays[f"{network}.activations"].astype(np.float32)
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) > _MOST_CHANGES or activations.shape != names.shape:
        raise ValueError("names and activations do not fit")
    changes = []
    for number, (name, activation) in enumerate(zip(names, activations, strict=True)):
        left: Float | None = None
        if f"{network}.{number}.dense" in arrays:
            right = arrays[f"{network}.{number}.dense"].astype(np.float32)
        else:
            left, right = (
                arrays[f"{network}.{number}.{side}"].astype(np.float32)
                * arrays[f"{network}.{number}.{side}_scale"].astype(np.float32)
                for side in ("left", "right")
            )
            if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
                raise ValueError("factors do not fit")
        if not all(np.isfinite(part).all() for part in (right, *([] if left is None else [left]))):
            raise ValueError("not finite")
        if not (np.isnan(activation) or 0 < activation < np.inf):
            raise ValueError("a scale must be positive")
        changes.append(FactoredChange(str(name), left, right, None if np.isnan(activation) else float(activation)))
    return tuple(changes)
