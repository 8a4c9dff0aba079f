"""What a rendered person does: talking clips driven by the articulation model, and stills of everything else."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from engine.stages.liveliness import Liveliness, LivelinessInput, Manner
from models.spec import INNER_LIP_PAIRS, MOTION_HZ, POSE_DIM, SAMPLE_HZ
from training.corpus.articulation import perform, shape_weights
from training.corpus.heads.moods import MOODS, MOUTHS, RESTING, TIRED
from training.corpus.heads.tongue import TONGUE_MOVES, tongue_motion
from training.corpus.speaker import Speaker
from training.corpus.utterance import Phone, Utterance

TALKING: Final = 0
STILL: Final = 1

_UPPER: Final = [upper for upper, _ in INNER_LIP_PAIRS]
_LOWER: Final = [lower for _, lower in INNER_LIP_PAIRS]
_POSTURE: Final = np.array([0.05, 0.12, 0.045, 0.03, 0.02, 0.05])
"""Deviations of how a head is held throughout a clip: rad (nod, turn, tilt), fu."""
_TORSO: Final = np.array([0.02, 0.10, 0.02, 0.02, 0.02, 0.02])
_WANDER: Final = np.array([0.09, 0.24, 0.07, 0.03, 0.02, 0.05])
"""How far a head that looks about turns, deviations."""
_STILL_TURN: Final = np.array([0.26, 0.46, 0.22])
"""Largest nod, turn and tilt of a still, rad: 15, 26 and 13 degrees."""
_STILL_GAZE: Final = np.array([0.36, 0.26])


class SpeechPool(Protocol):
    """Where utterances come from: ``SpeechSource`` or a pack's recordings."""

    def utterance(self, index: int) -> Utterance:
        """Utterance ``index``, the same one every time."""


@dataclass(frozen=True)
class Script:
    """Frames to render.

    Attributes:
        shapes: Names of the shapes that ``weights`` speaks of.
        weights: float32 (n, shapes).
        gap: float32 (n, 3) fu, as ``FaceInput.gap``.
        closure: float32 (n,), of the lids.
        tongue: float32 (n, 3).
        gaze: float32 (n, 2) rad, in the head.
        pose: float32 (n, 6), of the head.
        torso: float32 (n, 6), of the shoulders.
        kind: uint8 (n,), ``TALKING`` or ``STILL``.
        audio: float32 (samples,) at 16 kHz, as long as the talking frames.
        phones: Of the audio.
        voices: Who speaks, in order.
    """

    shapes: tuple[str, ...]
    weights: NDArray[np.float32]
    gap: NDArray[np.float32]
    closure: NDArray[np.float32]
    tongue: NDArray[np.float32]
    gaze: NDArray[np.float32]
    pose: NDArray[np.float32]
    torso: NDArray[np.float32]
    kind: NDArray[np.uint8]
    audio: NDArray[np.float32]
    phones: list[Phone]
    voices: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kind)


