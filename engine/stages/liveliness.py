"""What a face does besides speaking: it blinks, looks about, breathes and never stands quite still.

Blinks: 70 ms down, 50 ms shut, 150 ms up; every 2 to 6 s (log-normal), sooner when a phrase ends or the gaze jumps,
now and then twice. Gaze: fixations of 0.5 to 2.5 s joined by saccades of 50 ms, mostly at the camera, where
they hold while the head turns (vestibulo-ocular reflex). Sway: three slow incommensurate oscillations and breath.

Eyes that are held shut: some sing or speak with closed eyes for seconds. While somebody speaks, stretches with shut and
with open eyes follow each other (log-normal); a listener's eyes are open.

Every choice is drawn from (seed, event number), so the whole is a function of the frames' number and of what the
stage was told, and its state is a few numbers.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.stages.noise import normals, uniforms
from models.spec import MOTION_HZ, POSE_DIM

_BLINK_STREAM, _CHANCE_STREAM, _GAZE_STREAM, _SWAY_STREAM, _SHUT_STREAM = 2, 3, 4, 5, 6

_CLOSING_FRAMES, _SHUT_FRAMES, _OPENING_FRAMES = 0.070 * MOTION_HZ, 0.050 * MOTION_HZ, 0.150 * MOTION_HZ
_BLINK_FRAMES = math.ceil(_CLOSING_FRAMES + _SHUT_FRAMES + _OPENING_FRAMES)
_DOUBLE_BLINK = 0.12
_DOUBLE_WAIT = 0.06
"""Seconds between the two blinks of a pair."""
_PHRASE_END_BLINK = 0.5
_SACCADE_BLINK = 0.25
_REFRACTORY_FRAMES = MOTION_HZ

_SACCADE_FRAMES = 3
_GLANCE = 0.25
"""Share of fixations that leave the camera."""
_GAZE_LIMITS = np.array([0.25, 0.18])
_LID_FOLLOWS = 1.0
"""Lid closure per rad of downward gaze: a lid stays at the iris' edge."""

_LIDS_FALL_FRAMES, _LIDS_RISE_FRAMES = 0.25 * MOTION_HZ, 0.35 * MOTION_HZ
"""For eyes that are held shut: slower than a blink."""
_SHUT_SPREAD = 0.5
"""Deviation of the logarithm of how long they are."""
_LEAST_SHUT_FRAMES = round(0.3 * MOTION_HZ)
_NO_STRETCH = -1
_LEAST_SHUT_SHARE = 0.02
"""Below it the eyes are never held shut."""

_SWING_MOVE = 1 / (0.4 * MOTION_HZ)
"""Share of the way to where a rhythm should be that it goes in a frame."""

_SWAY_HZ = ((0.071, 0.183), (0.053, 0.149), (0.043, 0.127))
_SWAY_RAD = (0.005, 0.007, 0.004)
"""Pitch, yaw, roll."""
_BREATH_HZ = 0.26
_BREATH_FU = 0.006
_TORSO_SHARE = np.array([0.08, 0.08, 0.25, 0.35, 0.35, 0.35])
_TORSO_KEEP = math.exp(-1 / (0.4 * MOTION_HZ))


@dataclass(frozen=True)
class Rhythm:
    """An oscillation of the head while somebody speaks, such as nods on a beat.

    Attributes:
        hz: Its frequency.
        cosine: Amplitudes of the cosine in a pose's six numbers, rad and fu.
        sine: Of the sine.
    """

    hz: float
    cosine: tuple[float, ...]
    sine: tuple[float, ...]

    def times(self, factor: float) -> "Rhythm":
        """The same, smaller or larger."""
        return Rhythm(self.hz, tuple(factor * a for a in self.cosine), tuple(factor * a for a in self.sine))


@dataclass(frozen=True)
class Manner:
    """How a person differs from the plain one above. The first four are positive factors.

    Attributes:
        blink_rate: On how often the eyes blink.
        gaze_spread: On how far they move.
        gaze_away: On how often they leave the camera.
        fixation_time: On how long they rest.
        lid_rest: How far the lids hang when they are open, 0 as in the portrait, 1 shut.
        shut_share: Share of the time of speech in which the eyes are held shut.
        shut_time: How long they are, at a time, in s.
        rhythm: What the head does over and over.
    """

    blink_rate: float = 1.0
    gaze_spread: float = 1.0
    gaze_away: float = 1.0
    fixation_time: float = 1.0
    lid_rest: float = 0.0
    shut_share: float = 0.0
    shut_time: float = 1.5
    rhythm: tuple[Rhythm, ...] = ()


