"""The signal path: sound in blocks of any size in, one posed face at 60 Hz out.

| stage      | rate   | in -> out                                                  |
|------------|--------|------------------------------------------------------------|
| chunker    | 60 Hz  | 16 kHz mono -> 2 windows of 267 samples                    |
| log-mel    | 120 Hz | 267 samples -> 80 bands                                    |
| apc        | 120 Hz | 80 -> 512                                                  |
| manifold   | 120 Hz | 512 -> 512                                                 |
| motion     | 60 Hz  | 2x512 -> 41x3 displacements, ``lookahead_frames`` later    |
| silence    | 60 Hz  | 2x80 -> how far the mouth may move                         |
| head pose  | 60 Hz  | 512 of the drawn frame -> 6                                |
| liveliness | 60 Hz  | pose, activity -> pose with sway, shoulders, gaze, lids    |
| geometry   | 60 Hz  | 41x3, lids, pose -> 68x3 landmarks                         |

In a style, motion and head pose also ask the style's networks (``engine.stages.style_mix``). Several sessions' networks
are asked together (``engine.batching``).

Sans-IO: no clock, no thread, no file. S samples give ceil(S * 60 / 16000) frames in all, once flushed.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle
from engine.backend import Networks
from engine.backend_onnx import open_networks
from engine.batching import Work, drive
from engine.errors import AudioError, ConfigError
from engine.stages.apc import Apc, ApcState
from engine.stages.chunker import Chunker, ChunkerState
from engine.stages.delay import Delay, DelayState
from engine.stages.geometry import Geometry, GeometryInput, GeometryState
from engine.stages.head_pose import HeadPose, HeadPoseState
from engine.stages.liveliness import Liveliness, LivelinessInput, LivelinessState
from engine.stages.log_mel import LogMel, LogMelState
from engine.stages.manifold import Manifold, ManifoldState
from engine.stages.motion import Motion, MotionState
from engine.stages.silence import SilenceGate, SilenceState
from engine.stages.style_mix import NO_STYLE, Steering, StyleMix, StyleMixState, manner, resting
from models.spec import (
    APC_UNITS,
    LANDMARKS,
    MEDIA_HZ,
    MEL_BANDS,
    MEL_HZ,
    MEL_WINDOW,
    MELS_PER_MOTION,
    MOTION_HZ,
    MOTION_POINT_COUNT,
    POSE_DIM,
    SAMPLE_HZ,
)

MAX_AMPLITUDE = 8.0
"""Samples are meant to lie in [-1, 1]. Up to 18 dB more is somebody's mixing; beyond it, no float sound at all."""

Observer = Callable[[str], AbstractContextManager[object]]
"""Gives, for a stage's name, a context in which that stage's step is run: for timing, from outside."""


@dataclass(frozen=True)
class MotionFrame:
    """One frame of motion at 60 Hz.

    Attributes:
        index: Frame number: its time is index / 60 s of the sound that went in.
        landmarks: float32 (68, 3) fu, posed, in face coordinates.
        displacement: float32 (68, 3) fu, against the template, before the pose.
        pose: float32 (6,), the head's rotation vector in rad and translation in fu.
        torso: float32 (6,), the shoulders' pose about the same origin.
        gaze: float32 (2,) rad, eyes against the head: yaw to the picture's right, pitch down.
        closure: Of the lids, 0 open, 1 shut; it is already in ``landmarks``.
        activity: 0 silent ... 1 speaking.
    """

    index: int
    landmarks: NDArray[np.float32]
    displacement: NDArray[np.float32]
    pose: NDArray[np.float32]
    torso: NDArray[np.float32]
    gaze: NDArray[np.float32]
    closure: float
    activity: float


@dataclass(frozen=True)
class PipelineState:
    """All that a session carries from block to block.

    Attributes:
        index: The frame whose motion is next known.
        shaped: The frame that is next given its pose; it lies beyond ``index`` after going back.
    """

    index: int
    shaped: int
    chunker: ChunkerState
    styles: StyleMixState
    log_mel: LogMelState
    apc: ApcState
    manifold: ManifoldState
    motion: MotionState
    delay: DelayState
    silence: SilenceState
    head_pose: HeadPoseState
    liveliness: LivelinessState
    geometry: GeometryState


