"""Style reference images: the four frames of a clip that carry a person's style (paper, section 4.1).

Four key motion templates stand for what talking and singing faces do all the time: the beat of a stressed syllable,
lips that round, lips that spread, and a phrase that closes. Each is half a second of six channels: how far the lips
part, how wide the mouth is, how far the lips stand forward, brows, nod and turn of the head. The paper names neither
channels nor courses; these are this project's. A similarity search over the clip finds where it moves most like each
template, and the middle of that stretch is the person's way to do it.

The search is plain and exact: ten minutes at 60 Hz against four templates are one matrix product of 36,000 x 186 x 4,
some milliseconds. An index such as faiss pays from millions of vectors on.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError, ConfigError, InputError, OutputError
from engine.images import decode_png, encode_png
from models.spec import BROWS, INNER_LIP_PAIRS, LANDMARKS, OUTER_LIPS, POSE_DIM
from training.corpus.heads.person_shard import PersonShard
from training.corpus.heads.script import TALKING

CHANNELS: Final = ("opening", "width", "forward", "brows", "nod", "turn")
TEMPLATE_S: Final = 0.5
"""Length of a template; the frame that it retrieves is the one in its middle."""
REFERENCES: Final = 4

_UPPER, _LOWER = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
_LIDS: Final = ([37, 38, 43, 44], [41, 40, 47, 46])
_BLINK: Final = 0.6
"""Of the usual opening of the eyes, below which a frame shows a blink rather than a style."""
_CORNERS: Final = (48, 54)
_SMALLEST: Final = np.array([0.010, 0.012, 0.008, 0.010, 0.015, 0.020])
"""Deviation of each channel (fu, rad) below which it counts as noise rather than as motion."""
_APART_S: Final = 0.4
"""Two references are at least so far apart, while the clip is long enough."""
_FAINT: Final = 0.3
"""Share of a template's size below which a stretch that is alike is too faint to show anything."""


@dataclass(frozen=True)
class StyleReferences:
    """Four frames of a person, one a template.

    Attributes:
        templates: Names of the templates, in order.
        frames: int64 (4,), where in the clip.
        similarity: float32 (4,), -1 to 1.
        landmarks: float32 (4, 68, 3) fu, posed.
        images: uint8 (4, H, W, 3) RGB.
    """

    templates: tuple[str, ...]
    frames: NDArray[np.int64]
    similarity: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    images: NDArray[np.uint8]


def key_templates(hz: float) -> dict[str, NDArray[np.float32]]:
    """The key motion templates.

    Args:
        hz: Frames a second.

    Returns:
        Name -> float32 (frames, 6), in deviations of each channel of ``CHANNELS``; an odd number of frames.
    """
    half = max(1, round(TEMPLATE_S * hz / 2))
    time = np.arange(-half, half + 1) / half
    bump = np.exp(-0.5 * (time / 0.40) ** 2)
    swell = np.exp(-0.5 * (time / 0.65) ** 2)
    fall = -np.tanh(time / 0.35)
    none = np.zeros_like(time)
    courses = {
        # An accent: wide open in the middle, the head dips with it, brows help.
        "beat": (2.2 * bump, 0.3 * bump, none, 0.6 * bump, 0.9 * bump, none),
        # A rounded vowel: narrow, forward, a little open.
        "round": (0.4 * bump, -1.8 * swell, 1.8 * swell, none, none, none),
        # A spread vowel or a smile: wide, drawn back.
        "spread": (0.5 * bump, 1.9 * swell, -1.0 * swell, 0.3 * swell, none, none),
        # The end of a phrase: from open to shut, and the head settles.
        "close": (1.2 * fall, 0.3 * fall, none, 0.3 * fall, 0.7 * fall, none),
    }
    return {name: np.stack(course, 1).astype(np.float32) for name, course in courses.items()}


