"""VoxCeleb2 in its own layout: 60 fps landmarks of talking people with their head pose factored out.

::

    <root>/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4     face crops, 25 fps
    <root>/dev/aac/id00012/21Uxsk56VDQ/00001.m4a     sound (else the mp4's own)
    <root>/dev/txt/id00012/21Uxsk56VDQ/00001.txt     metadata, optional
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, OutputError
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import ibug68
from models.spec import LANDMARKS, MOTION_HZ
from training.corpus.media import read_audio, read_video
from training.corpus.registration import Registration, register

LandmarkFunction = Callable[[NDArray[np.uint8]], NDArray[np.floating] | None]
"""From a picture, uint8 (height, width, 3) RGB, to (68, 3) px, z away from the camera; None without a face."""

FEWEST_FACES: Final = 0.8
"""Share of frames in which a face must be found for a clip to be used."""
LONGEST_GAP_S: Final = 0.2
"""Frames without a face are bridged up to this length."""
_ARRAYS: Final = ("audio", "pose", "displacement", "neutral")


@dataclass(frozen=True)
class VoxCelebClip:
    """One clip of the set.

    Attributes:
        speaker: ``idXXXXX``.
        video_id: The source video's name.
        name: The clip's number in it, ``00001``.
        video: The mp4 file.
        sound: The m4a file, or the mp4 where there is none.
        metadata: What the txt file says above its table, such as ``Offset`` and ``FV Conf``; empty without one.
    """

    speaker: str
    video_id: str
    name: str
    video: Path
    sound: Path
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipMotion:
    """A clip ready to learn from.

    Attributes:
        audio: float32 (samples,), 16 kHz mono; sample 0 and frame 0 are the same instant.
        motion: Pose, displacement and neutral face at 60 fps.
    """

    audio: NDArray[np.float32]
    motion: Registration


def list_clips(root: Path, split: str = "dev") -> list[VoxCelebClip]:
    """All clips of a split in the order of their paths.

    Args:
        root: Folder of the set.
        split: ``dev`` or ``test``.

    Raises:
        InputError: The layout is not there.
    """
    videos = root / split / "mp4"
    if not videos.is_dir():
        raise InputError(f"VoxCeleb2: there is no folder {videos}; give the folder that holds {split}/mp4/idXXXXX.")
    clips = []
    for video in sorted(videos.glob("id*/*/*.mp4")):
        place = video.relative_to(videos)
        sound = root / split / "aac" / place.with_suffix(".m4a")
        clips.append(
            VoxCelebClip(
                speaker=place.parts[0],
                video_id=place.parts[1],
                name=video.stem,
                video=video,
                sound=sound if sound.is_file() else video,
                metadata=_read_metadata(root / split / "txt" / place.with_suffix(".txt")),
            )
        )
    if not clips:
        raise InputError(f"VoxCeleb2: {videos} holds no idXXXXX/VIDEO/NNNNN.mp4; unpack the archives there.")
    return clips


def load_motion(
    clip: VoxCelebClip,
    landmarks_of: LandmarkFunction,
    template: NDArray[np.floating],
    cache: Path | None = None,
) -> ClipMotion:
    """Sound and motion of a clip.

    Args:
        clip: One of ``list_clips``.
        landmarks_of: Measures a picture; one that follows a face must begin anew with each clip.
        template: (68, 3) fu, front-facing, to register to.
        cache: Folder of measured clips: what is there is not measured again. A cache belongs to one template.

    Raises:
        InputError: The clip cannot be read, or shows too few faces.
        OutputError: The cache cannot be written.
    """
    stored = None if cache is None else cache / f"{clip.speaker}_{clip.video_id}_{clip.name}_{_digest(template)}.npz"
    if stored is not None and (motion := _read_cache(stored)) is not None:
        return motion
    audio = read_audio(clip.sound)
    times, points = _measure(clip.video, landmarks_of)
    try:
        motion = ClipMotion(audio, register(_at_motion_rate(times, points), template))
    except ValueError as error:
        raise InputError(
            f"VoxCeleb2: the landmarks of {clip.video} cannot be registered ({error}); skip it."
        ) from error
    if stored is not None:
        _write_cache(stored, motion)
    return motion


def prepare(
    root: Path,
    cache: Path,
    template: NDArray[np.floating],
    make_landmarks_of: "Callable[[], LandmarkFunction]",
    split: str = "dev",
) -> Iterator[tuple[VoxCelebClip, ClipMotion | InputError]]:
    """Measure a whole split; can be interrupted and repeated, clips in ``cache`` are not measured again.

    Args:
        root: Folder of the set.
        cache: Folder for the measured clips.
        template: (68, 3) fu, front-facing.
        make_landmarks_of: Gives a landmark function that has seen nothing yet, one for each clip.
        split: ``dev`` or ``test``.

    Yields:
        Each clip with its motion, or with the reason why it cannot be used.
    """
    for clip in list_clips(root, split):
        try:
            yield clip, load_motion(clip, make_landmarks_of(), template, cache)
        except InputError as error:
            yield clip, error


def face_mesh_landmarks(threads: int = 1) -> LandmarkFunction:
    """The project's own face tracker as a landmark function for one clip.

    Raises:
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    tracker = FaceTracker(threads)

    def landmarks_of(rgb: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        face = tracker.track(rgb)
        return None if face is None else ibug68(face.mesh)

    return landmarks_of


def _read_metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    metadata: dict[str, str] = {}
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"VoxCeleb2: {path} cannot be read ({error}); unpack the archive again.") from error
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            break
        metadata[key.strip()] = value.strip()
    return metadata


