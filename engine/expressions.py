"""What smile, frown, surprise and wink do to the 68 points of a face.

Read off ARKit's shapes of MakeHuman's CC0 head mesh by ``training.corpus.expressions``, which also says how much of
which shape; the lips keep their opening, so that what is said goes on beneath.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError
from models.spec import LANDMARKS

EXPRESSIONS: Final = ("smile", "frown", "surprise", "wink")
_FILE: Final = Path(__file__).with_name("expressions.json")


@lru_cache(maxsize=1)
def load_expressions() -> NDArray[np.float32]:
    """Displacements at full strength, float32 (4, 68, 3) fu, in the order of ``EXPRESSIONS``; not to be written to.

    Raises:
        ArtefactError: The file that ships is missing or damaged.
    """
    try:
        held = json.loads(_FILE.read_text(encoding="utf-8"))
        shapes = np.array([held[name] for name in EXPRESSIONS], np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ArtefactError(f"{_FILE.name} is missing or damaged: install mien again.") from error
    if shapes.shape != (len(EXPRESSIONS), LANDMARKS, 3) or not np.isfinite(shapes).all():
        raise ArtefactError(f"{_FILE.name} is damaged: install mien again.")
    shapes.setflags(write=False)
    return shapes
