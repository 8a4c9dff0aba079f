"""What the networks are given while they run on real sound: what integer arithmetic is scaled to."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from engine.artefacts.bundle import NetworkGeometry
from engine.backend import NetworkState, Tensors
from engine.backend_onnx import OnnxNetwork
from models.spec import MAX_LOOKAHEAD, MEL_BANDS, MELS_PER_MOTION, POSE_DIM

Calls = dict[str, list[Tensors]]
"""By network, what each call was given: inputs, and states as ``state.<name>``."""

_LOOKAHEADS = (0, MAX_LOOKAHEAD // 3, MAX_LOOKAHEAD)
_TEMPERATURE = 2.0
"""Livelier than any head is shown, so that the range holds what a session may meet."""
_LARGEST_STEP = 0.03
_CENTRE_PULL = 1 / 480
"""As the head pose stage walks: bounded steps and a weak spring to the centre."""


def calibration_calls(
    graphs: Mapping[str, onnx.ModelProto], geometry: Mapping[str, NetworkGeometry], mel: NDArray[np.floating]
) -> Calls:
    """Run the three networks of the signal path over speech, each on what the one before it says.

    Args:
        graphs: ``apc``, ``motion`` and ``headpose`` in float32.
        geometry: Their names and shapes.
        mel: (n, 80), log-mel of speech.
    """
    networks = {name: OnnxNetwork(graphs[name].SerializeToString(), geometry[name]) for name in graphs}
    calls: Calls = {name: [] for name in networks}

    def listen(name: str, batch: int) -> Callable[[Tensors], Tensors]:
        network = networks[name]
        state: NetworkState = network.init_state(batch)

        def step(inputs: Tensors) -> Tensors:
            nonlocal state
            calls[name].append({**inputs, **{f"state.{key}": array for key, array in state.items()}})
            outputs, state = network.run(inputs, state)
            return outputs

        return step

    encode, move, turn = listen("apc", 1), listen("motion", len(_LOOKAHEADS)), listen("headpose", 1)
    rng = np.random.default_rng(0)
    pose, change = np.zeros(POSE_DIM), np.zeros(POSE_DIM)
    pairs = mel[: len(mel) // MELS_PER_MOTION * MELS_PER_MOTION].astype(np.float32)
    for pair in pairs.reshape(-1, 1, MELS_PER_MOTION, MEL_BANDS):
        features = encode({"mel": pair})["features"]
        heard = np.repeat(features.reshape(1, 1, -1), len(_LOOKAHEADS), axis=0)
        move({"features": heard, "lookahead": np.array(_LOOKAHEADS, np.int64)})
        walked = np.concatenate([pose, change]).astype(np.float32)
        said = turn({"pose": walked[None, None], "features": features[:, -1:]})
        drawn = said["mean"][0, 0] + _TEMPERATURE * said["sigma"][0, 0] * rng.standard_normal(POSE_DIM)
        change = np.clip(drawn, -_LARGEST_STEP, _LARGEST_STEP) - _CENTRE_PULL * pose
        pose = pose + change
    return calls