def talk(
    shapes: tuple[str, ...], pool: SpeechPool, first: int, seconds: float, fps: int, rng: np.random.Generator
) -> Script:
    """A talking clip.

    Args:
        shapes: Names of the rig's shapes.
        pool: Speech.
        first: Utterance to begin with.
        seconds: Length.
        fps: Frames a second, a divisor of 60.
        rng: Draws the speaker's habits, mood, gaze and head.

    Returns:
        round(seconds * fps) frames; frame k is the face at k / fps s of the audio.
    """
    audio, phones, voices = _speech(pool, first, seconds, rng)
    speaker = Speaker.draw(rng)
    performance = perform(phones, audio, speaker, rng)
    moved = performance.displacement
    frames = len(moved)
    curves = shape_weights(performance.controls, speaker)
    for name, curve in _mood(frames, rng).items():
        curves[name] = curves[name] + curve if name in curves else curve
    head, torso = performance.pose + _held_head(frames, rng), (rng.normal(size=POSE_DIM) * _TORSO)
    active = _activity(phones, frames)
    lively = _live(head, active, rng)
    rows = np.arange(round(seconds * fps)) * (MOTION_HZ // fps)
    return Script(
        shapes=shapes,
        weights=_columns(shapes, curves, frames)[rows],
        gap=np.maximum(moved[:, _LOWER, 1] - moved[:, _UPPER, 1], 0)[rows].astype(np.float32),
        closure=lively.closure[rows],
        tongue=tongue_motion(phones, frames, speaker.lead_s)[rows],
        gaze=lively.gaze[rows],
        pose=lively.pose[rows],
        torso=(lively.torso + torso)[rows].astype(np.float32),
        kind=np.full(len(rows), TALKING, np.uint8),
        audio=audio,
        phones=phones,
        voices=voices,
    )


def stills(shapes: tuple[str, ...], count: int, rng: np.random.Generator) -> Script:
    """Frames that have nothing to do with each other and cover what talk seldom shows.

    Args:
        shapes: Names of the rig's shapes.
        count: How many.
        rng: Draws them all.
    """
    weights = np.zeros((count, len(shapes)), np.float32)
    gap = np.full((count, 3), np.nan, np.float32)
    closure, tongue = np.zeros(count, np.float32), np.zeros((count, TONGUE_MOVES), np.float32)
    gaze, pose, torso = np.zeros((count, 2)), np.zeros((count, POSE_DIM)), np.zeros((count, POSE_DIM))
    mouths = sorted(MOUTHS)
    for row in range(count):
        # Every mouth comes before any comes twice.
        mouth = MOUTHS[mouths[row % len(mouths)]]
        amounts = {name: amount * rng.uniform(0.6, 1.1) for name, amount in mouth.shapes.items()}
        mood = MOODS[list(MOODS)[int(rng.integers(len(MOODS)))]]
        size = rng.uniform(0, 0.9) * float(rng.random() < 0.6)
        for name, amount in (mood | RESTING).items():
            amounts[name] = amounts.get(name, 0.0) + amount * size
        for place, name in enumerate(shapes):
            weights[row, place] = amounts.get(name, 0.0)
        if mouth.sealed:
            gap[row] = 0
        lids = rng.random()
        closure[row] = 1.0 if lids < 0.12 else rng.uniform(0.1, 0.9) if lids < 0.3 else rng.uniform(-0.12, 0.1)
        tongue[row] = rng.uniform(0, 1, TONGUE_MOVES) * (rng.random(TONGUE_MOVES) < 0.25)
        pose[row, :3] = rng.uniform(-1, 1, 3) * _STILL_TURN
        pose[row, 3:] = rng.normal(size=3) * _POSTURE[3:]
        if rng.random() < 0.5:
            gaze[row] = rng.uniform(-1, 1, 2) * _STILL_GAZE
        else:
            # Eyes that stay with the camera while the head turns.
            gaze[row] = np.clip((pose[row, 1], -pose[row, 0]), -_STILL_GAZE, _STILL_GAZE)
        torso[row] = 0.25 * pose[row] + rng.normal(size=POSE_DIM) * _TORSO
        closure[row] += (1 - closure[row]) * max(0.0, gaze[row, 1])
    return Script(
        shapes,
        weights,
        gap,
        closure,
        tongue,
        gaze.astype(np.float32),
        pose.astype(np.float32),
        torso.astype(np.float32),
        np.full(count, STILL, np.uint8),
        np.zeros(0, np.float32),
        [],
        (),
    )


def join(clip: Script, after: Script) -> Script:
    """A clip and the stills that follow it."""
    assert clip.shapes == after.shapes
    names = ("weights", "gap", "closure", "tongue", "gaze", "pose", "torso", "kind")
    arrays = {name: np.concatenate([getattr(clip, name), getattr(after, name)]) for name in names}
    return Script(shapes=clip.shapes, audio=clip.audio, phones=clip.phones, voices=clip.voices, **arrays)


def _speech(
    pool: SpeechPool, first: int, seconds: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], list[Phone], tuple[str, ...]]:
    """Utterances with pauses between them, cut to ``seconds``."""
    samples = round(seconds * SAMPLE_HZ)
    audio = np.zeros(round(rng.uniform(0.1, 0.5) * SAMPLE_HZ), np.float32)
    phones = [Phone("sil", 0.0, len(audio) / SAMPLE_HZ)]
    voices: list[str] = []
    while len(audio) < samples:
        spoken = pool.utterance(first + len(voices))
        voices.append(spoken.voice)
        start = len(audio) / SAMPLE_HZ
        phones += [Phone(p.symbol, p.start_s + start, p.end_s + start, p.stress) for p in spoken.phones]
        pause = np.zeros(round(rng.uniform(0.2, 0.9) * SAMPLE_HZ), np.float32)
        audio = np.concatenate([audio, spoken.audio, pause])
        phones.append(Phone("sil", phones[-1].end_s, len(audio) / SAMPLE_HZ))
    end = samples / SAMPLE_HZ
    kept = [Phone(p.symbol, p.start_s, min(p.end_s, end), p.stress) for p in phones if p.start_s < end]
    return audio[:samples].astype(np.float32), kept, tuple(voices)


