"""Styles on the whole signal path, on networks with random weights."""

import gc
import io
import weakref
from dataclasses import replace

import numpy as np
import pytest

from engine.artefacts.style_arrays import FactoredChange, StyleArrays, pack_arrays
from engine.backend_onnx import OnnxNetwork, open_networks
from engine.batching import Batcher
from engine.errors import ArtefactError
from engine.pipeline import MotionFrame, Pipeline, PipelineState, open_manifold
from engine.snapshot import load_state, save_state, state_arrays
from engine.stages.style_mix import NO_STYLE, OpenStyle, Steering
from engine.styles import KEPT, Styled, Wardrobe, open_style
from tests.bundles import face_template
from tests.style_makers import LIFE, make_style

BLOCK = 267


@pytest.fixture(scope="module")
def pipeline(random_bundle) -> Pipeline:
    networks, manifold = open_networks(random_bundle), open_manifold(random_bundle)
    return Pipeline(random_bundle, face_template(), 3, networks=networks, manifold=manifold)


@pytest.fixture(scope="module")
def same(random_bundle) -> OpenStyle:
    return open_style(make_style(random_bundle), random_bundle)


@pytest.fixture(scope="module")
def other(random_bundle) -> OpenStyle:
    return open_style(make_style(random_bundle, seed=5, life=LIFE), random_bundle)


def sound(blocks: int, seed: int = 0) -> list[np.ndarray]:
    envelope = 0.1 + 0.1 * np.sin(np.arange(blocks * BLOCK) / 700)
    audio = (envelope * np.random.default_rng(seed).standard_normal(blocks * BLOCK)).clip(-1, 1).astype(np.float32)
    return np.split(audio, blocks)


def at(style: OpenStyle, intensity: float) -> Steering:
    return Steering(intensity=intensity).wearing(style)


def run(
    pipeline: Pipeline, blocks: list[np.ndarray], steps: list[Steering], state: PipelineState | None = None
) -> tuple[list[MotionFrame], PipelineState]:
    """Block by block, each steered as told."""
    state, seen = state or pipeline.init_state(), []
    for block, steering in zip(blocks, steps, strict=True):
        frames, state = pipeline.step(block, state, steering)
        seen += frames
    return seen, state


def assert_equal(one: list[MotionFrame], other: list[MotionFrame]) -> None:
    assert [frame.index for frame in one] == [frame.index for frame in other] and len(one) > 0
    for a, b in zip(one, other, strict=True):
        for name, array in state_arrays(a).items():
            np.testing.assert_array_equal(array, state_arrays(b)[name], err_msg=name)


def mouths(frames: list[MotionFrame]) -> np.ndarray:
    return np.array([frame.displacement[48:] for frame in frames])


def test_a_style_with_the_bundles_weights_moves_exactly_as_the_bundle(pipeline, same):
    """At any intensity, begun at any time, taken off and put on again."""
    blocks = sound(70)
    plain, _ = run(pipeline, blocks, [NO_STYLE] * 70)
    steps = [NO_STYLE] * 9 + [at(same, 1.5)] * 20 + [at(same, 0.0)] * 20 + [at(same, 0.7)] * 21
    assert_equal(run(pipeline, blocks, steps)[0], plain)
    assert_equal(run(pipeline, blocks, [at(same, 1.0)] * 70)[0], plain)


def test_without_intensity_the_style_is_not_run(pipeline, other, monkeypatch):
    blocks, calls = sound(20), []
    plain, _ = run(pipeline, blocks, [NO_STYLE] * 20)
    ask = OnnxNetwork.run
    monkeypatch.setattr(OnnxNetwork, "run", lambda self, *arguments: calls.append(self) or ask(self, *arguments))
    assert_equal(run(pipeline, blocks, [at(other, 0.0)] * 20)[0], plain)
    base = len(calls)
    assert not {other.motion.network, other.head_pose.network} & set(calls)
    run(pipeline, blocks, [at(other, 0.5)] * 20)
    assert len(calls) > 2 * base and other.motion.network in calls


def test_intensity_leads_from_the_base_through_the_style_and_beyond(pipeline, other):
    blocks = sound(40)
    none, half, full, beyond = (
        mouths(run(pipeline, blocks, [at(other, share)] * 40)[0][-20:]) for share in (0.0, 0.5, 1.0, 1.5)
    )
    assert np.abs(full - none).max() > 1e-3
    # Lips that meet are kept from going through each other: only where they stay apart is all this linear.
    apart = np.abs(full - none) > 1e-3
    for found, share in ((half, 0.5), (beyond, 1.5)):
        assert np.median(np.abs(found - none - share * (full - none))[apart]) < 1e-5


def test_styles_change_without_a_jump(pipeline, same, other, random_bundle):
    third = open_style(make_style(random_bundle, seed=6), random_bundle)
    blocks, on = sound(100), NO_STYLE.wearing(other)
    steps = [NO_STYLE] * 25 + [on] * 25 + [on.wearing(third)] * 25 + [on.wearing(third).wearing(None)] * 25
    frames, _ = run(pipeline, blocks, steps)
    plain, _ = run(pipeline, blocks, [NO_STYLE] * 100)
    moves = np.abs(np.diff(mouths(frames), axis=0)).max(axis=(1, 2))
    apart = np.abs(mouths(frames) - mouths(plain)).max(axis=(1, 2))
    assert apart[:20].max() == 0 and apart[40:].max() > 1e-3
    usual = np.concatenate([moves[:20], moves[40:45], moves[65:70]]).max()
    assert moves.max() < 1.5 * usual, "while styles change the mouth moves no quicker than it does anyway"
    poses = np.diff([frame.pose for frame in frames], axis=0)
    assert np.abs(poses).max() < 0.03


