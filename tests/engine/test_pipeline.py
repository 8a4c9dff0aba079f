"""The whole signal path on a bundle with random weights."""

import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.artefacts.bundle import MotionSettings
from engine.backend_onnx import open_networks
from engine.errors import AudioError, ConfigError
from engine.pipeline import MotionFrame, Pipeline
from engine.snapshot import load_state, save_state, state_arrays
from engine.stages.log_mel import frame_start
from tests.bundles import face_template

STAGES = (
    "chunker",
    "log_mel",
    "apc",
    "manifold",
    "motion",
    "silence",
    "head_pose",
    "liveliness",
    "geometry",
)


@pytest.fixture(scope="module")
def networks(random_bundle):
    return open_networks(random_bundle)


@pytest.fixture(scope="module")
def make(random_bundle, networks):
    def build(lookahead: int = 3, **options) -> Pipeline:
        return Pipeline(random_bundle, face_template(), lookahead, networks=networks, **options)

    return build


def sound(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    envelope = 0.1 + 0.1 * np.sin(np.arange(samples) / 700)
    return (envelope * rng.standard_normal(samples)).clip(-1, 1).astype(np.float32)


def run(pipeline: Pipeline, blocks: list[np.ndarray], state=None) -> list[MotionFrame]:
    state, frames = state or pipeline.init_state(), []
    for block in blocks:
        more, state = pipeline.step(block, state)
        frames += more
    return frames + pipeline.flush(state)


def assert_equal(one: list[MotionFrame], other: list[MotionFrame]) -> None:
    assert [frame.index for frame in one] == [frame.index for frame in other]
    for a, b in zip(one, other, strict=True):
        for x, y in zip(state_arrays(a).values(), state_arrays(b).values(), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("lookahead", [0, 3, 18])
@pytest.mark.parametrize("samples", [0, 1, 267, 3200, 3201])
def test_gives_as_many_frames_as_the_sound_is_long(make, lookahead, samples):
    frames = run(make(lookahead), [sound(samples)])
    assert [frame.index for frame in frames] == list(range(math.ceil(samples * 60 / 16_000)))
    for frame in frames:
        assert frame.landmarks.shape == frame.displacement.shape == (68, 3)
        assert frame.pose.shape == frame.torso.shape == (6,) and frame.gaze.shape == (2,)
        for array in (frame.landmarks, frame.displacement, frame.pose, frame.torso, frame.gaze):
            assert array.dtype == np.float32 and np.isfinite(array).all()


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=8))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_result_does_not_depend_on_the_cuts(make, sizes):
    pipeline, audio = make(), sound(sum(sizes))
    assert_equal(run(pipeline, np.split(audio, np.cumsum(sizes)[:-1])), run(pipeline, [audio]))


def test_frame_comes_as_soon_as_its_lookahead_is_heard(make):
    pipeline = make(3)
    audio, state, given_at = sound(6000), pipeline.init_state(), []
    for number in range(0, 6000, 10):
        frames, state = pipeline.step(audio[number : number + 10], state)
        given_at += [number + 10] * len(frames)
    for frame, heard in enumerate(given_at):
        needed = frame_start(2 * (frame + 3)) + 1
        assert needed <= heard < needed + 10
        # What the stages declare is that, to less than a sample's rounding.
        assert 0 <= pipeline.latency_ticks - (3 * needed - 800 * frame) < 3


@pytest.mark.parametrize("lookahead", [0, 6])
def test_lookahead_is_tight(make, lookahead):
    """A change at the end of a frame's lookahead alters that frame; one beyond it does not."""
    pipeline, audio, frame = make(lookahead), sound(9600), 12
    beyond = frame_start(2 * (frame + lookahead)) + 1
    base = run(pipeline, [audio])
    for change, alters in ((beyond, False), (beyond - 60, True)):
        other = audio.copy()
        other[change:] = -other[change:] + 0.3
        changed = run(pipeline, [other.clip(-1, 1)])
        assert_equal(base[:frame], changed[:frame])
        assert np.array_equal(base[frame].displacement, changed[frame].displacement) is not alters


