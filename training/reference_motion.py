"""A clip of somebody's manner as motion: what style transfer learns from (paper, sections 4.1, 5 and 6.1).

The face is measured in every picture, filmed or rendered; the head pose is factored out
(``training.corpus.registration``) and everything is brought to 60 Hz. What is left of a face is held against itself:
the person at rest, silent, lips together and eyes open, is zero, and so is the head's pose then, so that nobody's
features become somebody else's manner.

A picture does not say how far a lid has to go to be shut. The height of the eyes is compared with what it usually is
when they are open in this clip, or in people where they hardly ever are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from engine.errors import AudioError, InputError
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import LEFT_IRIS, RIGHT_IRIS, ibug68
from engine.portrait.geometry import canonical68, eye_opening
from engine.rotation import rotation_matrix
from models.spec import MOTION_HZ, SAMPLE_HZ
from training.corpus.media import read_audio, read_video
from training.corpus.registration import register
from training.pose_noise import without_noise
from training.style_references import StyleReferences, style_references
from training.style_sound import speaking_frames
from training.style_stats import lip_opening

Float = NDArray[np.float32]
Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0 to 1."""

SHORTEST_S: Final = 4.0
LONGEST_S: Final = 600.0
FEWEST_FACES: Final = 0.8
"""Share of the pictures in which a face must be found."""
LONGEST_GAP_S: Final = 0.7
SMALLEST_FACE_PX: Final = 64
_IMAGE_SIZE: Final = 256
_FACE_SHARE: Final = 1.7
"""Side of a reference image over the face's size."""
_SHUT: Final = 0.09
_USUALLY_OPEN: Final = 0.27
"""Heights of eyes over their width, shut and open (``eye_opening``), in people."""
_LEAST_OPEN: Final = 0.17
"""A clip whose widest eyes are less open than this shows no open eyes."""
_REST_SHARE: Final = 0.15
"""Of the frames with open eyes, those with the least open mouth show the person at rest; half of the silent ones."""
_LEAST_REST_S: Final = 0.3
_LEAD_MARGIN: Final = 12
"""Frames before the first sound in which mouth and head may be on their way."""
_SMOOTHING: Final = {"displacement": 1.0, "pose": 2.0}
"""Deviations of Gaussians in frames of 60 Hz: what a face model's noise needs."""


