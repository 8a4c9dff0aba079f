"""Head motion of a speaker, made from prosody: the teacher of the head-pose generator.

Three movements add up, as observed in people who talk: slow postural sway that always returns, shifts of posture
at phrase boundaries, and nods that beat with accents. All are smooth; together they stay within a few degrees.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.spec import MOTION_HZ, POSE_DIM
from training.corpus.prosody import Accent, Prosody
from training.corpus.speaker import Speaker

# Rotation vector (pitch about +x is a nod: positive looks down, yaw about +y, roll about +z), then translation in fu.
_SWAY: Final = np.array([0.022, 0.040, 0.020, 0.022, 0.012, 0.022])
_SWAY_S: Final = (0.45, 1.6)
"""Deviations of the Gaussians that shape the sway, s: a lively and a slow part."""
_SHIFT: Final = np.array([0.022, 0.055, 0.028, 0.020, 0.006, 0.012])
_IDLE_SHARE: Final = 0.35
"""Of the sway of speech, what remains in silence."""


def head_motion(
    accents: list[Accent], prosody: Prosody, frames: int, speaker: Speaker, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Head pose at 60 Hz.

    Args:
        accents: When the speaker leans on a syllable.
        prosody: Loudness, pitch and activity at 60 Hz.
        frames: How many frames.
        speaker: Size of sway and of expression.
        rng: Draws everything that prosody leaves open.

    Returns:
        float32 (frames, 6): rotation vector in rad, translation in fu.
    """
    pose = speaker.sway * _sway(frames, rng) * (_IDLE_SHARE + (1 - _IDLE_SHARE) * _ease(prosody.active))[:, None]
    pose += speaker.sway * _posture_shifts(prosody, frames, rng)
    pose += speaker.expressive * _nods(accents, frames, rng)
    # Voices that rise lift the head a little: the slow trace of pitch.
    pose[:, 0] -= 0.05 * speaker.expressive * gaussian_filter1d(prosody.pitch, 0.12 * MOTION_HZ)
    # The head turns about the neck: turning carries it a little to the side, nodding forward.
    pose[:, 3] -= 0.15 * pose[:, 1]
    # Utterances follow each other in the training streams: each begins and ends at the centre, so that no step
    # between two of them teaches the head to jump.
    pose *= _centred_ends(frames)[:, None]
    smooth: NDArray[np.float32] = gaussian_filter1d(pose, 2.0, axis=0, mode="nearest").astype(np.float32)
    return smooth


def _centred_ends(frames: int) -> NDArray[np.float64]:
    """0 at both ends, 1 inside, smooth over half a second, (frames,)."""
    distance = np.minimum(np.arange(frames), np.arange(frames)[::-1]) / (0.5 * MOTION_HZ)
    ramp = np.clip(distance, 0, 1)
    ends: NDArray[np.float64] = ramp * ramp * (3 - 2 * ramp)
    return ends


def _ease(activity: NDArray[np.float64]) -> NDArray[np.float64]:
    eased: NDArray[np.float64] = gaussian_filter1d(activity, 0.3 * MOTION_HZ, mode="nearest")
    return eased


def _sway(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Stationary smooth noise of unit-deviation parts, (frames, 6)."""
    total = np.zeros((frames, POSE_DIM))
    for deviation_s, share in zip(_SWAY_S, (0.45, 0.9), strict=True):
        width = deviation_s * MOTION_HZ
        margin = int(4 * width)
        noise = gaussian_filter1d(rng.normal(size=(frames + 2 * margin, POSE_DIM)), width, axis=0, mode="wrap")
        total += share * noise[margin : margin + frames] * np.sqrt(2 * width * np.sqrt(np.pi))
    scaled: NDArray[np.float64] = total * _SWAY
    return scaled


def _posture_shifts(prosody: Prosody, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A new posture when a phrase begins, and now and then within one: smoothed steps, (frames, 6)."""
    speaking = prosody.active > 0.5
    onsets = set((np.flatnonzero(np.diff(speaking.astype(int)) > 0) + 1).tolist())
    frame = 0
    while frame < frames:
        frame += int(rng.uniform(1.2, 4.0) * MOTION_HZ)
        onsets.add(frame)
    steps = np.zeros((frames, POSE_DIM))
    current = rng.normal(size=POSE_DIM) * _SHIFT * 0.6
    start = 0
    for onset in [*sorted(o for o in onsets if o < frames), frames]:
        steps[start:onset] = current
        start = onset
        # Each posture remembers a little of the last: people drift rather than jump about the centre.
        current = 0.3 * current + 0.9 * rng.normal(size=POSE_DIM) * _SHIFT
    width = rng.uniform(0.14, 0.28) * MOTION_HZ
    smooth: NDArray[np.float64] = gaussian_filter1d(steps, width, axis=0, mode="nearest")
    return smooth


def _nods(accents: list[Accent], frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Beats: the head dips on an accent and returns with a small overshoot, (frames, 6)."""
    times = np.arange(frames) / MOTION_HZ
    total = np.zeros((frames, POSE_DIM))
    for accent in accents:
        if rng.random() > 0.75:
            continue
        width = rng.uniform(0.10, 0.17)
        since = (times - accent.time_s - rng.normal(0.02, 0.03)) / width
        beat = -np.exp(-0.5 * since**2) + 0.35 * np.exp(-0.5 * (since - 2.2) ** 2)
        size = accent.strength * rng.uniform(0.6, 1.3)
        total[:, 0] -= 0.045 * size * beat
        total[:, 1] += 0.022 * size * rng.normal() * beat
        total[:, 2] += 0.016 * size * rng.normal() * beat
        total[:, 4] -= 0.010 * size * beat
    return total
