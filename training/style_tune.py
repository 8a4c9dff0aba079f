"""The motion generator made to move in a manner: the optimisation of style transfer (paper, sections 5.2 and 6.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.motion import MotionGenerator
from models.spec import MAX_LOOKAHEAD, MOTION_DIM
from models.style_transfer import StyleTransferNet
from training.motion_loss import DISPLACEMENT_SCALE, motion_loss
from training.style_loss import transfer_loss
from training.style_sound import Heard, smoothed_motion

Float = NDArray[np.float32]
Report = Callable[[float, float], None]
"""Called with the share of the steps that are done and the loss."""

REFIT_LOOKAHEADS: Final = (MAX_LOOKAHEAD, 6, 0)
WARM_FRAMES: Final = 30
"""Frames at the start of a stretch that are not judged: the network has just begun to hear."""


@dataclass(frozen=True)
class Lesson:
    """A recording and how to move to it.

    Attributes:
        heard: What the network hears of it; n motion frames.
        target: float32 (n, 123) fu, the motion that it should make (L_mg).
        style: float32 (m, 204) fu, motion of the reference (phi_s of the paper); in step with ``target`` where m is n.
        weight: How often it is drawn, against the others.
    """

    heard: Heard
    target: Float
    style: Float
    weight: float = 1.0


@dataclass(frozen=True)
class Course:
    """How long and how fast to learn.

    Attributes:
        first_steps: Steps in which the style transfer network alone learns.
        steps: Steps after that, in which everything does.
        network_rate: Learning rate of the style transfer network in the first steps.
        rate: Of everything afterwards, at its start; it follows a cosine to zero.
        style_rate: Of the style transfer network afterwards; None as ``rate``.
        batch: Stretches a step.
        frames: Motion frames a stretch.
        smoothing: Time constant in frames of the poles that the motion goes through afterwards.
    """

    first_steps: int
    steps: int
    network_rate: float = 1e-3
    rate: float = 1e-7
    style_rate: float | None = None
    batch: int = 8
    frames: int = 240
    smoothing: float = 0.0

    def cosine(self, step: int) -> float:
        """Cosine annealing: the factor on the rates in step ``step`` of those in which everything learns."""
        return 0.5 + 0.5 * float(np.cos(np.pi * step / max(1, self.steps)))


def tune_motion(
    motion: MotionGenerator,
    style: StyleTransferNet,
    lessons: Sequence[Lesson],
    completion: Tensor,
    course: Course,
    seed: int,
    report: Report = lambda share, loss: None,
) -> list[dict[str, float]]:
    """Optimise L_transfer (eq. 13), in place: first f alone, then f and the motion generator.

    Args:
        motion: The generator; it stays in inference mode, so that the statistics of its normalisation are kept.
        style: f.
        lessons: What to learn.
        completion: float32 (204, 123): displacements of 68 points for those of 41.
        course: How long and how fast.
        seed: Of all that is drawn.
        report: Called after every step.

    Returns:
        The losses of every step by name.
    """
    rng, history = np.random.default_rng(seed), list[dict[str, float]]()
    motion.requires_grad_(False)
    optimiser = torch.optim.Adam(style.parameters(), lr=course.network_rate, betas=(0.9, 0.99))
    for step in range(course.first_steps + course.steps):
        if step == course.first_steps:
            motion.requires_grad_(True)
            motion.norm.requires_grad_(False)
            rates = [(motion, course.rate), (style, course.style_rate or course.rate)]
            groups = [
                {"params": [p for p in module.parameters() if p.requires_grad], "lr": rate, "top": rate}
                for module, rate in rates
            ]
            optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
        for group in optimiser.param_groups if step >= course.first_steps else []:
            group["lr"] = group["top"] * course.cosine(step - course.first_steps)
        losses = _motion_losses(motion, style, lessons, completion, course, rng)
        optimiser.zero_grad(set_to_none=True)
        losses["transfer"].backward()  # type: ignore[no-untyped-call]
        for module in (motion, style):
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
        report((step + 1) / (course.first_steps + course.steps), history[-1]["transfer"])
    motion.requires_grad_(False)
    return history


def _motion_losses(
    motion: MotionGenerator,
    style: StyleTransferNet,
    lessons: Sequence[Lesson],
    completion: Tensor,
    course: Course,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """L_transfer of one batch of stretches."""
    weights = np.array([lesson.weight for lesson in lessons])
    chosen = rng.choice(len(lessons), course.batch, p=weights / weights.sum())
    drawn = [_stretch(lessons[number], course.frames, rng) for number in chosen]
    pairs, lookahead, targets, sources = (torch.stack(part) for part in zip(*drawn, strict=True))
    hidden, cell = motion.init_state(course.batch)
    moved, _, _ = motion(pairs, lookahead, hidden, cell)
    moved = smoothed_motion(moved, course.smoothing)
    moved, targets, sources = moved[:, WARM_FRAMES:], targets[:, WARM_FRAMES:], sources[:, WARM_FRAMES:]
    loss = motion_loss(moved, targets)["motion"]
    gamma = torch.from_numpy(rng.random(sources.shape[:2]).astype(np.float32))
    return transfer_loss(style, moved @ completion.T, sources, loss, gamma)


def _stretch(lesson: Lesson, frames: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A stretch of a lesson: features, lookahead, target and style, the last two in units of the networks."""
    whole = len(lesson.heard.pairs)
    start = int(rng.integers(0, max(1, whole - frames + 1)))
    lookahead = MAX_LOOKAHEAD if rng.random() < 0.25 else int(rng.integers(0, MAX_LOOKAHEAD))
    # Output i of the stretch is the motion of frame start + i - lookahead; before the recording the face is at rest.
    rows = np.arange(frames) + start - lookahead
    inside = (rows >= 0) & (rows < len(lesson.target))
    target = np.where(inside[:, None], lesson.target[np.clip(rows, 0, len(lesson.target) - 1)], 0)
    if len(lesson.style) == len(lesson.target):
        source = lesson.style[np.clip(rows, 0, len(lesson.style) - 1)]
    else:
        source = lesson.style[
            np.arange(rng.integers(0, len(lesson.style)), len(lesson.style) * 2 + frames)[:frames] % len(lesson.style)
        ]
    pairs = lesson.heard.pairs[start : start + frames]
    pairs = torch.cat([pairs, pairs[-1:].expand(frames - len(pairs), -1)])
    wanted, shown = (torch.from_numpy((part / DISPLACEMENT_SCALE).astype(np.float32)) for part in (target, source))
    return pairs, torch.tensor(lookahead), wanted, shown


