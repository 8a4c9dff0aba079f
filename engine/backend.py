"""What the signal path asks of whatever runs its networks.

A network is one streaming step with named state. It holds weights and no session: any number of sessions call it,
each with a state of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]
"""Arrays by name. A mapping handed in is never changed."""

NetworkState = Mapping[str, NDArray[np.float32]]
"""By name. A network on a device gives handles that read as such a mapping (``engine.backends.slots``)."""


class Network(Protocol):
    """One network, ready to run."""

    def init_state(self, batch: int = 1) -> NetworkState:
        """Zeros in the shape of the state, for ``batch`` sessions that run together."""
        ...

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        """Run one step; return its outputs and the next state, both by name."""
        ...


@runtime_checkable
class GathersStates(Protocol):
    """A network that steps states of several sessions itself, wherever they lie."""

    def run_many(self, inputs: Tensors, states: Sequence[NetworkState]) -> tuple[Tensors, Sequence[NetworkState]]:
        """One step of all: inputs and outputs hold the rows of all states in order, on axis 0."""
        ...


@dataclass(frozen=True)
class Networks:
    """The three networks of the signal path.

    Attributes:
        apc: mel (B, 2, 80) -> features (B, 2, 512).
        motion: features (B, 1, 1024), lookahead int64 (B,) -> displacement (B, 1, 123), normalised.
        headpose: pose (B, 1, 12), features (B, 1, 512) -> mean and sigma (B, 1, 6).
    """

    apc: Network
    motion: Network
    headpose: Network
