"""Style transfer (paper, sections 5 and 6.3): a clip's manner, learned on top of a bundle, as a style.

Preset ``paper`` is the paper's schedule: the style transfer network f alone for an epoch at 1e-3, then everything for
five epochs at 1e-7 with cosine annealing. An epoch is ``STEPS_PER_EPOCH`` steps, for a clip of some seconds is one
batch. The encoder is not touched: all styles of a session share it.

Preset ``strong`` does what the paper's figures show. The map of ``training.style_target`` is put into the last layer of
the motion generator, which needs no training and keeps the timing of the lips; its last two layers, which are linear,
are fitted to the reference's own motion where its sound is in sync, and to the mapped motion of the bundle for
synthesised speech, so that other sound than the clip's stays in sync; then the paper's losses are optimised at a
rate at which weights move, towards the reference's own motion where its sound is in sync, and towards the mapped motion
of the bundle for synthesised speech, so that other sound than the clip's stays in sync. The head-pose generator is
brought to the reference's size by its scales, then to its rhythm by likelihood (eq. 3), then to its size again as it
is sampled. Blinks, shut eyes and gaze are statistics.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from engine.artefacts.bundle import Bundle
from engine.artefacts.style import Style, StyleLife, StyleManifest, StyleMotion, StylePose, bundle_digest, make_style
from engine.artefacts.style_arrays import StyleArrays
from engine.errors import MissingExtraError
from engine.style_patterns import with_patterns
from models.headpose import HeadPoseNet
from models.spec import BROWS, EYES, LANDMARKS, MOTION_HZ
from models.style_transfer import StyleTransferNet
from training.bundle_weights import take_apart
from training.corpus.media import read_audio
from training.reference_motion import ReferenceMotion
from training.style_compact import compact_changes, motion_activations, projected
from training.style_head import POSE_CAPS, HeadStudio, scale_poses, take_head_apart, tune_headpose
from training.style_life import learn_life
from training.style_motion import StyledMotion, styled_motion
from training.style_sound import Ear, Heard, concatenated, speech_sample
from training.style_stats import Figures, lip_opening, measure_figures
from training.style_sync import Sync, measure_sync
from training.style_target import StyleMap, learn_map, mouth_map, moving_points, seen_mouth
from training.style_tune import Course, LastLayers, Lesson, set_last_layer, tune_motion

Float = NDArray[np.float32]
Progress = Callable[[str, float], None]

STEPS_PER_EPOCH: Final = 16
EPOCHS: Final = 5
PAPER_RATE: Final = 1e-7
SMOOTHINGS: Final = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0)
"""Time constants in frames that the motion's smoothing may have."""
_BROW_REST: Final = 0.05
"""fu, further no style holds the brows."""
_SAMPLED_S: Final = 40
"""Seconds of head motion that are drawn to measure it."""
_SCALES: Final = (0.2, 12.0)
_DEMO: Final = Path(__file__).resolve().parents[1] / "models" / "pretrained" / "demo" / "hello.flac"


class StyleSettings(BaseModel):
    """Options of ``mien style create``; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="style", min_length=1, max_length=100)
    preset: Literal["paper", "strong"] = "strong"
    steps: int = Field(default=40, ge=1, le=20_000, description="of the motion generator (strong)")
    head_steps: int = Field(default=60, ge=0, le=20_000, description="of the head-pose generator (strong)")
    rate: float = Field(default=2e-4, gt=0, le=1e-2, description="learning rate (strong)")
    head_rate: float = Field(default=4e-4, gt=0, le=1e-2)
    speech_s: float = Field(default=90.0, ge=5, le=7200, description="synthesised speech to learn with")
    batch: int = Field(default=6, ge=1, le=256)
    motion_rank: int = Field(default=8, ge=1, le=64, description="of the stored change of each matrix")
    head_rank: int = Field(default=6, ge=1, le=64)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 leaves torch's choice")


@dataclass(frozen=True)
class Transfer:
    """A style with what was measured on the way: what the report shows.

    Attributes:
        style: The result.
        reference: Figures of the clip.
        before: Of the bundle on the same sound.
        after: Of the style on the same sound.
        neutral: Motion of the bundle.
        styled: Motion of the style.
        sync: Of the clip's sound; None without.
        losses: Of the motion generator, step by step.
        notes: What somebody should know, a sentence each.
    """

    style: Style
    reference: Figures
    before: Figures
    after: Figures
    neutral: StyledMotion
    styled: StyledMotion
    sync: Sync | None
    losses: list[dict[str, float]]
    notes: tuple[str, ...]


def create_style(reference: ReferenceMotion, bundle: Bundle, settings: StyleSettings | None = None) -> Style:
    """Learn a style; see ``transfer`` for more than the result."""
    return transfer(reference, bundle, settings or StyleSettings()).style


def transfer(
    reference: ReferenceMotion,
    bundle: Bundle,
    settings: StyleSettings,
    progress: Progress = lambda what, share: None,
) -> Transfer:
    """Learn a style.

    Args:
        reference: The clip's motion.
        bundle: To learn it on.
        settings: How.
        progress: Called with what is being done and the share that is done.

    Raises:
        ArtefactError: The bundle is stored otherwise than as ``w8a8``.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    work = _Work(reference, bundle, settings, progress)
    losses = work.motion()
    pose = work.headpose()
    life, neutral = work.life()
    style = work.style(pose, life)
    progress("measuring the result", 0.0)
    styled = styled_motion(bundle, style, work.sound, seed=settings.seed)
    before, after = (measure_figures(m.displacement, m.pose, m.closure) for m in (neutral, styled))
    manifest = style.manifest.model_copy(
        update={"figures": {f"after_{k}": round(v, 5) for k, v in after.named().items()} | style.manifest.figures}
    )
    style = Style(manifest, style.packed, style.references, style.isp)
    if bundle.style_mapping is not None and style.references:
        style = with_patterns(style, bundle)
    progress("measuring the result", 1.0)
    return Transfer(style, work.figures, before, after, neutral, styled, work.sync, losses, tuple(work.notes))