@dataclass(frozen=True)
class ReferenceMotion:
    """Motion of a clip at 60 Hz.

    Attributes:
        name: Of the clip.
        displacement: float32 (n, 68, 3) fu in object coordinates, from the person at rest, lids included.
        pose: float32 (n, 6), rad and fu, from the head at rest.
        closure: float32 (n,), of the lids, 0 open, 1 shut.
        gaze: float32 (n, 2) rad, eyes against the head, yaw and pitch, from where they usually look.
        template: float32 (68, 3) fu, the person at rest.
        audio: float32 (samples,), 16 kHz; None without sound. Sample 0 and frame 0 are one instant.
        references: The style reference images; None without pictures.
        measured: Whether a face model measured it, so that depth is a guess, or it is exact.
        notes: What somebody should know of the clip, a sentence each.
    """

    name: str
    displacement: Float
    pose: Float
    closure: Float
    gaze: Float
    template: Float
    audio: Float | None = None
    references: StyleReferences | None = None
    measured: bool = True
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        n = len(self.displacement)
        shapes = self.displacement.shape, self.pose.shape, self.closure.shape, self.gaze.shape, self.template.shape
        if shapes != ((n, 68, 3), (n, 6), (n,), (n, 2), (68, 3)):
            raise InputError(f"The reference motion's arrays do not fit each other: {shapes}; use one clip's own.")
        if n < SHORTEST_S * MOTION_HZ:
            raise InputError(
                f"{self.name} lasts {n / MOTION_HZ:.1f} s; a manner needs {SHORTEST_S:.0f} s and more, better 15."
            )

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.displacement) / MOTION_HZ

    @property
    def landmarks(self) -> Float:
        """Posed landmarks, float32 (n, 68, 3) fu."""
        face = self.template + self.displacement
        posed = [points @ rotation_matrix(pose[:3]).T + pose[3:] for points, pose in zip(face, self.pose, strict=True)]
        return np.asarray(np.stack(posed), np.float32)

    @property
    def opening(self) -> Float:
        """How far the inner lips are apart, against rest, float32 (n,) fu."""
        return lip_opening(self.displacement)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        displacement: NDArray[np.floating],
        pose: NDArray[np.floating],
        closure: NDArray[np.floating],
        audio: NDArray[np.floating] | None = None,
        template: NDArray[np.floating] | None = None,
        gaze: NDArray[np.floating] | None = None,
        references: StyleReferences | None = None,
    ) -> "ReferenceMotion":
        """Motion that is known exactly, as of a rendered face.

        Args:
            name: Of the clip.
            displacement: (n, 68, 3) fu at 60 Hz, from the neutral face.
            pose: (n, 6).
            closure: (n,) of the lids.
            audio: (samples,), 16 kHz, in sync.
            template: (68, 3) fu, the neutral face; the average one if None.
            gaze: (n, 2) rad; at the camera if None.
            references: The style reference images.
        """
        return cls(
            name=name,
            displacement=displacement.astype(np.float32),
            pose=pose.astype(np.float32),
            closure=closure.astype(np.float32),
            gaze=np.zeros((len(pose), 2), np.float32) if gaze is None else gaze.astype(np.float32),
            template=np.array(canonical68() if template is None else template, np.float32),
            audio=None if audio is None else audio.astype(np.float32),
            references=references,
            measured=False,
        )


@dataclass(frozen=True)
class _Measured:
    """What is measured in the pictures of a clip; rows of the pictures that show a face."""

    times: NDArray[np.float64]
    meshes: NDArray[np.float64]
    size: float
    end: float


