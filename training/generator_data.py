"""``mien train frames``: rendered people turned into what the image generator learns from.

A frame of a person becomes an avatar, as `mien avatar create` would make it: its landmarks are measured, its depth,
matte and camera are the renderer's own. The geometric renderer then draws it with the motion of every other frame of
that person, and beside what it draws lies the frame as it truly is. All that training reads is cut to the face's
window and kept as plain uint8 arrays, so that a step costs no drawing:

=============  ====================  ====================================================================
file           uint8 shape           what
=============  ====================  ====================================================================
dynamic.npy    n, 6, 256, 256        ``engine.renderer.network_input``
target.npy     n, 3, 256, 256        the true frame in the same window
regions.npy    n, 256, 256           its parsing mask (``MaskClass``)
sources.npy    p, 4, 256, 256        each portrait's ``source_input``
faces.npy      f, 3, 256, 256        every frame of the person in its own window
styles.npy     4, 3, 512, 512        the person's style reference images
rows.npz                             see ``PersonFrames``
isp.npy        12, 256, 256          four intermediate style patterns, once `mien train stylemap` has drawn them
=============  ====================  ====================================================================
"""

import functools
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.artefacts.avatar import Avatar
from engine.errors import ArtefactError, ConfigError, MienError, OutputError
from engine.portrait.build import COLOUR_MARGIN_PX, PLATE_MARGIN_PX
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import LEFT_IRIS, RIGHT_IRIS, ibug68
from engine.portrait.inpaint import push_pull
from engine.portrait.lips import settle_lips
from engine.portrait.matting import foreground_colours
from engine.renderer.geometry import at_depth
from engine.renderer.network_input import face_window, network_input, source_input, whole_frame
from engine.renderer.pixels import over
from engine.renderer.warp import WarpRenderer
from engine.rotation import rotation_matrix
from models.spec import IMAGE_SIZE, INNER_LIP_PAIRS, JAW, MOUTH
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.person_shard import MANIFEST, PersonShard
from training.measured_drive import Drive, Driven
from training.style_references import closest_reference, references_of_person

log = logging.getLogger(__name__)

ROWS: Final = "rows.npz"
ARRAYS: Final = ("dynamic", "target", "regions", "sources", "faces", "styles")
_EYES_OPEN: Final = 0.12
"""Closure of the lids up to which a frame may serve as a portrait."""
_FRONTAL_RAD: Final = 0.2
_TURN_RAD: Final = 0.24
"""Turn of the head against the portrait up to which a frame is drawn: beyond it a warp shows what it does not know."""
_MATTE_SIGMA: Final = 0.8
"""Softens the parsing mask, which knows no partial pixels, in px."""