def test_a_session_saved_while_styles_fade_goes_on_alike(pipeline, other):
    first, second = sound(40)[:20], sound(40)[20:]
    steps = [NO_STYLE] * 12 + [at(other, 1.2)] * 28
    _, state = run(pipeline, first, steps[:20])
    restored = load_state(save_state(state), like=pipeline.init_state())
    assert_equal(run(pipeline, second, steps[20:], state)[0], run(pipeline, second, steps[20:], restored)[0])


def test_sessions_in_different_styles_do_not_touch(pipeline, same, other):
    """Side by side in one batch: plain, in a style, at another intensity of it, and changing."""
    sounds = [sound(30, seed) for seed in range(4)]
    plans = [
        [NO_STYLE] * 30,
        [at(other, 1.0)] * 30,
        [at(other, 0.3)] * 30,
        [at(same, 1.0)] * 10 + [at(same, 1.0).wearing(other)] * 20,
    ]
    states, mixed = [pipeline.init_state() for _ in plans], [[] for _ in plans]
    for turn in range(30):
        batcher = Batcher()
        futures = [
            batcher.add(pipeline.work(blocks[turn], state, plan[turn]))
            for blocks, state, plan in zip(sounds, states, plans, strict=True)
        ]
        while batcher.busy:
            batcher.advance()
        for number, future in enumerate(futures):
            frames, states[number] = future.result()
            mixed[number] += frames
    for blocks, plan, together in zip(sounds, plans, mixed, strict=True):
        for ours, theirs in zip(together, run(pipeline, blocks, plan)[0], strict=True):
            np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=2e-5)


def test_a_measured_pipeline_is_in_its_style(pipeline, other):
    blocks, styled = sound(12), Styled(pipeline, other)
    frames, state = [], styled.init_state()
    batcher = Batcher()
    for block in blocks:
        future = batcher.add(styled.work(block, state, NO_STYLE))
        while batcher.busy:
            batcher.advance()
        more, state = future.result()
        frames += more
    assert styled.latency_ticks == pipeline.latency_ticks
    assert_equal(frames, run(pipeline, blocks, [at(other, 1.0)] * 12)[0])


def test_the_wardrobe_opens_a_style_once_and_lets_it_go_when_others_came(random_bundle):
    wardrobe = Wardrobe(random_bundle)
    one, twin = make_style(random_bundle), make_style(random_bundle)
    first = wardrobe.open(one)
    assert wardrobe.open(twin) is first and first.name == "ballad"
    assert wardrobe.open(make_style(random_bundle, name="rap")) is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is wardrobe.open(one)
    for number in range(KEPT):
        wardrobe.open(make_style(random_bundle, name=str(number)))
    gc.collect()
    assert gone() is None


def test_what_cannot_be_worn_is_refused(random_bundle):
    style = make_style(random_bundle)
    with pytest.raises(ArtefactError, match="another bundle"):
        open_style(style, replace(random_bundle, motion_scale=0.5))
    arrays = style.arrays
    nothing = FactoredChange("inlet.bias", None, np.zeros(3, np.float32))
    with pytest.raises(ArtefactError, match="train the style"):
        changed = StyleArrays({"motion": (nothing,)}, arrays.rest)
        open_style(replace(style, packed=pack_arrays(changed)), random_bundle)


def test_a_style_that_gives_no_numbers_is_refused(random_bundle):
    style = make_style(random_bundle)
    huge = FactoredChange("outlet.3.bias", None, np.full(12, 6e4, np.float32))
    scales = FactoredChange("step_scale", None, np.full(6, 6e4, np.float32), None)
    packed = pack_arrays(StyleArrays({"headpose": (huge, scales)}))
    data = dict(np.load(io.BytesIO(packed)))
    data["headpose.0.dense"] = np.full(12, np.float32(3e38))
    data["headpose.1.dense"] = np.full(6, np.float32(3e38))
    stored = io.BytesIO()
    np.savez(stored, **data)
    with pytest.raises(ArtefactError, match="network headpose gives no motion"):
        open_style(replace(style, packed=stored.getvalue()), random_bundle)


def test_a_resting_expression_is_there_in_silence_and_goes_with_its_share(pipeline, random_bundle):
    rest = np.zeros((68, 3), np.float32)
    rest[17:27, 1] = -0.05
    style = open_style(make_style(random_bundle, rest=rest), random_bundle)
    quiet = [np.zeros(BLOCK, np.float32)] * 20
    plain, _ = run(pipeline, quiet, [NO_STYLE] * 20)
    for share in (0.5, 1.0):
        worn, _ = run(pipeline, quiet, [at(style, share)] * 20)
        apart = worn[-1].displacement - plain[-1].displacement
        np.testing.assert_allclose(apart, share * rest, atol=1e-4)
