"""Networks in a few lines of numpy, with the shapes of the real ones."""

from collections.abc import Callable

import numpy as np

from engine.backend import NetworkState, Tensors


class FakeApc:
    """A leaky sum of what it hears, spread over 512 units."""

    def __init__(self) -> None:
        self.weights = np.random.default_rng(0).standard_normal((80, 512)).astype(np.float32) / 9

    def init_state(self, batch: int = 1) -> NetworkState:
        return {"hidden": np.zeros((batch, 512), np.float32)}

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        hidden, features = state["hidden"], []
        for frame in range(inputs["mel"].shape[1]):
            hidden = np.tanh(0.7 * hidden + inputs["mel"][:, frame] @ self.weights)
            features.append(hidden)
        return {"features": np.stack(features, 1)}, {"hidden": hidden}


class FakeMotion:
    """A leaky sum of features, 123 wide; it remembers the lookahead that it was told."""

    def __init__(self) -> None:
        self.lookaheads: set[int] = set()

    def init_state(self, batch: int = 1) -> NetworkState:
        return {"hidden": np.zeros((batch, 123), np.float32)}

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        self.lookaheads.update(inputs["lookahead"].tolist())
        hidden = 0.5 * state["hidden"] + inputs["features"][:, 0, :123]
        return {"displacement": hidden[:, None]}, {"hidden": hidden}


class FakeHeadPose:
    """Mean and sigma by a rule; it counts its steps in its state."""

    def __init__(self, rule: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
        self.rule = rule

    def init_state(self, batch: int = 1) -> NetworkState:
        return {"count": np.zeros((batch, 1), np.float32)}

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        mean, sigma = self.rule(inputs["pose"][0, 0])
        outputs = {"mean": np.float32(mean)[None, None], "sigma": np.float32(sigma)[None, None]}
        return outputs, {"count": state["count"] + 1}
