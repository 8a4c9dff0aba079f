"""Is what is commanded drawn? Lips that are asked to open, and eyes that are asked to shut, measured in the picture.

The engine speaks a recording through a portrait. In every picture the face is found again, and the opening of its
inner lips is held against the one that the picture was drawn with. Then the lids are told to close, with the face
otherwise at rest, and the eyes' aspect ratio is held against that of the open eyes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import reenact_metrics as look
from benchmarks.quality.reenact import MakeRenderer, MeasureMesh, Renderer, face_mesher
from benchmarks.quality.tracks import Picture
from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle
from engine.controls import Face
from engine.errors import InputError, OutputError
from engine.images import encode_png
from engine.pipeline import Pipeline
from engine.portrait.face_mesh import ibug68
from engine.rotation import rotation_matrix
from engine.stages.geometry import Geometry, GeometryInput
from models.spec import INNER_LIP_PAIRS, MOTION_HZ, MOTION_POINT_COUNT, OUTER_EYE_CORNERS, POSE_DIM

LEAST_R: Final = 0.95
MOST_SHUT: Final = 0.25
EYES: Final = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
LOOKS: Final = ("rest", "half", "wide", "rounded", "teeth", "blink", "turned")
TURN_RAD: Final = 0.22
_TORSO_SHARE: Final = np.float32(0.16)
"""Of the head's motion that the shoulders make."""
_TEETH_FU: Final = 0.03
"""Least opening of a mouth that counts as rounded or spread."""
_STEP: Final = 2
"""Every second motion frame: 30 pictures a second."""


@dataclass(frozen=True)
class Obeyed:
    """How a renderer draws what one portrait is asked to do.

    Attributes:
        name: Of the portrait.
        renderer: What drew.
        frames: Pictures in which the face was found again.
        lost: Pictures in which it was not.
        r: Correlation of the measured with the commanded opening; None where nothing was commanded or found.
        gain: Measured opening for a commanded one, least squares.
        shut: Aspect ratio of the shut eyes over that of the open ones, the larger of both eyes; None without a face.
        shut_across: The same of heights square to the line between the corners alone: what of ``shut`` is lid.
    """

    name: str
    renderer: str
    frames: int
    lost: int
    r: float | None
    gain: float | None
    shut: float | None
    shut_across: float | None

    @property
    def holds(self) -> bool:
        """Whether both are as they should be."""
        return self.r is not None and self.r >= LEAST_R and self.shut is not None and self.shut < MOST_SHUT


def speak(bundle: Bundle, avatar: Avatar, speech: NDArray[np.float32], seed: int = 0) -> list[Face]:
    """What a portrait is asked to do while it speaks: 30 faces a second.

    Args:
        bundle: The networks.
        avatar: The portrait.
        speech: float32 (n,), 16 kHz.
        seed: Of the head's motion.
    """
    pipeline = Pipeline(bundle, avatar, seed=seed, threads=1)
    frames, state = pipeline.step(speech, pipeline.init_state())
    motion = [*frames, *pipeline.flush(state)]
    return [Face(each.landmarks, each.pose, each.gaze, each.torso) for each in motion[::_STEP]]


def looks(bundle: Bundle, avatar: Avatar, faces: Sequence[Face]) -> dict[str, Face]:
    """What a renderer is looked at with: LOOKS by name.

    Args:
        bundle: Of the blink.
        avatar: The portrait.
        faces: Speech to choose mouths from: the widest, one half as wide, the narrowest and the broadest of those
            that are open. They are shown with the head at rest.
    """
    spoken = [_unposed(face) for face in faces]
    openings = np.array([commanded_opening(face) for face in spoken])
    widths = np.array([float(np.linalg.norm(face.landmarks[54] - face.landmarks[48])) for face in spoken])
    parted = openings >= min(_TEETH_FU, openings.max())
    half = spoken[int(np.abs(openings - openings.max() / 2).argmin())]
    return {
        "rest": shaped(bundle, avatar),
        "half": half,
        "wide": spoken[int(openings.argmax())],
        "rounded": spoken[int(np.where(parted, widths, np.inf).argmin())],
        "teeth": spoken[int(np.where(parted, widths, -np.inf).argmax())],
        "blink": shaped(bundle, avatar, 1.0),
        "turned": _posed(half, np.array([0, TURN_RAD, 0, 0, 0, 0], np.float32)),
    }


def shaped(bundle: Bundle, avatar: Avatar, closure: float = 0.0) -> Face:
    """The face at rest with its lids closed by ``closure``, 0 to 1."""
    geometry, still = Geometry(avatar.template, bundle.completion), np.zeros(POSE_DIM, np.float32)
    rest = GeometryInput(np.zeros((MOTION_POINT_COUNT, 3), np.float32), 1.0, closure, still)
    shape, _ = geometry.step(rest, geometry.init_state())
    return Face(shape.landmarks, still, np.zeros(2, np.float32), still)


def _unposed(face: Face) -> Face:
    landmarks = (face.landmarks - face.pose[3:]) @ rotation_matrix(face.pose[:3])
    return _posed(Face(landmarks.astype(np.float32), face.pose, face.gaze, face.torso), np.zeros(POSE_DIM, np.float32))


