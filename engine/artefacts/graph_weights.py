"""Weights of an ONNX graph changed in place, in numpy: how a style is put on top of a bundle.

A style holds the differences of a few dozen matrices and vectors from its bundle's. They are written over the bundle's
own bytes: a tensor keeps its type and its shape, so the file keeps its length and nothing else of it is touched. That
takes no ONNX library, which the runtime does not have: of the file's format (protobuf) only the way to the raw data of
the initialisers is read.

A matrix ``X`` that is multiplied in integers lies in the graph as ``X.u8`` (zero at 128) with a scale for each output,
``<left>.X.scale``, in which the scale of what it is multiplied with, ``<left>.scale``, is contained
(``export.integer``). Its difference is added to the float weights, which are then rounded anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError

Float = NDArray[np.float32]

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPES: Final = {1: np.float32, 2: np.uint8, 3: np.int8, 7: np.int64, 10: np.float16}
_ZERO, _LARGEST = 128, 127


@dataclass(frozen=True)
class Stored:
    """Where an initialiser lies in a graph's bytes.

    Attributes:
        dtype: Of its numbers.
        shape: Of the tensor.
        start: First byte of its raw data.
        size: Bytes of it.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Change:
    """What is different in one weight.

    Attributes:
        tensor: Name of the weight, without the suffix that says how it is stored.
        delta: float32 in the weight's shape; what is added.
        activation: Scale of what the weight is multiplied with, fu or whatever it is per integer; None as it was.
    """

    tensor: str
    delta: Float
    activation: float | None = None


def stored_tensors(graph: bytes) -> dict[str, Stored]:
    """The initialisers of a graph by name.

    Args:
        graph: An ONNX file's bytes.

    Raises:
        ArtefactError: They are not such a file.
    """
    found: dict[str, Stored] = {}
    for number, start, end in _fields(graph, 0, len(graph)):
        if number == _GRAPH:
            for part, begin, stop in _fields(graph, start, end):
                if part == _INITIALIZER:
                    name, stored = _tensor(graph, begin, stop)
                    found[name] = stored
    return found


def weight(graph: bytes, tensors: Mapping[str, Stored], name: str) -> Float:
    """A weight in float32, however it is stored.

    Args:
        graph: The ONNX file's bytes.
        tensors: As from ``stored_tensors``.
        name: Of the weight, without the suffix that says how it is stored.

    Raises:
        ArtefactError: There is none.
    """
    if f"{name}.u8" in tensors:
        integers = _read(graph, tensors[f"{name}.u8"]).astype(np.float32) - _ZERO
        product, left = _scales(tensors, name)
        scales, activation = (_read(graph, tensors[each]).astype(np.float32) for each in (product, left))
        return np.asarray(integers * (scales / activation), np.float32)
    return _read(graph, tensors[_plain(tensors, name)]).astype(np.float32)


def apply_changes(graph: bytes, changes: Iterable[Change]) -> bytes:
    """A graph with other weights: bytes of the same length.

    Raises:
        ArtefactError: A weight is not there, or of another shape.
    """
    tensors = stored_tensors(graph)
    result = bytearray(graph)
    for change in changes:
        _apply(result, graph, tensors, change)
    return bytes(result)


def _apply(result: bytearray, graph: bytes, tensors: Mapping[str, Stored], change: Change) -> None:
    old = weight(graph, tensors, change.tensor)
    if old.shape != change.delta.shape:
        raise ArtefactError(
            f"The weight {change.tensor!r} is {old.shape} in this bundle, not {change.delta.shape}; train the style "
            "again on this bundle."
        )
    new = old + change.delta
    integers = tensors.get(f"{change.tensor}.u8")
    if integers is None:
        _write(result, tensors[_plain(tensors, change.tensor)], new)
        return
    product, left = _scales(tensors, change.tensor)
    activation = _read(graph, tensors[left]) if change.activation is None else np.array(change.activation, np.float32)
    scales = np.abs(new).max(axis=0) / np.float32(_LARGEST)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    _write(result, integers, np.rint(new / scales) + _ZERO)
    _write(result, tensors[product], scales * activation)
    _write(result, tensors[left], activation)


def _plain(tensors: Mapping[str, Stored], name: str) -> str:
    """Under which name a weight that is not integer lies."""
    for candidate in (name, f"{name}.stored"):
        if candidate in tensors and tensors[candidate].dtype.kind == "f":
            return candidate
    raise ArtefactError(f"The bundle's graph has no weight {name!r} that could be changed; train the style again.")


def _scales(tensors: Mapping[str, Stored], name: str) -> tuple[str, str]:
    """Names of the scale of a product and of what its weight is multiplied with."""
    suffix = f".{name}.scale"
    for candidate in tensors:
        if candidate.endswith(suffix):
            return candidate, f"{candidate.removesuffix(suffix)}.scale"
    raise ArtefactError(f"The bundle's graph has no scale of {name!r}; export the bundle again.")


def _read(graph: bytes, stored: Stored) -> NDArray[np.generic]:
    count = stored.size // stored.dtype.itemsize
    return np.frombuffer(graph, stored.dtype, count, stored.start).reshape(stored.shape)


def _write(result: bytearray, stored: Stored, values: NDArray[np.generic]) -> None:
    data = np.ascontiguousarray(values, stored.dtype).tobytes()
    assert len(data) == stored.size
    result[stored.start : stored.start + stored.size] = data


def _tensor(graph: bytes, start: int, end: int) -> tuple[str, Stored]:
    """Name and place of a TensorProto."""
    name, kind, shape, raw = "", 0, list[int](), (start, start)
    for number, begin, stop in _fields(graph, start, end):
        if number == _NAME:
            name = graph[begin:stop].decode("utf-8", "replace")
        elif number == _TYPE:
            kind = _varint(graph, begin, stop)[0]
        elif number == _DIMS:
            # One number a field, or all in one.
            while begin < stop:
                length, begin = _varint(graph, begin, stop)
                shape.append(length)
        elif number == _RAW:
            raw = begin, stop
    dtype = np.dtype(_DTYPES.get(kind, np.uint8))
    size = raw[1] - raw[0]
    if kind in _DTYPES and size and size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ArtefactError("A graph of the bundle is damaged; install or export the bundle again.")
    return name, Stored(dtype, tuple(shape), raw[0], size)


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, first and end byte of the value of each field of a protobuf message."""
    place = start
    while place < end:
        key, place = _varint(data, place, end)
        kind = key & 7
        if kind == _VARINT:
            value = place
            _, place = _varint(data, place, end)
        elif kind == _BYTES:
            size, value = _varint(data, place, end)
            place = value + size
        elif kind in (_FIXED32, _FIXED64):
            value, place = place, place + (4 if kind == _FIXED32 else 8)
        else:
            raise ArtefactError("A graph of the bundle is no ONNX file; install or export the bundle again.")
        if place > end:
            raise ArtefactError("A graph of the bundle ends too early; install or export the bundle again.")
        yield key >> 3, value, place


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the byte after it."""
    value = shift = 0
    while place < end and shift < 64:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise ArtefactError("A graph of the bundle is no ONNX file; install or export the bundle again.")