class _Work:
    """One transfer on its way."""

    def __init__(self, reference: ReferenceMotion, bundle: Bundle, settings: StyleSettings, progress: Progress) -> None:
        self.reference, self.bundle, self.settings, self.progress = reference, bundle, settings, progress
        self.notes = list(reference.notes)
        self.figures = measure_figures(reference.displacement, reference.pose, reference.closure)
        self.ear = Ear(bundle)
        progress("listening", 0.0)
        self.speech = [self.ear.hear(audio) for audio in self._speech()]
        progress("listening", 0.6)
        self.own = None if reference.audio is None else self.ear.hear(reference.audio)
        self.spoken = [self.ear.move(heard) for heard in self.speech]
        self.sync = self._sync()
        self.in_sync = self.sync is not None and self.sync.holds
        if self.sync is not None and not self.in_sync:
            self.notes.append(
                f"The clip's sound does not go with its lips (r {self.sync.r:.2f} at {1000 * self.sync.lag_s:.0f} ms), "
                "so that it teaches only how they move and not when."
            )
        self.smoothing = 0.0
        self.tuned_motion = copy.deepcopy(self.ear.motion)
        self.tuned_headpose = copy.deepcopy(self.ear.headpose)
        self.parts = {name: take_apart(bundle.graphs[name]) for name in ("motion", "headpose")}
        progress("listening", 1.0)

    @property
    def sound(self) -> Float:
        """Sound to show the style with: the clip's, or speech as long."""
        if self.reference.audio is not None:
            return self.reference.audio
        return np.concatenate(self._audio)[: round(self.reference.seconds * 16_000)]

    def motion(self) -> list[dict[str, float]]:
        """Tune the motion generator."""
        settings, strong = self.settings, self.settings.preset == "strong"
        base = {name: tensor.clone() for name, tensor in self.tuned_motion.state_dict().items()}
        lessons, style_map = self._lessons(strong)
        if strong:
            self._follow(style_map.matrix, style_map.offset)
            self._fit(lessons)
            course = Course(
                first_steps=max(1, settings.steps // 6),
                steps=settings.steps,
                rate=settings.rate,
                style_rate=1e-4,
                batch=settings.batch,
                smoothing=self.smoothing,
            )
        else:
            course = Course(STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH, rate=PAPER_RATE, batch=settings.batch)
        losses = tune_motion(
            self.tuned_motion,
            StyleTransferNet(),
            lessons,
            torch.from_numpy(self.bundle.completion),
            course,
            settings.seed,
            lambda share, loss: self.progress("learning mouth and eyes", share),
        )
        self.tuned_motion.load_state_dict(projected(base, self.tuned_motion.state_dict(), settings.motion_rank))
        if strong:
            self._follow(*mouth_map(_alike(self._moved()), self._wanted[self._reference_speaking()]))
        return losses

    def _fit(self, lessons: list[Lesson]) -> None:
        """Fit the last layers, with the smoothing that makes the lips as fast as the reference's.

        Fast on the clip's own sound and on speech, in the mean: the layers were fitted to the clip, and on sound that
        they do not know lips are faster.
        """
        wanted = self._wanted[self._reference_speaking()]
        speed, least, best = _lip_speed(self._opening(wanted)), np.inf, (0.0, self.tuned_motion.state_dict())
        layers = LastLayers(self.tuned_motion, lessons, self.ear.scale, self.ear.mean)
        for number, self.smoothing in enumerate(SMOOTHINGS):
            self.progress("fitting the last layers", number / len(SMOOTHINGS))
            layers.fit(self.smoothing)
            moved = self._moved()
            matrix, offset = mouth_map(_alike(moved), wanted)
            speeds = [_lip_speed(self._opening((each @ matrix.T + offset).astype(np.float32))) for each in moved]
            miss = abs(float(np.mean(np.log(np.array(speeds) / speed))))
            if miss >= least:
                break
            least, best = miss, (self.smoothing, copy.deepcopy(self.tuned_motion.state_dict()))
        self.smoothing = best[0]
        self.tuned_motion.load_state_dict(best[1])

    def _made(self) -> Float:
        """What the tuned generator makes of the sound that the reference is held against, float32 (n, 123) fu."""
        return self._made_of([self.own] if self.own is not None and self.in_sync else self.speech)

    def _moved(self) -> list[Float]:
        """What it makes of the clip's sound, where that is in sync, and of speech: each float32 (n, 123) fu."""
        return [self._made(), *([self._made_of(self.speech)] if self.in_sync else [])]

    def _made_of(self, sounds: list[Heard]) -> Float:
        """The same of other sounds, float32 (n, 123) fu: while somebody speaks."""
        made = [self.ear.move(heard, self.tuned_motion, self.smoothing) for heard in sounds]
        return concatenated(made, [heard.speaking for heard in sounds])

    def _follow(self, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
        set_last_layer(self.tuned_motion, matrix, offset, self.ear.scale, self.ear.mean)

    def _reference_speaking(self) -> NDArray[np.bool_]:
        """In which frames of the clip somebody speaks; all without sound."""
        frames = len(self.reference.displacement)
        if self.own is None:
            return np.ones(frames, np.bool_)
        speaking = np.pad(self.own.speaking, (0, max(0, frames - len(self.own.speaking))), mode="edge")[:frames]
        return speaking if speaking.sum() > MOTION_HZ else np.ones(frames, np.bool_)

    def headpose(self) -> StylePose:
        """Tune the head-pose generator; how its poses are drawn."""
        settings, usual = self.settings, self.bundle.manifest.pose
        network, speaking = self.tuned_headpose, self._reference_speaking()
        base = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        if settings.preset == "paper":
            pose = np.clip(self.reference.pose, -POSE_CAPS, POSE_CAPS).astype(np.float32)
            self._tune_head(network, pose, EPOCHS * STEPS_PER_EPOCH, PAPER_RATE)
            network.load_state_dict(projected(base, network.state_dict(), settings.head_rank))
            return StylePose(temperature=usual.temperature, limits=usual.limits)
        manner = take_head_apart(self.reference.pose, speaking)
        studio = HeadStudio(
            self.parts["headpose"],
            self.bundle.manifest.networks["headpose"],
            usual,
            settings.head_rank,
            self._head_features(_SAMPLED_S * MOTION_HZ),
        )
        now = studio.usual(network, settings.seed)
        scale_poses(network, np.clip(manner.rest.std(0) / np.maximum(now, 1e-5), *_SCALES))
        self._tune_head(network, manner.rest, settings.head_steps, settings.head_rate)
        network.load_state_dict(projected(base, network.state_dict(), settings.head_rank))
        return studio.calibrate(network, manner, settings.seed)

    def _tune_head(self, network: HeadPoseNet, pose: Float, steps: int, rate: float) -> None:
        if steps:
            tune_headpose(
                network,
                self._head_features(len(pose)),
                pose,
                steps,
                rate,
                self.settings.seed,
                report=lambda share, loss: self.progress("learning the head", share),
            )

    def life(self) -> tuple[StyleLife, StyledMotion]:
        """Blinks, lids and gaze of the reference; and the bundle's own motion."""
        neutral = styled_motion(self.bundle, None, self.sound, seed=self.settings.seed)
        return learn_life(self.reference, self._reference_speaking(), neutral.activity), neutral

    def style(self, pose: StylePose, life: StyleLife) -> Style:
        """Put the style together."""
        settings, references = self.settings, self.reference.references
        sounds = self.speech[:3] + ([self.own] if self.own else [])
        activations = motion_activations(self.tuned_motion, self.parts["motion"], sounds)
        changes = {
            "motion": compact_changes(
                self.parts["motion"], self.tuned_motion.state_dict(), settings.motion_rank, activations
            ),
            "headpose": compact_changes(
                self.parts["headpose"], self.tuned_headpose.state_dict(), settings.head_rank, {}
            ),
        }
        arrays, images = StyleArrays(changes, self._rest()), list[NDArray[np.uint8]]()
        if references is not None:
            arrays, images = replace(arrays, reference_landmarks=references.landmarks), list(references.images)
        manifest = StyleManifest(
            name=settings.name,
            bundle_sha256=bundle_digest(self.bundle),
            pose=pose,
            life=life,
            motion=StyleMotion(smoothing_frames=self.smoothing),
            figures={f"clip_{name}": round(value, 5) for name, value in self.figures.named().items()},
            provenance={
                "clip": f"{self.reference.seconds:.1f} s",
                "landmarks": "measured" if self.reference.measured else "exact",
                "preset": settings.preset,
                "sound": "in sync" if self.in_sync else "not used",
                "torch": str(torch.__version__),
            },
        )
        return make_style(manifest, arrays, images)

    def _rest(self) -> Float:
        """The resting expression, float32 (68, 3) fu: brows as they are held while the reference speaks."""
        rest = np.zeros((LANDMARKS, 3), np.float32)
        if self.settings.preset == "strong":
            own = self.reference.displacement[self._reference_speaking()][:, BROWS].mean(0)
            made = (self._made() @ self.bundle.completion.T).reshape(-1, LANDMARKS, 3)[:, BROWS].mean(0)
            rest[BROWS, 1] = np.clip((own - made)[:, 1], -_BROW_REST, _BROW_REST)
        return rest

    def _speech(self) -> list[Float]:
        try:
            self._audio = speech_sample(self.settings.speech_s, 1000 + self.settings.seed)
        except MissingExtraError:
            self.notes.append("No speech synthesiser is installed; the demonstration's speech was used instead.")
            self._audio = [read_audio(_DEMO)]
        return self._audio

    def _sync(self) -> Sync | None:
        if self.own is None:
            return None
        predicted = self._opening(self.ear.move(self.own))
        n = min(len(predicted), len(self.reference.displacement))
        return measure_sync(predicted[:n], self.reference.opening[:n])

    def _opening(self, motion: Float) -> Float:
        return lip_opening((motion @ self.bundle.completion.T).reshape(-1, 68, 3))

    def _lessons(self, strong: bool) -> tuple[list[Lesson], StyleMap]:
        """What to learn: the clip itself where its sound is in sync, and synthesised speech."""
        own = self.ear.move(self.own) if self.own is not None and self.in_sync else None
        masks = [heard.speaking for heard in self.speech]
        heard = own[self.own.speaking] if own is not None and self.own is not None else None
        base = heard if heard is not None and len(heard) > MOTION_HZ else concatenated(self.spoken, masks)
        wanted = moving_points(self.reference.displacement)
        if self.reference.measured:
            wanted = seen_mouth(wanted, base)
        self._wanted, speaking = wanted, self._reference_speaking()
        brows = self.reference.displacement[speaking][:, BROWS]
        style_map = learn_map(base, wanted[speaking], brows, self.bundle.completion)
        style = self._style_motion(wanted)
        lessons = []
        for heard_speech, spoken in zip(self.speech, self.spoken, strict=True):
            target = style_map.apply(spoken) if strong else spoken
            weight = len(spoken) / MOTION_HZ / self.settings.speech_s
            lessons.append(Lesson(heard_speech, target, style, weight))
        if own is not None and self.own is not None:
            n = min(len(own), len(wanted))
            target = style_map.apply(own)
            mouth = slice(3 * (48 - 27), None)
            target[:n, mouth] = wanted[:n, mouth]
            in_step = style if len(style) == len(target) else style[: len(target)]
            lessons.append(Lesson(self.own, target, in_step, 0.7))
        return lessons, style_map

    def _style_motion(self, wanted: Float) -> Float:
        """phi_s, float32 (m, 204) fu: of the style reference images with the preset paper, of the clip with strong."""
        displacement = self.reference.displacement.copy()
        # Lids are the engine's.
        displacement[:, EYES] = 0
        flat = displacement.reshape(len(displacement), -1)
        if self.settings.preset == "paper" and self.reference.references is not None:
            return flat[self.reference.references.frames]
        return flat

    def _head_features(self, frames: int) -> Tensor:
        heard = self.own.features if self.own is not None else torch.cat([each.features for each in self.speech])
        return heard.repeat(-(-frames // len(heard)), 1)[:frames]


def _alike(moved: list[Float]) -> Float:
    """What ``_Work._moved`` gave in one, a short clip repeated until it weighs as much as speech.

    Both shall look like the clip: the layers were fitted to its sound, and on another the mouth would go further.
    """
    if len(moved) == 1:
        return moved[0]
    own, speech = moved
    return np.concatenate([np.repeat(own, max(1, round(len(speech) / len(own))), axis=0), speech])


def _lip_speed(opening: Float) -> float:
    """Mean speed of an opening, fu a frame."""
    return max(1e-6, float(np.abs(np.diff(opening)).mean()))
