"""The articulation model: timed phones and their sound become landmark motion. The teacher of all motion networks.

Each phone asks for a configuration of seven articulators and says how firmly it insists on each of them
(dominance). A vowel insists on the jaw, /s/ on teeth that nearly meet, /k/ and /h/ on nothing that can be seen.
Between phones the dominances decide: Cohen and Massaro's model of coarticulation ("Modeling coarticulation in
synthetic visual speech", 1993), with exponential flanks around each phone's span. Two contacts are not left to a
blend, because a viewer never forgives them: lips meet on /p b m/ and the lower lip meets the upper teeth on /f v/,
each held for at least 50 ms however fast the speech is.

Articulators move shapes of a head mesh (``face_basis``); the lips are then kept from passing through each other.
Loudness and pitch of the sound itself size the movement, and every speaker has habits: reach, haste, a crooked
mouth, how far the lips round, how much the brows say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.spec import INNER_LIPS, LANDMARKS, MOTION_HZ, SAMPLE_HZ
from training.corpus.face_basis import FaceBasis, load_face_basis
from training.corpus.head_motion import head_motion
from training.corpus.phones import PHONES, PhoneClass
from training.corpus.prosody import Accent, Prosody, find_accents, measure_prosody
from training.corpus.speaker import Speaker
from training.corpus.utterance import Phone

ARTICULATORS: Final = ("jaw", "part", "wide", "round", "protrude")
"""Blended by dominance: jaw opening, parting of the lips, spreading, rounding, protrusion; each 0..1."""

_TARGETS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    # vowels         jaw  part wide round protrude
    "AA": (1.00, 0.80, 0.10, 0.00, 0.00),
    "AE": (0.90, 0.95, 0.50, 0.00, 0.00),
    "AH": (0.60, 0.55, 0.10, 0.00, 0.00),
    "AX": (0.45, 0.45, 0.10, 0.00, 0.00),
    "AO": (0.80, 0.60, 0.00, 0.45, 0.30),
    "EH": (0.70, 0.80, 0.45, 0.00, 0.00),
    "ER": (0.40, 0.45, 0.00, 0.25, 0.35),
    "IH": (0.40, 0.55, 0.40, 0.00, 0.00),
    "IY": (0.28, 0.50, 0.75, 0.00, 0.00),
    "UH": (0.35, 0.32, 0.00, 0.50, 0.25),
    "UW": (0.20, 0.14, 0.00, 0.95, 0.45),
    # approximants
    "W": (0.15, 0.03, 0.00, 1.00, 0.40),
    "R": (0.28, 0.32, 0.00, 0.35, 0.45),
    "L": (0.45, 0.55, 0.15, 0.00, 0.00),
    "Y": (0.25, 0.42, 0.55, 0.00, 0.00),
    # consonants made behind the lips
    "TH": (0.28, 0.35, 0.10, 0.00, 0.00),
    "DH": (0.30, 0.38, 0.10, 0.00, 0.00),
    "T": (0.25, 0.38, 0.15, 0.00, 0.00),
    "D": (0.25, 0.38, 0.15, 0.00, 0.00),
    "N": (0.30, 0.40, 0.15, 0.00, 0.00),
    "S": (0.12, 0.35, 0.35, 0.00, 0.00),
    "Z": (0.12, 0.35, 0.35, 0.00, 0.00),
    "SH": (0.15, 0.38, 0.00, 0.25, 0.85),
    "ZH": (0.15, 0.38, 0.00, 0.25, 0.85),
    "CH": (0.15, 0.38, 0.00, 0.25, 0.80),
    "JH": (0.15, 0.38, 0.00, 0.25, 0.80),
    "K": (0.38, 0.45, 0.10, 0.00, 0.00),
    "G": (0.38, 0.45, 0.10, 0.00, 0.00),
    "NG": (0.38, 0.45, 0.10, 0.00, 0.00),
    "HH": (0.50, 0.50, 0.10, 0.00, 0.00),
    # lip consonants: the contact itself is added below
    "P": (0.12, 0.02, 0.05, 0.00, 0.05),
    "B": (0.12, 0.02, 0.05, 0.00, 0.05),
    "M": (0.12, 0.02, 0.05, 0.00, 0.05),
    "F": (0.12, 0.10, 0.15, 0.00, 0.00),
    "V": (0.14, 0.12, 0.15, 0.00, 0.00),
    "sil": (0.00, 0.00, 0.00, 0.00, 0.00),
}
_FIRMNESS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    # vowels          jaw  part wide round protrude
    "AX": (0.60, 0.60, 0.30, 0.50, 0.40),
    "UW": (1.20, 1.20, 1.00, 2.50, 2.00),
    "AO": (1.00, 1.00, 0.80, 1.50, 1.20),
    "UH": (0.90, 0.90, 0.60, 1.30, 1.00),
    "IY": (1.00, 1.00, 1.60, 1.50, 1.20),
    # approximants
    "W": (1.50, 1.80, 1.00, 3.00, 2.00),
    "R": (0.50, 0.50, 0.30, 0.90, 1.00),
    "L": (0.40, 0.40, 0.15, 0.25, 0.20),
    "Y": (0.60, 0.60, 0.90, 0.80, 0.60),
    # consonants made behind the lips
    "TH": (0.80, 0.70, 0.20, 0.25, 0.25),
    "DH": (0.45, 0.40, 0.15, 0.20, 0.20),
    "T": (0.50, 0.45, 0.15, 0.15, 0.15),
    "D": (0.50, 0.45, 0.15, 0.15, 0.15),
    "N": (0.50, 0.45, 0.15, 0.15, 0.15),
    "S": (1.30, 1.00, 0.40, 0.30, 0.30),
    "Z": (1.20, 0.95, 0.40, 0.30, 0.30),
    "SH": (1.40, 1.10, 0.60, 0.90, 2.20),
    "ZH": (1.40, 1.10, 0.60, 0.90, 2.20),
    "CH": (1.40, 1.10, 0.60, 0.90, 2.00),
    "JH": (1.40, 1.10, 0.60, 0.90, 2.00),
    "K": (0.25, 0.25, 0.10, 0.08, 0.08),
    "G": (0.25, 0.25, 0.10, 0.08, 0.08),
    "NG": (0.25, 0.25, 0.10, 0.08, 0.08),
    "HH": (0.05, 0.05, 0.03, 0.03, 0.03),
    "P": (1.60, 3.00, 0.30, 0.30, 0.30),
    "B": (1.60, 3.00, 0.30, 0.30, 0.30),
    "M": (1.60, 3.00, 0.30, 0.30, 0.30),
    "F": (1.80, 2.00, 0.40, 0.50, 0.50),
    "V": (1.60, 1.80, 0.40, 0.50, 0.50),
    "sil": (0.70, 0.80, 0.50, 0.50, 0.50),
}
_VOWEL_FIRMNESS: Final = (1.0, 1.0, 0.7, 0.8, 0.6)

_SHAPES: Final[dict[str, dict[str, float]]] = {
    # What an articulator at 1 does to the face. Sizes follow conversational speech: an open /aa/ parts the inner
    # lips by about 0.19 fu, 17 mm on a grown-up's face.
    "jaw": {"jawOpen": 0.36},
    "part": {"unit-mouth-depression-retraction": 0.24, "mouthUpperUpLeft": 0.22, "mouthUpperUpRight": 0.22},
    "wide": {"mouthStretchLeft": 0.35, "mouthStretchRight": 0.35, "unit-mouth-retraction": 0.30},
    "round": {"mouthPucker": 0.60, "unit-mouth-pursing": 0.28},
    "protrude": {"mouthFunnel": 0.45, "unit-mouth-protusion": 0.10, "mouthPucker": 0.25},
    "press": {
        "mouthPressLeft": 0.22,
        "mouthPressRight": 0.22,
        "mouthRollLower": 0.20,
        "mouthRollUpper": 0.15,
    },
    "labiodental": {
        "viseme_FF": 0.55,
        "mouthUpperUpLeft": 0.20,
        "mouthUpperUpRight": 0.20,
        "mouthRollLower": 0.9,
    },
    "brow": {
        "browInnerUp": 0.45,
        "browOuterUpLeft": 0.45,
        "browOuterUpRight": 0.45,
        "eyeWideLeft": 0.30,
        "eyeWideRight": 0.30,
    },
    "frown": {
        "browDownLeft": 0.35,
        "browDownRight": 0.35,
        "eyeSquintLeft": 0.35,
        "eyeSquintRight": 0.35,
        "noseSneerLeft": 0.08,
        "noseSneerRight": 0.08,
    },
    "nose": {"unit-nose-left-dilatation": 0.25, "unit-nose-right-dilatation": 0.25},
}

_LEVEL: Final = ("round", "protrude")
"""Articulators whose shapes part the lips on this mesh; that part is taken out, the opening is not theirs to say."""

_FLANK_S: Final = 0.020
_SMOOTH_S: Final = 0.012
_CONTACT_RAMP_S: Final = 0.055
_CONTACT_HOLD_S: Final = 0.050
_FINE_HZ: Final = 240
"""Trajectories are drawn at four times the motion rate, so that a contact's timing is not quantised."""

