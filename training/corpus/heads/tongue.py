"""Where the tongue is while somebody speaks: three movements from timed phones."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.spec import MOTION_HZ
from training.corpus.phones import PHONES
from training.corpus.utterance import Phone

TONGUE_MOVES: Final = 3
"""Tip to the ridge behind the upper teeth, tip between the teeth, back to the palate."""

_BY_PLACE: Final[dict[str, tuple[float, float, float]]] = {
    "alveolar": (1.0, 0.0, 0.0),
    "postalveolar": (0.65, 0.0, 0.2),
    "dental": (0.2, 1.0, 0.0),
    "palatal": (0.2, 0.0, 0.7),
    "velar": (0.0, 0.0, 1.0),
    "uvular": (0.0, 0.0, 0.8),
}
_SMOOTH_S: Final = 0.022


def tongue_motion(phones: list[Phone], frames: int, lead_s: float) -> NDArray[np.float32]:
    """The tongue's movements at 60 Hz.

    Args:
        phones: Timed phones.
        frames: How many.
        lead_s: How much earlier than the sound the mouth moves.

    Returns:
        float32 (frames, 3), 0 at rest to 1.
    """
    fine = 4
    curve = np.zeros((frames * fine, TONGUE_MOVES))
    for phone in phones:
        kind = PHONES[phone.symbol]
        if kind.manner == "vowel":
            # High front vowels bulge the tongue behind the lower teeth.
            place = (0.0, 0.0, 0.5 * kind.height * (1 - kind.backness))
        else:
            place = _BY_PLACE.get(kind.place, (0.0, 0.0, 0.0))
        first, last = (round((time - lead_s) * MOTION_HZ * fine) for time in (phone.start_s, phone.end_s))
        curve[max(first, 0) : max(last, 0)] = place
    smooth = gaussian_filter1d(curve, _SMOOTH_S * MOTION_HZ * fine, axis=0, mode="nearest")
    return np.asarray(smooth[::fine], np.float32)
