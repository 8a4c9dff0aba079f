"""How well phone times fit the sound: shared by the engines' tests."""

import itertools

import numpy as np

from models.spec import SAMPLE_HZ
from training.corpus.phones import PHONES
from training.corpus.utterance import Utterance

CLOSURES = ("P", "T", "K")
SENTENCES = (
    "A pack of copper paper cups. Peter took a copy of a happy picture.",
    "Take the tape to a packed kitchen. What a tasty pot of coffee!",
)


def assert_tiles(utterance: Utterance) -> None:
    phones = utterance.phones
    assert phones[0].start_s == 0.0
    assert phones[-1].end_s == len(utterance.audio) / SAMPLE_HZ
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phones))
    assert all(p.end_s > p.start_s for p in phones)
    assert all(p.symbol in PHONES for p in phones)
    assert utterance.audio.dtype == np.float32 and utterance.audio.ndim == 1


def closure_contrast_db(utterances: list[Utterance], shift_s: float = 0.0) -> float:
    """Level of vowels over that of voiceless closures, the phones moved by ``shift_s``."""
    vowels, closures = [], []
    for utterance in utterances:
        level = np.square(utterance.audio, dtype=np.float64)
        for before, phone in zip(utterance.phones, utterance.phones[1:], strict=False):
            if PHONES[phone.symbol].manner == "vowel":
                vowels.append(_mean(level, phone.start_s + shift_s, phone.end_s + shift_s))
            elif phone.symbol in CLOSURES and PHONES[before.symbol].manner == "vowel":
                closures.append(_mean(level, phone.start_s + 0.006 + shift_s, phone.start_s + 0.03 + shift_s))
    assert len(vowels) > 10 and len(closures) > 5
    return 10.0 * float(np.log10(np.mean(vowels) / (np.mean(closures) + 1e-12)))


def _mean(level: np.ndarray, start_s: float, end_s: float) -> float:
    return float(np.mean(level[max(0, round(start_s * SAMPLE_HZ)) : max(1, round(end_s * SAMPLE_HZ))]))
