"""Expressions beside speech, as weights of the face's shapes."""

from dataclasses import dataclass
from typing import Final


def _both(shapes: dict[str, float]) -> dict[str, float]:
    """The same on both sides of the face: names end in ``*`` where ARKit has a left and a right one."""
    mirrored: dict[str, float] = {}
    for name, weight in shapes.items():
        if name.endswith("*"):
            mirrored |= {f"{name[:-1]}Left": weight, f"{name[:-1]}Right": weight}
        else:
            mirrored[name] = weight
    return mirrored


RESTING: Final = _both({"mouthSmile*": 0.14, "browInnerUp": 0.10, "browOuterUp*": 0.08, "cheekSquint*": 0.05})
"""A friendly face at rest: random faces without it look stern."""
TIRED: Final = _both({"unit-eye-left-slit": 0.35, "unit-eye-right-slit": 0.35, "browDown*": 0.1})

MOODS: Final[dict[str, dict[str, float]]] = {
    "smile": _both({"mouthSmile*": 0.55, "cheekSquint*": 0.40, "mouthDimple*": 0.15, "eyeSquint*": 0.20}),
    "laugh": _both({"mouthSmile*": 0.75, "cheekSquint*": 0.60, "eyeSquint*": 0.40, "noseSneer*": 0.10}),
    "half smile": {"mouthSmileLeft": 0.55, "cheekSquintLeft": 0.3, "mouthDimpleLeft": 0.25, "browOuterUpLeft": 0.3},
    "sad": _both({"mouthFrown*": 0.45, "browInnerUp": 0.60, "eyeSquint*": 0.15, "mouthShrugLower": 0.25}),
    "angry": _both({"browDown*": 0.70, "noseSneer*": 0.25, "eyeSquint*": 0.30, "mouthPress*": 0.15}),
    "surprised": _both({"browInnerUp": 0.55, "browOuterUp*": 0.65, "eyeWide*": 0.55}),
    "doubt": {"browOuterUpLeft": 0.70, "browDownRight": 0.40, "mouthDimpleRight": 0.35, "mouthRight": 0.15},
    "disgust": _both({"noseSneer*": 0.55, "mouthUpperUp*": 0.18, "browDown*": 0.35, "eyeSquint*": 0.25}),
    "earnest": _both({"browDown*": 0.35, "browInnerUp": 0.25, "eyeSquint*": 0.20}),
    "bright": _both({"browInnerUp": 0.30, "browOuterUp*": 0.40, "mouthSmile*": 0.30, "eyeWide*": 0.15}),
}


@dataclass(frozen=True)
class Mouth:
    """A mouth to hold still.

    Attributes:
        shapes: Weights.
        sealed: Lips touch, whatever the shapes say.
    """

    shapes: dict[str, float]
    sealed: bool = False


_SHOW_UPPER: Final = {"mouthUpperUp*": 0.55}
MOUTHS: Final[dict[str, Mouth]] = {
    "closed": Mouth({}, sealed=True),
    "closed smile": Mouth(_both({"mouthSmile*": 0.8, "cheekSquint*": 0.4}), sealed=True),
    "pressed": Mouth(_both({"mouthPress*": 0.6, "mouthRollLower": 0.4, "mouthRollUpper": 0.3}), sealed=True),
    "pout": Mouth(_both({"mouthPucker": 0.8, "mouthShrugLower": 0.3}), sealed=True),
    "ajar": Mouth(_both({"jawOpen": 0.10, "unit-mouth-depression-retraction": 0.15})),
    "half": Mouth(_both({"jawOpen": 0.25, **_SHOW_UPPER, "mouthLowerDown*": 0.2})),
    "wide": Mouth(_both({"jawOpen": 0.55, **_SHOW_UPPER, "mouthStretch*": 0.3})),
    "shout": Mouth(_both({"jawOpen": 0.95, "mouthUpperUp*": 0.7, "mouthLowerDown*": 0.5, "mouthStretch*": 0.2})),
    "teeth": Mouth(_both({"jawOpen": 0.04, "mouthUpperUp*": 0.9, "mouthLowerDown*": 0.75, "mouthStretch*": 0.3})),
    "open smile": Mouth(_both({"jawOpen": 0.12, "mouthSmile*": 0.7, "mouthUpperUp*": 0.45, "mouthLowerDown*": 0.2})),
    "laughing": Mouth(_both({"jawOpen": 0.40, "mouthSmile*": 0.75, "mouthUpperUp*": 0.5, "mouthLowerDown*": 0.3})),
    "round": Mouth(_both({"jawOpen": 0.22, "mouthFunnel": 0.8, "mouthPucker": 0.4})),
    "small round": Mouth(_both({"jawOpen": 0.08, "mouthPucker": 0.9, "mouthFunnel": 0.3})),
    "spread": Mouth(_both({"jawOpen": 0.10, "mouthStretch*": 0.8, "unit-mouth-retraction": 0.5, "mouthUpperUp*": 0.2})),
    "lip bite": Mouth(_both({"viseme_FF": 0.6, "mouthRollLower": 0.9, "mouthUpperUp*": 0.35})),
    "aside": Mouth({"mouthLeft": 0.5, "jawLeft": 0.4, "jawOpen": 0.15, "mouthUpperUpLeft": 0.4}),
    "other side": Mouth({"mouthRight": 0.5, "jawRight": 0.4, "jawOpen": 0.15, "mouthUpperUpRight": 0.4}),
    "tongue": Mouth(_both({"jawOpen": 0.3, "tongueOut": 0.35, "mouthLowerDown*": 0.2})),
    "cheeks": Mouth({"cheekPuff": 0.7}, sealed=True),
}