def _mood(frames: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """What the face shows beside speech: a resting expression and moods that come and go, (frames,) each."""
    curves: dict[str, NDArray[np.float32]] = {}

    def add(shapes: dict[str, float], curve: NDArray[np.floating]) -> None:
        for name, amount in shapes.items():
            curves[name] = curves.get(name, np.zeros(frames, np.float32)) + (amount * curve).astype(np.float32)

    add(RESTING, np.full(frames, rng.uniform(0.3, 1.2)))
    if rng.random() < 0.25:
        add(TIRED, np.full(frames, rng.uniform(0.2, 0.8)))
    frame = 0.0
    while frame < frames:
        length = rng.uniform(1.5, 5.0) * MOTION_HZ
        if rng.random() < 0.45:
            mood = MOODS[list(MOODS)[int(rng.integers(len(MOODS)))]]
            course = np.zeros(frames)
            course[int(frame) : int(frame + length)] = rng.uniform(0.2, 0.8)
            add(mood, gaussian_filter1d(course, 0.18 * MOTION_HZ, mode="nearest"))
        frame += length
    return curves


def _held_head(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How the head is held, and for some people where it wanders, (frames, 6)."""
    held = np.tile(rng.normal(size=POSE_DIM) * _POSTURE, (frames, 1))
    if rng.random() < 0.5:
        width = rng.uniform(0.5, 1.2) * MOTION_HZ
        margin = int(4 * width)
        noise = gaussian_filter1d(rng.normal(size=(frames + 2 * margin, POSE_DIM)), width, axis=0)[margin:][:frames]
        held += rng.uniform(0.3, 1.0) * _WANDER * noise * np.sqrt(2 * width * np.sqrt(np.pi))
    held[:, :3] = np.clip(held[:, :3], -_STILL_TURN, _STILL_TURN)
    return held


@dataclass(frozen=True)
class _Life:
    pose: NDArray[np.float32]
    torso: NDArray[np.float32]
    gaze: NDArray[np.float32]
    closure: NDArray[np.float32]


def _live(head: NDArray[np.floating], active: NDArray[np.float32], rng: np.random.Generator) -> _Life:
    """Blinks, gaze, sway and shoulders as the engine's own stage makes them, at 60 Hz."""
    blinks, spread, away, fixation = (float(np.exp(rng.normal(0, 0.3))) for _ in range(4))
    manner = Manner(blinks, spread, away, fixation)
    stage = Liveliness(seed=int(rng.integers(2**31)), sway=float(rng.uniform(0.5, 1.5)))
    state = stage.init_state()
    frames = []
    for pose, activity in zip(head.astype(np.float32), active, strict=True):
        lively, state = stage.step(LivelinessInput(pose, float(activity), manner), state)
        frames.append(lively)
    # A third look at something beside the camera all along.
    aside = rng.normal(size=2) * (0.09, 0.05) * float(rng.random() < 0.33)
    return _Life(
        pose=np.stack([f.pose for f in frames]),
        torso=np.stack([f.torso for f in frames]),
        gaze=(np.stack([f.gaze for f in frames]) + aside).astype(np.float32),
        closure=np.array([f.closure for f in frames], np.float32),
    )


def _activity(phones: list[Phone], frames: int) -> NDArray[np.float32]:
    """1 while somebody speaks, (frames,)."""
    times = np.arange(frames) / MOTION_HZ
    active = np.zeros(frames, np.float32)
    for phone in phones:
        if phone.symbol != "sil":
            active[(times >= phone.start_s) & (times < phone.end_s)] = 1
    return active


def _columns(shapes: tuple[str, ...], curves: dict[str, NDArray[np.float32]], frames: int) -> NDArray[np.float32]:
    weights = np.zeros((frames, len(shapes)), np.float32)
    places = {name: place for place, name in enumerate(shapes)}
    for name, curve in curves.items():
        weights[:, places[name]] += curve
    return weights
