"""The impulse test: a spoken syllable after silence, and the first frame whose lips answer it.

Lips need not move with the sound's first sample. They may come first, for they open before a vowel is heard, which a
mouth that hears ahead knows; or later, for a consonant may be said with them shut. How much, the motion itself says:
it is computed offline for the very same sound, and sampled as the session samples it. What a session's answer is
later than that is its latency, of this one frame, measured end to end.

::

    sound      ___________|syllable
    offline    _________/                 lips move ``lips_ms`` after the onset (here before it)
    session    _________________/         the same lips in a frame that left: ``latency`` later
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import SAMPLE_HZ

Floats = NDArray[np.float64]

SYLLABLE_S: Final = 0.35
_SILENCE_S: Final = 1.3
_QUIET: Final = 0.02
"""Of a recording's loudest 10 ms, what is silence."""
_LEAD_S: Final = 0.36
"""Lips move this long before a sound at most: the longest lookahead and the analysis window."""
_SHARE: Final = 0.2
_NOISE: Final = 3.0
"""Lips move where they leave their rest by a fifth of their widest, and by three times what they stir at rest: a slow
beginning would be told by chance."""


@dataclass(frozen=True)
class Answer:
    """What the lips did at one syllable.

    Attributes:
        onset_s: When its first sample was captured, from the first sample of the sound on.
        frame: The first frame whose lips move.
        threshold: The opening that they exceed, in fu.
    """

    onset_s: float
    frame: int
    threshold: float


def syllable(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """The beginning of a word after a pause: the loudest there is, from its first sound on.

    Args:
        speech: float32 (n,) at 16 kHz.

    Returns:
        float32 (m,), 0.35 s at most, peak 0.5, faded out at its end.
    """
    step, length = SAMPLE_HZ // 100, int(SYLLABLE_S * SAMPLE_HZ)
    padded = np.concatenate([np.zeros(20 * step, np.float32), speech])
    blocks = padded[: len(padded) // step * step].reshape(-1, step).astype(np.float64)
    loudness = np.sqrt(np.square(blocks).mean(1))
    quiet = loudness < _QUIET * loudness.max()
    # After 200 ms of silence at least, or else where the speech is loudest.
    begins = [n for n in range(20, len(quiet)) if not quiet[n] and quiet[n - 20 : n].all()] or [int(loudness.argmax())]
    begin = max(begins, key=lambda n: float(loudness[n : n + 10].sum())) * step
    found = padded[begin : begin + length].copy()
    heard = np.flatnonzero(np.abs(found) > _QUIET * np.abs(found).max())
    found = found[int(heard[0]) :]
    fade = min(len(found), SAMPLE_HZ // 50)
    found[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return found * np.float32(0.5 / max(1e-6, float(np.abs(found).max())))


def impulses(spoken: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], list[float]]:
    """A syllable between silences.

    Args:
        spoken: float32 (n,) at 16 kHz.
        count: How often.

    Returns:
        The sound, float32 at 16 kHz, and the times in s at which the syllables begin, no two at one place of a frame.
    """
    parts, onsets, at = [], [], 0
    for number in range(count):
        silence = int((_SILENCE_S + 0.0073 * (number % 7)) * SAMPLE_HZ)
        onsets.append((at + silence) / SAMPLE_HZ)
        parts += [np.zeros(silence, np.float32), spoken]
        at += silence + len(spoken)
    return np.concatenate(parts), onsets


def answers(
    onsets_s: list[float], captured_s: Floats, opening: Floats, thresholds: list[float] | None = None
) -> list[Answer | None]:
    """The first frame whose lips move, for each syllable.

    Args:
        onsets_s: Times at which the syllables begin.
        captured_s: Times that the frames show.
        opening: Of the lips in them, in fu.
        thresholds: What counts as moving, for each syllable; by default what each one's own rest says.

    Returns:
        One for each syllable; None where the lips do not answer.
    """
    found: list[Answer | None] = []
    for number, onset in enumerate(onsets_s):
        window = (captured_s >= onset - _LEAD_S) & (captured_s < onset + SYLLABLE_S + 0.25)
        rest = opening[(captured_s >= onset - _LEAD_S - 0.3) & (captured_s < onset - _LEAD_S)]
        if not window.any() or not len(rest):
            found.append(None)
            continue
        stirs, widest = float(rest.max() - rest.min()), float(opening[window].max())
        least = max(_NOISE * stirs, _SHARE * (widest - rest.max()), 1e-3)
        threshold = rest.max() + least if thresholds is None else thresholds[number]
        moving = np.flatnonzero(window & (opening > threshold))
        found.append(Answer(onset, int(moving[0]), float(threshold)) if len(moving) else None)
    return found
