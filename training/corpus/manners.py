"""Four manners of a face: neutral talk, a ballad, rap and opera, as the paper describes them (section 7.1.3).

Each is a transformation of the articulation model's motion, made together with its own sound. A ballad is sung softly
on held vowels, with eyes that are closed most of the time, a head that hardly moves, and a mouth that stays open after
the note and closes slowly. Rap is fast: crisp lips, hard contacts, a head that nods and shakes on the beat, eyes open.
Opera opens the mouth wide and round with lips that curl forward, eyes closed, on a head that moves far and slowly.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from engine.errors import ConfigError
from engine.stages.liveliness import Liveliness, LivelinessInput, Manner
from models.spec import INNER_LIP_PAIRS, MOTION_HZ, POSE_DIM
from training.corpus.articulation import displace, perform, shape_weights
from training.corpus.face_basis import load_face_basis
from training.corpus.heads.moods import RESTING
from training.corpus.heads.script import TALKING, Script
from training.corpus.heads.tongue import tongue_motion
from training.corpus.manner_voice import LEAD_IN_S, Sung, VoiceManner, perform_voice
from training.corpus.speaker import Speaker
from training.corpus.utterance import Phone

_UPPER, _LOWER = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
_TORSO_SHARE: Final = 0.25
_FRIENDLY: Final = 0.6
"""Of a friendly face at rest, what everybody has."""
_EXTRA_LIMIT: Final = 1.2
"""Of an articulator, beyond which no lip goes."""


@dataclass(frozen=True)
class LidManner:
    """What the eyes do.

    Attributes:
        closed: Share of the time that they are closed in lines that are sung.
        ease_s: How long lids take to close or to open.
        wide: How far open eyes are opened beyond rest.
    """

    closed: float = 0.0
    ease_s: float = 0.35
    wide: float = 0.0


@dataclass(frozen=True)
class HeadManner:
    """What the head does, in rad.

    Attributes:
        hold: Nod, turn and tilt in which it is held.
        sway: Size of slow nodding, turning and tilting.
        sway_s: Period of it.
        nod: Depth of the nod on every beat.
        shake: Width of the shaking, once to each side in a beat.
        beat_s: Time from beat to beat.
        lift: How far a note an octave up lifts the chin.
        talk: Share of the motion that talk has by itself.
        faces_s: Deviation in s over which the head comes back to the camera from where talk takes it; 0 never.
    """

    hold: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sway: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sway_s: float = 5.0
    nod: float = 0.0
    shake: float = 0.0
    beat_s: float = 0.6
    lift: float = 0.0
    talk: float = 1.0
    faces_s: float = 0.0


@dataclass(frozen=True)
class FaceManner:
    """A manner.

    Attributes:
        name: What it is called.
        voice: Its sound.
        lids: Its eyes.
        head: Its head.
        reach: Factors on jaw, part, wide, round and protrude.
        carried: What is added to them while a vowel sounds.
        haste: Factor on coarticulation's flanks: small is crisp.
        legato_s: Deviation by which articulators are smoothed.
        echo_s: How long the mouth stays open after a line.
        closing_s: Deviation by which that last closing is smoothed.
        press: How hard lips press on their contacts.
        shapes: Further shapes, while a vowel sounds.
        brow: Brows: raised all along, raised on accents, drawn down.
    """

    name: str
    voice: VoiceManner = field(default_factory=VoiceManner)
    lids: LidManner = field(default_factory=LidManner)
    head: HeadManner = field(default_factory=HeadManner)
    reach: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    carried: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    haste: float = 1.0
    legato_s: float = 0.0
    echo_s: float = 0.0
    closing_s: float = 0.0
    press: float = 1.0
    shapes: tuple[tuple[str, float], ...] = ()
    brow: tuple[float, float, float] = (0.0, 1.0, 0.0)


MANNERS: Final[dict[str, FaceManner]] = {
    manner.name: manner
    for manner in (
        # As far and as fast as filmed speakers move their heads, who face the camera.
        FaceManner("neutral", head=HeadManner(talk=3.0, faces_s=2.0)),
        FaceManner(
            "ballad",
            voice=VoiceManner(
                beat_s=0.55,
                lengths=(0.65, 1.2, 2.6),
                swing=0.15,
                melody=4,
                vibrato_semitones=0.25,
                f0=1.1,
                rest_beats=2.2,
                hall_s=1.2,
                hall_share=0.35,
            ),
            lids=LidManner(closed=0.85, ease_s=0.4),
            head=HeadManner(hold=(0.03, 0.0, 0.10), sway=(0.01, 0.025, 0.01), sway_s=6.0, lift=0.02, talk=0.05),
            reach=(0.95, 0.7, 0.3, 0.9, 0.9),
            carried=(0.55, 0.25, 0.0, 0.52, 0.48),
            haste=2.4,
            legato_s=0.045,
            echo_s=0.75,
            closing_s=0.16,
            shapes=(("browInnerUp", 0.35),),
            brow=(0.25, 0.4, 0.0),
        ),
        FaceManner(
            "rap",
            voice=VoiceManner(beat_s=0.15, lengths=(1.0, 1.0, 2.0), grid=True, rest_beats=1.0),
            lids=LidManner(wide=0.12),
            head=HeadManner(hold=(-0.04, 0.0, -0.07), nod=0.09, shake=0.09, talk=0.15),
            reach=(0.9, 0.5, 0.3, 0.5, 0.5),
            carried=(0.8, 1.6, 1.2, 0.0, 0.0),
            haste=0.55,
            echo_s=0.8,
            shapes=(
                ("mouthUpperUpLeft", 0.5),
                ("mouthUpperUpRight", 0.5),
                ("mouthLowerDownLeft", 0.45),
                ("mouthLowerDownRight", 0.45),
            ),
            press=1.6,
            brow=(0.0, 1.6, 0.25),
        ),
        FaceManner(
            "opera",
            voice=VoiceManner(
                beat_s=0.75,
                lengths=(0.7, 1.4, 2.6),
                swing=0.15,
                melody=7,
                vibrato_semitones=0.6,
                f0=1.4,
                rest_beats=1.2,
                hall_s=1.8,
                hall_share=0.45,
            ),
            lids=LidManner(closed=0.8, ease_s=0.5),
            head=HeadManner(hold=(-0.14, 0.0, 0.0), sway=(0.015, 0.05, 0.01), sway_s=6.0, lift=0.03, talk=0.05),
            reach=(1.5, 1.2, 0.25, 0.9, 1.0),
            carried=(0.45, 0.25, 0.0, 0.45, 0.55),
            haste=2.0,
            legato_s=0.05,
            echo_s=0.45,
            closing_s=0.12,
            shapes=(
                ("mouthFunnel", 0.30),
                ("browInnerUp", 0.25),
                ("mouthUpperUpLeft", 0.15),
                ("mouthUpperUpRight", 0.15),
            ),
            brow=(0.3, 0.8, 0.0),
        ),
    )
}


def manner_named(name: str) -> FaceManner:
    """One of ``MANNERS``.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in MANNERS:
        raise ConfigError(f"There is no manner {name!r}; choose {', '.join(MANNERS)}.")
    return MANNERS[name]