def read_reference(path: Path, progress: Progress | None = None) -> ReferenceMotion:
    """Measure a clip.

    Args:
        path: A video of one talking or singing head.
        progress: Called now and then.

    Raises:
        InputError: It cannot be read, is too short or too long, or shows a face in too few pictures or too small.
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    found = _measure(path, progress or (lambda what, share: None))
    points = np.stack([ibug68(mesh) for mesh in found.meshes]).astype(np.float64)
    frames = np.arange(int(found.times[-1] * MOTION_HZ + 1e-6) + 1) / MOTION_HZ
    heights = np.array([eye_opening(each[:, :2]) for each in points])
    closure = np.clip(_resampled(found.times, _closure(heights), frames, linear=True), 0, 1)
    registration = register(_resampled(found.times, points, frames), np.array(canonical68()))
    displacement = gaussian_filter1d(registration.displacement.astype(np.float64), _SMOOTHING["displacement"], axis=0)
    pose = gaussian_filter1d(registration.pose.astype(np.float64), _SMOOTHING["pose"], axis=0)
    audio, notes = _sound(path, len(frames))
    silent = _lead(audio, len(frames))
    rest = _frames_at_rest(displacement, closure, silent)
    neutral = np.median(displacement[rest], 0)
    gaze = _resampled(found.times, _gaze(found.meshes), frames, linear=True)
    still = silent if silent.sum() >= _LEAST_REST_S * MOTION_HZ else np.ones(len(frames), np.bool_)
    motion = ReferenceMotion(
        name=path.stem,
        displacement=(displacement - neutral).astype(np.float32),
        pose=_credible(pose - np.median(pose[still], 0)),
        closure=closure.astype(np.float32),
        gaze=(gaze - np.median(gaze, 0)).astype(np.float32),
        template=(registration.neutral + neutral).astype(np.float32),
        audio=audio,
        notes=notes,
    )
    return with_references(motion, _pictures(path, found))


def _lead(audio: Float | None, frames: int) -> NDArray[np.bool_]:
    """The frames before the first sound, bool (frames,): between two lines a singer still holds the manner."""
    silent = np.zeros(frames, np.bool_)
    if audio is not None:
        speaking = np.flatnonzero(speaking_frames(audio, frames))
        first = int(speaking[0]) if len(speaking) else frames
        silent[: max(0, first - _LEAD_MARGIN)] = True
    return silent


def with_references(motion: ReferenceMotion, picture: Callable[[int], NDArray[np.uint8]]) -> ReferenceMotion:
    """The same motion with the style reference images, as the key motion templates find them.

    Args:
        motion: The clip's.
        picture: Gives frame k at 60 Hz as uint8 (H, W, 3) RGB; asked for four frames.
    """
    found = style_references(motion.landmarks, motion.displacement, motion.pose, float(MOTION_HZ), picture)
    return replace(motion, references=found)


def _credible(pose: NDArray[np.float64]) -> Float:
    """Poses without the face model's noise, whose translation is what goes with the rotation.

    Depth is read from the size of a face, which an open mouth changes, and the place of its stable points is noisy: of
    the translation along the picture, what is linear in the rotation is kept; of that along the depth, nothing.
    """
    rotation = without_noise(pose[:, :3])
    turned = rotation - rotation.mean(0)
    gram = turned.T @ turned
    gram += 0.05 * np.trace(gram) * np.eye(3)
    moved = turned @ np.linalg.solve(gram, turned.T @ pose[:, 3:5])
    return np.column_stack([rotation, moved, np.zeros(len(pose))]).astype(np.float32)


def _measure(path: Path, progress: Progress) -> _Measured:
    tracker = FaceTracker()
    times, meshes, count, end = list[float](), list[NDArray[np.float64]](), 0, 0.0
    for time, picture in read_video(path):
        count, end = count + 1, time
        if time > LONGEST_S:
            raise InputError(f"{path.name} is longer than {LONGEST_S:.0f} s; cut out the part with the manner.")
        face = tracker.track(picture)
        if face is not None:
            times.append(time)
            meshes.append(face.mesh.astype(np.float64))
        if count % 25 == 0:
            progress("measuring the face", min(0.99, time / 30))
    if end < SHORTEST_S:
        raise InputError(f"{path.name} lasts {end:.1f} s; a manner needs {SHORTEST_S:.0f} s and more, better 15.")
    if len(times) < FEWEST_FACES * count:
        raise InputError(
            f"{path.name} shows a face in {len(times)} of {count} pictures; give a clip in which one face is seen "
            "throughout."
        )
    gap = float(np.diff([0.0, *times, end]).max())
    if gap > LONGEST_GAP_S:
        raise InputError(f"{path.name} shows no face for {gap:.1f} s at a stretch; cut that part out.")
    stacked = np.stack(meshes)
    size = float(np.median(np.ptp(stacked[:, :468, 1], axis=1)))
    if size < SMALLEST_FACE_PX:
        raise InputError(
            f"The face in {path.name} is {size:.0f} pixels high; give a clip where it has {SMALLEST_FACE_PX} and more."
        )
    return _Measured(np.array(times), stacked, size, end)


def _resampled(
    times: NDArray[np.float64], values: NDArray[np.float64], wanted: NDArray[np.float64], *, linear: bool = False
) -> NDArray[np.float64]:
    """Values at other times, held beyond the ends; along cubic curves, or linear."""
    inside = np.clip(wanted, times[0], times[-1])
    flat = values.reshape(len(values), -1)
    if linear:
        columns = [np.interp(inside, times, column) for column in flat.T]
        return np.stack(columns, 1).reshape(len(wanted), *values.shape[1:])
    return np.asarray(CubicSpline(times, flat)(inside), np.float64).reshape(len(wanted), *values.shape[1:])


def _closure(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Closure of the lids from the heights of the eyes, (n,)."""
    usual = float(np.percentile(heights, 75))
    widest = float(np.percentile(heights, 95))
    # Eyes that are shut most of the time are open when they are widest; eyes that never open, as people's are.
    open_ = usual if usual > 0.8 * widest else widest
    open_ = open_ if open_ >= _LEAST_OPEN else _USUALLY_OPEN
    # The face model never sees a lid quite shut; the lowest that it measured here is, where it is low at all.
    lowest = float(np.percentile(heights, 2)) + 0.25 * (open_ - float(np.percentile(heights, 2)))
    shut = min(lowest, 0.6 * open_) if float(np.percentile(heights, 2)) < 0.6 * open_ else _SHUT
    return np.asarray(np.clip((open_ - heights) / (open_ - shut), 0, 1), np.float64)