class Pipeline:
    """The stages, wired. It holds weights and settings; a session holds the state, so sessions share it."""

    def __init__(
        self,
        bundle: Bundle,
        template: NDArray[np.float32] | Avatar,
        lookahead_frames: int = 18,
        seed: int = 0,
        *,
        sway: float = 1.0,
        head_motion: float = 1.0,
        eyes: bool = True,
        networks: Networks | None = None,
        manifold: Manifold | None = None,
        threads: int = 1,
        observer: Observer | None = None,
    ) -> None:
        """Wire the stages for one person.

        Args:
            bundle: The trained networks, as from ``load_bundle``.
            template: float32 (68, 3) fu, the person at rest, or the avatar that has it.
            lookahead_frames: Frames of 60 Hz that the mouth hears ahead, 0..18.
            seed: Of head motion, blinks, gaze and sway.
            sway: Factor on idle sway and breath.
            head_motion: Factor on the head poses that the network draws.
            eyes: Whether they blink and look about; else they are as the portrait has them.
            networks: Opened networks to share; by default the bundle's are opened.
            manifold: The bundle's, as from ``open_manifold``, to share; by default it is made.
            threads: Threads of one network call, if they are opened here.
            observer: Gives the context in which each stage's step is run.

        Raises:
            ConfigError: The lookahead or a factor is out of range, or the template has the wrong shape.
            ArtefactError: A graph of the bundle cannot be run.
        """
        points = template.template if isinstance(template, Avatar) else template
        if points.shape != (LANDMARKS, 3) or points.dtype != np.float32 or not np.isfinite(points).all():
            raise ConfigError(f"A template must be finite float32 ({LANDMARKS}, 3), not {points.dtype} {points.shape}.")
        if not 0 <= sway <= 4 or not 0 <= head_motion <= 4:
            raise ConfigError(f"Factors on sway and head motion must be 0 to 4, not {sway} and {head_motion}.")
        networks = networks or open_networks(bundle, threads=threads)
        manifest = bundle.manifest
        self.lookahead_frames = lookahead_frames
        self._observe: Observer = observer or (lambda _: nullcontext())
        self._motion = Motion(
            networks.motion,
            mean=bundle.motion_mean,
            scale=bundle.motion_scale,
            lookahead_frames=lookahead_frames,
            max_lookahead_frames=manifest.max_lookahead_frames,
            heard_frames=manifest.motion.heard_frames,
            smoothing_frames=manifest.motion.smoothing_frames,
        )
        self._styles = StyleMix()
        self._chunker = Chunker(tail_frames=lookahead_frames)
        self._log_mel = LogMel()
        self._apc = Apc(networks.apc)
        self._manifold = manifold or open_manifold(bundle)
        self._delay = Delay(lookahead_frames, APC_UNITS)
        self._silence = SilenceGate(lookahead_frames)
        self._head_pose = HeadPose(
            networks.headpose,
            temperature=manifest.pose.temperature,
            limits=manifest.pose.limits,
            smoothing_frames=manifest.pose.smoothing_frames,
            seed=seed,
            amplitude=head_motion,
        )
        self._liveliness = Liveliness(seed, sway, eyes=eyes)
        self._geometry = Geometry(points, bundle.completion)

    def init_state(self) -> PipelineState:
        """A session that has heard nothing."""
        return PipelineState(
            index=0,
            shaped=0,
            chunker=self._chunker.init_state(),
            styles=self._styles.init_state(),
            log_mel=self._log_mel.init_state(),
            apc=self._apc.init_state(),
            manifold=self._manifold.init_state(),
            motion=self._motion.init_state(),
            delay=self._delay.init_state(),
            silence=self._silence.init_state(),
            head_pose=self._head_pose.init_state(),
            liveliness=self._liveliness.init_state(),
            geometry=self._geometry.init_state(),
        )

    def step(
        self, block: NDArray[np.float32], state: PipelineState, steering: Steering = NO_STYLE
    ) -> tuple[list[MotionFrame], PipelineState]:
        """Hear a block of sound.

        Args:
            block: float32 (samples,) at 16 kHz in [-1, 1], any number of samples.
            state: As from ``init_state`` or the last step; it is left as it was.
            steering: The styles to move in, from this block on.

        Returns:
            The frames that can now be drawn, in order, and the next state.

        Raises:
            AudioError: The block is not such an array, or holds numbers that are no sound.
        """
        return drive(self.work(block, state, steering))

    def work(
        self, block: NDArray[np.float32], state: PipelineState, steering: Steering = NO_STYLE
    ) -> Work[tuple[list[MotionFrame], PipelineState]]:
        """As ``step``, but asking the networks with other sessions (``engine.batching``).

        The observer then also sees what a stage waits for others, and the stages of sessions interleaved.
        """
        _check(block)
        with self._observe("chunker"):
            windows, chunker = self._chunker.step(block, state.chunker)
        return (yield from self._frames(windows, state, chunker, steering))

    def go_back(self, states: Sequence[PipelineState], frame: int) -> PipelineState:
        """The state from which other sound is heard than was, or was assumed.

        Args:
            states: That in which the other sound begins, and those that followed it, in order.
            frame: The first that the other sound may change. Head, eyes and shoulders of those before it are not
                made again: they go on from where they were, and the mouth alone hears anew.
        """
        first = states[0]
        shown = max((state for state in states if state.shaped <= frame), key=lambda s: s.shaped, default=first)
        return replace(
            first,
            shaped=shown.shaped,
            head_pose=shown.head_pose,
            liveliness=shown.liveliness,
            geometry=shown.geometry,
        )

    def flush(self, state: PipelineState, steering: Steering = NO_STYLE) -> list[MotionFrame]:
        """The frames that are still owed when no more sound comes; beyond its end lies silence."""
        return drive(self._frames(self._chunker.flush(state.chunker), state, state.chunker, steering))[0]

    def _frames(
        self, windows: NDArray[np.float32], state: PipelineState, chunker: ChunkerState, steering: Steering
    ) -> Work[tuple[list[MotionFrame], PipelineState]]:
        """Run the stages once for each motion frame of sound."""
        frames: list[MotionFrame] = []
        # Bound once a block: fields by name would be replaced twelve times a frame.
        index, shaped, styles = state.index, state.shaped, state.styles
        log_mel, apc, manifold = state.log_mel, state.apc, state.manifold
        motion, delay, silence, head_pose = state.motion, state.delay, state.silence, state.head_pose
        liveliness, geometry, observe = state.liveliness, state.geometry, self._observe
        for window in windows:
            shares, styles = self._styles.step(steering, styles)
            with observe("log_mel"):
                mel, log_mel = self._log_mel.step(window, log_mel)
            with observe("apc"):
                raw, apc = yield from self._apc.work(mel, apc)
            with observe("manifold"):
                features, manifold = yield from self._manifold.work(raw, manifold)
            with observe("motion"):
                displacements, motion = yield from self._motion.work(features, motion, shares)
            # The pose is of the frame that is drawn and is conditioned on that frame's feature (eq. 3), as the
            # encoder gives it: so the network was trained.
            feature, delay = self._delay.step(raw[-1], delay)
            with observe("silence"):
                openness, silence = self._silence.step(mel, silence)
            for displacement in displacements:
                index += 1
                if index <= shaped:
                    continue
                with observe("head_pose"):
                    drawn, head_pose = yield from self._head_pose.work(feature, head_pose, shares)
                with observe("liveliness"):
                    doing = LivelinessInput(drawn, openness, manner(shares))
                    lively, liveliness = self._liveliness.step(doing, liveliness)
                with observe("geometry"):
                    face = GeometryInput(displacement, openness, lively.closure, lively.pose, resting(shares))
                    shape, geometry = self._geometry.step(face, geometry)
                frames.append(
                    MotionFrame(
                        index=index - 1,
                        landmarks=shape.landmarks,
                        displacement=shape.displacement,
                        pose=lively.pose,
                        torso=lively.torso,
                        gaze=lively.gaze,
                        closure=lively.closure,
                        activity=openness,
                    )
                )
        following = PipelineState(
            index,
            max(index, shaped),
            chunker,
            styles,
            log_mel,
            apc,
            manifold,
            motion,
            delay,
            silence,
            head_pose,
            liveliness,
            geometry,
        )
        return frames, following

    @property
    def latency_ticks(self) -> int:
        """How much later than a frame's own time the last sound it depends on ends: the sum of all stages."""
        return sum(ticks for _, _, _, ticks in self._table())

    @property
    def latency_ms(self) -> float:
        """The same in milliseconds, for display."""
        return self.latency_ticks * 1000 / MEDIA_HZ

    def describe(self) -> str:
        """The stages with their rates, shapes and lookaheads, as a table for people."""
        head = f"{'stage':<11}{'rate':>7}  {'in -> out':<44}{'lookahead':>10}"
        rows = [
            f"{name:<11}{rate:>4} Hz  {shapes:<44}{ticks * 1000 / MEDIA_HZ:>7.1f} ms"
            for name, rate, shapes, ticks in self._table()
        ]
        return "\n".join([head, *rows, f"{'sum':<64}{self.latency_ms:>7.1f} ms"])

    def _table(self) -> list[tuple[str, int, str, int]]:
        """Name, rate in Hz, shapes and lookahead in ticks of every stage, in order."""
        pairs = MELS_PER_MOTION
        shapes: list[tuple[str, int, str, int]] = [
            ("chunker", MOTION_HZ, f"{SAMPLE_HZ} Hz mono -> {pairs}x{MEL_WINDOW}", self._chunker.lookahead_ticks),
            ("log_mel", MEL_HZ, f"{MEL_WINDOW} -> {MEL_BANDS}", self._log_mel.lookahead_ticks),
            ("apc", MEL_HZ, f"{MEL_BANDS} -> {APC_UNITS}", self._apc.lookahead_ticks),
            ("manifold", MEL_HZ, f"{APC_UNITS} -> {APC_UNITS}", self._manifold.lookahead_ticks),
            ("motion", MOTION_HZ, f"{pairs}x{APC_UNITS} -> {MOTION_POINT_COUNT}x3", self._motion.lookahead_ticks),
            ("silence", MOTION_HZ, f"{pairs}x{MEL_BANDS} -> openness", self._silence.lookahead_ticks),
            ("head_pose", MOTION_HZ, f"{APC_UNITS} -> {POSE_DIM}", self._head_pose.lookahead_ticks),
            ("liveliness", MOTION_HZ, f"{POSE_DIM} -> pose, torso, gaze, lids", self._liveliness.lookahead_ticks),
            ("geometry", MOTION_HZ, f"{MOTION_POINT_COUNT}x3 -> {LANDMARKS}x3", self._geometry.lookahead_ticks),
        ]
        return shapes


def open_manifold(bundle: Bundle) -> Manifold:
    """The manifold of a bundle; any number of pipelines may share it, and then search it together."""
    settings = bundle.manifest.manifold
    return Manifold(
        bundle.bank,
        neighbours=settings.neighbours,
        strength=settings.strength,
        regularisation=settings.regularisation,
    )


def _check(block: NDArray[np.float32]) -> None:
    """Refuse what is not float sound."""
    if not isinstance(block, np.ndarray) or block.dtype != np.float32 or block.ndim != 1:
        found = f"{block.dtype} {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
        raise AudioError(f"Sound must come as float32 (samples,) at 16 kHz in [-1, 1], not as {found}.")
    if len(block):
        peak = float(np.abs(block).max())
        if not np.isfinite(peak):
            raise AudioError("The sound holds samples that are not numbers (NaN or infinite); decode it again.")
        if peak > MAX_AMPLITUDE:
            raise AudioError(
                f"The sound reaches {peak:g}, but samples must lie in [-1, 1]: divide 16-bit samples by 32768."
            )
