"""Makes ``engine/expressions.json``: what smile, frown, surprise and wink do to the 68 points, of the head mesh.

::

    python -m training.corpus.expressions engine/expressions.json

The shapes are ARKit's on MakeHuman's CC0 mesh (``face_basis``). Amounts were chosen on rendered frames: an expression
that is seen at the size of a video call, on a face that goes on speaking with the same lips.
"""

import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import INNER_LIP_PAIRS
from training.corpus.face_basis import FaceBasis, load_face_basis

MIXTURES: Final[dict[str, dict[str, float]]] = {
    "smile": {
        "mouthSmileLeft": 0.75,
        "mouthSmileRight": 0.75,
        "cheekSquintLeft": 0.4,
        "cheekSquintRight": 0.4,
        "eyeSquintLeft": 0.45,
        "eyeSquintRight": 0.45,
        "browOuterUpLeft": 0.1,
        "browOuterUpRight": 0.1,
    },
    "frown": {
        "mouthFrownLeft": 1.1,
        "mouthFrownRight": 1.1,
        "browDownLeft": 0.9,
        "browDownRight": 0.9,
        "eyeSquintLeft": 0.35,
        "eyeSquintRight": 0.35,
        "noseSneerLeft": 0.15,
        "noseSneerRight": 0.15,
    },
    "surprise": {
        "browInnerUp": 1.0,
        "browOuterUpLeft": 1.0,
        "browOuterUpRight": 1.0,
        "eyeWideLeft": 0.9,
        "eyeWideRight": 0.9,
        "jawOpen": 0.3,
    },
    "wink": {"mouthSmileRight": 0.35, "cheekSquintRight": 0.5, "browDownRight": 0.35},
}
"""How much of which shape; the lid that a wink shuts is shut by the engine, as it shuts lids in blinks."""


_OPEN: Final = ("surprise",)
"""Expressions that part the lips."""


def displacements(name: str, basis: FaceBasis) -> NDArray[np.float32]:
    """What an expression at 1 does, float32 (68, 3) fu: but for surprise, the lips keep their opening."""
    moved = basis.mix(MIXTURES[name])
    if name not in _OPEN:
        for upper, lower in INNER_LIP_PAIRS:
            moved[upper, 1] = moved[lower, 1] = (moved[upper, 1] + moved[lower, 1]) / 2
    return moved


def main() -> None:
    """Write the file that is named."""
    basis = load_face_basis()
    made = {name: np.round(displacements(name, basis).astype(np.float64), 4).tolist() for name in MIXTURES}
    Path(sys.argv[1]).write_text(json.dumps(made) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