def _measure(video: Path, landmarks_of: LandmarkFunction) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in s and landmarks (frames, 68, 3) of the frames with a face, none missing for long."""
    times, points = [], []
    count, end = 0, 0.0
    for time, picture in read_video(video):
        count, end = count + 1, time
        measured = landmarks_of(picture)
        if measured is None:
            continue
        if measured.shape != (LANDMARKS, 3):
            raise ValueError(f"a landmark function must give (68, 3), not {measured.shape}")
        times.append(time)
        points.append(np.asarray(measured, np.float64))
    if len(times) < 2 or len(times) < FEWEST_FACES * count:
        raise InputError(f"VoxCeleb2: {video} shows a face in {len(times)} of {count} frames; skip it.")
    gaps = np.diff([0.0, *times, end])
    if float(gaps.max()) > LONGEST_GAP_S:
        raise InputError(f"VoxCeleb2: {video} shows no face for {gaps.max():.2f} s; skip it.")
    return np.array(times), np.stack(points)


def _at_motion_rate(times: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks at k / 60 s by linear interpolation, from 0 to the last frame's time."""
    wanted = np.arange(int(np.floor(times[-1] * MOTION_HZ + 1e-6)) + 1) / MOTION_HZ
    right = np.clip(np.searchsorted(times, wanted, side="right"), 1, len(times) - 1)
    share = np.clip((wanted - times[right - 1]) / (times[right] - times[right - 1]), 0.0, 1.0)
    resampled: NDArray[np.float64] = points[right - 1] + share[:, None, None] * (points[right] - points[right - 1])
    return resampled


def _digest(template: NDArray[np.floating]) -> str:
    return hashlib.sha256(np.ascontiguousarray(template, np.float64).tobytes()).hexdigest()[:8]


def _read_cache(path: Path) -> ClipMotion | None:
    """The stored clip; None where it is missing, or damaged and therefore to be made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            audio, pose, displacement, neutral = (arrays[name] for name in _ARRAYS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return ClipMotion(audio, Registration(pose, displacement, neutral))


def _write_cache(path: Path, motion: ClipMotion) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    registration = motion.motion
    values = (motion.audio, registration.pose, registration.displacement, registration.neutral)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, **dict(zip(_ARRAYS, values, strict=True)))  # type: ignore[arg-type]
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