PLAIN = Manner()


@dataclass(frozen=True)
class LivelinessInput:
    """What the face is doing otherwise.

    Attributes:
        pose: float32 (6,), the head pose before sway.
        activity: 0 silent ... 1 speaking.
        manner: Of the choices that are made now.
    """

    pose: NDArray[np.float32]
    activity: float
    manner: Manner = PLAIN


@dataclass(frozen=True)
class Lively:
    """One frame of life.

    Attributes:
        pose: float32 (6,), the head pose with sway and breath.
        torso: float32 (6,), the pose of the shoulders about the same origin: they follow the head late and little.
        gaze: float32 (2,) rad, eyes against the head: yaw to the picture's right, pitch down.
        closure: 0 lids as the portrait has them, 1 shut; slightly negative when looking up.
    """

    pose: NDArray[np.float32]
    torso: NDArray[np.float32]
    gaze: NDArray[np.float32]
    closure: float


@dataclass(frozen=True)
class LivelinessState:
    """Where the face is in what it does.

    Attributes:
        seed: Of all choices.
        frame: The next frame.
        blinks: Blinks decided so far.
        blink_frame: Frame at which the present or coming blink begins.
        blink_end: Frame at which the last one was over.
        twice: Whether the present or coming blink is the second of a pair.
        speaking: Whether the last frame was one of speech.
        fixations: Fixations decided so far.
        fixation_frame: Frame at which the present fixation's saccade began.
        fixation_end: Frame at which the next one's will.
        gaze_from: float64 (2,) rad against the camera, where the eyes came from.
        gaze_to: float64 (2,) rad, where they look or are going.
        torso: float64 (6,), smoothed head pose that the shoulders follow.
        stretches: Stretches of shut and of open eyes decided so far.
        stretch_end: Frame at which the present one ends.
        shut: Whether the eyes are held shut in it.
        lids: 0 not held ... 1 held shut, linear in time.
        lid_rest: How far the lids hang, following the manner's.
        swing: Share of the rhythm that is in the head, following speech.
    """

    seed: int
    frame: int
    blinks: int
    blink_frame: int
    blink_end: int
    twice: bool
    speaking: bool
    fixations: int
    fixation_frame: int
    fixation_end: int
    gaze_from: NDArray[np.float64]
    gaze_to: NDArray[np.float64]
    torso: NDArray[np.float64]
    stretches: int
    stretch_end: int
    shut: bool
    lids: float
    lid_rest: float
    swing: float


class Liveliness:
    """Pose and activity in; pose with sway, shoulders, gaze and lids out, for the same frame."""

    lookahead_ticks = 0

    def __init__(self, seed: int = 0, sway: float = 1.0, *, eyes: bool = True) -> None:
        """Set up.

        Args:
            seed: Of a stream that begins with ``init_state``.
            sway: Factor on idle sway and breath; 0 holds the head as the network has it.
            eyes: Whether they blink and look about; else they are as the portrait has them.
        """
        self._seed, self._sway, self._eyes = seed, sway, eyes

    def init_state(self) -> LivelinessState:
        """Eyes open and at the camera; the first blink comes after one to three seconds."""
        first = 1 + 2 * uniforms(self._seed, _BLINK_STREAM, 0, 1)[0]
        fixation = _fixation_frames(self._seed, 0)
        zero = np.zeros(2)
        return LivelinessState(
            seed=self._seed,
            frame=0,
            blinks=0,
            blink_frame=round(first * MOTION_HZ),
            blink_end=0,
            twice=False,
            speaking=False,
            fixations=0,
            fixation_frame=-_SACCADE_FRAMES,
            fixation_end=fixation,
            gaze_from=zero,
            gaze_to=zero,
            torso=np.zeros(POSE_DIM),
            stretches=0,
            stretch_end=_NO_STRETCH,
            shut=False,
            lids=0.0,
            lid_rest=0.0,
            swing=0.0,
        )

    def step(self, x: LivelinessInput, state: LivelinessState) -> tuple[Lively, LivelinessState]:
        """Live for one more frame."""
        frame = state.frame
        state = _next_fixation(state, x.manner)
        state = _next_stretch(state, x.manner, speaking=x.activity > 0.5)
        state = _next_blink(state, x.manner, speaking=x.activity > 0.5)
        swing = state.swing + (x.activity - state.swing) * _SWING_MOVE
        pose = x.pose + self._sway * _sway(state.seed, frame) + swing * _swung(x.manner.rhythm, frame)
        gaze = _eyes_in_head(_gaze(state), pose) if self._eyes else np.zeros(2)
        torso = _TORSO_KEEP * state.torso + (1 - _TORSO_KEEP) * pose
        shoulders = torso * _TORSO_SHARE
        shoulders[4] += self._sway * _breath(state.seed, frame)
        lids = max(blink_closure(frame - state.blink_frame), _ease(state.lids))
        hanging = float(np.clip(_LID_FOLLOWS * gaze[1], -0.15, 0.35)) + state.lid_rest
        closure = lids + (1 - lids) * min(hanging, 0.9) if self._eyes else 0.0
        lively = Lively(pose.astype(np.float32), shoulders.astype(np.float32), gaze.astype(np.float32), closure)
        return lively, replace(state, frame=frame + 1, torso=torso, swing=swing)

    def flush(self, state: LivelinessState) -> None:
        """Nothing is held back."""


