"""A network on a device that any number of sessions step together, their states staying there.

One launch serves all sessions that are due. Batches are padded to a few sizes, *buckets*, so that a device sees few
shapes and can record each call once; what does not fit into the largest goes in further launches, in order.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backend import NetworkState, Tensors
from engine.backends.device_graph import BATCH, DeviceGraph
from engine.backends.slots import ZERO, DeviceState, Row, Slots
from engine.backends.slotted import BOUND, PLACES
from engine.errors import CapacityError, ConfigError

BUCKETS = (1, 2, 4, 8, 16, 32)
CAPACITY = 160
"""Places for states: those before and after a step of 64 sessions, and some that are kept to go back to."""
_COPIES = 2
"""Of each bank: a launch reads one and writes the other."""


def bucket_of(count: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest bucket that holds ``count`` rows.

    Raises:
        ConfigError: None does, or there are no rows.
    """
    if count >= 1:
        for size in buckets:
            if count <= size:
                return size
    raise ConfigError(f"A batch has 1 to {buckets[-1]} rows, not {count}.")


class Bound:
    """What does not change during a session, in its place on the device; it is freed with the last who holds it."""

    def __init__(self, places: Slots) -> None:
        self._row = places.take()

    @property
    def place(self) -> int:
        """Where it lies."""
        return self._row.slot


