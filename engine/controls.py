"""What a person steers while a session runs, and how the face gets from one state to the next without a jump.

Between the pipeline's motion and the picture: gaze, head, blinks and expressions as set, each approached over about
0.3 s; a blink on request; the mouth led to rest when the speech is broken off; a face led from one motion into another
where the pipeline had to start from elsewhere. Sans-IO; time is the media clock.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.expressions import EXPRESSIONS, load_expressions
from engine.pipeline import MotionFrame
from engine.rotation import rotation_matrix
from engine.stages.geometry import LOWER_LIDS, UPPER_LIDS
from engine.stages.liveliness import blink_closure
from engine.stages.style_mix import MAX_INTENSITY
from models.spec import BROWS, EYES, LANDMARKS, MEDIA_HZ, TICKS_PER_MOTION

Indices = NDArray[np.intp]

REST_TICKS = 2 * TICKS_PER_MOTION
"""In which the mouth comes to rest after an interruption: two frames at 60 fps, one at 30."""
BLEND_TICKS = 4 * TICKS_PER_MOTION
_SMOOTHING_S = 0.08
"""Time constant of each of the two poles that a set value goes through."""
_GAZE_LIMITS = np.array([0.4, 0.3])
_LEARNT_CLOSURE = 0.6
"""Lid closure above which the open lid can no longer be told from the shut one; the last one is kept."""
_LIDS_MEET = 0.68
BOTH_LIDS: Final = (UPPER_LIDS, LOWER_LIDS)
RIGHT_LIDS: Final = (UPPER_LIDS[:2], LOWER_LIDS[:2])
_STILL_EYES = 0.2
"""Lid closure below which a face may be frozen: one with half-shut lids is no face to stop at."""


class Face(NamedTuple):
    """What the renderer draws.

    Attributes:
        landmarks: float32 (68, 3) fu, posed.
        pose: float32 (6,), rotation vector in rad and translation in fu.
        gaze: float32 (2,) rad, eyes against the head.
        torso: float32 (6,), the shoulders' pose.
    """

    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    gaze: NDArray[np.float32]
    torso: NDArray[np.float32]


@dataclass(frozen=True)
class Controls:
    """What can be set while a session runs.

    Attributes:
        gaze_yaw: Added to where the eyes look, rad to the picture's right.
        gaze_pitch: The same downwards.
        head_pitch: Added to the head's rotation vector, rad; the eyes stay on what they look at.
        head_yaw: Its second component.
        head_roll: Its third.
        head_motion: Factor on the head's own motion, 0 still ... 2.
        blink: 1 blinks as it comes, 0 keeps the eyes open.
        mouth: How far the mouth moves, 0 rest ... 1 as spoken.
        eye_contact: How much the eyes stay on the camera, 0 as it comes ... 1 always.
        smile: Of this expression, 0 ... 1, beside whatever the mouth says.
        frown: The same.
        surprise: The same.
        wink: The same; the person's right eye shuts.
        freeze: From 0.5 on the face stands still, with its eyes open.
        blinks: Asked for so far: one more, and the face blinks once (``Session.blink``).
        intensity: Of the session's style, 0 none of it ... 1 as learned ... 1.5. It acts in the pipeline.
    """

    gaze_yaw: float = 0.0
    gaze_pitch: float = 0.0
    head_pitch: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    head_motion: float = 1.0
    blink: float = 1.0
    mouth: float = 1.0
    eye_contact: float = 0.0
    smile: float = 0.0
    frown: float = 0.0
    surprise: float = 0.0
    wink: float = 0.0
    freeze: float = 0.0
    blinks: float = 0.0
    intensity: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no face does."""
        for name, value in vars(self).items():
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise ConfigError(f"{name} must be {low:g} to {high:g}, not {value}.")

    def changed(self, **values: float) -> "Controls":
        """These with some values replaced.

        Raises:
            ConfigError: There is no such control, or the value leaves its range.
        """
        unknown = sorted(values.keys() - _RANGES.keys())
        if unknown:
            raise ConfigError(f"There is no control {unknown[0]!r}; there are {', '.join(_RANGES)}.")
        return replace(self, **values)

    def array(self) -> NDArray[np.float64]:
        """What a face approaches smoothly: float64, without what acts in other ways."""
        return np.array([getattr(self, name) for name in _SMOOTH], np.float64)