class LastLayers:
    """The last two layers of a generator, which are linear, to be fitted to lessons at once: ridge regression."""

    @torch.no_grad()
    def __init__(self, motion: MotionGenerator, lessons: Sequence[Lesson], scale: float, mean: Tensor) -> None:
        """Listen to the lessons.

        Args:
            motion: The generator; what its last two layers hear stays as it is.
            lessons: What to learn; each counts as much as its weight, whatever its length.
            scale: fu per unit of the generator's output.
            mean: float32 (123,) fu, added to it.
        """
        inner, outer = motion.mlp[-2], motion.mlp[-1]
        assert isinstance(inner, nn.Linear) and isinstance(outer, nn.Linear)
        self._inner, self._outer = inner, outer
        self._weight = outer.weight @ inner.weight
        self._bias = outer.weight @ inner.bias + outer.bias
        self._heard: list[tuple[Tensor, Tensor, int, float]] = []
        caught: list[Tensor] = []
        handle = inner.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0][0]))
        for lesson in lessons:
            target = (torch.from_numpy(lesson.target) - mean) / scale
            for lookahead in REFIT_LOOKAHEADS:
                motion(lesson.heard.pairs[None], torch.tensor([lookahead]), *motion.init_state(1))
                self._heard.append((caught.pop(), target, lookahead, lesson.weight))
        handle.remove()

    @torch.no_grad()
    def fit(self, smoothing: float = 0.0, strength: float = 2e-2) -> None:
        """Set the layers.

        Args:
            smoothing: Time constant in frames of the poles that the motion goes through afterwards.
            strength: Of the pull to what the layers were, against the mean energy of what they hear.
        """
        width = self._inner.in_features + 1
        gram, moment = torch.zeros(width, width), torch.zeros(width, MOTION_DIM)
        for caught, target, lookahead, weight in self._heard:
            # Smoothing and linear layers may change places.
            heard = smoothed_motion(caught, smoothing)[lookahead : lookahead + len(target)]
            missing = (target[: len(heard)] - (heard @ self._weight.T + self._bias))[WARM_FRAMES:]
            full = torch.cat([heard, torch.ones(len(heard), 1)], dim=1)[WARM_FRAMES:]
            gram += weight / max(1, len(full)) * full.T @ full
            moment += weight / max(1, len(full)) * full.T @ missing
        gram, moment = gram.double(), moment.double()
        gram += strength * gram.diagonal().mean() * torch.eye(width, dtype=torch.float64)
        change = torch.linalg.solve(gram, moment).T.float()
        u, values, vt = torch.linalg.svd(self._weight + change[:, :-1], full_matrices=False)
        rank, root = self._inner.out_features, values.sqrt()
        self._outer.weight.copy_((u * root)[:, :rank])
        self._inner.weight.copy_((root[:, None] * vt)[:rank])
        self._outer.bias.copy_(self._bias + change[:, -1])
        self._inner.bias.zero_()


def set_last_layer(
    motion: MotionGenerator, matrix: NDArray[np.float64], offset: NDArray[np.float64], scale: float, mean: Tensor
) -> None:
    """Let an affine map of displacements follow the generator, by its last layer: nothing else has to learn it.

    Args:
        motion: The generator.
        matrix: float64 (123, 123), on displacements in fu.
        offset: float64 (123,) fu.
        scale: fu per unit of the generator's output.
        mean: float32 (123,) fu, added to it.
    """
    assert matrix.shape == (MOTION_DIM, MOTION_DIM)
    last, by = motion.mlp[-1], torch.from_numpy(matrix.astype(np.float32))
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.copy_(by @ last.weight)
        shift = by @ mean - mean + torch.from_numpy(offset.astype(np.float32))
        last.bias.copy_(by @ last.bias + shift / scale)