def blink_closure(age: float) -> float:
    """Lid closure ``age`` motion frames (1/60 s) after a blink began; 0 outside it."""
    if age < 0 or age >= _BLINK_FRAMES:
        return 0.0
    if age < _CLOSING_FRAMES:
        return _ease(age / _CLOSING_FRAMES)
    return 1 - _ease(max(0.0, age - _CLOSING_FRAMES - _SHUT_FRAMES) / _OPENING_FRAMES)


def _next_blink(state: LivelinessState, manner: Manner, *, speaking: bool) -> LivelinessState:
    """When the next blink comes, after what happened in this frame."""
    frame, seed = state.frame, state.seed
    phrase_ends = state.speaking and not speaking
    state = replace(state, speaking=speaking)
    if frame >= state.blink_frame + _BLINK_FRAMES:
        twice = not state.twice and uniforms(seed, _BLINK_STREAM, 2 * state.blinks + 1, 1)[0] < _DOUBLE_BLINK
        spread = normals(seed, _BLINK_STREAM, 2 * state.blinks + 2, 1)[0]
        wait = _DOUBLE_WAIT if twice else min(6.0, max(2.0, 3.4 * math.exp(0.35 * spread))) / manner.blink_rate
        following = frame + round(wait * MOTION_HZ)
        return replace(state, blinks=state.blinks + 1, blink_frame=following, blink_end=frame, twice=bool(twice))
    jumps = frame == state.fixation_frame and bool(np.abs(state.gaze_to - state.gaze_from).max() > 0.08)
    open_long = state.blink_end + _REFRACTORY_FRAMES <= frame < state.blink_frame
    if open_long and (phrase_ends or jumps):
        chance, delay = uniforms(seed, _CHANCE_STREAM, frame, 2)
        if chance < (_PHRASE_END_BLINK if phrase_ends else _SACCADE_BLINK):
            soon = frame + (round(2 + 8 * delay) if phrase_ends else 0)
            return replace(state, blink_frame=min(state.blink_frame, soon))
    return state


def _next_stretch(state: LivelinessState, manner: Manner, *, speaking: bool) -> LivelinessState:
    """Whether the eyes are held shut in this frame, and where the lids are on their way."""
    shut = state.shut
    wanted = speaking and manner.shut_share >= _LEAST_SHUT_SHARE
    if not wanted:
        # The next stretch is drawn anew when somebody speaks again.
        shut, state = False, replace(state, stretch_end=_NO_STRETCH)
    elif state.frame >= state.stretch_end:
        number = state.stretches + 1
        draw = uniforms(state.seed, _SHUT_STREAM, 2 * number, 1)[0]
        spread = normals(state.seed, _SHUT_STREAM, 2 * number + 1, 1)[0]
        # Speech begins with shut eyes as often as they are shut; then stretches of both kinds take turns.
        fresh = state.stretch_end == _NO_STRETCH
        shut = bool(draw < manner.shut_share) if fresh else not state.shut
        share = min(manner.shut_share, 0.97)
        usual = manner.shut_time * (1.0 if shut else (1 - share) / share)
        frames = max(_LEAST_SHUT_FRAMES, round(usual * math.exp(_SHUT_SPREAD * spread) * MOTION_HZ))
        state = replace(state, stretches=number, stretch_end=state.frame + frames)
    change = 1 / _LIDS_FALL_FRAMES if shut else -1 / _LIDS_RISE_FRAMES
    lids = min(1.0, max(0.0, state.lids + change))
    lid_rest = state.lid_rest + (manner.lid_rest - state.lid_rest) / _LIDS_RISE_FRAMES
    return replace(state, shut=shut, lids=lids, lid_rest=lid_rest)