_RANGES = {
    "gaze_yaw": (-0.4, 0.4),
    "gaze_pitch": (-0.3, 0.3),
    "head_pitch": (-0.3, 0.3),
    "head_yaw": (-0.4, 0.4),
    "head_roll": (-0.3, 0.3),
    "head_motion": (0.0, 2.0),
    "blink": (0.0, 1.0),
    "mouth": (0.0, 1.0),
    "eye_contact": (0.0, 1.0),
    **dict.fromkeys(EXPRESSIONS, (0.0, 1.0)),
    "freeze": (0.0, 1.0),
    "blinks": (0.0, 1e9),
    "intensity": (0.0, MAX_INTENSITY),
}
_SMOOTH: Final = tuple(name for name in _RANGES if name not in ("freeze", "blinks", "intensity"))


def between(before: MotionFrame, after: MotionFrame, share: float) -> MotionFrame:
    """Motion between two frames, ``share`` of the way; rotation vectors so near each other may be mixed as they are."""
    return replace(
        after,
        landmarks=_mix(before.landmarks, after.landmarks, share),
        displacement=_mix(before.displacement, after.displacement, share),
        pose=_mix(before.pose, after.pose, share),
        torso=_mix(before.torso, after.torso, share),
        gaze=_mix(before.gaze, after.gaze, share),
        closure=before.closure + share * (after.closure - before.closure),
    )


