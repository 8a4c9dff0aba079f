"""One reference and one generated clip: every figure of the paper, and what a report shows beside it.

The pictures of the generated clip are compared at the times of the reference's, up to the end of the shorter one.
Framing is compared as it is: both clips must show the person at the same size and place (section 6.1 trims and resizes
all videos). Only the style metrics bring the clips into one framing first.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import face_metrics, landmark_metrics, picture_metrics
from benchmarks.quality.sharpness import BLOCK_PX, cpbd
from benchmarks.quality.style_metrics import register_framing, style_scores
from benchmarks.quality.sync_metrics import lip_sync, sound_lag
from benchmarks.quality.tracks import FaceTrack, Measure, Progress, face_tracker, load_track, read_pictures, read_sound
from engine.errors import InputError

WORST: Final = 4
SHARPNESS_PICTURES: Final = 100
"""Of a clip at most, evenly spread, whose CPBD is taken."""
_WORST_APART_S: Final = 0.5
_THUMB_PX: Final = 256


@dataclass(frozen=True)
class Scores:
    """The figures of the machine-readable report; see the metrics' modules for definitions.

    Attributes:
        cpbd: Sharpness of the generated pictures, 0 to 1, mean over up to 100 of them.
        lmd: px at 512x512.
        dl_percent: % of the face width.
        dv_percent: % of the face width a frame.
        da_percent: % of the largest open mouth.
        sld: % of the face width.
        slv: % of the face width a frame.
        smd: px at 512x512.
        lipsync_r0: Pearson r of the lip openings where the sounds coincide.
        av_offset_frames: Frames of the reference by which the generated lips are late.
        missing_faces: Pictures of both clips in which no face was found; their landmarks are bridged.
    """

    cpbd: float
    lmd: float
    dl_percent: float
    dv_percent: float
    da_percent: float
    sld: float
    slv: float
    smd: float
    lipsync_r0: float
    av_offset_frames: float
    missing_faces: int


@dataclass(frozen=True)
class WorstFrame:
    """A picture that fits badly.

    Attributes:
        time_s: Of the reference.
        dl_percent: Its landmark distance.
        jpeg: Reference and generated picture side by side, the landmarks of both drawn in.
    """

    time_s: float
    dl_percent: float
    jpeg: bytes


@dataclass(frozen=True)
class PairResult:
    """What was measured.

    Attributes:
        name: Of the pair.
        scores: The figures of the machine-readable report.
        extras: Further figures by name; absent where they cannot be had.
        series: By name, one value for each compared picture.
        worst: Worst first.
        warnings: Sentences about what limits the figures.
    """

    name: str
    scores: Scores
    extras: dict[str, float]
    series: dict[str, list[float]] = field(default_factory=dict)
    worst: tuple[WorstFrame, ...] = ()
    warnings: tuple[str, ...] = ()

    def flat(self) -> dict[str, Any]:
        """Name, scores and extras in one row."""
        return {"name": self.name, **asdict(self.scores), **self.extras}


PairJudge = Callable[[Path, FaceTrack, Path, FaceTrack], dict[str, float]]
"""A further judge of reference and generated clip, such as an identity network."""


def evaluate_pair(
    reference: Path,
    generated: Path,
    *,
    name: str | None = None,
    cache: Path | None = None,
    make_measure: Callable[[], Measure] = face_tracker,
    pictures: bool = True,
    judges: tuple[PairJudge, ...] = (),
    progress: Progress | None = None,
) -> PairResult:
    """Measure a generated clip against its reference.

    Args:
        reference: The filmed clip, lips in sync with its sound.
        generated: The clip to judge.
        name: By default the generated file's stem.
        cache: Folder for landmarks.
        make_measure: Gives a fresh landmark function.
        pictures: Also compute PSNR, SSIM, flicker and the worst frames.
        judges: Networks that the user has supplied.
        progress: Called with the pictures done, of both clips.

    Raises:
        InputError: A clip cannot be read, shows too few faces, or is too short.
        MissingExtraError: The face models are not there and cannot be fetched.
        OutputError: The landmark cache cannot be written.
    """
    ref, gen = (
        load_track(reference, cache, make_measure, progress),
        load_track(generated, cache, make_measure, progress),
    )
    times = ref.times[ref.times <= gen.times[-1] + 0.5 / gen.fps]
    if len(times) < 2:
        raise InputError(f"{generated} ends before the second picture of {reference}; give two clips of one talk.")
    a, b = ref.points[: len(times)], gen.at(times)
    style = style_scores(ref.points, register_framing(ref.points, _at_rate(gen, ref.fps)))
    sync, warnings = _sync(reference, generated, a, b, ref.fps)
    look = _Look(times, a, b, pictures)
    look.compare(reference, generated)
    scores = Scores(
        cpbd=_mean(look.cpbd),
        lmd=landmark_metrics.lmd(a, b),
        dl_percent=landmark_metrics.dl_percent(a, b),
        dv_percent=landmark_metrics.dv_percent(a, b),
        da_percent=landmark_metrics.da_percent(a, b),
        sld=style.sld,
        slv=style.slv,
        smd=style.smd,
        lipsync_r0=sync["r0"],
        av_offset_frames=int(sync["av_offset_frames"]),
        missing_faces=int(ref.missing.sum() + gen.missing.sum()),
    )
    extras = {
        **look.extras(),
        "lipsync_best_r": sync["best_r"],
        "sound_lag_s": sync["sound_lag_s"],
        "blinks_per_minute": face_metrics.blinks_per_minute(gen.points, gen.fps),
        "blinks_per_minute_reference": face_metrics.blinks_per_minute(ref.points, ref.fps),
        "missing_reference": int(ref.missing.sum()),
        "missing_generated": int(gen.missing.sum()),
        "pictures_reference": len(ref.times),
        "pictures_generated": len(gen.times),
        "pictures_compared": len(times),
        "fps_reference": ref.fps,
        "fps_generated": gen.fps,
    }
    for judge in judges:
        extras |= judge(reference, ref, generated, gen)
    series = {
        "time_s": times.tolist(),
        "dl_percent": landmark_metrics.landmark_distances(a, b).tolist(),
        "lmd": landmark_metrics.mouth_distances(a, b).tolist(),
        "opening_reference": face_metrics.lip_openings(a).tolist(),
        "opening_generated": face_metrics.lip_openings(b).tolist(),
    }
    missing = {"reference": ref.missing, "generated": gen.missing}
    for which, where in missing.items():
        if where.any():
            warnings.append(f"No face in {int(where.sum())} of {len(where)} pictures of the {which}: bridged.")
    if len(times) < 0.95 * len(ref.times) or gen.times[-1] > 1.05 * ref.times[-1] + 0.1:
        warnings.append(
            f"The clips differ in length ({ref.times[-1]:.2f} s and {gen.times[-1]:.2f} s): the shorter one counts."
        )
    if ref.size[0] * gen.size[1] != ref.size[1] * gen.size[0]:
        warnings.append(f"The pictures differ in shape ({ref.size} and {gen.size}): positions mean little.")
    return PairResult(name or generated.stem, scores, extras, series, look.worst(), tuple(warnings))


def evaluate_style(
    reference: Path,
    generated: Path,
    *,
    cache: Path | None = None,
    make_measure: Callable[[], Measure] = face_tracker,
    progress: Progress | None = None,
) -> dict[str, float]:
    """SLD, SLV and SMD of two clips, of any persons, lengths and frame rates.

    Args:
        reference: The clip whose style is meant.
        generated: The clip to judge; brought to the reference's frame rate and framing.
        cache: Folder for landmarks.
        make_measure: Gives a fresh landmark function.
        progress: Called with the pictures done.

    Returns:
        ``sld``, ``slv`` and ``smd``, lower is nearer.

    Raises:
        InputError: As for ``evaluate_pair``.
        MissingExtraError: Likewise.
        OutputError: Likewise.
    """
    ref, gen = (
        load_track(reference, cache, make_measure, progress),
        load_track(generated, cache, make_measure, progress),
    )
    return asdict(style_scores(ref.points, register_framing(ref.points, _at_rate(gen, ref.fps))))


def _at_rate(track: FaceTrack, fps: float) -> NDArray[np.float32]:
    """A track's landmarks at another rate, from its first picture to its last; as they are at its own."""
    if abs(track.fps - fps) < 0.01 * fps:
        return track.points
    count = int((track.times[-1] - track.times[0]) * fps + 1e-6) + 1
    return track.at(track.times[0] + np.arange(max(2, count)) / fps)