def _next_fixation(state: LivelinessState, manner: Manner) -> LivelinessState:
    """Where the eyes look, after this frame."""
    if state.frame < state.fixation_end:
        return state
    number = state.fixations + 1
    away, *_ = uniforms(state.seed, _GAZE_STREAM, 3 * number, 1)
    where = normals(state.seed, _GAZE_STREAM, 3 * number + 1, 2)
    glance = away < _GLANCE * manner.gaze_away and bool(np.abs(state.gaze_to).max() < 0.05)
    spread = np.array([0.11, 0.05]) if glance else np.array([0.012, 0.008])
    frames = round(_fixation_frames(state.seed, number) * manner.fixation_time)
    return replace(
        state,
        fixations=number,
        fixation_frame=state.frame,
        # A glance is short: somebody who talks to you comes back.
        fixation_end=state.frame + (max(MOTION_HZ // 3, frames // 2) if glance else frames),
        gaze_from=_gaze(state),
        gaze_to=np.clip(manner.gaze_spread * spread * where, -_GAZE_LIMITS, _GAZE_LIMITS),
    )


def _fixation_frames(seed: int, number: int) -> int:
    """How long a fixation lasts, 0.5 to 2.5 s."""
    seconds = 0.5 + 2.0 * float(uniforms(seed, _GAZE_STREAM, 3 * number + 2, 1)[0])
    return round(seconds * MOTION_HZ)


def _gaze(state: LivelinessState) -> NDArray[np.float64]:
    """Direction of the eyes against the camera now, rad."""
    done = _ease((state.frame - state.fixation_frame) / _SACCADE_FRAMES)
    return state.gaze_from + done * (state.gaze_to - state.gaze_from)


def _eyes_in_head(gaze: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eyes against the head, such that they look along ``gaze`` against the camera while the head is turned.

    The face looks along -z: a positive rotation about y turns it to the picture's left, one about x downwards.
    """
    turned: NDArray[np.float64] = gaze + np.array([pose[1], -pose[0]])
    return np.clip(turned, -_GAZE_LIMITS, _GAZE_LIMITS)


def _swung(rhythm: tuple[Rhythm, ...], frame: int) -> NDArray[np.float64]:
    """Where the head is in what it does over and over, (6,) rad and fu."""
    pose = np.zeros(POSE_DIM)
    for part in rhythm:
        angle = 2 * math.pi * part.hz * frame / MOTION_HZ
        pose += math.cos(angle) * np.array(part.cosine) + math.sin(angle) * np.array(part.sine)
    return pose


def _sway(seed: int, frame: int) -> NDArray[np.float64]:
    """Idle motion of the head, rad and fu, with phases from the seed."""
    phases = _phases(seed)
    time = frame / MOTION_HZ
    pose = np.zeros(POSE_DIM)
    for axis, (frequencies, amplitude) in enumerate(zip(_SWAY_HZ, _SWAY_RAD, strict=True)):
        waves = np.sin(2 * np.pi * time * np.array(frequencies) + phases[2 * axis : 2 * axis + 2])
        pose[axis] = amplitude * (0.6 * waves[0] + 0.4 * waves[1])
    breath = _breath(seed, frame)
    pose[0] += 0.4 * breath
    pose[4] += breath
    return pose * _ramp(frame)


def _breath(seed: int, frame: int) -> float:
    """Rise (negative y) of the shoulders with breath, fu."""
    phase = 2 * math.pi * frame / MOTION_HZ * _BREATH_HZ + _phases(seed)[6]
    return -_BREATH_FU * (0.5 - 0.5 * math.cos(phase)) * _ramp(frame)


def _ramp(frame: int) -> float:
    """A stream begins with the portrait as it is, and takes a second to move."""
    return min(1.0, frame / MOTION_HZ)


@lru_cache(maxsize=64)
def _phases(seed: int) -> NDArray[np.float64]:
    """Phases of the six oscillations and of breath, float64 (7,) rad."""
    phases: NDArray[np.float64] = 2 * np.pi * uniforms(seed, _SWAY_STREAM, 0, 7)
    return phases


def _ease(share: float) -> float:
    """0 to 1 with soft ends."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)