def test_a_bundle_says_what_its_motion_is_asked_for(random_bundle, networks):
    """Heard less than the lookahead and smoothed: other motion, of the same frames, at the same time."""
    asked = MotionSettings(heard_frames=2, smoothing_frames=1.0)
    manifest = random_bundle.manifest.model_copy(update={"motion": asked})
    audio, pipelines = sound(9600), []
    for bundle in (random_bundle, replace(random_bundle, manifest=manifest)):
        pipelines.append(Pipeline(bundle, face_template(), 6, networks=networks))
    plain, smooth = (np.array([frame.displacement for frame in run(one, [audio])]) for one in pipelines)
    assert pipelines[0].latency_ticks == pipelines[1].latency_ticks and plain.shape == smooth.shape
    assert np.abs(np.diff(smooth, 2, axis=0)).mean() < 0.9 * np.abs(np.diff(plain, 2, axis=0)).mean()


def test_interleaved_sessions_equal_isolated_ones(make):
    pipeline = make()
    ours, theirs = np.split(sound(6400), 8), np.split(sound(6400, seed=1), 8)
    alone = run(pipeline, ours)
    state, other, mixed = pipeline.init_state(), pipeline.init_state(), []
    for x, y in zip(ours, theirs, strict=True):
        frames, state = pipeline.step(x, state)
        mixed += frames
        _, other = pipeline.step(y, other)
    assert_equal(alone, mixed + pipeline.flush(state))


def test_saved_and_restored_state_changes_nothing(make):
    pipeline = make(6)
    first, second = np.split(sound(9000), [4321])
    frames, state = pipeline.step(first, pipeline.init_state())
    restored = load_state(save_state(state), like=make(6).init_state())
    assert_equal(run(pipeline, [second], state), run(make(6), [second], restored))
    assert_equal(run(pipeline, [first, second]), frames + run(pipeline, [second], restored))


@pytest.mark.parametrize("remade", [0, 1, 5])
def test_after_going_back_the_same_sound_gives_the_same_frames_and_none_twice(make, remade):
    pipeline = make(4)
    blocks = np.split(sound(38 * 267), 38)
    states, frames = [pipeline.init_state()], []
    for block in blocks:
        given, state = pipeline.step(block, states[-1])
        frames += given
        states.append(state)
    first = states[30].index - remade
    back = pipeline.go_back(states[20:31], first)
    again: list[MotionFrame] = []
    for block in blocks[20:]:
        given, back = pipeline.step(block, back)
        again += given
    assert_equal(again, [frame for frame in frames if frame.index >= first])
    # Other sound moves the mouth from there on, and the head goes on from where it is.
    others, _ = pipeline.step(sound(4000, seed=9), pipeline.go_back(states[20:31], first))
    assert others[0].index == first and np.abs(others[0].displacement - again[0].displacement).max() > 1e-4
    assert np.abs(others[0].pose - frames[first - 1].pose).max() < 0.02


def test_step_leaves_its_state_alone(make):
    pipeline = make()
    _, state = pipeline.step(sound(3000), pipeline.init_state())
    before = {name: array.copy() for name, array in state_arrays(state).items()}
    pipeline.step(sound(2000, seed=1), state)
    pipeline.flush(state)
    for name, array in state_arrays(state).items():
        np.testing.assert_array_equal(array, before[name])


def test_silence_keeps_the_mouth_shut_and_the_face_alive(make):
    frames = run(make(), [np.zeros(32_000, np.float32)])
    for frame in frames:
        assert not frame.displacement[48:].any() and frame.activity == 0
    poses = np.array([frame.pose for frame in frames])
    assert np.abs(np.diff(poses[30:], axis=0)).max(axis=1).min() > 1e-6


def test_speech_opens_the_mouth_and_silence_after_it_shuts_it(make):
    audio = np.concatenate([sound(16_000), np.zeros(24_000, np.float32)])
    frames = run(make(6), [audio])
    moved = np.array([np.abs(frame.displacement[48:]).max() for frame in frames])
    assert moved[20:55].min() > 0 and not moved[110:].any()


