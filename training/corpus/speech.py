"""The speech corpus: endless synthetic speakers with known phone times, drawn by index.

flite's statistical voices, closest to people, speak about half of it; espeak-ng in many variants, accents and
languages the rest. A voice transformation makes every utterance another speaker.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.errors import MissingExtraError
from training.corpus import espeak, flite
from training.corpus.text import TextSource
from training.corpus.utterance import Utterance
from training.corpus.vocabulary import FOREIGN
from training.corpus.voices import EQUALISER_HZ, TRACT_STEPS, VoiceChange, transform

STATISTICAL_SHARE: Final = 0.48
DIPHONE_SHARE: Final = 0.07
FOREIGN_SHARE: Final = 0.12
"""Share of all utterances that espeak-ng reads in another language."""

ESPEAK_ACCENTS: Final = ("en-us", "en-us", "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-029")
ESPEAK_VARIANTS: Final = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3",
    "klatt4", "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique",
    "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "adam", "anika", "announcer", "antonio",
    "aunty", "belinda", "benjamin", "boris", "david", "ed", "edward", "edward2", "grandma", "grandpa",
    "gustave", "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "linda", "marcelo", "max", "michel",
    "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2",
    "steph3", "travis", "victor", "zac", "whisper", "whisperf",
)  # fmt: skip


@dataclass(frozen=True)
class _Speaker:
    """What was drawn for one utterance, before it is spoken."""

    engine: str
    voice: str
    pace: float
    pitch: float
    spread: float
    change: VoiceChange


class SpeechSource:
    """Utterances by index: index i of seed s is the same speech on every call and in every process.

    Breath and whisper are noise of the C library's generator, which all threads of a process share: another
    thread that draws from it meanwhile changes that noise, though not the phones.

    Args:
        seed: Seed of the corpus.

    Raises:
        MissingExtraError: Neither flite nor espeak-ng is installed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._flite, self._espeak = flite.flite_available(), espeak.espeak_available()
        if not (self._flite or self._espeak):
            raise MissingExtraError("No speech synthesiser; install the Debian packages flite and espeak-ng.")

    def utterance(self, index: int) -> Utterance:
        """Utterance ``index``: 1-15 s at 16 kHz with its phones.

        Raises:
            MissingExtraError: The engine that the draw needs is not installed.
        """
        rng = np.random.default_rng([self._seed, index])
        speaker = self._draw(rng)
        text = TextSource(rng)
        sentences = int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))
        tract = speaker.change.tract
        if speaker.engine == "flite":
            spoken = flite.speak(
                text.paragraph(sentences),
                speaker.voice,
                stretch=tract / speaker.pace,
                f0_hz=speaker.pitch / tract,
                f0_spread=speaker.spread,
            )
        else:
            language = speaker.voice.split("+")[0]
            words = text.foreign(language, sentences) if language in FOREIGN else text.paragraph(sentences)
            spoken = espeak.speak(
                words,
                speaker.voice,
                rate_wpm=round(min(max(165 * speaker.pace / tract, 80), 400)),
                pitch=round(min(max(speaker.pitch, 0), 99)),
                pitch_range=round(min(max(speaker.spread, 0), 99)),
            )
        return transform(spoken, speaker.change, rng)

    def _draw(self, rng: np.random.Generator) -> _Speaker:
        draw = float(rng.random())
        if not self._espeak:
            draw *= STATISTICAL_SHARE + DIPHONE_SHARE
        elif not self._flite:
            draw = 1.0
        tract = round(float(np.clip(rng.normal(1.0, 0.09), 0.8, 1.25)) * TRACT_STEPS) / TRACT_STEPS
        pace = float(np.exp(rng.normal(0.0, 0.16)))
        change = _draw_change(rng, tract)
        if draw < STATISTICAL_SHARE + DIPHONE_SHARE:
            names = flite.FLITE_VOICES[:3] if draw < STATISTICAL_SHARE else flite.FLITE_VOICES[3:]
            voice = names[int(rng.integers(len(names)))]
            # People with a shorter vocal tract speak higher: about the cube from man to woman.
            pitch = flite.FLITE_F0_HZ[voice] * tract**2.5 * float(np.exp(rng.normal(0.0, 0.15)))
            spread = float(rng.uniform(0.05, 0.2))
            return _Speaker("flite", voice, pace, float(np.clip(pitch, 65.0, 380.0)), spread, change)
        variant = ESPEAK_VARIANTS[int(rng.integers(len(ESPEAK_VARIANTS)))]
        if rng.random() < FOREIGN_SHARE / (1.0 - STATISTICAL_SHARE - DIPHONE_SHARE):
            languages = tuple(FOREIGN)
            accent = languages[int(rng.integers(len(languages)))]
        else:
            accent = ESPEAK_ACCENTS[int(rng.integers(len(ESPEAK_ACCENTS)))]
        # Playing faster by `tract` raises the pitch already; 50 is the variant's own.
        pitch = float(rng.normal(50.0 + 30.0 * (tract - 1.0), 14.0))
        return _Speaker("espeak", f"{accent}+{variant}", pace, pitch, float(rng.normal(55.0, 18.0)), change)


def _draw_change(rng: np.random.Generator, tract: float) -> VoiceChange:
    tilt = rng.normal(0.0, 2.5) * np.log2(np.maximum(EQUALISER_HZ, 125.0) / 1000.0)
    gains = np.clip(tilt + rng.normal(0.0, 3.0, len(EQUALISER_HZ)), -18.0, 12.0)
    return VoiceChange(
        tract=tract,
        equaliser_db=tuple(float(g) for g in gains),
        breath=float(rng.uniform(0.02, 0.25)) if rng.random() < 0.5 else 0.0,
        jitter=float(rng.uniform(0.005, 0.04)) if rng.random() < 0.6 else 0.0,
        loudness_db=float(rng.uniform(1.0, 6.0)),
        level=float(rng.uniform(0.05, 0.12)),
    )