def motion_channels(displacement: NDArray[np.floating], pose: NDArray[np.floating]) -> NDArray[np.float32]:
    """What templates speak of, float32 (n, 6), in fu and rad.

    Args:
        displacement: (n, 68, 3) fu against the person at rest, head pose factored out.
        pose: (n, 6), rotation vector in rad and translation in fu.

    Raises:
        InputError: Shapes do not agree, or not everything is finite.
    """
    frames = len(displacement)
    if displacement.shape != (frames, LANDMARKS, 3) or pose.shape != (frames, POSE_DIM):
        raise InputError(
            f"Motion is (n, 68, 3) with poses (n, 6), not {displacement.shape} with {pose.shape}; use one clip's own."
        )
    if not (np.isfinite(displacement).all() and np.isfinite(pose).all()):
        raise InputError("The clip's motion is not finite everywhere; bridge or leave out frames without a face.")
    right, left = _CORNERS
    channels = (
        (displacement[:, _LOWER, 1] - displacement[:, _UPPER, 1]).mean(1),
        displacement[:, left, 0] - displacement[:, right, 0],
        -displacement[:, OUTER_LIPS, 2].mean(1),
        -displacement[:, BROWS, 1].mean(1),
        pose[:, 0],
        pose[:, 1],
    )
    return np.stack(channels, 1).astype(np.float32)


def eyes_open(landmarks: NDArray[np.floating]) -> NDArray[np.bool_]:
    """In which frames of landmarks (n, 68, 3) no blink hides the eyes, (n,): by the clip's own usual opening."""
    upper, lower = _LIDS
    opening = np.linalg.norm(landmarks[:, upper] - landmarks[:, lower], axis=-1).mean(1)
    return np.asarray(opening > _BLINK * np.median(opening), np.bool_)