def test_seed_moves_the_head_and_not_the_mouth(make):
    one, same, other = (run(make(seed=seed), [sound(16_000)]) for seed in (1, 1, 2))
    assert_equal(one, same)
    assert np.abs(one[-1].pose - other[-1].pose).max() > 1e-4
    np.testing.assert_array_equal(one[-1].displacement[48:], other[-1].displacement[48:])


def test_factors_hold_the_head_still(make):
    frames = run(make(sway=0, head_motion=0), [sound(8000)])
    assert not np.array([frame.pose for frame in frames]).any()


def test_landmarks_are_the_posed_template_plus_displacement(make):
    from engine.rotation import rotation_matrix

    frame = run(make(), [sound(16_000)])[-1]
    face = face_template() + frame.displacement
    np.testing.assert_allclose(frame.landmarks, face @ rotation_matrix(frame.pose[:3]).T + frame.pose[3:], atol=1e-5)


@pytest.mark.parametrize("lookahead", [0, 18])
def test_latency_is_the_sum_of_what_stages_declare(make, lookahead):
    pipeline = make(lookahead)
    assert pipeline.latency_ticks == 3 + 800 * lookahead
    table = pipeline.describe()
    assert all(stage in table for stage in STAGES)
    assert table.splitlines()[-1].split()[0] == "sum" and f"{pipeline.latency_ms:.1f} ms" in table


def test_observer_sees_every_stage_of_every_frame(make):
    seen: list[str] = []

    @contextmanager
    def observe(stage: str):
        seen.append(stage)
        yield

    pipeline = make(2, observer=observe)
    pipeline.step(sound(1600), pipeline.init_state())
    assert set(seen) == set(STAGES)
    assert seen.count("apc") == 6 and seen.count("geometry") == 4 and seen.count("chunker") == 1


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (np.zeros(10, np.float64), "float64"),
        (np.zeros(10, np.int16), "int16"),
        (np.zeros((2, 10), np.float32), r"\(2, 10\)"),
        ([0.0] * 10, "list"),
        (np.array([0, np.nan], np.float32), "NaN"),
        (np.array([0, -np.inf], np.float32), "NaN"),
        (np.array([0, -32_768], np.float32), "divide"),
    ],
)
def test_what_is_no_sound_is_refused_and_the_session_goes_on(make, block, words):
    pipeline = make()
    _, state = pipeline.step(sound(2000), pipeline.init_state())
    with pytest.raises(AudioError, match=words):
        pipeline.step(block, state)
    assert_equal(run(pipeline, [sound(500, seed=1)], state), run(pipeline, [sound(500, seed=1)], state))


def test_clipped_sound_is_sound(make):
    frames = run(make(), [np.sign(sound(4000))])
    assert np.isfinite([frame.landmarks for frame in frames]).all()


def test_options_out_of_range_are_refused(make, random_bundle, networks):
    with pytest.raises(ConfigError, match="lookahead"):
        make(19)
    with pytest.raises(ConfigError, match="sway"):
        make(sway=-1)
    for template in (np.zeros((67, 3), np.float32), np.full((68, 3), np.nan, np.float32), np.zeros((68, 3))):
        with pytest.raises(ConfigError, match="template"):
            Pipeline(random_bundle, template, networks=networks)


def test_index_goes_on_for_days(make):
    """Nothing depends on the stream being young."""
    pipeline = make()
    _, state = pipeline.step(sound(4000), pipeline.init_state())
    late = 60 * 3600 * 72
    later = replace(state, index=late, chunker=replace(state.chunker, frame=3 * late))
    # 3 * late keeps the phase of sample positions, so the same sound is cut alike.
    shift = replace(state, chunker=replace(state.chunker, frame=state.chunker.frame % 3 + 3 * late))
    assert later.index == late
    ours, theirs = run(pipeline, [sound(3000, seed=1)], state), run(pipeline, [sound(3000, seed=1)], shift)
    assert_equal(ours[:5], theirs[:5])