def _sync(
    reference: Path, generated: Path, a: NDArray[np.float32], b: NDArray[np.float32], fps: float
) -> tuple[dict[str, float], list[str]]:
    heard, spoken = read_sound(reference), read_sound(generated)
    lag, warnings = 0.0, []
    if heard is None or spoken is None:
        silent = reference if heard is None else generated
        warnings.append(f"{silent.name} has no sound: lip sync takes the pictures' times for the sound's.")
    else:
        found = sound_lag(heard, spoken)
        if found is None:
            warnings.append("The two clips have different sound: lip sync takes both to begin together.")
        lag = found or 0.0
    return asdict(lip_sync(face_metrics.lip_openings(a), face_metrics.lip_openings(b), fps, lag)), warnings


class _Look:
    """What is measured on pictures, in one pass over both clips."""

    def __init__(
        self, times: NDArray[np.float64], a: NDArray[np.float32], b: NDArray[np.float32], everything: bool
    ) -> None:
        self._times, self._a, self._b, self._everything = times, a, b, everything
        self._distances = landmark_metrics.landmark_distances(a, b)
        self._wanted = _far_apart(self._distances, times) if everything else []
        self._judged = set(np.linspace(0, len(times) - 1, SHARPNESS_PICTURES).astype(int).tolist())
        self._thumbs: dict[int, bytes] = {}
        self.cpbd: list[float] = []
        self._cpbd_reference: list[float] = []
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._flicker: dict[str, list[float]] = {"flicker_reference": [], "flicker": []}

    def compare(self, reference: Path, generated: Path) -> None:
        recent: dict[str, deque[NDArray[np.uint8]]] = {which: deque(maxlen=3) for which in self._flicker}
        for index, (one, other) in enumerate(self._pairs(reference, generated)):
            if not self._everything and index not in self._judged:
                continue
            grey = [np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.uint8) for p in (one, other)]
            if index in self._judged:
                self.cpbd.append(_sharpness(grey[1]))
            if not self._everything:
                continue
            if index in self._judged:
                self._cpbd_reference.append(_sharpness(grey[0]))
            if grey[0].shape != grey[1].shape:
                grey[1] = np.asarray(cv2.resize(grey[1], grey[0].shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            self._psnr.append(picture_metrics.psnr(*grey))
            self._ssim.append(picture_metrics.ssim(*grey))
            for (which, last), picture in zip(recent.items(), grey, strict=True):
                last.append(picture)
                if len(last) == 3:
                    self._flicker[which].append(picture_metrics.flicker(*last))
            if index in self._wanted:
                self._thumbs[index] = _side_by_side(one, self._a[index], other, self._b[index])

    def extras(self) -> dict[str, float]:
        if not self._everything:
            return {}
        # Of equal clips the ratio is infinite, which JSON has no number for.
        finite = [min(value, 100.0) for value in self._psnr]
        flicker = {which: _mean(values) for which, values in self._flicker.items() if values}
        return {
            "cpbd_reference": _mean(self._cpbd_reference),
            "psnr_db": _mean(finite),
            "ssim": _mean(self._ssim),
            **flicker,
        }

    def worst(self) -> tuple[WorstFrame, ...]:
        return tuple(
            WorstFrame(float(self._times[i]), float(self._distances[i]), self._thumbs[i])
            for i in self._wanted
            if i in self._thumbs
        )

    def _pairs(self, reference: Path, generated: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Each reference picture with the generated one nearest in time."""
        others = read_pictures(generated)
        current, following = next(others), next(others, None)
        for _, (time, picture) in zip(self._times, read_pictures(reference), strict=False):
            while following is not None and abs(following[0] - time) <= abs(current[0] - time) + 1e-9:
                current, following = following, next(others, None)
            yield picture, current[1]


def _far_apart(distances: NDArray[np.float64], times: NDArray[np.float64]) -> list[int]:
    """The worst frames, half a second apart."""
    chosen: list[int] = []
    for index in np.argsort(-distances):
        if all(abs(times[index] - times[other]) >= _WORST_APART_S for other in chosen):
            chosen.append(int(index))
        if len(chosen) == WORST:
            break
    return chosen


def _side_by_side(
    one: NDArray[np.uint8], a: NDArray[np.float32], other: NDArray[np.uint8], b: NDArray[np.float32]
) -> bytes:
    tiles = []
    for picture, points, colour in ((one, a, (80, 220, 120)), (other, b, (90, 150, 255))):
        scale = _THUMB_PX / max(picture.shape[:2])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        tile = np.zeros((_THUMB_PX, _THUMB_PX, 3), np.uint8)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        tile[: size[1], : size[0]] = small
        for x, y in points * (_THUMB_PX / 512):
            cv2.circle(tile, (round(float(x) * 8), round(float(y) * 8)), 10, colour, -1, cv2.LINE_AA, 3)
        tiles.append(tile)
    done, data = cv2.imencode(".jpg", np.concatenate(tiles, axis=1)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return bytes(data.tobytes())


def _sharpness(grey: Any) -> float:
    return cpbd(grey) if min(grey.shape) >= BLOCK_PX else 0.0


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