def find_key_frames(
    channels: NDArray[np.float32], hz: float, usable: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where a clip moves most like each template.

    Args:
        channels: float32 (n, 6) of ``motion_channels``.
        hz: Frames a second.
        usable: bool (n,), frames that may be found; all if None, or if there are too few.

    Returns:
        Frames int64 (4,) in the templates' order and their similarity float32 (4,): the cosine of stretch and template,
        less for a faint stretch.

    Raises:
        InputError: The clip is shorter than the templates and four frames.
    """
    templates = list(key_templates(hz).values())
    length = len(templates[0])
    count = len(channels) - length + 1
    if count < REFERENCES:
        raise InputError(
            f"The clip has {len(channels)} frames; style references need {length + REFERENCES - 1} or more."
        )
    # By the clip's own range: a timid and a lively speaker both have a widest beat.
    middle = np.median(channels, axis=0)
    spread = np.maximum(np.percentile(np.abs(channels - middle), 75, axis=0), _SMALLEST)
    scaled = ((channels - middle) / spread).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, length, axis=0).transpose(0, 2, 1)
    stretches = windows.reshape(count, -1)
    size = np.linalg.norm(stretches, axis=1)
    similarity = np.empty((REFERENCES, count), np.float32)
    for row, template in enumerate(templates):
        whole = float(np.linalg.norm(template))
        similarity[row] = stretches @ template.ravel() / (whole * np.maximum(size, _FAINT * whole))
    if usable is not None:
        middles = usable[length // 2 :][:count]
        if middles.sum() >= REFERENCES:
            similarity[:, ~middles] = -2
    return _assign(similarity, length // 2, max(1, round(_APART_S * hz)))


def style_references(
    landmarks: NDArray[np.floating],
    displacement: NDArray[np.floating],
    pose: NDArray[np.floating],
    hz: float,
    picture: Callable[[int], NDArray[np.uint8]],
) -> StyleReferences:
    """The style reference images of a clip.

    Args:
        landmarks: (n, 68, 3) fu, posed.
        displacement: (n, 68, 3) fu, head pose factored out.
        pose: (n, 6).
        hz: Frames a second.
        picture: Gives frame k of the clip as uint8 (H, W, 3) RGB; asked for four frames.

    Raises:
        ConfigError: ``hz`` is not positive.
        InputError: Shapes do not agree, or the clip is too short.
    """
    if not hz > 0:
        raise ConfigError(f"A clip has a positive number of frames a second, not {hz}.")
    channels = motion_channels(displacement, pose)
    if landmarks.shape != displacement.shape:
        raise InputError(f"Landmarks {landmarks.shape} and displacements {displacement.shape} are of different clips.")
    frames, similarity = find_key_frames(channels, hz, eyes_open(landmarks))
    images = np.stack([picture(int(frame)) for frame in frames])
    return StyleReferences(
        tuple(key_templates(hz)), frames, similarity, landmarks[frames].astype(np.float32), images.astype(np.uint8)
    )


def references_of_person(shard: PersonShard) -> StyleReferences:
    """The style reference images of a rendered person, from the talking frames.

    Raises:
        ArtefactError: A frame is damaged.
        InputError: The clip is too short.
    """
    talking = np.flatnonzero(shard.labels["kind"] == TALKING)
    landmarks, displacement, pose = (shard.labels[name][talking] for name in ("landmarks", "displacement", "pose"))
    return style_references(landmarks, displacement, pose, float(shard.manifest["fps"]), shard.frame)


def closest_reference(landmarks: NDArray[np.floating], references: NDArray[np.floating]) -> NDArray[np.int64]:
    """For each frame the reference that it looks most like: the matched style pattern of the photometric loss (eq. 9).

    Args:
        landmarks: (n, 68, 3) fu, posed.
        references: (k, 68, 3) fu, posed, of the same person.

    Returns:
        int64 (n,), the reference with the least summed squared distance.
    """
    flat, other = landmarks.reshape(len(landmarks), -1), references.reshape(len(references), -1)
    # The frame's own length is the same for every reference.
    distance = (other**2).sum(1) - 2 * flat @ other.T
    return np.asarray(distance.argmin(1), np.int64)


def write_style_references(references: StyleReferences, file: Path) -> None:
    """Write references into one zip: ``0_beat.png`` ... and ``references.npz``.

    Raises:
        OutputError: The file cannot be written.
    """
    partial = file.with_name(f".{file.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as out:
            for number, (name, image) in enumerate(zip(references.templates, references.images, strict=True)):
                out.writestr(f"{number}_{name}.png", encode_png(image))
            with out.open("references.npz", "w") as arrays:
                np.savez(
                    arrays,
                    templates=np.array(references.templates),
                    frames=references.frames,
                    similarity=references.similarity,
                    landmarks=references.landmarks,
                )
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"Cannot write {file}: {error.strerror or error}.") from error


def read_style_references(file: Path) -> StyleReferences:
    """Read what ``write_style_references`` wrote.

    Raises:
        ArtefactError: It is missing, damaged or something else.
    """
    try:
        with zipfile.ZipFile(file) as zipped:
            with zipped.open("references.npz") as data, np.load(data, allow_pickle=False) as arrays:
                templates = tuple(str(name) for name in arrays["templates"])
                frames = arrays["frames"].astype(np.int64)
                similarity, landmarks = (arrays[name].astype(np.float32) for name in ("similarity", "landmarks"))
            images = np.stack([decode_png(zipped.read(f"{k}_{name}.png")) for k, name in enumerate(templates)])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{file} holds no style references or is damaged: {error}.") from error
    if landmarks.shape != (len(templates), LANDMARKS, 3) or frames.shape != similarity.shape != (len(templates),):
        raise ArtefactError(f"{file} is damaged: its arrays do not fit each other.")
    return StyleReferences(templates, frames, similarity, landmarks, images)


def _assign(similarity: NDArray[np.float32], offset: int, apart: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A frame for each template, best matches first, none twice and apart from each other while there is room."""
    rows, count = similarity.shape
    frames, found = np.full(rows, -1, np.int64), np.zeros(rows, np.float32)
    # Four frames, each of which blocks as much on both sides, must fit.
    apart = min(apart, max(1, (count - 1) // (2 * rows)))
    free = similarity.copy()
    for _ in range(rows):
        row, place = np.unravel_index(int(free.argmax()), free.shape)
        frames[row], found[row] = place + offset, similarity[row, place]
        free[row] = -np.inf
        free[:, max(0, int(place) - apart + 1) : int(place) + apart] = -np.inf
    return frames, found
