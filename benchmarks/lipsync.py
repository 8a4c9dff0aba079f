"""Lip sync on talking clips: does the predicted mouth open when the filmed one does?

For every clip the motion is predicted from the sound alone; the inner lips' opening is compared with what a face
model measures in the picture. Both are high-passed, so that slow posture counts for nothing, and compared by
Pearson correlation at the clip's frame rate: at lag 0, and at the best lag. The clips are never trained on; two
baselines say what the figures mean: the sound's RMS envelope, and a ridge regression from log-mel that is fitted to
the other clips (it has seen this kind of clip, the engine has not).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle
from engine.errors import InputError
from engine.pipeline import Pipeline
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.geometry import canonical68
from engine.stages.log_mel import log_mel
from models.spec import INNER_LIP_PAIRS, MAX_LOOKAHEAD, MEL_HZ, MEL_WINDOW, MOTION_HZ, SAMPLE_HZ
from streaming.media_in import SpeechFile

HIGH_PASS_S: Final = 0.8
MAX_LAG: Final = 10
_NASION, _CHIN = 27, 8
_RIDGE_BANDS: Final = 26
_RIDGE_CONTEXT: Final = 4
_RIDGE_STRENGTH: Final = 100.0
_SUFFIXES: Final = {".mp4", ".mov", ".mkv", ".webm", ".avi"}

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """A measured clip.

    Attributes:
        name: The file's stem.
        fps: Pictures a second.
        opening: float64 (pictures,), inner-lip opening / face height; gaps without a face are interpolated.
        faceless: Pictures in which no face was found.
        audio: float32 (samples,), 16 kHz mono.
    """

    name: str
    fps: float
    opening: Curve
    faceless: int
    audio: NDArray[np.float32]


@dataclass(frozen=True)
class SyncScore:
    """Pearson r at lag 0, and the lag in pictures at which r is highest (positive: the prediction is late)."""

    r0: float
    best_lag_frames: int
    best_r: float


def find_clips(folder: Path) -> list[Path]:
    """The video files of a folder, by name.

    Raises:
        InputError: The folder is missing or holds none.
    """
    clips = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES) if folder.is_dir() else []
    if not clips:
        raise InputError(f"{folder} holds no video clips; give a folder of talking-head clips with sound.")
    return clips


def measure_clip(path: Path) -> Clip:
    """Measure the inner lips' opening in every picture of a clip, and read its sound.

    Raises:
        InputError: It cannot be read, has no sound, or shows no face in half of its pictures.
    """
    tracker = FaceTracker()
    openings: list[float] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            for frame in container.decode(stream):
                face = tracker.track(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
                openings.append(float("nan") if face is None else mouth_opening(face.points68))
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video; give clips that play.") from error
    opening = np.array(openings)
    lost = np.isnan(opening)
    if len(opening) < 2 or lost.mean() > 0.5:
        raise InputError(f"{path.name} shows no face in {int(lost.sum())} of {len(opening)} pictures.")
    opening[lost] = np.interp(np.flatnonzero(lost), np.flatnonzero(~lost), opening[~lost])
    with SpeechFile(path) as speech:
        audio = np.concatenate([block.speech for block in speech.blocks()])
    return Clip(path.stem, fps, opening, int(lost.sum()), audio)


def mouth_opening(points: NDArray[np.float32]) -> float:
    """Mean inner-lip gap over the height of the face (nasion to chin), from (68, 2) px."""
    gap = np.mean([np.linalg.norm(points[lower] - points[upper]) for upper, lower in INNER_LIP_PAIRS])
    return float(gap / np.linalg.norm(points[_CHIN] - points[_NASION]))


def predict_opening(bundle: Bundle, clip: Clip, lookahead_frames: int = MAX_LOOKAHEAD) -> Curve:
    """The opening that the engine predicts from a clip's sound, at the clip's pictures, in fu."""
    # The opening is that of the canonical head: no person's, and the head's pose plays no part in it.
    pipeline = Pipeline(bundle, canonical68(), lookahead_frames)
    frames, state = pipeline.step(clip.audio, pipeline.init_state())
    frames = [*frames, *pipeline.flush(state)]
    opening = np.array(
        [
            np.mean([f.displacement[lower, 1] - f.displacement[upper, 1] for upper, lower in INNER_LIP_PAIRS])
            for f in frames
        ]
    )
    pictures = np.arange(len(clip.opening)) / clip.fps
    sampled: Curve = np.interp(pictures, np.arange(len(opening)) / MOTION_HZ, opening)
    return sampled


def rms_envelope(clip: Clip) -> Curve:
    """The sound's RMS in a window of one picture around each picture's time."""
    half = round(SAMPLE_HZ / clip.fps / 2)
    padded = np.pad(clip.audio.astype(np.float64), (half, 3 * half))
    starts = np.minimum((np.arange(len(clip.opening)) * SAMPLE_HZ / clip.fps).astype(int), len(padded) - 2 * half)
    return np.array([np.sqrt(np.mean(padded[s : s + 2 * half] ** 2)) for s in starts])


def ridge_leave_one_out(clips: Sequence[Clip]) -> Iterator[Curve]:
    """For each clip, its high-passed opening as a ridge on log-mel predicts it that learned from the others.

    Raises:
        InputError: Fewer than two clips, or clips of different frame rates.
    """
    if len(clips) < 2 or len({clip.fps for clip in clips}) > 1:
        raise InputError("The ridge baseline needs two or more clips of one frame rate.")
    features = [_ridge_features(clip) for clip in clips]
    targets = [_unit(high_pass(clip.opening, clip.fps)) for clip in clips]
    for out in range(len(clips)):
        x = np.concatenate([f for i, f in enumerate(features) if i != out])
        y = np.concatenate([t for i, t in enumerate(targets) if i != out])
        gram = x.T @ x + _RIDGE_STRENGTH * np.eye(x.shape[1])
        yield features[out] @ np.linalg.solve(gram, x.T @ y)


def _ridge_features(clip: Clip) -> NDArray[np.float64]:
    """26 log-mel bands, z-normed over the clip, with 4 pictures of context on each side, (pictures, 234)."""
    mel = log_mel(np.pad(clip.audio, (0, MEL_WINDOW + SAMPLE_HZ // 2))).astype(np.float64)
    bands = np.stack([part.mean(axis=1) for part in np.array_split(mel, _RIDGE_BANDS, axis=1)], axis=1)
    # A frame's window begins at its time; a picture's features lie around its time.
    times = np.arange(len(bands)) / MEL_HZ + MEL_WINDOW / 2 / SAMPLE_HZ
    pictures = np.arange(len(clip.opening)) / clip.fps
    smooth = np.stack([np.convolve(band, np.ones(5) / 5, "same") for band in bands.T], axis=1)
    sampled = np.stack([np.interp(pictures, times, band) for band in smooth.T], axis=1)
    sampled = (sampled - sampled.mean(axis=0)) / (sampled.std(axis=0) + 1e-9)
    padded = np.pad(sampled, ((_RIDGE_CONTEXT, _RIDGE_CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(sampled)] for k in range(2 * _RIDGE_CONTEXT + 1)], axis=1)


def high_pass(curve: Curve, fps: float) -> Curve:
    """The curve minus its moving average over 0.8 s."""
    half = round(HIGH_PASS_S * fps / 2)
    padded = np.pad(curve, (half, half), mode="edge")
    return curve - np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid")


def score(predicted: Curve, measured: Curve, fps: float, *, filtered: bool = False) -> SyncScore:
    """Compare two openings.

    Args:
        predicted: (pictures,), any unit.
        measured: (pictures,), any unit.
        fps: Pictures a second.
        filtered: ``predicted`` is high-passed already.
    """
    p = predicted if filtered else high_pass(predicted, fps)
    m = high_pass(measured, fps)
    lags = range(-MAX_LAG, MAX_LAG + 1)
    r = [_pearson(p[max(0, k) : len(p) + min(0, k)], m[max(0, -k) : len(m) + min(0, -k)]) for k in lags]
    best = int(np.argmax(r))
    return SyncScore(r[MAX_LAG], lags[best], r[best])


def _pearson(a: Curve, b: Curve) -> float:
    """0 where either is constant: a mouth that never moves is in sync with nothing."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-12 else 0.0


def _unit(curve: Curve) -> Curve:
    unit: Curve = curve / (curve.std() + 1e-12)
    return unit
