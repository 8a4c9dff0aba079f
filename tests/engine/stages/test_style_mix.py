from dataclasses import replace

import numpy as np
import pytest

from engine.backend import NetworkState, Tensors
from engine.batching import NetworkServer, Place
from engine.snapshot import load_state, save_state
from engine.stages.head_pose import HeadPose
from engine.stages.liveliness import PLAIN, Manner, Rhythm
from engine.stages.motion import Motion
from engine.stages.style_mix import (
    FADE_FRAMES,
    NO_STYLE,
    OpenStyle,
    Share,
    Steering,
    StyleMix,
    StyleMixState,
    manner,
    resting,
)
from tests.fake_networks import FakeHeadPose, FakeMotion

LIMITS = (0.13, 0.2, 0.1, 0.06, 0.06, 0.06)


class Louder(FakeMotion):
    """Moves ``factor`` times as far, and counts its calls."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.calls = np.float32(factor), 0

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        self.calls += 1
        outputs, following = super().run(inputs, state)
        return {"displacement": self.factor * outputs["displacement"]}, following


def style(
    factor: float = 3.0, mean: float = 0.01, sigma: float = 0.003, temperature: float = 1.0, **life: float
) -> OpenStyle:
    head = FakeHeadPose(lambda _: (np.full(6, mean), np.full(6, sigma)))
    return OpenStyle(
        name="loud",
        motion=NetworkServer(Louder(factor), Place.STYLE_MOTION),
        head_pose=NetworkServer(head, Place.STYLE_HEAD_POSE),
        temperature=temperature,
        limits=2 * np.array(LIMITS),
        manner=Manner(**life),
    )


A, B, C = style(3.0), style(5.0), style(7.0)


def weights(steps: list[Steering], state: StyleMixState | None = None) -> tuple[list[dict[str, float]], StyleMixState]:
    """Weight by slot in each frame."""
    mix, seen = StyleMix(), []
    state = state or mix.init_state()
    for steering in steps:
        shares, state = mix.step(steering, state)
        seen.append({share.slot: share.weight for share in shares})
    return seen, state


def test_without_a_style_there_are_no_shares_and_nothing_changes():
    seen, state = weights([NO_STYLE] * 3)
    assert seen == [{}] * 3
    assert StyleMix().step(NO_STYLE, state)[1] is state
    assert weights([NO_STYLE.wearing(None)] * 3)[0] == [{}] * 3


def test_a_stream_begins_in_its_style():
    steering = Steering(intensity=0.7).wearing(A)
    seen, _ = weights([steering] * 3)
    assert seen == [{"second": 0.7}] * 3


def test_a_style_comes_and_goes_within_a_quarter_of_a_second():
    _, state = weights([NO_STYLE] * 5)
    on = NO_STYLE.wearing(A)
    seen, state = weights([on] * 20, state)
    share = [frame["second"] for frame in seen]
    np.testing.assert_allclose(share[:FADE_FRAMES], np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES)
    assert FADE_FRAMES == 15 and share[FADE_FRAMES:] == [1.0] * 5
    seen, state = weights([on.wearing(None)] * 20, state)
    np.testing.assert_allclose([frame["second"] for frame in seen[:14]], 1 - np.arange(1, 15) / 15)
    assert seen[14:] == [{}] * 6, "what is not heard is not run"


def test_one_style_gives_way_to_the_next_and_back():
    on = NO_STYLE.wearing(A)
    _, state = weights([on] * 20)
    other = on.wearing(B)
    seen, state = weights([other] * 6, state)
    np.testing.assert_allclose([sum(frame.values()) for frame in seen], 1)
    assert seen[5] == pytest.approx({"second": 0.6, "first": 0.4})
    back = other.wearing(A)
    assert back.slots == other.slots, "a style that still fades comes back from where it is"
    seen, _ = weights([back] * 16, state)
    assert seen[0]["second"] == pytest.approx(0.6 + 0.4 / 15) and seen[-1] == {"second": 1.0}
    assert on.wearing(A) is on


def test_two_styles_are_mixed_for_as_long_as_one_likes():
    mix, part = NO_STYLE.mixing(A, B, 0.25), replace(NO_STYLE.mixing(A, B, 0.25), intensity=1.2)
    assert [(slot.style, mix.goal(n)) for n, slot in enumerate(mix.slots)] in (
        [(A, 0.75), (B, 0.25)],
        [(B, 0.25), (A, 0.75)],
    )
    assert sum(part.goal(slot) for slot in (0, 1)) == pytest.approx(1.2)
    # What is worn already keeps its place and its memory, whichever of the two it is.
    worn = NO_STYLE.wearing(A)
    for following in (worn.mixing(A, B, 0.5), worn.mixing(B, A, 0.5)):
        assert worn.slots[worn.current] in following.slots
        assert {slot.style for slot in following.slots} == {A, B}
    again = mix.mixing(B, A, 0.25)
    assert set(again.slots) == set(mix.slots) and again.goal(again.current) == 0.75
    # And the mix ends like any style.
    only = mix.wearing(B)
    assert {slot.style: only.goal(n) for n, slot in enumerate(only.slots)} == {A: 0.0, B: 1.0}
    assert NO_STYLE.mixing(A, A, 0.5).goal(NO_STYLE.mixing(A, A, 0.5).current) == 1


def test_a_third_style_takes_the_place_of_the_first():
    _, state = weights([NO_STYLE.wearing(A)] * 2)
    both = NO_STYLE.wearing(A).wearing(B)
    _, state = weights([both] * 5, state)
    seen, _ = weights([both.wearing(C)] * 20, state)
    assert seen[0] == pytest.approx({"second": 1 / 15, "first": (1 / 3) * (14 / 15)})
    assert seen[-1] == {"second": 1.0}


def test_a_new_run_begins_whenever_a_style_was_out_of_it():
    mix, on = StyleMix(), NO_STYLE.wearing(A)
    state, runs = mix.init_state(), []
    for steering in [on] * 2 + [Steering(on.slots, on.current, 0.0, on.serials)] * 20 + [on] * 2 + [on.wearing(B)] * 2:
        shares, state = mix.step(steering, state)
        runs.append({share.slot: share.run for share in shares})
    assert runs[0] == {"second": 1} and runs[16] == {} and runs[22] == {"second": 2}
    assert runs[24] == {"second": 2, "first": 3}


def test_a_dragged_intensity_is_followed_without_a_jump():
    on = NO_STYLE.wearing(A)
    drag = [Steering(on.slots, on.current, 1.5 * step / 60, on.serials) for step in range(61)]
    seen, _ = weights([*drag, *[drag[-1]] * 15], weights([drag[0]] * 5)[1])
    shares = [frame.get("second", 0.0) for frame in seen]
    assert np.diff(shares).min() >= 0 and np.diff(shares).max() <= 0.1 and shares[-1] == 1.5
    lag = np.array([step.intensity for step in drag]) - shares[:61]
    assert lag.max() < 1.5 * 16 / 60


def test_a_saved_fade_goes_on_alike():
    on = NO_STYLE.wearing(A).wearing(B)
    _, state = weights([on] * 4, weights([NO_STYLE.wearing(A)] * 2)[1])
    restored = load_state(save_state(state), like=StyleMix().init_state())
    assert weights([on] * 20, state) == weights([on] * 20, restored)


def shares(*parts: tuple[OpenStyle, float], run: int = 1) -> list[Share]:
    return [Share(slot, run, worn, weight) for slot, (worn, weight) in zip(("first", "second"), parts, strict=False)]


def make_motion() -> Motion:
    mean = np.linspace(-1, 1, 123, dtype=np.float32)
    return Motion(FakeMotion(), mean=mean, scale=0.5, lookahead_frames=0, max_lookahead_frames=18)


@pytest.mark.parametrize(
    ("parts", "factor"), [([(A, 0.0)], 1.0), ([(A, 0.5)], 2.0), ([(A, 1.5)], 4.0), ([(A, 0.25), (B, 0.5)], 3.5)]
)
def test_displacement_is_the_base_and_a_share_of_the_difference(parts, factor):
    stage, rng = make_motion(), np.random.default_rng(0)
    plain = styled = stage.init_state()
    for _ in range(5):
        features = rng.standard_normal((2, 512)).astype(np.float32)
        expected, plain = stage.step(features, plain)
        moved, styled = stage.step(features, styled, shares(*parts))
        rest = np.linspace(-1, 1, 123, dtype=np.float32).reshape(1, 41, 3)
        np.testing.assert_allclose(moved, rest + factor * (expected - rest), rtol=1e-4, atol=1e-5)


def test_a_run_begins_where_the_base_is():
    """A style that equals the base gives exactly its motion, whenever it begins and however strong it is."""
    stage, rng, same = make_motion(), np.random.default_rng(0), style(1.0)
    plain = styled = stage.init_state()
    runs = [None, None, 1, 1, None, None, 2, 2, 3]
    for run in runs:
        features = rng.standard_normal((2, 512)).astype(np.float32)
        expected, plain = stage.step(features, plain)
        moved, styled = stage.step(features, styled, [] if run is None else shares((same, 1.5), run=run))
        np.testing.assert_array_equal(moved, expected)


def poses(parts: list[tuple[OpenStyle, float]], frames: int = 300, sigma: float = 0.003) -> np.ndarray:
    network = FakeHeadPose(lambda _: (np.zeros(6), np.full(6, sigma)))
    stage = HeadPose(network, temperature=1.0, limits=LIMITS, smoothing_frames=0.0, seed=3)
    state, seen = stage.init_state(), []
    for _ in range(frames):
        _, state = stage.step(np.zeros(512, np.float32), state, shares(*parts))
        seen.append(state.pose)
    return np.array(seen)


def test_head_pose_takes_its_share_of_mean_deviation_and_limits():
    plain = poses([])
    np.testing.assert_array_equal(poses([(A, 0.0)]), plain)
    np.testing.assert_array_equal(poses([(style(mean=0.005, sigma=0.0), 0.0)]), plain)
    half = poses([(style(mean=0.02, sigma=0.003), 0.5)], frames=2)
    ahead = (half - plain[:2])[:, :3]  # translations of that size are bounded
    np.testing.assert_allclose(ahead, np.full((2, 3), 0.01) * [[1], [2]], atol=3e-4)
    # A style that pushes on leans against its own limits, twice as wide.
    far = poses([(style(mean=0.03, sigma=0.003), 1.0)])[-50:].mean(axis=0)
    assert (far > 1.2 * np.array(LIMITS)).all() and (far <= 3.001 * np.array(LIMITS)).all()


def test_deviation_stays_positive_beyond_a_full_share():
    """Prolonged to 1.5, a style without deviation would turn the noise around."""
    calm = np.diff(poses([(style(mean=0.0, sigma=0.0), 1.5)]), axis=0)
    plain = np.diff(poses([]), axis=0)
    assert 0.05 < calm.std() / plain.std() < 0.2
    assert np.corrcoef(calm.ravel(), plain.ravel())[0, 1] > 0.8


def test_a_head_that_leaves_a_style_comes_back_without_a_jump():
    network = FakeHeadPose(lambda _: (np.zeros(6), np.full(6, 1e-4)))
    stage = HeadPose(network, temperature=1.0, limits=LIMITS, smoothing_frames=0.0, seed=3)
    state, feature, seen = stage.init_state(), np.zeros(512, np.float32), []
    for frame in range(300):
        worn = shares((style(mean=0.03), 1.0)) if frame < 200 else []
        _, state = stage.step(feature, state, worn)
        seen.append(state.pose)
    steps = np.abs(np.diff(np.array(seen), axis=0))
    # The hardest a spring pulls: a fraction of the way from one limit to the other.
    assert (steps[199:] <= 0.13 * 3 * np.array(LIMITS) + 0.012).all()
    assert (np.abs(seen[-1]) < 1.5 * np.array(LIMITS)).all()


def test_manner_takes_its_share_within_what_faces_do():
    lively = style(blink_rate=3.0, gaze_spread=0.0, gaze_away=2.0, fixation_time=0.5)
    assert manner([]) == PLAIN and manner(shares((lively, 0.0))) == PLAIN
    assert manner(shares((lively, 0.5))) == Manner(2.0, 0.5, 1.5, 0.75)
    assert manner(shares((lively, 1.5))).gaze_spread == 0.2


def test_lids_and_rhythm_take_their_shares():
    beat, sway = Rhythm(2.0, (0.1,) * 6, (0.0,) * 6), Rhythm(0.2, (0.0,) * 6, (0.02,) * 6)
    nodding, shut = style(rhythm=(beat,), lid_rest=0.2), style(rhythm=(sway,), shut_share=0.8, shut_time=3.5)
    mixed = manner(shares((nodding, 0.5), (shut, 0.5)))
    assert (mixed.lid_rest, mixed.shut_share, mixed.shut_time) == pytest.approx((0.1, 0.4, 2.5))
    assert mixed.rhythm == (beat.times(0.5), sway.times(0.5))
    assert manner(shares((shut, 1.5))).shut_share == 0.95


def test_resting_expressions_add_up():
    rest = np.zeros((68, 3), np.float32)
    rest[20, 1] = -0.04
    raised = replace(A, rest=rest)
    assert resting([]) is None
    np.testing.assert_allclose(resting(shares((raised, 0.5), (B, 1.0))), 0.5 * rest)


def test_a_style_holds_the_head_about_its_centre_and_lets_go_calmly():
    centre = np.array([-0.1, 0, 0.05, 0, 0, 0])
    held = replace(style(mean=0.0, sigma=1e-6), centre=centre)
    network = FakeHeadPose(lambda _: (np.zeros(6), np.full(6, 1e-6)))
    stage = HeadPose(network, temperature=1.0, limits=LIMITS, smoothing_frames=3.0)
    state, seen = stage.init_state(), []
    for frame in range(600):
        worn = shares((held, 1.0)) if 100 <= frame < 350 else []
        pose, state = stage.step(np.zeros(512, np.float32), state, worn)
        seen.append(pose)
    np.testing.assert_allclose(seen[340], centre, atol=2e-3)
    np.testing.assert_allclose(seen[-1], np.zeros(6), atol=2e-3)
    assert np.abs(np.diff(np.array(seen), axis=0)).max() < 0.1 / 25


def test_a_style_s_smoothing_takes_its_share():
    network = FakeHeadPose(lambda _: (np.zeros(6), np.full(6, 0.004)))
    speeds = []
    for smoothing in (None, 12.0):
        stage = HeadPose(network, temperature=1.0, limits=LIMITS, smoothing_frames=2.0, seed=3)
        state, seen = stage.init_state(), []
        for _ in range(400):
            worn = shares((replace(style(mean=0.0, sigma=0.004), smoothing_frames=smoothing), 1.0))
            pose, state = stage.step(np.zeros(512, np.float32), state, worn)
            seen.append(pose)
        speeds.append(np.abs(np.diff(np.array(seen), axis=0)).mean())
    assert speeds[1] < 0.6 * speeds[0]


def test_a_style_s_motion_goes_through_its_poles_and_begins_at_the_base():
    """After one frame of a step, two poles have let (1 - keep)^2 of it through."""
    stage, keep = make_motion(), 0.6
    slow = replace(style(3.0), motion_keep=keep)
    rest = np.linspace(-1, 1, 123, dtype=np.float32).reshape(1, 41, 3)
    features = np.ones((2, 512), np.float32)
    plain, state = stage.step(features, stage.init_state())
    moved, state = stage.step(features, state, shares((slow, 1.0)))
    base, _ = stage.step(features, stage.step(features, stage.init_state())[1])
    np.testing.assert_allclose(moved - base, (1 - keep) ** 2 * 2 * (base - rest), rtol=1e-4)
    for _ in range(60):
        base, moved = moved, None
        moved, state = stage.step(features, state, shares((slow, 1.0)))
    np.testing.assert_allclose(moved, base, atol=1e-3)
    assert not np.allclose(moved, plain)


def test_a_style_that_trails_is_asked_for_all_of_the_lookahead_and_any_other_for_what_the_base_is():
    base = FakeMotion()
    stage = Motion(
        base,
        mean=np.zeros(123, np.float32),
        scale=1.0,
        lookahead_frames=9,
        max_lookahead_frames=18,
        heard_frames=4,
        smoothing_frames=1.0,
    )
    trailing, even = FakeMotion(), FakeMotion()
    slow = replace(style(), motion=NetworkServer(trailing, Place.STYLE_MOTION), motion_keep=0.5)
    same = replace(style(), motion=NetworkServer(even, Place.STYLE_MOTION))
    features = np.random.default_rng(0).standard_normal((60, 2, 512)).astype(np.float32)
    state = alone = stage.init_state()
    for number, pair in enumerate(features):
        worn = shares((same, 1.0)) if number > 20 else ()
        moved, state = stage.step(pair, state, worn)
        plain, alone = stage.step(pair, alone)
        # A style that equals the base moves as the base does, from its first frame on.
        np.testing.assert_array_equal(moved, plain)
    for pair in features:
        _, state = stage.step(pair, state, shares((slow, 1.0)))
    assert base.lookaheads == even.lookaheads == {4} and trailing.lookaheads == {9}
