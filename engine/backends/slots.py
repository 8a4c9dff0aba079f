"""Where the states of sessions live on a device: numbered places in a bank, handed out and taken back.

A state is a value: whoever holds one may go on from it any number of times. So a step never writes where it read; the
next state gets a place of its own, and a place is free again when nobody holds its state any more.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

ZERO = 0
"""The place that holds zeros: the state of whoever begins."""


class Row:
    """One session's state: in a place on the device, or on the host."""

    def __init__(self, slots: "Slots | None", slot: int, host: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self._slots, self.slot, self.host = slots, slot, host

    def __del__(self) -> None:
        if self.host is None and self._slots is not None:
            self._slots.give_back(self.slot)


class Slots:
    """The places of one bank, from 1 on. Places may be given back by any thread; all else is for one thread."""

    def __init__(self, capacity: int) -> None:
        """Set up.

        Args:
            capacity: Places, with the one that holds zeros.

        Raises:
            ConfigError: There is none beside that.
        """
        if capacity < 2:
            raise ConfigError(f"A bank of states needs two places or more, not {capacity}.")
        self.capacity = capacity
        self._free = deque(range(1, capacity))
        self._used: WeakSet[Row] = WeakSet()
        self._turn = 0
        self._last: dict[int, int] = {}

    @property
    def free(self) -> int:
        """Places that nobody holds."""
        return len(self._free)

    def take(self) -> Row:
        """A place that is free.

        Raises:
            IndexError: There is none.
        """
        row = Row(self, self._free.popleft())
        self._used.add(row)
        self.touch(row)
        return row

    def touch(self, row: Row) -> None:
        """Note that a row is used now."""
        self._turn += 1
        self._last[row.slot] = self._turn

    def oldest(self, count: int, keep: Sequence[Row]) -> list[Row]:
        """The ``count`` rows that were not used for longest, without those to ``keep``; fewer if there are no more."""
        kept = {id(row) for row in keep}
        held = [row for row in self._used if row.host is None and id(row) not in kept]
        return sorted(held, key=lambda row: self._last[row.slot])[:count]

    def evict(self, row: Row, host: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep a row's state on the host from now on, and free its place."""
        row.host = host
        self._used.discard(row)
        self.give_back(row.slot)

    def give_back(self, slot: int) -> None:
        """Free a place."""
        if slot != ZERO:
            self._free.append(slot)


class Reader(Protocol):
    """Brings states to the host."""

    def fetch(self, rows: Sequence[Row]) -> Mapping[str, NDArray[np.float32]]:
        """The states of ``rows`` by name, side by side on their batch axis."""
        ...


class DeviceState(Mapping[str, NDArray[np.float32]]):
    """The states of one session or several, on the device: a handle that reads as a mapping of arrays.

    Looking at an array copies it to the host, for who saves a session or compares; the network that made the handle
    takes it as it is.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Row], reader: Reader) -> None:
        self._names, self.rows, self._reader = names, tuple(rows), reader

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(name)
        return self._reader.fetch(self.rows)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def made_by(self, reader: Any) -> bool:
        """Whether this is a handle of ``reader``, and not of another device or network."""
        return self._reader is reader