def act(
    manner: FaceManner, shapes: tuple[str, ...], voice: str, seconds: float, fps: int, rng: np.random.Generator
) -> Script:
    """A clip in a manner, ready to be rendered.

    Args:
        manner: Which.
        shapes: Names of the rig's shapes.
        voice: Who speaks: one of flite's.
        seconds: Length.
        fps: Pictures a second, a divisor of 60.
        rng: Draws words, notes, the speaker's habits, eyes and head.

    Returns:
        round(seconds * fps) frames; frame k is the face at k / fps s of the sound.

    Raises:
        MissingExtraError: flite is not installed.
    """
    sung = perform_voice(manner.voice, voice, seconds, rng)
    speaker = Speaker.draw(rng)
    speaker = replace(speaker, haste=speaker.haste * manner.haste, crooked=0.3 * speaker.crooked)
    phones = _with_echoes(sung.phones, manner.echo_s)
    performance = perform(phones, sung.audio, speaker, rng)
    frames = len(performance.pose)
    sounding = _sounding(phones, sung.phones, frames)
    controls = _controls(manner, performance.controls, sounding)
    moved = displace(controls, speaker, load_face_basis())
    curves = shape_weights(controls, speaker)
    for name, amount in RESTING.items():
        curves[name] = curves.get(name, np.zeros(frames, np.float32)) + np.float32(_FRIENDLY * amount)
    for name, amount in manner.shapes:
        course = (amount * sounding).astype(np.float32)
        curves[name] = curves[name] + course if name in curves else course
    life = _life(manner, sung, performance.pose, sounding, rng)
    rows = np.arange(round(seconds * fps)) * (MOTION_HZ // fps)
    places = {name: place for place, name in enumerate(shapes)}
    weights = np.zeros((frames, len(shapes)), np.float32)
    for name, curve in curves.items():
        weights[:, places[name]] += curve
    return Script(
        shapes=shapes,
        weights=weights[rows],
        gap=np.maximum(moved[:, _LOWER, 1] - moved[:, _UPPER, 1], 0)[rows].astype(np.float32),
        closure=life.closure[rows],
        tongue=tongue_motion(phones, frames, speaker.lead_s)[rows],
        gaze=life.gaze[rows],
        pose=life.pose[rows],
        torso=life.torso[rows],
        kind=np.full(len(rows), TALKING, np.uint8),
        audio=sung.audio,
        phones=sung.phones,
        voices=(sung.voice, sung.text),
    )


def _with_echoes(phones: list[Phone], echo_s: float) -> list[Phone]:
    """Phones as the mouth makes them: a vowel or nasal before a pause is held on into it."""
    held: list[Phone] = []
    for phone in phones:
        if echo_s and phone.symbol == "sil" and held:
            moved = min(echo_s, 0.6 * (phone.end_s - phone.start_s))
            last = held[-1]
            # What rings on is the last vowel; a consonant after it comes and goes at its own time.
            held.append(Phone("AH", last.end_s, last.end_s + moved))
            held.append(replace(phone, start_s=last.end_s + moved))
        else:
            held.append(phone)
    return held


def _sounding(mouth: list[Phone], sound: list[Phone], frames: int) -> NDArray[np.float64]:
    """How much the voice carries, echoes included: 1 in a line, smooth, (frames,)."""
    times = np.arange(frames) / MOTION_HZ
    course = np.zeros(frames)
    for phone in mouth:
        if phone.symbol != "sil":
            course[(times >= phone.start_s) & (times < phone.end_s)] = 1
    for phone in sound:
        # The echo itself fades.
        if phone.symbol == "sil":
            course[(times >= phone.start_s) & (times < phone.end_s)] *= 0.7
    smooth: NDArray[np.float64] = gaussian_filter1d(course, 0.09 * MOTION_HZ, mode="nearest")
    return smooth


def _controls(
    manner: FaceManner, controls: dict[str, NDArray[np.float32]], sounding: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The articulators' courses, made the manner's own."""
    made = {name: curve.astype(np.float64) for name, curve in controls.items()}
    names = ("jaw", "part", "wide", "round", "protrude")
    contact = np.maximum(made["close"], made["labiodental"])
    for name, factor, carried in zip(names, manner.reach, manner.carried, strict=True):
        # A consonant's contact takes what the manner adds to its vowels.
        curve = made[name] * factor + carried * sounding * (1 - 0.8 * contact)
        if manner.legato_s:
            curve = gaussian_filter1d(curve, manner.legato_s * MOTION_HZ, mode="nearest")
        made[name] = np.clip(curve, 0, _EXTRA_LIMIT * max(1.0, factor, carried))
    if manner.closing_s:
        quiet = 1 - sounding
        slow = gaussian_filter1d(made["close"], manner.closing_s * MOTION_HZ, mode="nearest")
        made["close"] = made["close"] * (1 - quiet) + slow * quiet
    made["close"] = np.minimum(made["close"], 1)
    raised, accents, down = manner.brow
    made["brow"] = np.clip(made["brow"] * accents + raised * sounding, 0, 1.3)
    made["frown"] = np.clip(made["frown"] + down, 0, 1)
    if manner.press > 1:
        # Hard contacts: lips that meet roll in and press, and part with a burst.
        burst = np.clip(np.gradient(-made["close"]) * MOTION_HZ / 8, 0, 1)
        made["part"] = made["part"] + 0.35 * (manner.press - 1) * gaussian_filter1d(burst, 1.0)
    return made


@dataclass(frozen=True)
class _Life:
    pose: NDArray[np.float32]
    torso: NDArray[np.float32]
    gaze: NDArray[np.float32]
    closure: NDArray[np.float32]


def _life(
    manner: FaceManner,
    sung: Sung,
    talk: NDArray[np.float32],
    sounding: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Life:
    """Head, shoulders, eyes and lids at 60 Hz."""
    frames = len(talk)
    if manner.head.faces_s:
        talk = talk - gaussian_filter1d(talk, manner.head.faces_s * MOTION_HZ, axis=0, mode="nearest")
    head = (manner.head.talk * talk + _head(manner.head, sung, frames, rng)) * _from_rest(frames)
    stage = Liveliness(seed=int(rng.integers(2**31)))
    state, lived = stage.init_state(), []
    for pose, active in zip(head.astype(np.float32), sounding, strict=True):
        lively, state = stage.step(LivelinessInput(pose, float(active), Manner()), state)
        lived.append(lively)
    closed = _closed(manner.lids, sounding, rng)
    blinks = np.array([frame.closure for frame in lived])
    closure = closed + (1 - closed) * (blinks - manner.lids.wide * (1 - blinks.clip(0, 1)))
    gaze = np.stack([frame.gaze for frame in lived]) * (1 - closed[:, None])
    return _Life(
        pose=np.stack([frame.pose for frame in lived]),
        torso=(_TORSO_SHARE * gaussian_filter1d(head, 0.3 * MOTION_HZ, axis=0, mode="nearest")).astype(np.float32),
        gaze=gaze.astype(np.float32),
        closure=closure.astype(np.float32),
    )


def _head(manner: HeadManner, sung: Sung, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The head's own part of a manner, (frames, 6)."""
    times = np.arange(frames) / MOTION_HZ
    pose = np.zeros((frames, POSE_DIM))
    for axis, (held, size) in enumerate(zip(manner.hold, manner.sway, strict=True)):
        # Nod and tilt go at their own pace, so that the head draws no ellipse.
        period = manner.sway_s * (1.0, 1.0, 1.5)[axis]
        pose[:, axis] += held + size * np.sin(2 * np.pi * times / period + 2 * np.pi * rng.random())
    pose[:, 3] += 0.3 * pose[:, 1]
    notes = sung.notes
    if manner.lift and notes:
        course = np.interp(times, [start for start, *_ in notes], [step / 12 for _, _, step, _ in notes])
        pose[:, 0] -= manner.lift * gaussian_filter1d(course, 0.35 * MOTION_HZ, mode="nearest")
    if manner.nod and notes:
        phase = 2 * np.pi * (times - notes[0][0]) / manner.beat_s
        # Down on the beat and quicker than up.
        nod = np.exp(1.2 * (np.cos(phase) - 1)) - 0.45
        pose[:, 0] += manner.nod * nod
        pose[:, 4] += 0.15 * manner.nod * nod
        pose[:, 1] += manner.shake * np.sin(phase)
        pose[:, 3] -= 0.1 * manner.shake * np.sin(phase)
    smooth: NDArray[np.float64] = gaussian_filter1d(pose, 1.5, axis=0, mode="nearest")
    return smooth


def _from_rest(frames: int) -> NDArray[np.float64]:
    """0 before anybody speaks, 1 soon after: whoever begins is seen at rest first, (frames, 1)."""
    done = np.clip((np.arange(frames) / MOTION_HZ - 0.6 * LEAD_IN_S) / (0.7 * LEAD_IN_S), 0, 1)
    ramp: NDArray[np.float64] = (done * done * (3 - 2 * done))[:, None]
    return ramp


def _closed(manner: LidManner, sounding: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """How far the eyes are closed for feeling's sake, 0 to 1, (frames,)."""
    frames = len(sounding)
    course = np.zeros(frames)
    if not manner.closed:
        return course
    course[sounding > 0.5] = 1
    frame = float(rng.uniform(0.5, 2.0) * MOTION_HZ)
    while frame < frames:
        # The eyes open for a moment, as of somebody who comes back.
        look = rng.uniform(0.8, 1.4) * MOTION_HZ
        course[int(frame) : int(frame + look)] = 0
        frame += look + look * manner.closed / (1 - manner.closed) * rng.uniform(0.7, 1.3)
    smooth: NDArray[np.float64] = gaussian_filter1d(course, manner.ease_s / 2.5 * MOTION_HZ, mode="nearest")
    return smooth