def _frames_at_rest(
    displacement: NDArray[np.float64], closure: NDArray[np.float64], silent: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Frames that show the person at rest: lips together, silent and with open eyes where there are such."""
    opening, least = lip_opening(displacement), _LEAST_REST_S * MOTION_HZ
    awake = closure < 0.35
    everything = np.ones(len(opening), np.bool_)
    choices = (awake & silent, 0.5), (awake, _REST_SHARE), (everything, _REST_SHARE)
    candidates, share = next(choice for choice in choices if choice[0].sum() >= least)
    frames = np.flatnonzero(candidates)
    count = max(MOTION_HZ // 4, int(share * len(frames)))
    return frames[np.argsort(opening[frames], kind="stable")[:count]]


def _gaze(meshes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eyes against the head by the irises between the corners of the eyes, (n, 2) rad."""
    directions = []
    for mesh in meshes:
        points = ibug68(mesh)[:, :2]
        corners = points[[[36, 39], [42, 45]]]
        irises = np.stack([mesh[part][0, :2] for part in (RIGHT_IRIS, LEFT_IRIS)])
        along = corners[:, 1] - corners[:, 0]
        away = irises - corners.mean(1)
        square = np.stack([-along[:, 1], along[:, 0]], -1)
        place = np.stack([(away * along).sum(-1), (away * square).sum(-1)], -1) / (along**2).sum(-1, keepdims=True)
        # An eye is about as wide as its ball.
        directions.append(np.arcsin(np.clip(2 * place.mean(0), -1, 1)))
    return np.asarray(directions, np.float64)


def _sound(path: Path, frames: int) -> tuple[Float | None, tuple[str, ...]]:
    """The clip's sound, as long as its pictures, and what to know of it."""
    try:
        audio = read_audio(path)
    except AudioError:
        return None, ("The clip is without sound.",)
    wanted = round(frames * SAMPLE_HZ / MOTION_HZ)
    audio = np.pad(audio, (0, max(0, wanted - len(audio))))[:wanted]
    if float(np.abs(audio).max(initial=0.0)) < 1e-3:
        return None, ("The clip's sound is silent.",)
    return np.clip(audio, -1, 1).astype(np.float32), ()


def _pictures(path: Path, found: _Measured) -> Callable[[int], NDArray[np.uint8]]:
    """Frame k at 60 Hz as the picture nearest in time, cut to the face: uint8 (256, 256, 3) RGB."""

    def picture(frame: int) -> NDArray[np.uint8]:
        row = int(np.abs(found.times - frame / MOTION_HZ).argmin())
        chosen = min(read_video(path), key=lambda each: abs(each[0] - found.times[row]))[1]
        return _cut(chosen, found.meshes[row][:468, :2], _FACE_SHARE * found.size)

    return picture


def _cut(rgb: NDArray[np.uint8], face: NDArray[np.float64], side: float) -> NDArray[np.uint8]:
    """A square about a face, 256x256."""
    centre, scale = (face.min(0) + face.max(0)) / 2, _IMAGE_SIZE / side
    matrix = np.array([[scale, 0, 128 - scale * centre[0]], [0, scale, 128 - scale * centre[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = cv2.warpAffine(rgb, matrix, (_IMAGE_SIZE, _IMAGE_SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cut.astype(np.uint8, copy=False)
