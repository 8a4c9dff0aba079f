"""How a face moves to a recording, in a style or without: the engine's own pipeline, offline and without pictures."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle
from engine.artefacts.style import Style
from engine.pipeline import MotionFrame, Pipeline
from engine.portrait.geometry import canonical68
from engine.stages.style_mix import NO_STYLE, Steering
from engine.styles import open_style
from models.spec import MAX_LOOKAHEAD

_BLOCK: Final = 1600


@dataclass(frozen=True)
class StyledMotion:
    """Motion at 60 Hz.

    Attributes:
        landmarks: float32 (n, 68, 3) fu, posed.
        displacement: float32 (n, 68, 3) fu, against the template, before the pose; lids included.
        pose: float32 (n, 6), rad and fu.
        closure: float32 (n,), of the lids, 0 open, 1 shut.
        gaze: float32 (n, 2) rad, eyes against the head.
        activity: float32 (n,), 0 silent ... 1 speaking.
    """

    landmarks: NDArray[np.float32]
    displacement: NDArray[np.float32]
    pose: NDArray[np.float32]
    closure: NDArray[np.float32]
    gaze: NDArray[np.float32]
    activity: NDArray[np.float32]


def styled_motion(
    bundle: Bundle,
    style: Style | None,
    audio: NDArray[np.float32],
    intensity: float = 1.0,
    seed: int = 0,
    template: NDArray[np.float32] | None = None,
) -> StyledMotion:
    """Move a face to a recording.

    Args:
        bundle: As from ``load_bundle``.
        style: To move in; None for the bundle's own.
        audio: float32 (samples,), 16 kHz mono in [-1, 1].
        intensity: Of the style, 0 to 1.5.
        seed: Of head motion, blinks and gaze.
        template: float32 (68, 3) fu, the person at rest; the average head if None.

    Raises:
        ArtefactError: The style belongs to another bundle.
        AudioError: The sound is none.
    """
    pipeline = Pipeline(bundle, np.array(canonical68() if template is None else template), MAX_LOOKAHEAD, seed)
    steering = NO_STYLE
    if style is not None:
        steering = Steering(intensity=intensity).wearing(open_style(style, bundle))
    state, frames = pipeline.init_state(), list[MotionFrame]()
    for start in range(0, len(audio), _BLOCK):
        more, state = pipeline.step(audio[start : start + _BLOCK], state, steering)
        frames += more
    frames += pipeline.flush(state, steering)
    return StyledMotion(
        landmarks=np.stack([frame.landmarks for frame in frames]),
        displacement=np.stack([frame.displacement for frame in frames]),
        pose=np.stack([frame.pose for frame in frames]),
        closure=np.array([frame.closure for frame in frames], np.float32),
        gaze=np.stack([frame.gaze for frame in frames]),
        activity=np.array([frame.activity for frame in frames], np.float32),
    )