_UPPER_INNER: Final = (61, 62, 63)
_LOWER_INNER: Final = (67, 66, 65)
_UPPER_OUTER: Final = (50, 51, 52)
_LOWER_OUTER: Final = (58, 57, 56)
_LOWER_LIP_SHARE: Final = 0.65
"""Of the way that the lips travel to meet, what the lower lip does."""


@dataclass(frozen=True)
class Performance:
    """What the articulation model gives for an utterance.

    Attributes:
        displacement: float32 (frames, 68, 3) fu, from the closed, neutral face; head pose not included.
        pose: float32 (frames, 6), rotation vector in rad and translation in fu.
        controls: Name -> float32 (frames,), every articulator's trajectory, for rendering heads and for plots.
    """

    displacement: NDArray[np.float32]
    pose: NDArray[np.float32]
    controls: dict[str, NDArray[np.float32]]


def perform(
    phones: list[Phone],
    audio: NDArray[np.float32],
    speaker: Speaker,
    rng: np.random.Generator,
    basis: FaceBasis | None = None,
) -> Performance:
    """Move a face to an utterance.

    Args:
        phones: Timed phones, in order, silences among them.
        audio: float32 (samples,), the utterance at 16 kHz: its loudness and pitch size the movement.
        speaker: Whose habits to follow.
        rng: Draws what prosody leaves open (head and brows).
        basis: The face to move; the shipped one if None.

    Returns:
        ceil(samples * 60 / 16000) frames at 60 Hz; frame n is the face at n / 60 s.
    """
    basis = basis or load_face_basis()
    frames = -(-len(audio) * MOTION_HZ // SAMPLE_HZ)
    fine = np.arange(frames * (_FINE_HZ // MOTION_HZ)) / _FINE_HZ
    prosody = measure_prosody(audio, frames)
    controls = _articulate(phones, fine + speaker.lead_s, speaker, prosody)
    controls = {name: curve[:: _FINE_HZ // MOTION_HZ] for name, curve in controls.items()}
    accents = find_accents(phones, prosody)
    brow, frown = _brow_motion(accents, frames, speaker, rng)
    controls |= {"brow": brow, "frown": frown, "nose": 0.4 * controls["wide"] * controls["part"]}
    pose = head_motion(accents, prosody, frames, speaker, rng)
    return Performance(
        displacement=displace(controls, speaker, basis),
        pose=pose,
        controls={name: curve.astype(np.float32) for name, curve in controls.items()},
    )


def displace(controls: Mapping[str, NDArray[np.floating]], speaker: Speaker, basis: FaceBasis) -> NDArray[np.float32]:
    """Articulators to landmarks, with lips that touch and never cross.

    Args:
        controls: Trajectories (frames,): those of ``ARTICULATORS``, ``close``, ``labiodental``, ``brow``, ``frown``
            and ``nose``.
        speaker: For the imbalance of the mouth.
        basis: The face.

    Returns:
        float32 (frames, 68, 3) fu, relative to the neutral face with its lips closed.
    """
    frames = len(controls["jaw"])
    points = np.broadcast_to(basis.neutral, (frames, LANDMARKS, 3)).astype(np.float32)
    for name, shape, amount in _moves(controls, speaker):
        offset = _without_opening(basis.shapes[shape]) if name in _LEVEL else basis.shapes[shape]
        points += amount[:, None, None] * offset
    closure = np.maximum(controls["close"], 0.88 * controls["labiodental"])
    rest = close_lips(basis.neutral[None].astype(np.float32), np.ones(1, np.float32))
    # The neutral mesh parts its lips by a hair; that hair is no opening.
    slack = basis.neutral[list(_LOWER_INNER), 1] - basis.neutral[list(_UPPER_INNER), 1]
    return close_lips(points, closure.astype(np.float32), slack) - rest


def shape_weights(controls: Mapping[str, NDArray[np.floating]], speaker: Speaker) -> dict[str, NDArray[np.float32]]:
    """The weight of every shape that the articulators move, for faces that are more than landmarks.

    Args:
        controls: As ``displace`` takes them.
        speaker: For the imbalance of the mouth.

    Returns:
        Shape name -> float32 (frames,). The opening of the lips is not theirs alone to say: see ``displace``.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    for _, shape, amount in _moves(controls, speaker):
        weights[shape] = weights[shape] + amount if shape in weights else amount
    return weights


def _moves(
    controls: Mapping[str, NDArray[np.floating]], speaker: Speaker
) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Every articulator, each shape that it moves, and how far: float32 (frames,)."""
    press = controls["close"] * (1 - np.minimum(controls["round"], 1))
    amounts = {**controls, "press": press}
    for name, shapes in _SHAPES.items():
        for shape, weight in shapes.items():
            side = 1 + 0.25 * speaker.crooked * (shape.endswith("Left") - shape.endswith("Right"))
            yield name, shape, (amounts[name] * weight * side).astype(np.float32)


def _without_opening(shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """A shape (68, 3) that leaves the gap between the lips as it is: both lips move by the mean of their moves."""
    level = shape.copy()
    for upper, lower in ((_UPPER_INNER, _LOWER_INNER), (_UPPER_OUTER, _LOWER_OUTER)):
        half = (shape[list(lower), 1] - shape[list(upper), 1]) / 2
        if upper is _UPPER_OUTER:
            half = np.minimum(half, (shape[list(_LOWER_INNER), 1] - shape[list(_UPPER_INNER), 1]) / 2)
        level[list(lower), 1] -= half
        level[list(upper), 1] += half
    return level


def close_lips(
    points: NDArray[np.float32], closure: NDArray[np.float32], slack: NDArray[np.floating] | float = 0.0
) -> NDArray[np.float32]:
    """Bring the lips together by ``closure`` and never let them cross.

    Args:
        points: float32 (frames, 68, 3) fu.
        closure: float32 (frames,), 0 leaves the lips as they are, 1 makes the inner lips meet.
        slack: fu, the gap that counts as closed, per lip pair (3,).

    Returns:
        float32 (frames, 68, 3).
    """
    points = points.copy()
    gap = points[:, _LOWER_INNER, 1] - points[:, _UPPER_INNER, 1]
    wanted = np.maximum(gap - slack, 0) * (1 - closure[:, None])
    travel = gap - wanted
    up, down = _LOWER_LIP_SHARE * travel, (1 - _LOWER_LIP_SHARE) * travel
    points[:, _LOWER_INNER, 1] -= up
    points[:, _UPPER_INNER, 1] += down
    # The outer contour follows its lip; less so, since a lip that is pressed also flattens.
    points[:, _LOWER_OUTER, 1] -= 0.85 * up
    points[:, _UPPER_OUTER, 1] += 0.85 * down
    middle = (points[:, _LOWER_INNER, 2] + points[:, _UPPER_INNER, 2]) / 2
    for ring in (_LOWER_INNER, _UPPER_INNER):
        points[:, ring, 2] += closure[:, None] * (middle - points[:, ring, 2])
    return points


def lip_opening(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean distance of the inner lips' facing points, (frames,), in the unit of ``points`` (frames, 68, 2 or 3)."""
    first = INNER_LIPS.start
    assert first == 60
    gaps = points[:, _LOWER_INNER] - points[:, _UPPER_INNER]
    distance: NDArray[np.floating] = np.linalg.norm(gaps, axis=-1).mean(axis=-1)
    return distance


def _articulate(
    phones: list[Phone], times: NDArray[np.float64], speaker: Speaker, prosody: Prosody
) -> dict[str, NDArray[np.float64]]:
    """Dominance-blended trajectories and contacts at ``times`` (s, in the sound's time)."""
    sharpness = 1 / (_FLANK_S * speaker.haste)
    weight = np.full((len(ARTICULATORS), len(times)), 1e-6)
    value = np.zeros_like(weight)
    contacts = {"close": np.zeros(len(times)), "labiodental": np.zeros(len(times))}
    for phone in phones:
        kind = PHONES[phone.symbol]
        target = np.array(_target(kind))
        firmness = np.array(_firmness(kind))
        if kind.manner == "vowel":
            size = prosody.emphasis(phone) * (0.88, 1.08, 1.0)[min(phone.stress, 2)]
            target[:2] *= size
        # Beyond 0.3 s a phone's say has sunk to e^-10.
        first, last = np.searchsorted(times, (phone.start_s - 0.3, phone.end_s + 0.3))
        window = times[first:last]
        distance = np.maximum(np.maximum(phone.start_s - window, window - phone.end_s), 0.0)
        say = firmness[:, None] * np.exp(-distance * sharpness)
        weight[:, first:last] += say
        value[:, first:last] += say * target[:, None]
        contact = {"bilabial": "close", "labiodental": "labiodental"}.get(kind.place)
        if contact and kind.manner in ("stop", "nasal", "fricative", "affricate"):
            bump = _contact(window, phone.start_s, phone.end_s)
            contacts[contact][first:last] = np.maximum(contacts[contact][first:last], bump)
        elif kind.manner == "silence" and phone.end_s - phone.start_s > 0.25:
            bump = _contact(window, phone.start_s + 0.08, phone.end_s - 0.03, ramp_s=0.12)
            contacts["close"][first:last] = np.maximum(contacts["close"][first:last], bump)
    blended = gaussian_filter1d(value / weight, _SMOOTH_S * _FINE_HZ, axis=1, mode="nearest")
    controls = dict(zip(ARTICULATORS, blended, strict=True))
    controls["jaw"] = controls["jaw"] * speaker.reach * speaker.jaw_share
    controls["part"] = controls["part"] * speaker.reach / speaker.jaw_share
    controls["round"] = controls["round"] * speaker.rounding
    controls["protrude"] = controls["protrude"] * speaker.rounding
    return controls | contacts


def _contact(
    times: NDArray[np.float64], start_s: float, end_s: float, ramp_s: float = _CONTACT_RAMP_S
) -> NDArray[np.float64]:
    """A contact's course: 1 over the phone, at least the hold time, with half-cosine ramps before and after."""
    middle, half = (start_s + end_s) / 2, max(end_s - start_s, _CONTACT_HOLD_S) / 2
    outside = np.clip((np.abs(times - middle) - half) / ramp_s, 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * outside)


def _target(kind: PhoneClass) -> tuple[float, ...]:
    """Articulator targets: by name where it is known, else from the phone's phonetic features."""
    if kind.name in _TARGETS:
        return _TARGETS[kind.name]
    if kind.manner == "vowel":
        jaw = 0.2 + 0.8 * (1 - kind.height)
        rounded = kind.rounding
        return (
            jaw,
            (0.45 + 0.4 * (1 - kind.height)) * (1 - 0.6 * rounded),
            0.7 * (1 - kind.backness) * kind.height * (1 - rounded),
            0.95 * rounded * (0.4 + 0.6 * kind.height),
            0.45 * rounded,
        )
    return _TARGETS[_STAND_IN.get(kind.place, "T")]


def _firmness(kind: PhoneClass) -> tuple[float, ...]:
    if kind.name in _FIRMNESS:
        return _FIRMNESS[kind.name]
    if kind.manner == "vowel":
        return _FIRMNESS["UW"] if kind.rounding > 0.5 and kind.height > 0.5 else _VOWEL_FIRMNESS
    return _FIRMNESS[_STAND_IN.get(kind.place, "T")]


_STAND_IN: Final = {
    "bilabial": "P",
    "labiodental": "F",
    "dental": "TH",
    "alveolar": "T",
    "postalveolar": "SH",
    "palatal": "Y",
    "velar": "K",
    "uvular": "K",
    "glottal": "HH",
}
"""Consonants of other languages move the visible face as an English one made at the same place."""


def _brow_motion(
    accents: list[Accent], frames: int, speaker: Speaker, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Brows rise with some accents and draw together with few: two trajectories (frames,), 0..1."""
    times = np.arange(frames) / MOTION_HZ
    curves = np.zeros((2, frames))
    for accent in accents:
        if rng.random() < 0.55:
            which = int(rng.random() < 0.15)
            size = np.clip(0.35 * accent.strength * speaker.expressive * rng.uniform(0.5, 1.3), 0, 1)
            rise, fall = rng.uniform(0.10, 0.18), rng.uniform(0.25, 0.5)
            since = times - accent.time_s + 0.05
            bump = np.where(since < 0, np.exp(-((since / rise) ** 2)), np.exp(-((since / fall) ** 2)))
            curves[which] = np.maximum(curves[which], size * bump)
    return curves[0], curves[1]
