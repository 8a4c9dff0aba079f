import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.motion import MotionGenerator  # noqa: E402
from models.spec import MAX_LOOKAHEAD, MOTION_DIM  # noqa: E402
from models.style_transfer import StyleTransferNet  # noqa: E402
from training.style_sound import Heard, smoothed_motion  # noqa: E402
from training.style_tune import Course, LastLayers, Lesson, set_last_layer, tune_motion  # noqa: E402

RNG = np.random.default_rng(0)


def generator(seed: int = 0) -> MotionGenerator:
    torch.manual_seed(seed)
    return MotionGenerator().eval().requires_grad_(False)


def heard(frames: int) -> Heard:
    pairs = 0.4 * torch.randn(frames + MAX_LOOKAHEAD, 1024, generator=torch.Generator().manual_seed(frames))
    return Heard(pairs, pairs[:frames, :512], np.ones(frames, np.bool_))


def moved(motion: MotionGenerator, sound: Heard, lookahead: int = MAX_LOOKAHEAD) -> np.ndarray:
    with torch.no_grad():
        output, _, _ = motion(sound.pairs[None], torch.tensor([lookahead]), *motion.init_state(1))
    return output[0, lookahead : lookahead + sound.frames].numpy() * 0.05


def lesson(frames: int = 90) -> Lesson:
    target = 0.05 * np.sin(np.arange(frames) / 9)[:, None] * RNG.standard_normal((1, MOTION_DIM))
    style = 0.05 * RNG.standard_normal((frames + 7, 204))
    return Lesson(heard(frames), target.astype(np.float32), style.astype(np.float32))


def test_the_paper_s_schedule():
    """Section 6.3: f alone at 1e-3, then everything from 1e-7 along a cosine to zero."""
    course = Course(first_steps=16, steps=80)
    assert (course.network_rate, course.rate, course.style_rate) == (1e-3, 1e-7, None)
    assert [course.cosine(step) for step in (0, 40, 80)] == pytest.approx([1.0, 0.5, 0.0])


def test_f_learns_alone_first_and_then_everything_does():
    motion, style = generator(), StyleTransferNet()
    weights, before = [], copy.deepcopy(motion.state_dict())
    first = style.mlp[0].weight.detach().clone()
    course = Course(first_steps=2, steps=2, rate=1e-3, batch=2, frames=50)

    def note(share: float, loss: float) -> None:
        weights.append((motion.mix.weight.detach().clone(), style.mlp[0].weight.detach().clone()))

    completion = torch.zeros(204, MOTION_DIM)
    history = tune_motion(motion, style, [lesson()], completion, course, seed=0, report=note)
    assert len(history) == 4 and set(history[0]) == {"constraint", "regularisation", "motion", "transfer"}
    assert torch.equal(weights[1][0], before["mix.weight"]) and not torch.equal(weights[1][1], first)
    assert not torch.equal(weights[3][0], before["mix.weight"])
    for name, value in motion.state_dict().items():
        if name.startswith("norm"):
            assert torch.equal(value, before[name]), "what a graph may share is not touched"


def test_the_paper_s_rate_moves_next_to_nothing():
    motion = generator()
    before = copy.deepcopy(motion.state_dict())
    tune_motion(
        motion, StyleTransferNet(), [lesson()], torch.zeros(204, MOTION_DIM), Course(1, 3, batch=2, frames=50), seed=0
    )
    changes = [float((motion.state_dict()[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(changes) <= 4e-7


def test_the_loss_falls():
    motion = generator()
    course = Course(first_steps=1, steps=6, rate=2e-3, style_rate=1e-4, batch=2, frames=50)
    history = tune_motion(motion, StyleTransferNet(), [lesson()], torch.zeros(204, MOTION_DIM), course, seed=0)
    assert history[-1]["motion"] < 0.9 * history[0]["motion"]


def test_an_affine_map_follows_the_generator():
    motion, sound = generator(), heard(40)
    matrix = np.eye(MOTION_DIM) + 0.1 * RNG.standard_normal((MOTION_DIM, MOTION_DIM))
    offset, mean = 0.01 * RNG.standard_normal(MOTION_DIM), torch.full((MOTION_DIM,), 0.02)
    before = moved(motion, sound) + 0.02
    set_last_layer(motion, matrix, offset, 0.05, mean)
    np.testing.assert_allclose(moved(motion, sound) + 0.02, before @ matrix.T + offset, atol=2e-5)


def test_the_last_layers_fit_what_they_can_hear():
    """A target that is a linear function of what they hear is met at once, on sound kept out as well."""
    motion, other = generator(), generator()
    weight = other.mlp[-2].weight
    weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)) * weight.std())
    sounds = [heard(frames) for frames in (200, 210, 220)]
    lessons = [Lesson(sound, moved(other, sound), np.zeros((9, 204), np.float32)) for sound in sounds[:2]]
    before = np.abs(moved(motion, sounds[2]) - moved(other, sounds[2])).mean()
    LastLayers(motion, lessons, 0.05, torch.zeros(MOTION_DIM)).fit(strength=1e-6)
    assert np.abs(moved(motion, sounds[2]) - moved(other, sounds[2])).mean() < 0.35 * before


def test_smoothing_is_the_engine_s_two_poles():
    motion, keep = torch.randn(50, 3), float(np.exp(-1 / 4))
    first = second = motion[0]
    wanted = []
    for each in motion:
        first = keep * first + (1 - keep) * each
        second = keep * second + (1 - keep) * first
        wanted.append(second)
    torch.testing.assert_close(smoothed_motion(motion, 4.0), torch.stack(wanted), atol=1e-5, rtol=0)
    assert smoothed_motion(motion, 0.0) is motion