class FramesConfig(BaseModel):
    """Options of ``mien train frames``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: Path = Field(description="folder of rendered people (`mien train heads`)")
    out: Path = Field(description="folder for the prepared people")
    seed: int = Field(0, ge=0)
    portraits: int = Field(2, ge=1, description="avatars a person: one at rest, the others from any frame")
    other_frames: int = Field(14, ge=1, description="frames drawn from each avatar beyond the one at rest")
    measured_share: float = Field(
        0.5, ge=0, le=1, description="of the frames that are drawn from measured landmarks, the rest from exact ones"
    )
    whole: bool = Field(False, description="keep whole frames of 512x512, which the `paper` preset draws")


def prepare_frames(config: FramesConfig, tracker: FaceTracker | None = None) -> int:
    """Prepare the people that are missing in ``config.out``; interrupted, it goes on where it stopped.

    Returns:
        How many people were prepared. One in whom no usable portrait is found is left out, with a line in the log.

    Raises:
        ConfigError: There are no people in ``config.heads``.
        MissingExtraError: The face models are not there and cannot be fetched.
        OutputError: The folder cannot be written.
    """
    people = sorted(file.parent for file in config.heads.glob(f"*/{MANIFEST}"))
    if not people:
        raise ConfigError(f"{config.heads} holds no rendered people: make them with `mien train heads` first.")
    missing = [person for person in people if not (config.out / person.name / ROWS).exists()]
    tracker = tracker or FaceTracker(static=True)
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TextColumn("people"), TimeRemainingColumn())
    made = 0
    with Progress(*columns) as progress:
        task = progress.add_task("frames", total=len(people), completed=len(people) - len(missing))
        for person in missing:
            try:
                prepare_person(person, config, tracker)
                made += 1
            except (ArtefactError, NoPortraitError) as error:
                log.warning("%s is left out: %s", person.name, error)
            progress.advance(task)
    return made


class NoPortraitError(MienError):
    """No frame of a rendered person can serve as a portrait."""


def prepare_person(person: Path, config: FramesConfig, tracker: FaceTracker) -> Path:
    """Prepare one person.

    Args:
        person: Folder of ``PersonShard``.
        config: Options.
        tracker: Opened face models.

    Returns:
        The folder that was written.

    Raises:
        ArtefactError: The person is damaged.
        NoPortraitError: In no frame a face is found that could be a portrait.
        OutputError: The folder cannot be written.
    """
    shard = PersonShard(person)
    rng = np.random.default_rng([config.seed, int(shard.manifest["number"]) + 1])
    columns: dict[str, list[Any]] = {}
    sources = []
    measure = _measurer(shard, tracker)
    try:
        for number, (frame, avatar) in enumerate(_portraits(shard, config, rng, tracker)):
            sources.append(source_input(avatar, IMAGE_SIZE) if config.whole else source_input(avatar))
            drawn = _within_reach(shard.labels, frame)
            if number:
                drawn = np.sort(rng.choice(drawn, min(config.other_frames, len(drawn)), replace=False))
            driven = _driven(shard, avatar, frame, drawn, measure, rng.random(len(drawn)) < config.measured_share)
            _draw(shard, avatar, (number, frame), driven, columns, config.whole)
        if not sources:
            raise NoPortraitError("no frame of this person can serve as a portrait.")
        references = references_of_person(shard)
        faces = [_face(shard, frame) for frame in range(len(shard))]
    finally:
        shard.close()
    rows = {name: np.stack(values) for name, values in columns.items()}
    arrays = {name: rows.pop(name) for name in ("dynamic", "target", "regions")}
    arrays["sources"], arrays["faces"] = np.stack(sources), np.stack(faces)
    arrays["styles"] = np.ascontiguousarray(references.images.transpose(0, 3, 1, 2))
    rows |= _matched_styles(shard, rows, references.landmarks, references.frames, arrays["target"].shape[-1])
    rows |= {f"face_{name}": shard.labels[name] for name in ("pose", "displacement", "closure", "pixels")}
    return _write(config.out / person.name, arrays, rows, str(shard.manifest["split"]))


def avatar_of_frame(shard: PersonShard, frame: int, tracker: FaceTracker) -> Avatar | None:
    """The avatar that a rendered frame makes.

    Landmarks and mesh are measured, as they are in a photo, so that training sees what a tracker does to faces. What a
    photo does not tell is exact: camera, depth, and which displacement the frame has against the person at rest.

    Args:
        shard: The person.
        frame: Which frame.
        tracker: Opened face models.

    Returns:
        The avatar, or None if no face is found.
    """
    picture, mask, labels = shard.frame(frame), shard.mask(frame), shard.labels
    faces = tracker.detect_all(picture)
    if not faces:
        return None
    mesh = settle_lips(picture, np.asarray(faces[0].mesh, np.float32))
    points = np.ascontiguousarray(ibug68(mesh)[:, :2], np.float32)
    head = rigid(labels["pose"][frame])
    camera = (labels["camera"].astype(np.float64) @ head).astype(np.float32)
    displaced = labels["template"] + labels["displacement"][frame]
    template = at_depth(camera, points, displaced[:, 2]) - _taken_back(labels, frame)
    matte = _matte(mask)
    plate = _plate(picture, matte)
    return Avatar(
        name=f"{shard.manifest['name']}-{frame}",
        image=_own_colours(picture, matte, plate),
        matte=matte,
        plate=plate,
        source_points=points,
        template=template.astype(np.float32),
        camera=camera,
        irises=_irises(mesh),
        mesh=mesh,
    )


def _taken_back(labels: dict[str, NDArray[Any]], frame: int) -> NDArray[np.float32]:
    """Of the displacement of a portrait's frame what making an avatar takes back, (68, 3) fu: that of mouth and jaw.

    Brows and lids are taken for the person's own, as in a photo.
    """
    taken: NDArray[np.float32] = np.zeros_like(labels["displacement"][frame])
    for part in (MOUTH, JAW):
        taken[part] = labels["displacement"][frame][part]
    return taken


def rigid(pose: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """A pose (6,), rotation vector in rad and translation in fu, as float64 (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_matrix(pose[:3]), pose[3:]
    return matrix


def pose_of(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """What ``rigid`` made of a pose, float32 (6,)."""
    vector, _ = cv2.Rodrigues(matrix[:3, :3])
    result: NDArray[np.float32] = np.concatenate([vector.ravel(), matrix[:3, 3]]).astype(np.float32)
    return result


def relative_motion(
    labels: dict[str, NDArray[Any]], source: int, frame: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pose of head and torso (6,) in ``frame`` for an avatar whose camera holds the head's pose in ``source``."""
    back = np.linalg.inv(rigid(labels["pose"][source]))
    head = back @ rigid(labels["pose"][frame])
    shoulders = rigid(labels["torso"][frame]) @ np.linalg.inv(rigid(labels["torso"][source]))
    return pose_of(head), pose_of(back @ shoulders @ rigid(labels["pose"][source]))


def _portraits(
    shard: PersonShard, config: FramesConfig, rng: np.random.Generator, tracker: FaceTracker
) -> list[tuple[int, Avatar]]:
    """Frames and their avatars: the one most at rest, then others with open eyes, whatever the mouth does."""
    labels = shard.labels
    displacement = labels["displacement"]
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    gap = np.linalg.norm(displacement[:, lower] - displacement[:, upper], axis=-1).mean(1)
    away = np.linalg.norm(displacement[:, MOUTH], axis=-1).max(1) + gap
    turned = np.linalg.norm(labels["pose"][:, :3], axis=1)
    usable = (labels["closure"] < _EYES_OPEN) & (turned < _FRONTAL_RAD)
    at_rest = np.argsort(away + 0.8 * turned + np.where(usable, 0, 10))
    others = rng.permutation(np.flatnonzero(usable))
    found: list[tuple[int, Avatar]] = []
    for candidates, wanted in ((at_rest, 1), (others, config.portraits)):
        for frame in candidates[:6]:
            if len(found) >= wanted:
                break
            avatar = None if any(frame == other for other, _ in found) else avatar_of_frame(shard, int(frame), tracker)
            if avatar is not None:
                found.append((int(frame), avatar))
    return found


def _within_reach(labels: dict[str, NDArray[Any]], source: int) -> NDArray[np.int64]:
    """Frames in which the head is not turned too far against frame ``source``."""
    turns = [np.linalg.norm(relative_motion(labels, source, frame)[0][:3]) for frame in range(len(labels["pose"]))]
    return np.flatnonzero(np.array(turns) < _TURN_RAD)


def _measurer(shard: PersonShard, tracker: FaceTracker) -> Callable[[int], NDArray[np.float32] | None]:
    """Gives the mesh (478, 3) px that the tracker finds in a frame, None where it finds no face; each once."""

    @functools.cache
    def measure(frame: int) -> NDArray[np.float32] | None:
        faces = tracker.detect_all(shard.frame(frame))
        return np.asarray(faces[0].mesh, np.float32) if faces else None

    return measure


def _driven(
    shard: PersonShard,
    avatar: Avatar,
    source: int,
    frames: NDArray[np.int64],
    measure: Callable[[int], NDArray[np.float32] | None],
    measured: NDArray[np.bool_],
) -> dict[int, Driven]:
    """What moves ``avatar``, of frame ``source``, as each of ``frames``: exact landmarks, or measured ones where asked.

    A session's landmarks are as exact as its networks; a filmed drive's have all a tracker's errors, to which lips and
    lids have to be brought back.
    """
    labels, mesh = shard.labels, measure(source)
    drive = None if mesh is None else Drive(avatar, mesh)
    kept = labels["displacement"][source] - _taken_back(labels, source)
    result = {}
    for frame, by_tracker in zip(frames.tolist(), measured.tolist(), strict=True):
        seen = measure(frame) if by_tracker and drive is not None else None
        if seen is not None and drive is not None:
            result[frame] = drive.step(seen)
            continue
        pose, _ = relative_motion(labels, source, frame)
        displaced = avatar.template + labels["displacement"][frame] - kept
        landmarks = (displaced @ rotation_matrix(pose[:3]).T + pose[3:]).astype(np.float32)
        result[frame] = Driven(landmarks, pose, labels["gaze"][frame] - labels["gaze"][source])
    return result


def _face(shard: PersonShard, frame: int) -> NDArray[np.uint8]:
    window = face_window(shard.labels["pixels"][frame])
    return np.ascontiguousarray(shard.frame(frame)[window].transpose(2, 0, 1))


def _draw(
    shard: PersonShard,
    avatar: Avatar,
    portrait: tuple[int, int],
    frames: dict[int, Driven],
    columns: dict[str, list[Any]],
    whole: bool,
) -> None:
    """Draw ``avatar``, ``portrait`` = (number, frame), with the motion of ``frames``; append rows to ``columns``."""
    number, source = portrait
    renderer = WarpRenderer(avatar, turn_lips=False)
    for frame, driven in frames.items():
        _, torso = relative_motion(shard.labels, source, frame)
        layers = renderer.render_layers(driven.landmarks, driven.pose, driven.gaze, torso)
        points = renderer.frame_points(driven.landmarks)
        window = whole_frame() if whole else face_window(points)
        composed = over(layers.person, avatar.plate)
        row = {
            "dynamic": network_input(composed, layers.mouth, layers.eyes, points, window),
            "target": np.ascontiguousarray(shard.frame(frame)[window].transpose(2, 0, 1)),
            "regions": shard.mask(frame)[window],
            "portrait": np.int64(number),
            "frame": np.int64(frame),
            "corner": np.array([window[0].start, window[1].start], np.int64),
            "points": points,
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)


def _matched_styles(
    shard: PersonShard,
    rows: dict[str, NDArray[Any]],
    references: NDArray[np.float32],
    frames: NDArray[np.int64],
    side: int,
) -> dict[str, NDArray[Any]]:
    """The style image each row looks most like (eq. 9), where to cut it, and how far apart their faces are."""
    pixels = shard.labels["pixels"]
    match = closest_reference(shard.labels["landmarks"][rows["frame"]], references)
    own, other = pixels[rows["frame"]], pixels[frames[match]]
    shift = (other - own).mean(1)
    corner = np.rint(rows["corner"] + shift[:, ::-1]).astype(np.int64)
    kept = np.clip(corner, 0, IMAGE_SIZE - side)
    left = own + (kept - rows["corner"])[:, None, ::-1] - other
    return {
        "style": match,
        "style_corner": kept,
        "style_distance": np.linalg.norm(left, axis=-1).mean(1).astype(np.float32),
        "style_frames": frames,
    }


def _matte(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    person = (mask != MaskClass.BACKGROUND).astype(np.float32)
    soft = cv2.GaussianBlur(person, (0, 0), _MATTE_SIGMA)
    result: NDArray[np.uint8] = np.rint(255 * soft).astype(np.uint8)
    return result


def _plate(picture: NDArray[np.uint8], matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A smooth background without the person; training looks at nothing that lies behind a person."""
    away = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5)
    known = (away > PLATE_MARGIN_PX).astype(np.float32)
    return np.clip(np.rint(push_pull(picture.astype(np.float32), known)), 0, 255).astype(np.uint8)


def _own_colours(picture: NDArray[np.uint8], matte: NDArray[np.uint8], plate: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with the person's own colours where the matte is partial, as avatars have them."""
    colours = foreground_colours(picture, matte.astype(np.float32) / np.float32(255), plate)
    outside = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5)
    near = np.clip(2 - 2 * outside / COLOUR_MARGIN_PX, 0, 1)[..., None].astype(np.float32)
    mixed: NDArray[np.float32] = colours * near + picture * (1 - near)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _irises(mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = []
    for part in (RIGHT_IRIS, LEFT_IRIS):
        centre, edge = mesh[part][0, :2], mesh[part][1:, :2]
        rows.append([*centre.tolist(), float(np.linalg.norm(edge - centre, axis=1).mean())])
    return np.array(rows, np.float32)


def _write(folder: Path, arrays: dict[str, NDArray[Any]], rows: dict[str, NDArray[Any]], split: str) -> Path:
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        with (partial / ROWS).open("wb") as file:
            np.savez(file, **rows)  # type: ignore[arg-type]
        (partial / MANIFEST).write_text(json.dumps({"kind": "frames", "split": split}) + "\n")
        os.replace(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(f"Cannot write {folder}: {error.strerror or error}.") from error
    return folder
