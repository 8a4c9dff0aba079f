"""The sound of a manner: spoken phones put onto notes and beats, with the times of every phone.

A synthesiser speaks on one note; each syllable then gets its length, its note and its loudness, and the voice is laid
down anew (``psola``). Vowels take what a note is longer than its consonants. A hall answers where singers stand in one.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

from models.spec import SAMPLE_HZ
from training.corpus import flite
from training.corpus.phones import PHONES
from training.corpus.psola import sing
from training.corpus.text import TextSource
from training.corpus.utterance import Phone, Utterance
from training.corpus.voices import set_level

LEAD_IN_S: Final = 0.9
"""Silence before the first line."""
_HZ: Final = 200
_CONSONANT_S: Final = (0.035, 0.14)
"""Shortest and longest time that a consonant keeps in song."""
_MAJOR: Final = (0, 2, 4, 5, 7, 9, 11)
_WORDS: Final = (4, 9)
_BAR: Final = 4
"""Steps of a grid from beat to beat."""


@dataclass(frozen=True)
class VoiceManner:
    """How a manner sounds.

    Attributes:
        beat_s: The unit of lengths; 0 leaves speech as it is spoken.
        lengths: Beats of an unstressed syllable, a stressed one, and the last of a phrase.
        swing: How much lengths vary, as a deviation of their logarithm.
        grid: Whether each vowel begins on a whole beat, as in rap.
        melody: Steps of the scale over which notes wander; 0 for spoken pitch.
        vibrato_semitones: Depth of the vibrato.
        f0: Factor on the voice's own pitch.
        rest_beats: Silence between phrases.
        hall_s: Time in which the hall's answer falls by 60 dB; 0 for none.
        hall_share: Level of the hall against the voice.
    """

    beat_s: float = 0.0
    lengths: tuple[float, float, float] = (1.0, 1.0, 1.0)
    swing: float = 0.0
    grid: bool = False
    melody: int = 0
    vibrato_semitones: float = 0.0
    f0: float = 1.0
    rest_beats: float = 1.0
    hall_s: float = 0.0
    hall_share: float = 0.0


@dataclass(frozen=True)
class Sung:
    """A phrase or several, as sound.

    Attributes:
        audio: float32 (samples,), 16 kHz.
        phones: They tile the audio.
        notes: (start in s, end in s, steps above the tonic, stress) of each syllable's vowel.
        text: What is sung.
        voice: Who sings.
    """

    audio: NDArray[np.float32]
    phones: list[Phone]
    notes: list[tuple[float, float, float, int]]
    text: str
    voice: str


def perform_voice(manner: VoiceManner, voice: str, seconds: float, rng: np.random.Generator) -> Sung:
    """Speak, rap or sing made-up sentences.

    Args:
        manner: How.
        voice: One of flite's.
        seconds: Length of the result, which is cut off there.
        rng: Draws words and notes.

    Raises:
        MissingExtraError: flite is not installed.
    """
    f0 = flite.FLITE_F0_HZ[voice] * manner.f0
    parts: list[NDArray[np.float32]] = [np.zeros(round(LEAD_IN_S * SAMPLE_HZ), np.float32)]
    phones = [Phone("sil", 0.0, LEAD_IN_S)]
    notes: list[tuple[float, float, float, int]] = []
    texts: list[str] = []
    begin = LEAD_IN_S
    while begin < seconds:
        text = _line(rng)
        spread = 0.12 if manner.beat_s == 0 else 0.0
        spoken = flite.speak(text, voice, f0_hz=f0, f0_spread=spread, stretch=0.8 if manner.grid else 1.0)
        phrase = _spoken(spoken) if manner.beat_s == 0 else _phrase(manner, _trim(spoken), f0, rng)
        if manner.grid and texts:
            begin = _on_the_beat(begin, phrase, notes[0][0], _BAR * manner.beat_s)
            parts.append(np.zeros(max(0, round(begin * SAMPLE_HZ) - sum(map(len, parts))), np.float32))
            phones[-1] = replace(phones[-1], end_s=begin)
        rest = manner.rest_beats * (manner.beat_s or 0.5) * (1.0 if manner.grid else rng.uniform(0.7, 1.3))
        gap = np.zeros(round(rest * SAMPLE_HZ), np.float32)
        parts += [phrase.audio, gap]
        phones += [Phone(p.symbol, p.start_s + begin, p.end_s + begin, p.stress) for p in phrase.phones]
        notes += [(start + begin, end + begin, step, stress) for start, end, step, stress in phrase.notes]
        begin += len(phrase.audio) / SAMPLE_HZ
        phones.append(Phone("sil", begin, begin + len(gap) / SAMPLE_HZ))
        begin += len(gap) / SAMPLE_HZ
        texts.append(text)
    audio = np.concatenate(parts)[: round(seconds * SAMPLE_HZ)]
    if manner.hall_s:
        audio = _hall(audio, manner, rng)
    kept = [replace(p, end_s=min(p.end_s, seconds)) for p in phones if p.start_s < seconds]
    heard = [(start, min(end, seconds), step, stress) for start, end, step, stress in notes if start < seconds]
    return Sung(set_level(audio, 0.08), kept, heard, " ".join(texts), f"flite:{voice}")


def _on_the_beat(begin: float, phrase: Sung, first: float, beat_s: float) -> float:
    """The next time, s, at which a line can begin so that its first vowel falls on a beat."""
    early = phrase.notes[0][0] - first
    return first + float(np.ceil((begin + early) / beat_s)) * beat_s - phrase.notes[0][0]


def _line(rng: np.random.Generator) -> str:
    """A sentence of a few words that can be sung."""
    source = TextSource(rng)
    while True:
        text = source.sentence()
        if _WORDS[0] <= len(text.split()) <= _WORDS[1] and not any(c.isdigit() or c in '.,;!?"' for c in text[:-1]):
            return text


def _trim(spoken: Utterance) -> Utterance:
    """Without the silence before and after, and without pauses: a sung line is one breath."""
    phones = [p for p in spoken.phones if p.symbol != "sil"]
    pieces = [spoken.audio[round(p.start_s * SAMPLE_HZ) : round(p.end_s * SAMPLE_HZ)] for p in phones]
    ends = np.cumsum([len(piece) for piece in pieces]) / SAMPLE_HZ
    starts = np.concatenate([[0.0], ends[:-1]])
    moved = [replace(p, start_s=float(s), end_s=float(e)) for p, s, e in zip(phones, starts, ends, strict=True)]
    return replace(spoken, audio=np.concatenate(pieces), phones=moved)


def _spoken(spoken: Utterance) -> Sung:
    return Sung(spoken.audio, spoken.phones, [], spoken.text, spoken.voice)


def _phrase(manner: VoiceManner, spoken: Utterance, f0: float, rng: np.random.Generator) -> Sung:
    """One line on its notes."""
    lengths = _lengths(manner, spoken.phones, rng)
    ends = np.cumsum(lengths)
    starts = np.concatenate([[0.0], ends[:-1]])
    phones = [replace(p, start_s=float(s), end_s=float(e)) for p, s, e in zip(spoken.phones, starts, ends, strict=True)]
    moments = np.arange(round(ends[-1] * _HZ)) / _HZ
    source = np.interp(moments, np.concatenate([[0.0], ends]), [0.0, *(p.end_s for p in spoken.phones)])
    notes = _notes(manner, phones, rng)
    steps = np.zeros(len(moments))
    loudness = np.full(len(moments), 1.0)
    for number, (start, end, step, stress) in enumerate(notes):
        until = notes[number + 1][0] if number + 1 < len(notes) else ends[-1]
        inside = (moments >= start) & (moments < until)
        steps[inside] = step
        steps[moments < start] = np.where(steps[moments < start] == 0, step, steps[moments < start])
        held = moments - start - 0.25
        depth = np.clip(held / 0.3, 0, 1) * manner.vibrato_semitones
        steps += np.where(inside, depth * np.sin(2 * np.pi * 5.6 * held), 0.0)
        loudness[inside] *= 1.35 if stress else 0.95
        if end - start > 0.4:
            # A long note swells, and dies away.
            share = np.clip((moments - start) / (end - start), 0, 1)
            loudness[inside] *= (0.75 + 0.5 * np.sin(np.pi * np.clip(share * 0.9 + 0.1, 0, 1)))[inside]
    glide = 0.035 if manner.melody else 0.015
    melody = f0 * 2 ** (gaussian_filter1d(steps, glide * _HZ, mode="nearest") / 12)
    audio = sing(spoken.audio, f0, source, melody, _HZ)
    envelope = np.interp(np.arange(len(audio)) / SAMPLE_HZ, moments, gaussian_filter1d(loudness, 0.03 * _HZ))
    fade = np.clip((len(audio) - np.arange(len(audio))) / (0.08 * SAMPLE_HZ), 0, 1)
    return Sung((audio * envelope * fade).astype(np.float32), phones, notes, spoken.text, spoken.voice)


def _syllables(phones: list[Phone]) -> list[list[int]]:
    """Indices of each syllable's vowel phones: runs of vowels."""
    runs: list[list[int]] = []
    for index, phone in enumerate(phones):
        if PHONES[phone.symbol].manner == "vowel":
            if runs and runs[-1][-1] == index - 1:
                runs[-1].append(index)
            else:
                runs.append([index])
    return runs


