"""Another time and another melody for a voice: pitch-synchronous overlap and add (TD-PSOLA, Moulines and Charpentier).

Two periods about each glottal pulse are cut out with a Hann window and laid down again at the wanted distance, taken
from the wanted place. It wants a voice whose pitch is nearly known, as a synthesiser's on one note is.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import SAMPLE_HZ

_SLACK: Final = 0.2
"""How far a period may differ from the nominal one."""


def pitch_marks(audio: NDArray[np.float32], f0_hz: float) -> NDArray[np.int64]:
    """Where the periods of a voice on one note begin, one mark a period, also through what is unvoiced.

    Args:
        audio: float32 (samples,), 16 kHz.
        f0_hz: The note.

    Returns:
        int64 (marks,), ascending, in samples.
    """
    period = SAMPLE_HZ / f0_hz
    half, slack = round(period), max(1, round(_SLACK * period))
    padded = np.pad(audio.astype(np.float64), (half, 2 * half + slack))
    marks = [int(np.argmax(np.abs(audio[: 2 * half]))) if len(audio) else 0]
    while True:
        here = marks[-1] + half
        ahead = here + round(period)
        if ahead - half >= len(audio):
            return np.array(marks, np.int64)
        ours = padded[here - half : here + half]
        others = np.lib.stride_tricks.sliding_window_view(padded[ahead - half - slack : ahead + half + slack], 2 * half)
        energy = np.sqrt((others**2).sum(1) * (ours @ ours)) + 1e-9
        likeness = others @ ours / energy
        best = int(np.argmax(likeness))
        # What is unvoiced resembles nothing: it keeps the nominal period.
        step = best - slack if likeness[best] > 0.5 else 0
        marks.append(max(marks[-1] + 1, ahead + step - half))


def sing(
    audio: NDArray[np.float32], f0_hz: float, source_s: NDArray[np.float64], melody_hz: NDArray[np.float64], hz: float
) -> NDArray[np.float32]:
    """Lay a voice down in another time and on another melody.

    Args:
        audio: float32 (samples,), 16 kHz, spoken on one note.
        f0_hz: That note.
        source_s: float64 (n,), for each moment of the result where in ``audio`` it comes from, s, ascending.
        melody_hz: float64 (n,), its pitch.
        hz: Moments a second.

    Returns:
        float32, n / ``hz`` seconds at 16 kHz.
    """
    marks = pitch_marks(audio, f0_hz)
    half = round(SAMPLE_HZ / f0_hz)
    count = round(len(source_s) / hz * SAMPLE_HZ)
    padded = np.pad(audio, (half, 2 * half))
    out, weight = np.zeros(count + 4 * half), np.zeros(count + 4 * half)
    window = np.hanning(2 * half + 1)[:-1]
    moments = np.arange(len(source_s)) / hz
    time, last = 0.0, -1
    while time < count / SAMPLE_HZ:
        source = float(np.interp(time, moments, source_s)) * SAMPLE_HZ
        nearest = int(np.clip(np.searchsorted(marks, source), 1, len(marks) - 1))
        nearest -= int(source - marks[nearest - 1] < marks[nearest] - source)
        # A period that is repeated many times buzzes: its neighbours take turns.
        chosen = min(nearest + 1, len(marks) - 1) if nearest == last else nearest
        last = chosen
        grain = padded[marks[chosen] : marks[chosen] + 2 * half]
        place = round(time * SAMPLE_HZ)
        out[place : place + 2 * half] += window * grain
        weight[place : place + 2 * half] += window
        time += 1 / float(np.interp(time, moments, melody_hz))
    # Where grains lie apart further than a period their sum is small: that is the lower note, and stays.
    return np.asarray((out / np.maximum(weight, 1.0))[half : half + count], np.float32)