class FaceShaper:
    """Motion of one session in, frame by frame; the face to draw out."""

    def __init__(self, template: NDArray[np.float32], controls: Controls) -> None:
        """Begin.

        Args:
            template: float32 (68, 3) fu, the person at rest. It may be exchanged.
            controls: Where the session begins.
        """
        self.template = template
        self._poles = np.stack([controls.array()] * 2)
        self._open_lids = np.zeros((LANDMARKS, 3), np.float32)
        self._last: MotionFrame | None = None
        self._last_ticks = 0
        self._blend: tuple[MotionFrame, int] | None = None
        self._rest: tuple[int, int | None] | None = None
        self._held: MotionFrame | None = None
        self._blink: int | None = None
        self._blinks = controls.blinks

    def blend(self) -> None:
        """From the next frame on, lead the face from the last one into the motion that comes."""
        if self._last is not None:
            self._blend = (self._last, self._last_ticks)

    def rest(self, shown_ticks: int | None = None) -> None:
        """Close the mouth from the next frame on, until ``resume``.

        Args:
            shown_ticks: Media time of the frame from which it closes, where later ones will not be shown; by default
                the last that was shaped.
        """
        self._rest = (self._last_ticks if shown_ticks is None else min(shown_ticks, self._last_ticks), None)

    def resume(self, media_ticks: int) -> None:
        """Let the mouth move again from ``media_ticks`` on."""
        if self._rest is not None:
            self._rest = (self._rest[0], media_ticks)

    def step(self, motion: MotionFrame, media_ticks: int, controls: Controls) -> Face:
        """Shape the next frame.

        Args:
            motion: As the pipeline gives it.
            media_ticks: The frame's media time, which never falls.
            controls: As set now.
        """
        now = self._approach(controls, max(0, media_ticks - self._last_ticks))
        *angles, head_motion, blink, mouth, eye_contact = now[: -len(EXPRESSIONS)]
        mouth *= self._articulation(media_ticks)
        motion = self._frozen(self._blended(motion, media_ticks), media_ticks, controls)
        displacement = motion.displacement.copy()
        if mouth < 1:
            lower_face = np.ones((LANDMARKS, 1), np.float32)
            lower_face[: BROWS.start] = lower_face[BROWS.stop :] = mouth
            lower_face[EYES] = 1
            displacement *= lower_face
        displacement = self._lids(displacement, motion.closure, blink)
        self._last, self._last_ticks = replace(motion, displacement=_reshut(displacement, motion, blink)), media_ticks
        pose = motion.pose * np.float32(head_motion)
        pose[:3] += np.array(angles[2:5], np.float32)
        turned = pose - motion.pose
        gaze = motion.gaze + np.array([turned[1], -turned[0]], np.float32)
        # Eyes that are turned against the head by as much as the head is turned look at the camera.
        gaze += np.float32(eye_contact) * (np.array([pose[1], -pose[0]], np.float32) - gaze)
        gaze += np.array(angles[:2], np.float32)
        face = self.template + displacement
        self._express(face, now[-len(EXPRESSIONS) :], motion.closure * blink)
        if controls.blinks > self._blinks:
            self._blinks, self._blink = controls.blinks, media_ticks
        self._blink_now(face, media_ticks)
        posed = face @ rotation_matrix(pose[:3]).astype(np.float32).T + pose[3:]
        return Face(
            landmarks=posed.astype(np.float32),
            pose=pose,
            gaze=np.clip(gaze, -_GAZE_LIMITS, _GAZE_LIMITS).astype(np.float32),
            torso=motion.torso * np.float32(head_motion),
        )

    def _approach(self, controls: Controls, ticks: int) -> NDArray[np.float64]:
        """The controls after two poles, ``ticks`` later."""
        keep = math.exp(-ticks / (_SMOOTHING_S * MEDIA_HZ))
        target = controls.array()
        self._poles[0] = target + keep * (self._poles[0] - target)
        self._poles[1] = self._poles[0] + keep * (self._poles[1] - self._poles[0])
        near = np.abs(self._poles - target) < 1e-4
        self._poles = np.where(near, target, self._poles)
        shown: NDArray[np.float64] = self._poles[1]
        return shown

    def _articulation(self, media_ticks: int) -> float:
        """How far the mouth moves: 1, or less around a rest."""
        if self._rest is None:
            return 1.0
        begun, resumed = self._rest
        closing = max(0.0, 1 - (media_ticks - begun) / REST_TICKS)
        if resumed is None or media_ticks < resumed:
            return closing
        opening = (media_ticks - resumed) / BLEND_TICKS
        if opening >= 1:
            self._rest = None
        return max(closing, min(1.0, opening))

    def _blended(self, motion: MotionFrame, media_ticks: int) -> MotionFrame:
        if self._blend is None:
            return motion
        source, begun = self._blend
        share = min(1.0, (media_ticks - begun) / BLEND_TICKS)
        if share >= 1:
            self._blend = None
        return between(source, motion, share * share * (3 - 2 * share))

    def _frozen(self, motion: MotionFrame, media_ticks: int, controls: Controls) -> MotionFrame:
        """The motion, or the one that the face stopped at."""
        if controls.freeze < 0.5:
            if self._held is None:
                return motion
            self._held = None
            self.blend()
            return self._blended(motion, media_ticks)
        if self._held is None and motion.closure < _STILL_EYES:
            self._held = motion
        return motion if self._held is None else self._held

    def _express(self, face: NDArray[np.float32], amounts: NDArray[np.float64], closure: float) -> None:
        """Add expressions to ``face`` (68, 3), whose lids are shut by ``closure``. In place."""
        if not amounts.any():
            return
        moved = np.tensordot(amounts.astype(np.float32), load_expressions(), 1)
        # Shut lids stay shut, whatever an open eye would do.
        moved[EYES] *= np.float32(1 - min(1.0, max(0.0, closure)))
        face += moved
        wink = amounts[EXPRESSIONS.index("wink")]
        if wink > 0:
            _shut(face, wink, RIGHT_LIDS)

    def _blink_now(self, face: NDArray[np.float32], media_ticks: int) -> None:
        """Shut the lids of ``face`` as far as a blink on request has come. In place."""
        if self._blink is None:
            return
        age = (media_ticks - self._blink) / TICKS_PER_MOTION
        closure = blink_closure(age)
        if closure > 0:
            _shut(face, closure)
        elif age > 1:
            self._blink = None

    def _lids(self, displacement: NDArray[np.float32], closure: float, blink: float) -> NDArray[np.float32]:
        """Lids that shut only ``blink`` as far."""
        face = self.template + displacement
        if closure < _LEARNT_CLOSURE:
            opened = face.copy()
            _shut(opened, -closure / (1 - closure) if closure > 0 else 0.0)
            self._open_lids = opened - self.template
        if blink >= 1 or closure <= 0:
            return displacement
        face[EYES] = (self.template + self._open_lids)[EYES]
        _shut(face, blink * closure)
        return face - self.template


def _reshut(displacement: NDArray[np.float32], motion: MotionFrame, blink: float) -> NDArray[np.float32]:
    """What a later blend starts from: the face as shown, but with the motion's own lids."""
    if blink >= 1:
        return displacement
    kept = displacement.copy()
    kept[EYES] = motion.displacement[EYES]
    return kept


def _shut(face: NDArray[np.float32], amount: float, lids: tuple[Indices, Indices] = BOTH_LIDS) -> None:
    """Move the lids of ``face`` (68, 3) towards where they meet; a negative amount opens them. In place."""
    above, below = lids
    upper, lower = face[above], face[below]
    line = upper + np.float32(_LIDS_MEET) * (lower - upper)
    face[above] = upper + np.float32(amount) * (line - upper)
    face[below] = lower + np.float32(amount) * (line - lower)


def _mix(before: NDArray[np.float32], after: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    return before + np.float32(share) * (after - before)