def _lengths(manner: VoiceManner, phones: list[Phone], rng: np.random.Generator) -> NDArray[np.float64]:
    """How long each phone is sung, s."""
    old = np.array([p.end_s - p.start_s for p in phones])
    lengths = np.clip(old, *_CONSONANT_S)
    runs = _syllables(phones)
    for number, run in enumerate(runs):
        last = number == len(runs) - 1
        stress = max(phones[i].stress for i in run)
        beats = manner.lengths[2 if last else int(stress > 0)] * float(np.exp(rng.normal(0, manner.swing)))
        follow = runs[number + 1][0] if not last else len(phones)
        after = slice(run[-1] + 1, follow)
        span = manner.beat_s * beats
        if manner.grid:
            # From this vowel's start to the next one's is a whole number of beats, consonants included.
            consonants = lengths[after].sum()
            room = 0.62 * span
            if consonants > room:
                lengths[after] *= room / consonants
            span -= lengths[after].sum()
        share = old[run] / old[run].sum()
        lengths[run] = np.maximum(span * share, 0.02)
    return np.asarray(lengths, np.float64)


def _notes(manner: VoiceManner, phones: list[Phone], rng: np.random.Generator) -> list[tuple[float, float, float, int]]:
    """The melody of a line: a walk on the scale that rises in the middle and comes home."""
    runs = _syllables(phones)
    notes, degree = [], 0
    for number, run in enumerate(runs):
        stress = int(max(phones[i].stress for i in run) > 0)
        start, end = phones[run[0]].start_s, phones[run[-1]].end_s
        if manner.melody == 0:
            on_beat = number % _BAR == 0
            step = 2.5 * on_beat - 3.0 * number / max(len(runs), 1) + rng.normal(0, 0.6)
            notes.append((start, end, float(step), int(on_beat or (stress and number % 2 == 0))))
            continue
        arch = manner.melody * np.sin(np.pi * (number + 0.5) / len(runs))
        degree = round(0.5 * degree + 0.5 * arch + rng.normal(0, 1.0))
        if number == len(runs) - 1:
            degree = int(rng.choice([0, 0, 2, 4]))
        octave, place = divmod(degree, len(_MAJOR))
        notes.append((start, end, float(12 * octave + _MAJOR[place]), stress))
    return notes


def _hall(audio: NDArray[np.float32], manner: VoiceManner, rng: np.random.Generator) -> NDArray[np.float32]:
    """A hall's answer: noise that dies away and darkens."""
    count = round(1.2 * manner.hall_s * SAMPLE_HZ)
    time = np.arange(count) / SAMPLE_HZ
    answer = gaussian_filter1d(rng.normal(size=count), 1.5) * 10 ** (-3 * time / manner.hall_s)
    answer[: SAMPLE_HZ // 50] = 0
    answer /= np.sqrt((answer**2).sum()) + 1e-9
    return np.asarray(audio + manner.hall_share * fftconvolve(audio, answer)[: len(audio)], np.float32)