def _posed(face: Face, pose: NDArray[np.float32]) -> Face:
    """A face whose head is at rest, turned by ``pose``, looking ahead."""
    landmarks = face.landmarks @ rotation_matrix(pose[:3]).T + pose[3:]
    return Face(landmarks.astype(np.float32), pose, np.zeros(2, np.float32), _TORSO_SHARE * pose)


def measure_obedience(
    avatars: Sequence[Avatar],
    renderers: dict[str, MakeRenderer],
    bundle: Bundle,
    speech: NDArray[np.float32],
    *,
    sheets: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    make_measure: Callable[[], MeasureMesh] = face_mesher,
) -> list[Obeyed]:
    """Measure every renderer on every portrait.

    Args:
        avatars: The portraits.
        renderers: By name, see ``reenact.pick_renderers``.
        bundle: The networks that move them.
        speech: float32 (n,), 16 kHz, that they speak.
        sheets: Folder for a picture of each portrait: LOOKS side by side, a row for each renderer.
        say: Told what is being done.
        make_measure: Gives a mesh function that has seen nothing yet.

    Raises:
        InputError: The speech is too short to move a mouth.
        OutputError: A sheet cannot be written.
    """
    done = []
    for avatar in avatars:
        faces = speak(bundle, avatar, speech)
        if len(faces) < MOTION_HZ // _STEP:
            raise InputError("The speech lasts less than a second; give one of several.")
        drawn = {name: make(avatar) for name, make in renderers.items()}
        for name, renderer in drawn.items():
            say(f"{avatar.name}: {name}")
            done.append(_measure(avatar, name, renderer, faces, bundle, make_measure))
        if sheets is not None:
            seen = looks(bundle, avatar, faces).values()
            _write(sheets / f"{avatar.name}.png", [[_draw(one, face) for face in seen] for one in drawn.values()])
    return done


def _measure(
    avatar: Avatar,
    name: str,
    renderer: Renderer,
    faces: Sequence[Face],
    bundle: Bundle,
    make_measure: Callable[[], MeasureMesh],
) -> Obeyed:
    measure = make_measure()
    asked, found, lost = [], [], 0
    for face in faces:
        mesh = measure(renderer.render(face.landmarks, face.pose, face.gaze))
        if mesh is None:
            lost += 1
            continue
        asked.append(commanded_opening(face))
        found.append(measured_opening(np.asarray(ibug68(mesh)[:, :2], np.float64)))
    pictures = [_draw(renderer, shaped(bundle, avatar, closure)) for closure in (0.0, 1.0)]
    seen = [make_measure()(picture) for picture in pictures]
    points = [np.asarray(ibug68(mesh)[:, :2], np.float64) for mesh in seen if mesh is not None]
    whole, across = (
        float((eye_aspects(points[1], across=only) / eye_aspects(points[0], across=only)).max())
        if len(points) == len(seen)
        else None
        for only in (False, True)
    )
    r, gain = _fit(np.array(asked), np.array(found))
    return Obeyed(avatar.name, name, len(found), lost, r, gain, whole, across)


def commanded_opening(face: Face) -> float:
    """Mean height of the inner lips that a face asks for, in fu."""
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    return float(np.linalg.norm(face.landmarks[lower] - face.landmarks[upper], axis=1).mean())


def measured_opening(points: NDArray[np.float64]) -> float:
    """The same of measured points (68, 2) px, in distances of the outer eye corners."""
    first, second = (points[corner] for corner in OUTER_EYE_CORNERS)
    return look.opening(points, float(np.linalg.norm(second - first)))


def eye_aspects(points: NDArray[np.float64], *, across: bool = False) -> NDArray[np.float64]:
    """Aspect ratio of both eyes (2,): mean height of the opening over its width (Soukupova and Cech, 2016).

    Args:
        points: float64 (68, 2).
        across: Take of the heights only what is square to the line between the eye's corners.
    """
    ratios = []
    for outer, upper, upper_in, inner, lower_in, lower in EYES:
        along = points[inner] - points[outer]
        width = np.linalg.norm(along)
        gaps = points[[upper, upper_in]] - points[[lower, lower_in]]
        heights = np.abs(gaps @ [-along[1], along[0]]) / width if across else np.linalg.norm(gaps, axis=1)
        ratios.append(heights.mean() / width)
    return np.array(ratios)


def _fit(asked: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if len(asked) < 2 or np.ptp(asked) == 0 or np.ptp(found) == 0:
        return None, None
    centred = asked - asked.mean()
    return float(np.corrcoef(asked, found)[0, 1]), float(centred @ found / (centred @ centred))


def _draw(renderer: Renderer, face: Face) -> Picture:
    return renderer.render(face.landmarks, face.pose, face.gaze).copy()


def _write(target: Path, rows: Sequence[Sequence[Picture]]) -> None:
    try:
        target.write_bytes(encode_png(np.concatenate([np.concatenate(row, axis=1) for row in rows])))
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}.") from error
