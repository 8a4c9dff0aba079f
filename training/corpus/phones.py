"""One phone inventory for all engines: articulatory classes and the mapping of IPA and ARPAbet symbols to them.

Names follow ARPAbet where it has one; the others (UE for [y], OE for [ø], X for [x] ...) are listed in ``PHONES``.
Diphthongs are no phones of their own: they are split into two vowels.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

Manner = Literal["vowel", "stop", "fricative", "nasal", "approximant", "affricate", "silence"]
Place = Literal[
    "none", "bilabial", "labiodental", "dental", "alveolar", "postalveolar", "palatal", "velar", "uvular", "glottal"
]


@dataclass(frozen=True)
class PhoneClass:
    """How a phone is made.

    Attributes:
        name: Its name in the inventory.
        manner: Manner of articulation.
        place: Place of articulation; ``none`` for vowels and silence.
        voiced: Whether the vocal folds vibrate.
        height: Tongue height of a vowel, 0 open .. 1 close; 0.5 for consonants and silence.
        backness: 0 front .. 1 back; 0.5 where it does not apply.
        rounding: Lip rounding, 0 spread or neutral .. 1 fully rounded; consonants have it too (W, SH, R).
    """

    name: str
    manner: Manner
    place: Place = "none"
    voiced: bool = True
    height: float = 0.5
    backness: float = 0.5
    rounding: float = 0.0


def _vowel(name: str, height: float, backness: float, rounding: float = 0.0) -> PhoneClass:
    return PhoneClass(name, "vowel", "none", True, height, backness, rounding)


_CLASSES: Final = (
    PhoneClass("sil", "silence", voiced=False),
    _vowel("IY", 1.0, 0.0),
    _vowel("IH", 0.82, 0.15),
    _vowel("EI", 0.68, 0.05),
    _vowel("EH", 0.4, 0.1),
    _vowel("AE", 0.15, 0.1),
    _vowel("A", 0.0, 0.4),
    _vowel("AA", 0.0, 0.9),
    _vowel("AO", 0.3, 1.0, 0.6),
    _vowel("O", 0.65, 1.0, 0.8),
    _vowel("UH", 0.82, 0.8, 0.6),
    _vowel("UW", 1.0, 0.95, 1.0),
    _vowel("AH", 0.3, 0.65),
    _vowel("AX", 0.5, 0.5),
    _vowel("ER", 0.5, 0.5, 0.35),
    _vowel("IX", 0.95, 0.6),
    _vowel("UE", 1.0, 0.1, 1.0),
    _vowel("OE", 0.55, 0.15, 0.8),
    PhoneClass("P", "stop", "bilabial", False),
    PhoneClass("B", "stop", "bilabial"),
    PhoneClass("T", "stop", "alveolar", False),
    PhoneClass("D", "stop", "alveolar"),
    PhoneClass("DX", "stop", "alveolar"),
    PhoneClass("K", "stop", "velar", False),
    PhoneClass("G", "stop", "velar"),
    PhoneClass("KJ", "stop", "palatal", False),
    PhoneClass("GJ", "stop", "palatal"),
    PhoneClass("QQ", "stop", "uvular", False),
    PhoneClass("Q", "stop", "glottal", False),
    PhoneClass("M", "nasal", "bilabial"),
    PhoneClass("MF", "nasal", "labiodental"),
    PhoneClass("N", "nasal", "alveolar"),
    PhoneClass("NY", "nasal", "palatal"),
    PhoneClass("NG", "nasal", "velar"),
    PhoneClass("F", "fricative", "labiodental", False),
    PhoneClass("V", "fricative", "labiodental"),
    PhoneClass("PH", "fricative", "bilabial", False),
    PhoneClass("BH", "fricative", "bilabial"),
    PhoneClass("TH", "fricative", "dental", False),
    PhoneClass("DH", "fricative", "dental"),
    PhoneClass("S", "fricative", "alveolar", False),
    PhoneClass("Z", "fricative", "alveolar"),
    PhoneClass("SH", "fricative", "postalveolar", False, rounding=0.5),
    PhoneClass("ZH", "fricative", "postalveolar", rounding=0.5),
    PhoneClass("CX", "fricative", "palatal", False),
    PhoneClass("X", "fricative", "velar", False),
    PhoneClass("GH", "fricative", "velar"),
    PhoneClass("RR", "fricative", "uvular"),
    PhoneClass("HH", "fricative", "glottal", False),
    PhoneClass("CH", "affricate", "postalveolar", False, rounding=0.5),
    PhoneClass("JH", "affricate", "postalveolar", rounding=0.5),
    PhoneClass("TS", "affricate", "alveolar", False),
    PhoneClass("DZ", "affricate", "alveolar"),
    PhoneClass("PF", "affricate", "labiodental", False),
    PhoneClass("L", "approximant", "alveolar"),
    PhoneClass("LY", "approximant", "palatal"),
    PhoneClass("R", "approximant", "postalveolar", rounding=0.4),
    PhoneClass("RT", "approximant", "alveolar"),
    PhoneClass("W", "approximant", "bilabial", height=0.95, backness=0.95, rounding=1.0),
    PhoneClass("WY", "approximant", "palatal", height=0.95, backness=0.1, rounding=1.0),
    PhoneClass("Y", "approximant", "palatal", height=0.95, backness=0.05),
)

PHONES: Final[dict[str, PhoneClass]] = {phone.name: phone for phone in _CLASSES}
"""The inventory: every symbol that an utterance may carry."""

PHONE_NAMES: Final[tuple[str, ...]] = tuple(PHONES)
"""Names in a fixed order, so that an index can stand for a symbol. New phones are added at the end."""

NEUTRAL: Final = "AX"
"""Stands for symbols that nothing is known about."""

unknown_symbols: Counter[str] = Counter()
"""How often each symbol was met that could not be mapped; a corpus reports it."""

_IPA: Final[dict[str, str]] = {
    # vowels
    "i": "IY", "ɪ": "IH", "e": "EI", "ɛ": "EH", "æ": "AE", "a": "A", "ä": "A", "ɐ": "AH", "ɑ": "AA", "ɒ": "AO",
    "ɔ": "AO", "o": "O", "ʊ": "UH", "u": "UW", "ʌ": "AH", "ə": "AX", "ɘ": "AX", "ɜ": "ER", "ɝ": "ER", "ɚ": "ER",
    "ɤ": "AH", "ɞ": "OE", "ɨ": "IX", "ɯ": "IX", "ʉ": "UE", "y": "UE", "ʏ": "UE", "ø": "OE", "œ": "OE", "ɵ": "OE",
    "ɶ": "OE", "ᵻ": "IH", "ᵊ": "AX", "ɿ": "IX", "ʅ": "IX",
    # stops and nasals
    "p": "P", "b": "B", "ɓ": "B", "t": "T", "d": "D", "ɗ": "D", "ʈ": "T", "ɖ": "D", "ɾ": "DX", "ɽ": "DX",
    "k": "K", "g": "G", "ɡ": "G", "ɠ": "G", "c": "KJ", "ɟ": "GJ", "ʄ": "GJ", "q": "QQ", "ɢ": "G", "ʔ": "Q",
    "ʕ": "Q", "m": "M", "ɱ": "MF", "n": "N", "ɳ": "N", "ɲ": "NY", "ŋ": "NG", "ɴ": "NG",
    # fricatives
    "f": "F", "v": "V", "ɸ": "PH", "β": "BH", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH",
    "ʂ": "SH", "ʐ": "ZH", "ɕ": "SH", "ʑ": "ZH", "ç": "CX", "ʝ": "Y", "x": "X", "χ": "X", "ɣ": "GH", "ʁ": "RR",
    "ʀ": "RR", "h": "HH", "ɦ": "HH", "ħ": "HH", "ɧ": "SH", "ɬ": "S", "ɮ": "L",
    # approximants
    "l": "L", "ɫ": "L", "ɭ": "L", "ʟ": "L", "ʎ": "LY", "ɹ": "R", "ɻ": "R", "r": "RT", "ɺ": "RT", "w": "W",
    "ʍ": "W", "ɥ": "WY", "j": "Y", "ʋ": "V", "ɰ": "GH",
}  # fmt: skip

_IPA_AFFRICATES: Final[dict[str, str]] = {
    "tʃ": "CH", "dʒ": "JH", "tɕ": "CH", "dʑ": "JH", "tʂ": "CH", "dʐ": "JH", "ʈʂ": "CH", "ɖʐ": "JH", "ts": "TS",
    "dz": "DZ", "pf": "PF", "cç": "CH", "tʲ": "T", "ʧ": "CH", "ʤ": "JH", "ʦ": "TS", "ʣ": "DZ",
}  # fmt: skip

_ARPABET: Final[dict[str, tuple[str, ...]]] = {
    "AY": ("A", "IH"), "EY": ("EI", "IH"), "OY": ("AO", "IH"), "AW": ("A", "UH"), "OW": ("O", "UH"),
    "PAU": ("sil",), "SIL": ("sil",), "H#": ("sil",), "BRTH": ("sil",), "AXR": ("ER",), "EL": ("AX", "L"),
    "EM": ("M",), "EN": ("N",), "NX": ("N",), "HV": ("HH",), "ZH": ("ZH",), "IX": ("IH",), "UX": ("UW",),
}  # fmt: skip

_DIPHTHONG_FIRST: Final = 0.6
"""Share of a diphthong's time that its first vowel keeps: the glide is the shorter part in English."""
_CONSONANT_WEIGHT: Final = 0.6