class DeviceNetwork:
    """One slotted graph, its banks, and the calls that it makes.

    It is a ``Network`` for who steps one session or a fixed batch, and gathers states of several sessions for who
    batches (``run_many``). Calls may come from several threads; they run one after another.
    """

    def __init__(
        self,
        graph: DeviceGraph,
        states: Mapping[str, int],
        statics: Mapping[str, int] | None = None,
        *,
        buckets: Sequence[int] = BUCKETS,
        capacity: int = CAPACITY,
        bound: int = 64,
    ) -> None:
        """Take a graph and lay out its banks.

        Args:
            graph: As from ``slotted``, on a device.
            states: The batch axis of each state, by name.
            statics: The batch axis of each input that does not change, by name.
            buckets: Sizes of batches, rising.
            capacity: Places for states.
            bound: Places for what does not change.

        Raises:
            ConfigError: The buckets do not rise, or there are too few places for the largest.
        """
        if not buckets or list(buckets) != sorted(set(buckets)) or buckets[0] < 1:
            raise ConfigError(f"Buckets are rising sizes of batches, not {tuple(buckets)}.")
        if capacity <= buckets[-1]:
            raise ConfigError(f"{capacity} states cannot be kept while {buckets[-1]} are computed: keep more.")
        self._graph, self._axes, self._static_axes = graph, dict(states), dict(statics or {})
        self._buckets, self._lock = tuple(buckets), threading.Lock()
        self._slots = Slots(capacity)
        self._lengths = {PLACES: capacity, BOUND: bound}
        self._names = tuple(self._axes)
        self._given = [
            name
            for name in graph.inputs
            if name not in ("slots", "refresh", "who") and not name.startswith(("bank.", "inbox."))
        ]
        self._said = [name for name in graph.outputs if not name.startswith("next.bank.")]
        self._banks = [{f"bank.{name}": self._bank(f"bank.{name}") for name in self._names} for _ in range(_COPIES)]
        self._statics = {f"bank.{name}": self._bank(f"bank.{name}") for name in self._static_axes}
        self._bound = Slots(bound)
        self._kept = {
            name: np.zeros(graph.inputs[name].sized(**self._lengths), graph.inputs[name].dtype)
            for name in self._statics
        }
        self._now = 0
        self._calls: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.launches = 0
        """Calls of the graph so far."""

    def _bank(self, name: str) -> Any:
        spec = self._graph.inputs[name]
        return self._graph.buffer(spec.sized(**self._lengths), spec.dtype)

    def init_state(self, batch: int = 1) -> NetworkState:
        """Zeros, for ``batch`` sessions that run together: nothing is moved for them."""
        return DeviceState(self._names, [Row(None, ZERO)] * batch, self)

    def bind(self, arrays: Tensors) -> Bound:
        """Put what does not change during a session on the device.

        Args:
            arrays: The statics by name, each of batch 1.

        Returns:
            A handle, to be given to ``run_many``; its place is freed with it.

        Raises:
            CapacityError: All places are taken.
        """
        with self._lock:
            try:
                handle = Bound(self._bound)
            except IndexError as error:
                raise CapacityError("No more avatars fit on the device: end a session first.") from error
            for name, axis in self._static_axes.items():
                kept = self._kept[f"bank.{name}"]
                np.moveaxis(kept, axis, 0)[handle.place] = np.moveaxis(arrays[name], axis, 0)[0]
                self._graph.write(self._statics[f"bank.{name}"], kept)
        return handle

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        """Run one step; return its outputs and the next state, a handle. States from anywhere are taken."""
        outputs, states = self.run_many(inputs, [state])
        return outputs, states[0]

    def run_many(
        self, inputs: Tensors, states: Sequence[NetworkState], who: Sequence[Bound] = ()
    ) -> tuple[Tensors, list[NetworkState]]:
        """Run one step of several states at once.

        Args:
            inputs: Rows of all states in order on axis 0.
            states: Handles of this network, or mappings of arrays from elsewhere.
            who: For each row its handle of what does not change, where the network has such inputs.

        Returns:
            Outputs, rows in the same order, and the next state of each.
        """
        with self._lock:
            rows = [self._rows(state) for state in states]
            flat = [row for part in rows for row in part] if self._names else [None] * len(inputs[self._given[0]])
            said: list[Tensors] = []
            following: list[Row] = []
            for start in range(0, len(flat), self._buckets[-1]):
                part = slice(start, start + self._buckets[-1])
                keep = [row for row in (*flat, *following) if row is not None]
                outputs, after = self._launch(
                    {name: inputs[name][part] for name in self._given}, flat[part], who[part], keep
                )
                said.append(outputs)
                following += after
            outputs = said[0] if len(said) == 1 else {n: np.concatenate([each[n] for each in said]) for n in said[0]}
            results, place = list[NetworkState](), 0
            for part_rows in rows:
                results.append(DeviceState(self._names, following[place : place + len(part_rows)], self))
                place += len(part_rows)
            return outputs, results

    def fetch(self, rows: Sequence[Row]) -> Mapping[str, NDArray[np.float32]]:
        """The states of ``rows`` by name, side by side on their batch axis, on the host."""
        with self._lock:
            return self._fetch(rows)

    def _fetch(self, rows: Sequence[Row]) -> dict[str, NDArray[np.float32]]:
        result = {}
        for name, axis in self._axes.items():
            bank = self._graph.read(self._banks[self._now][f"bank.{name}"])
            parts = [bank.take([row.slot], axis) if row.host is None else row.host[name] for row in rows]
            result[name] = np.concatenate(parts, axis)
        return result

    def _rows(self, state: NetworkState) -> Sequence[Row]:
        """The rows of a handle, or those that arrays from elsewhere make."""
        if isinstance(state, DeviceState) and state.made_by(self):
            return state.rows
        if not self._names:
            return ()
        arrays = {name: np.asarray(state[name], np.float32) for name in self._names}
        first = self._names[0]
        batch = arrays[first].shape[self._axes[first]]
        return [
            Row(None, ZERO, {name: array.take([row], self._axes[name]) for name, array in arrays.items()})
            for row in range(batch)
        ]

    def _launch(
        self, inputs: Tensors, rows: Sequence[Row | None], who: Sequence[Bound], keep: Sequence[Row]
    ) -> tuple[Tensors, list[Row]]:
        """One call of the graph, for as many rows as fit."""
        count = len(rows)
        bucket = bucket_of(count, self._buckets)
        call = self._buckets.index(bucket) * _COPIES + self._now
        taken, given = self._call(call, bucket)
        for name, array in inputs.items():
            self._graph.write(taken[name], _padded(array, bucket))
        if self._static_axes:
            self._graph.write(taken["who"], _padded(np.array([each.place for each in who], np.int64), bucket))
        held = [row for row in rows if row is not None]
        following = self._choose(taken, held, bucket, keep) if self._names else []
        self._graph.execute(taken, given, call)
        self.launches += 1
        if self._names:
            self._now = 1 - self._now
        return {name: self._graph.read(given[name])[:count] for name in self._said}, following

    def _choose(self, taken: Mapping[str, Any], rows: Sequence[Row], bucket: int, keep: Sequence[Row]) -> list[Row]:
        """Say where the rows' states are and where the next ones go; the latter's rows."""
        capacity = self._slots.capacity
        self._make_room(len(rows), keep)
        slots = np.zeros(bucket, np.int64)
        boxes: dict[str, NDArray[np.float32]] = {}
        for number, row in enumerate(rows):
            slots[number] = row.slot
            if row.host is None:
                if row.slot != ZERO:
                    self._slots.touch(row)
                continue
            slots[number] = capacity + number
            for name, axis in self._axes.items():
                box = boxes.get(name)
                if box is None:
                    spec = self._graph.inputs[f"inbox.{name}"]
                    box = boxes[name] = np.zeros(spec.sized(**self._lengths, **{BATCH: bucket}), np.float32)
                np.moveaxis(box, axis, 0)[number] = np.moveaxis(row.host[name], axis, 0)[0]
        for name, box in boxes.items():
            self._graph.write(taken[f"inbox.{name}"], box)
        following = [self._slots.take() for _ in rows]
        refresh = np.arange(capacity, dtype=np.int64)
        for number, row in enumerate(following):
            refresh[row.slot] = capacity + bucket + number
        self._graph.write(taken["slots"], slots)
        self._graph.write(taken["refresh"], refresh)
        return following

    def _make_room(self, count: int, keep: Sequence[Row]) -> None:
        """Bring states that were not used for long to the host, where places are short."""
        short = count - self._slots.free
        if short <= 0:
            return
        # What this very call goes on from may have to leave as well: it then comes back by way of the inbox.
        leaving = self._slots.oldest(short, keep)
        if len(leaving) < short:
            leaving += self._slots.oldest(short - len(leaving), leaving)
        states = self._fetch(leaving)
        for number, row in enumerate(leaving):
            self._slots.evict(row, {name: states[name].take([number], axis) for name, axis in self._axes.items()})

    def _call(self, call: int, bucket: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The buffers of a call, which stay the same."""
        found = self._calls.get(call)
        if found is None:
            lengths = {**self._lengths, BATCH: bucket}
            taken = {**self._banks[self._now], **self._statics}
            for name, spec in self._graph.inputs.items():
                if name not in taken:
                    taken[name] = self._graph.buffer(spec.sized(**lengths), spec.dtype)
            given = {f"next.{name}": buffer for name, buffer in self._banks[1 - self._now].items()}
            for name in self._said:
                spec = self._graph.outputs[name]
                given[name] = self._graph.buffer(spec.sized(**lengths), spec.dtype)
            found = self._calls[call] = taken, given
        return found


def _padded(array: NDArray[Any], bucket: int) -> NDArray[Any]:
    """Rows repeated up to the bucket's size: what is computed beside the others is thrown away, but is no nonsense."""
    if len(array) == bucket:
        return np.ascontiguousarray(array)
    return np.concatenate([array, np.repeat(array[-1:], bucket - len(array), 0)])
