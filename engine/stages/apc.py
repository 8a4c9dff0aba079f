"""Log-mel frames to speech features by the APC encoder (paper 3.1)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.backend import Network, NetworkState
from engine.batching import NetworkServer, Place, Work, drive
from models.spec import APC_UNITS


@dataclass(frozen=True)
class ApcState:
    """The recurrent state of the network."""

    network: NetworkState


class Apc:
    """Two mel frames in, their two features out: one network call a motion frame."""

    lookahead_ticks = 0

    def __init__(self, network: Network) -> None:
        self._server = NetworkServer(network, Place.APC)

    def init_state(self) -> ApcState:
        """Zero recurrent state."""
        return ApcState(self._server.network.init_state())

    def step(self, x: NDArray[np.float32], state: ApcState) -> tuple[NDArray[np.float32], ApcState]:
        """Encode.

        Args:
            x: float32 (2, 80), log-mel at 120 Hz.
            state: As from ``init_state`` or the last step.

        Returns:
            float32 (2, 512), features at 120 Hz, and the next state.
        """
        return drive(self.work(x, state))

    def work(self, x: NDArray[np.float32], state: ApcState) -> Work[tuple[NDArray[np.float32], ApcState]]:
        """As ``step``, asking the network with others."""
        outputs, network = yield from self._server.ask({"mel": x[None]}, state.network)
        return outputs["features"][0], ApcState(network)

    def flush(self, state: ApcState) -> NDArray[np.float32]:
        """No features: nothing is held back."""
        return np.zeros((0, APC_UNITS), np.float32)
