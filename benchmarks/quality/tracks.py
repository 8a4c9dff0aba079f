"""Clips as the metrics see them: pictures with their times, sound, and landmarks that are measured once.

Time 0 of a clip is the first sample of its sound, or its first picture where it is silent, so that pictures that start
late in their file are late here as well.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from engine.errors import AudioError, InputError, OutputError
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_models import cache_dir
from models.spec import IMAGE_SIZE, LANDMARKS
from streaming.media_errors import reason
from streaming.media_in import SpeechFile

FEWEST_FACES: Final = 0.5
"""Share of the pictures in which a face must be found for the figures to mean anything."""
_FORMAT: Final = 1
"""Raised whenever what is stored, or how it is measured, changes."""

Picture = NDArray[np.uint8]
Measure = Callable[[Picture], NDArray[np.float32] | None]
"""From a picture (height, width, 3) RGB to its 68 landmarks (68, 2) px, None without a face; follows one clip."""
Progress = Callable[[int, int | None], None]
"""Called with the pictures done and those in all, None while unknown."""


@dataclass(frozen=True)
class FaceTrack:
    """A clip's landmarks.

    Attributes:
        times: float64 (pictures,), s.
        points: float32 (pictures, 68, 2) px of a picture whose longer side is 512; linear between neighbours where no
            face was found.
        missing: bool (pictures,), where no face was found.
        size: Width and height of the pictures, px.
    """

    times: NDArray[np.float64]
    points: NDArray[np.float32]
    missing: NDArray[np.bool_]
    size: tuple[int, int]

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return float((len(self.times) - 1) / (self.times[-1] - self.times[0]))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float32]:
        """Landmarks at other times, s, (n, 68, 2): linear between pictures, held beyond the ends.

        A picture that is less than a tenth of a frame away is taken as it is.
        """
        right = np.clip(np.searchsorted(self.times, times), 1, len(self.times) - 1)
        span = np.maximum(self.times[right] - self.times[right - 1], 1e-9)
        share = np.clip((times - self.times[right - 1]) / span, 0, 1)
        share = np.where(np.abs(share - np.rint(share)) < 0.1, np.rint(share), share)[:, None, None]
        points = self.points[right - 1] + share * (self.points[right] - self.points[right - 1])
        return np.asarray(points, np.float32)


def read_pictures(path: Path) -> Iterator[tuple[float, Picture]]:
    """A clip's pictures with their times in s: uint8 (height, width, 3) RGB.

    Raises:
        InputError: The file is missing, holds no picture, or cannot be decoded.
    """
    try:
        with av.open(f"file:{path.absolute()}", container_options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no picture; give a video of a talking head.")
            start = None
            sound = container.streams.best("audio")
            if sound is not None and sound.start_time is not None and sound.time_base is not None:
                # What lies before 0 is the encoder's priming and is not heard.
                start = max(0.0, float(sound.start_time * sound.time_base))
            for frame in container.decode(video=0):
                time = float(frame.time or 0.0)
                start = time if start is None else start
                yield time - start, frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a video: {reason(error)}; give a clip that plays.") from error


def read_sound(path: Path) -> NDArray[np.float32] | None:
    """A clip's sound, float32 (samples,), 16 kHz mono; None where it has none that can be decoded."""
    try:
        with SpeechFile(path) as speech:
            return np.concatenate([block.speech for block in speech.blocks()])
    except AudioError:
        return None


def face_tracker() -> Measure:
    """The project's own face tracker, for one clip.

    Raises:
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    tracker = FaceTracker()

    def measure(rgb: Picture) -> NDArray[np.float32] | None:
        face = tracker.track(rgb)
        return None if face is None else face.points68

    return measure


def load_track(
    path: Path,
    cache: Path | None = None,
    make_measure: Callable[[], Measure] = face_tracker,
    progress: Progress | None = None,
) -> FaceTrack:
    """A clip's landmarks, measured or from the cache.

    Args:
        path: The clip.
        cache: Folder for landmarks, by default one in the user's cache; the key is the SHA-256 of the file.
        make_measure: Gives a landmark function that has seen nothing yet; its measurements share the cache.
        progress: Called after every picture that is measured.

    Raises:
        InputError: The clip cannot be read, or shows no face in half of its pictures.
        MissingExtraError: The face models are not there and cannot be fetched.
        OutputError: The cache cannot be written.
    """
    stored = (cache or cache_dir() / "landmarks") / f"{_digest(path)}-{_FORMAT}.npz"
    raw = _read(stored)
    if raw is None:
        raw = _measure(path, make_measure(), progress)
        _write(stored, raw)
    times, points, size = raw
    missing = np.isnan(points[:, 0, 0])
    if len(times) < 2 or missing.mean() > 1 - FEWEST_FACES:
        raise InputError(
            f"{path} shows no face in {int(missing.sum())} of {len(times)} pictures; give a clip of a talking head, "
            "its face whole and 64 pixels high at least."
        )
    return FaceTrack(times, _bridge(points, missing), missing, (int(size[0]), int(size[1])))


def _measure(path: Path, measure: Measure, progress: Progress | None) -> "_Raw":
    times, points, shape = [], [], (0, 0)
    for time, picture in read_pictures(path):
        shape = picture.shape[:2]
        found = measure(picture)
        times.append(time)
        points.append(np.full((LANDMARKS, 2), np.nan, np.float32) if found is None else found)
        if progress is not None:
            progress(len(times), None)
    if not times:
        raise InputError(f"{path} holds no picture that can be decoded; give a clip that plays.")
    scaled = np.stack(points).astype(np.float32) * np.float32(IMAGE_SIZE / max(shape))
    return np.array(times), scaled, np.array([shape[1], shape[0]])


def _bridge(points: NDArray[np.float32], missing: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill pictures without a face from their neighbours."""
    if not missing.any():
        return points
    found, flat = np.flatnonzero(~missing), points.reshape(len(points), -1)
    filled = [np.interp(np.arange(len(points)), found, column[found]) for column in flat.T]
    return np.stack(filled, axis=1).reshape(points.shape).astype(np.float32)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


_Raw = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]


def _read(path: Path) -> _Raw | None:
    """What is stored; None where it is missing, or damaged and therefore to be made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["times"], arrays["points"], arrays["size"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, raw: _Raw) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, times=raw[0], points=raw[1], size=raw[2])
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}; choose another cache folder.") from error