def split_symbol(symbol: str, *, arpabet: bool = False) -> list[tuple[str, float]]:
    """Map one engine symbol to the inventory.

    Args:
        symbol: An IPA string (espeak-ng, may hold several letters: ``aɪ``, ``ɛɹ``, ``tʃ``), or an ARPAbet name.
        arpabet: Read ``symbol`` as ARPAbet (flite).

    Returns:
        (name, share of the symbol's time) with shares that sum to one. Empty for marks without sound, such as
        language switches and stress. Unknown symbols give ``NEUTRAL`` and are counted in ``unknown_symbols``.
    """
    if arpabet:
        key = symbol.upper()
        names = _ARPABET.get(key) or ((key,) if key in PHONES else None)
    elif symbol.startswith("(") or not (letters := _letters(symbol)):
        return []
    else:
        names = _parse_ipa(letters)
    if names is None:
        unknown_symbols[symbol] += 1
        names = (NEUTRAL,)
    return _with_shares(names)


def _letters(symbol: str) -> str:
    """The base letters of an IPA string: no length, tone, stress, aspiration or nasal marks."""
    decomposed = unicodedata.normalize("NFD", symbol)
    # The cedilla of [ç] is part of the letter, all other combining marks only colour it.
    composed = unicodedata.normalize("NFC", "".join(c for c in decomposed if c == "̧" or not _is_mark(c)))
    return "".join(c for c in composed if c.isalpha() and c not in "ʰʲʷˠˤⁿˡʱᵝʴ")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Lm", "Sk") and character != "ᵊ"


def _parse_ipa(letters: str) -> tuple[str, ...] | None:
    names: list[str] = []
    position = 0
    while position < len(letters):
        pair = letters[position : position + 2]
        if pair in _IPA_AFFRICATES:
            names.append(_IPA_AFFRICATES[pair])
            position += 2
            continue
        letter = letters[position]
        name = _IPA_AFFRICATES.get(letter) or _IPA.get(letter) or _IPA.get(letter.lower())
        if name is None:
            unknown_symbols[letter] += 1
        elif not names or names[-1] != name:
            names.append(name)
        position += 1
    return tuple(names) or None


def _with_shares(names: tuple[str, ...]) -> list[tuple[str, float]]:
    weights: list[float] = []
    for index, name in enumerate(names):
        if PHONES[name].manner != "vowel":
            weights.append(_CONSONANT_WEIGHT)
        elif index and PHONES[names[index - 1]].manner == "vowel":
            weights.append((1.0 - _DIPHTHONG_FIRST) / _DIPHTHONG_FIRST)
        else:
            weights.append(1.0)
    total = sum(weights)
    return [(name, weight / total) for name, weight in zip(names, weights, strict=True)]
