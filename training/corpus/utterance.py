"""A spoken utterance with the time of every phone in it: what all speech sources of the corpus return."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Phone:
    """One phone and its time.

    Attributes:
        symbol: Name in the inventory of ``training.corpus.phones`` (``PHONES[symbol]`` is its class); ``sil``
            for silence.
        start_s: Beginning in seconds; that of a stop is where the closure begins, not the burst.
        end_s: End in seconds, the beginning of the next phone.
        stress: Lexical stress of a vowel: 0 none, 1 primary, 2 secondary; 0 for consonants and silence.
    """

    symbol: str
    start_s: float
    end_s: float
    stress: int = 0


@dataclass(frozen=True)
class Utterance:
    """Speech with its phones.

    Attributes:
        audio: float32 (samples,), 16 kHz mono in [-1, 1].
        phones: Phones in order; they tile the audio from 0 to its end without gap or overlap.
        voice: Engine and voice with what changed them, for example ``espeak:en-us+f3``.
        text: The words that are spoken.
    """

    audio: NDArray[np.float32]
    phones: list[Phone] = field(repr=False)
    voice: str
    text: str = ""


def tile_phones(parts: list[tuple[str, float, int]], total_s: float) -> list[Phone]:
    """Phones from (symbol, start in s, stress), each ending where the next begins, the last at ``total_s``.

    Neighbouring silences become one; phones without length are dropped; what lies before the first is silence.
    """
    phones: list[Phone] = []
    if parts and parts[0][1] > 0.0:
        parts = [("sil", 0.0, 0), *parts] if parts[0][0] != "sil" else [("sil", 0.0, 0), *parts[1:]]
    for index, (symbol, start, stress) in enumerate(parts):
        end = parts[index + 1][1] if index + 1 < len(parts) else total_s
        start, end = (min(max(value, 0.0), total_s) for value in (start, end))
        if end - start <= 0.0:
            continue
        if phones and phones[-1].symbol == symbol == "sil":
            phones[-1] = Phone("sil", phones[-1].start_s, end)
        else:
            phones.append(Phone(symbol, start, end, stress))
    return phones or [Phone("sil", 0.0, total_s)]
