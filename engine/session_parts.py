"""What a session is made of and what it tells: options, equipment, figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.picture_network import PictureNetwork
from engine.artefacts.style import Style
from engine.budget import Budget, Measurement
from engine.clock import Clock
from engine.controls import Controls
from engine.errors import ConfigError
from engine.hearing import MotionPipeline
from engine.lanes import FrameRenderer, Lane
from engine.motion_lane import WorkLane
from engine.pacing import period_ticks
from engine.session_sound import Mode
from engine.stages.style_mix import OpenStyle
from engine.stages.voice_gate import VoiceGate


@dataclass(frozen=True)
class SessionOptions:
    """What was asked for.

    Attributes:
        avatar: The portrait.
        fps: 60, 30, 25 or 20.
        mode: ``live``: a source with a clock. ``pushed``: speech that comes as fast as it is made.
        chunk_ms: What a live source hands over at once.
        queue_ms: Bound of what waits for the consumer.
        gate: Acts on what the mouth hears, not on what is played.
        style: To begin in; none moves as the bundle was taught.
        intensity: Of the style, to begin with.
        transparent: Whether the person is drawn alone: pictures are then premultiplied RGBA.
        sound_ahead_ms: Sound leaves so much before the picture of its time: what the consumer's player holds it back
            for longer. Where the latency leaves less room than that, as much as it leaves.
        renderer: ``warp``, ``lite`` or ``paper``; the bundle's own choice by default.
    """

    avatar: Avatar
    fps: int = 30
    mode: Mode = "live"
    chunk_ms: float = 20.0
    queue_ms: int = 500
    gate: VoiceGate | None = None
    style: Style | None = None
    intensity: float = 1.0
    transparent: bool = False
    sound_ahead_ms: float = 0.0
    renderer: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no session can be."""
        period_ticks(self.fps)
        Controls(intensity=self.intensity)
        if self.mode not in ("live", "pushed"):
            raise ConfigError(f"The mode is live or pushed, not {self.mode!r}.")
        if self.gate is not None and self.mode == "pushed":
            raise ConfigError("A voice gate is for live sources: pushed speech is clean, leave the gate out.")
        if not 1 <= self.chunk_ms <= 1000:
            raise ConfigError(f"A chunk is 1 to 1000 ms of sound, not {self.chunk_ms}.")
        if not 0 <= self.sound_ahead_ms <= 200:
            raise ConfigError(f"Sound leaves 0 to 200 ms before its picture, not {self.sound_ahead_ms}.")
        if not 40 <= self.queue_ms <= 60_000:
            raise ConfigError(f"The consumer's queue is 40 to 60000 ms, not {self.queue_ms}.")


def first_picture(options: SessionOptions) -> NDArray[np.uint8]:
    """What a session shows until a frame was drawn: the portrait, or where that is drawn alone, nobody."""
    if options.transparent:
        return np.zeros((*options.avatar.image.shape[:2], 4), np.uint8)
    return options.avatar.image


@dataclass(frozen=True)
class Equipment:
    """What an engine gives a session.

    Attributes:
        clock: The time.
        lane: Where the networks run.
        setup: Where slow things are done that no frame waits for.
        pipeline: Sound to motion, for the session's avatar.
        renderer: Draws the avatar; the session closes it.
        budget: The latency.
        measured: What frames take on this machine.
        style: The style to begin in.
        network: Refines what the renderer draws with full care.
    """

    clock: Clock
    lane: WorkLane
    setup: Lane
    pipeline: MotionPipeline
    renderer: FrameRenderer
    budget: Budget
    measured: Measurement
    style: OpenStyle | None = None
    network: PictureNetwork | None = None


@dataclass(frozen=True)
class SessionStats:
    """What happened so far.

    Attributes:
        latency_ms: L.
        fps: At which pictures are drawn now.
        frames: Frames that were due.
        missed: Of them, those that were not ready and repeated an earlier picture.
        skipped: Of them, those left out after the process had stood still for longer than a frame.
        repeated: Frames due that showed an earlier picture again: missed ones, and those that an interruption took.
        ladder_down: Steps down the ladder under load.
        ladder_up: Steps back.
        economy: Whether pictures are drawn with less care now.
        interruptions: Calls of ``interrupt``.
        audio_blocks: Blocks of sound given.
        gaps: Times that sound was not there when it was due.
        gap_ms: Live sound that was concealed for it.
        late_ms: Live sound that came too late and was left out.
        drift_ppm: How much faster than its nominal rate the live source runs.
        dropped_frames: Frames that the consumer did not fetch in time.
        dropped_blocks: Sound that it did not fetch.
        intake_ms: Sound that waits to be heard.
        ready_ms: Pictures that wait to be shown.
        output_ms: Sound that waits for the consumer.
    """

    latency_ms: float = 0.0
    fps: int = 0
    frames: int = 0
    missed: int = 0
    skipped: int = 0
    repeated: int = 0
    ladder_down: int = 0
    ladder_up: int = 0
    economy: bool = False
    interruptions: int = 0
    audio_blocks: int = 0
    gaps: int = 0
    gap_ms: float = 0.0
    late_ms: float = 0.0
    drift_ppm: float = 0.0
    dropped_frames: int = 0
    dropped_blocks: int = 0
    intake_ms: float = 0.0
    ready_ms: float = 0.0
    output_ms: float = 0.0

    @property
    def ladder_steps(self) -> int:
        """Steps on the ladder, either way."""
        return self.ladder_down + self.ladder_up
