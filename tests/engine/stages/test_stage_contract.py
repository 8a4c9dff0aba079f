"""What STYLE asks of every stage: it alters nothing that it is given, sessions do not touch, state can be restored."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.snapshot import load_state, save_state, state_arrays
from engine.stages.apc import Apc
from engine.stages.chunker import Chunker
from engine.stages.delay import Delay
from engine.stages.geometry import Geometry, GeometryInput
from engine.stages.head_pose import HeadPose
from engine.stages.liveliness import Liveliness, LivelinessInput
from engine.stages.log_mel import LogMel
from engine.stages.manifold import Manifold
from engine.stages.motion import Motion
from engine.stages.silence import SilenceGate
from tests.bundles import face_template, random_completion
from tests.fake_networks import FakeApc, FakeHeadPose, FakeMotion

FRAMES = 150


def wander(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 0.5 * pose[6:], np.full(6, 0.003)


def stages() -> dict[str, tuple[Any, Callable[[np.random.Generator], Any]]]:
    """Every stage, and how to draw one input for it."""
    bank = np.random.default_rng(9).standard_normal((40, 512)).astype(np.float32)
    limits = (0.13, 0.2, 0.1, 0.06, 0.06, 0.06)

    def floats(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
        return lambda rng: (0.1 * rng.standard_normal(shape)).astype(np.float32)

    def lively(rng: np.random.Generator) -> LivelinessInput:
        return LivelinessInput(floats(6)(rng), float(rng.integers(2)))

    def face(rng: np.random.Generator) -> GeometryInput:
        return GeometryInput(floats(41, 3)(rng), float(rng.random()), float(rng.random()), floats(6)(rng))

    return {
        "chunker": (Chunker(3), lambda rng: floats(int(rng.integers(0, 700)))(rng)),
        "log_mel": (LogMel(), floats(2, 267)),
        "apc": (Apc(FakeApc()), lambda rng: rng.random((2, 80)).astype(np.float32)),
        "manifold": (Manifold(bank, neighbours=10, strength=0.5, regularisation=1e-3), floats(2, 512)),
        "motion": (
            Motion(FakeMotion(), mean=bank[0, :123], scale=1.0, lookahead_frames=4, max_lookahead_frames=18),
            floats(2, 512),
        ),
        "delay": (Delay(4, 512), floats(512)),
        "silence": (SilenceGate(4), lambda rng: (rng.random((2, 80)) * rng.random() ** 3).astype(np.float32)),
        "head_pose": (
            HeadPose(FakeHeadPose(wander), temperature=1.0, limits=limits, smoothing_frames=2.0, seed=3),
            floats(512),
        ),
        "liveliness": (Liveliness(3), lively),
        "geometry": (Geometry(face_template(), random_completion()), face),
    }


@pytest.fixture(params=sorted(stages()))
def stage_and_inputs(request: pytest.FixtureRequest) -> tuple[Any, list[Any], list[Any]]:
    stage, draw = stages()[request.param]
    one, other = np.random.default_rng(1), np.random.default_rng(2)
    return stage, [draw(one) for _ in range(FRAMES)], [draw(other) for _ in range(FRAMES)]


def leaves(value: Any) -> list[np.ndarray]:
    return [array.copy() for array in state_arrays(value).values()]


def same(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for x, y in zip(leaves(a), leaves(b), strict=True):
            np.testing.assert_array_equal(x, y)


def run(stage: Any, inputs: list[Any], state: Any) -> tuple[list[Any], Any]:
    outputs = []
    for x in inputs:
        y, state = stage.step(x, state)
        outputs.append(y)
    return outputs, state


def test_step_alters_neither_state_nor_input(stage_and_inputs):
    stage, inputs, _ = stage_and_inputs
    _, state = run(stage, inputs[:40], stage.init_state())
    before = leaves(state), leaves(inputs[40])
    first, _ = stage.step(inputs[40], state)
    stage.flush(state)
    for old, new in zip((*before[0], *before[1]), (*leaves(state), *leaves(inputs[40])), strict=True):
        np.testing.assert_array_equal(old, new)
    # And so the same step can be taken again.
    second, _ = stage.step(inputs[40], state)
    same([first], [second])


def test_interleaved_sessions_equal_isolated_ones(stage_and_inputs):
    stage, ours, theirs = stage_and_inputs
    alone, _ = run(stage, ours, stage.init_state())
    state, other, mixed = stage.init_state(), stage.init_state(), []
    for x, y in zip(ours, theirs, strict=True):
        out, state = stage.step(x, state)
        _, other = stage.step(y, other)
        mixed.append(out)
    same(alone, mixed)


def test_restored_state_goes_on_alike(stage_and_inputs):
    stage, inputs, _ = stage_and_inputs
    _, state = run(stage, inputs[:70], stage.init_state())
    restored = load_state(save_state(state), like=stage.init_state())
    whole, end = run(stage, inputs[70:], state)
    again, other_end = run(stage, inputs[70:], restored)
    same(whole, again)
    same([end], [other_end])


def test_lookahead_is_declared(stage_and_inputs):
    stage, _, _ = stage_and_inputs
    assert isinstance(stage.lookahead_ticks, int) and stage.lookahead_ticks >= 0
