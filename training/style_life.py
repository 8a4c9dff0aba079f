"""How a manner moves lids and eyes, as statistics that the engine's liveliness stage follows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.style import StyleLife
from engine.stages.liveliness import Liveliness, LivelinessInput
from models.spec import MOTION_HZ, POSE_DIM
from training.reference_motion import ReferenceMotion
from training.style_stats import lid_stretches

_USUAL_S: Final = 240
_LEAST_SHUT_SHARE: Final = 0.08
"""Below it lids that are down for longer are slow blinks."""
_OPEN: Final = 0.3
"""Closure up to which a face model sees where the eyes look."""


def learn_life(reference: ReferenceMotion, speaking: NDArray[np.bool_], activity: NDArray[np.floating]) -> StyleLife:
    """Blinks, shut eyes and gaze of a reference, against what every face does.

    Args:
        reference: The clip's motion, n frames.
        speaking: bool (n,), where somebody speaks: eyes are held shut in speech alone.
        activity: (m,), 0 silent ... 1 speaking, of the sound that usual faces are watched with.
    """
    closure = reference.closure[speaking] if speaking.any() else reference.closure
    blinks, shut = lid_stretches(closure)
    share = sum(shut) / max(1, len(closure))
    awake = max(1, len(closure) - sum(shut)) / MOTION_HZ
    usual_blinks, usual_gaze = usual_life(activity)
    looks = reference.gaze[reference.closure < _OPEN]
    spread = 1.0
    if len(looks) > MOTION_HZ and float(np.abs(looks).max()) > 0:
        spread = float(np.sqrt(looks.var(0).sum()) / usual_gaze)
    held = share > _LEAST_SHUT_SHARE
    return StyleLife(
        blink_rate=float(np.clip(60 * len(blinks) / awake / usual_blinks, 0.25, 4)),
        gaze_spread=float(np.clip(spread, 0.5, 2)),
        shut_share=float(np.clip(share, 0, 0.95)) if held else 0.0,
        shut_time=float(np.clip(np.mean(shut) / MOTION_HZ, 0.3, 20)) if held else StyleLife().shut_time,
    )


def usual_life(activity: NDArray[np.floating]) -> tuple[float, float]:
    """Blinks a minute and spread of gaze, rad, of a face in nobody's manner.

    Args:
        activity: (m,), 0 silent ... 1 speaking, at 60 Hz; it is gone through again and again.
    """
    stage, still = Liveliness(seed=0), np.zeros(POSE_DIM, np.float32)
    state, closure, gaze = stage.init_state(), list[float](), list[NDArray[np.float32]]()
    for frame in range(_USUAL_S * MOTION_HZ):
        now, state = stage.step(LivelinessInput(still, float(activity[frame % len(activity)])), state)
        closure.append(now.closure)
        gaze.append(now.gaze)
    blinks, _ = lid_stretches(np.array(closure))
    return 60 * len(blinks) / _USUAL_S, float(np.sqrt(np.stack(gaze).var(0).sum()))
