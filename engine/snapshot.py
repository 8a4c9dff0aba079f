"""A session's state as plain named arrays, and back: to save it mid-stream, or to move it to another process.

State is frozen dataclasses and mappings of arrays and numbers, nested. Its leaves are named by their path, as in
``motion.network.hidden``; the shape of the tree comes from a fresh state of the same pipeline, so nothing is ever
unpickled.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError

T = TypeVar("T")


def state_arrays(state: object) -> dict[str, NDArray[Any]]:
    """The leaves of a state by their path.

    Args:
        state: A frozen dataclass of arrays, numbers, mappings and further such dataclasses.
    """
    if isinstance(state, Mapping):
        parts = dict(state)
    elif is_dataclass(state):
        parts = {field.name: getattr(state, field.name) for field in fields(state)}
    else:
        return {"": np.asarray(state)}
    leaves = {}
    for name, part in parts.items():
        for path, leaf in state_arrays(part).items():
            leaves[f"{name}.{path}" if path else name] = leaf
    return leaves


def save_state(state: object) -> bytes:
    """A state as the bytes of an npz file."""
    stored = io.BytesIO()
    arrays: dict[str, Any] = state_arrays(state)
    np.savez(stored, **arrays)
    return stored.getvalue()


def load_state(data: bytes, like: T) -> T:
    """A state from what ``save_state`` gave.

    Args:
        data: The npz file's bytes.
        like: A state of the same kind, such as the pipeline's ``init_state()``.

    Raises:
        ArtefactError: The bytes are damaged or of another pipeline.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtefactError("The saved session is damaged; start a new one.") from error
    if arrays.keys() != state_arrays(like).keys():
        raise ArtefactError("The saved session is of another pipeline; start a new one.")
    restored: T = _restore(like, arrays, "")
    return restored


def _restore(like: Any, arrays: Mapping[str, NDArray[Any]], path: str) -> Any:
    """``like`` with its leaves taken from ``arrays``."""

    def below(name: str) -> str:
        return f"{path}.{name}" if path else name

    if isinstance(like, Mapping):
        return {name: _restore(part, arrays, below(name)) for name, part in like.items()}
    if is_dataclass(like) and not isinstance(like, type):
        parts = {field.name: getattr(like, field.name) for field in fields(like)}
        return type(like)(**{name: _restore(part, arrays, below(name)) for name, part in parts.items()})
    stored = arrays[path]
    sound = stored.dtype == np.asarray(like).dtype and stored.ndim == np.ndim(like)
    if not sound:
        raise ArtefactError(f"The saved session is damaged at {path}; start a new one.")
    return stored if isinstance(like, np.ndarray) else type(like)(stored.item())
