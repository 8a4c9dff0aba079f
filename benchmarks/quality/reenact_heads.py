"""Self-reenactment of rendered people whom training never saw: one of their frames, moved by their exact landmarks.

The portrait is the frame nearest to rest, made an avatar as a photo would be (``training.generator_data``); every
other frame drives it with the landmarks that it was rendered from, so that no tracker's error is in the drive.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality.methods import folder
from benchmarks.quality.reenact import (
    MakeRenderer,
    MeasureMesh,
    Moment,
    Reenacted,
    face_mesher,
    judge_moments,
)
from benchmarks.quality.tracks import Progress
from engine.artefacts.avatar import Avatar
from engine.errors import ArtefactError, InputError
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import ibug68
from engine.rotation import rotation_matrix
from models.spec import MOUTH
from training.corpus.heads.person_shard import MANIFEST, PersonShard
from training.generator_data import avatar_of_frame, relative_motion
from training.measured_drive import Driven

SPLIT: Final = "test"
MOST_TURN_RAD: Final = 0.27
"""Of the head against the portrait, for a frame to be judged: beyond it every warp shows what it does not know."""
_EYES_OPEN: Final = 0.3
_CANDIDATES: Final = 6

MakeAvatar = Callable[[PersonShard, int], Avatar | None]


def reenact_heads(
    heads: Path,
    out: Path,
    renderers: dict[str, MakeRenderer],
    *,
    limit: int | None = None,
    sheets: int = 0,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
    make_avatar: MakeAvatar | None = None,
    make_measure: Callable[[], MeasureMesh] = face_mesher,
) -> tuple[list[Reenacted], list[str]]:
    """Reenact the people of a folder who were kept out of training.

    Args:
        heads: Folder of ``mien train heads``.
        out: Folder for sheets.
        renderers: By name, see ``reenact.pick_renderers``.
        limit: Only the first so many people.
        sheets: Of each person, write so many pictures of the truth beside each renderer's drawing.
        say: Told what is being done.
        progress: Called with the people done, and how many there are.
        make_avatar: Makes an avatar of a person's frame; by default with the project's face models.
        make_measure: Gives a mesh function that has seen nothing yet.

    Returns:
        The people's figures, and a sentence for each who could not be used.

    Raises:
        InputError: There are no such people, or none could be used.
        MienError: The face models are not there, or a sheet cannot be written.
    """
    make = make_avatar or _avatar_maker()
    done: list[Reenacted] = []
    skipped: list[str] = []
    people = [person for person in sorted(heads.glob(f"*/{MANIFEST}")) if _kept_out(person.parent)][:limit]
    for number, manifest in enumerate(people):
        name = manifest.parent.name
        say(f"{name}: reenacting")
        shard = PersonShard(manifest.parent)
        try:
            place = folder(folder(out, "sheets"), name) if sheets else None
            done.append(_reenact_person(name, shard, renderers, make, make_measure, place, sheets))
        except InputError as error:
            skipped.append(str(error))
        finally:
            shard.close()
        if progress is not None:
            progress(number + 1, len(people))
    if not done:
        raise InputError(
            f"{heads} holds no rendered people of the split {SPLIT!r} that can be used. {' '.join(skipped)}".strip()
        )
    return done, skipped


def rest_portrait(shard: PersonShard, make_avatar: MakeAvatar) -> tuple[int, Avatar]:
    """The frame nearest to rest that an avatar can be made of, and that avatar.

    Raises:
        InputError: There is none.
    """
    labels = shard.labels
    away = np.linalg.norm(labels["displacement"][:, MOUTH], axis=-1).max(1)
    turned = np.linalg.norm(labels["pose"][:, :3], axis=1)
    order = np.argsort(away + 0.3 * turned + np.where(labels["closure"] < _EYES_OPEN, 0, 10))
    for frame in order[:_CANDIDATES].tolist():
        avatar = make_avatar(shard, frame)
        if avatar is not None:
            return frame, avatar
    raise InputError(f"{shard.manifest['name']} is left out: no frame of this person can serve as a portrait.")


def _reenact_person(
    name: str,
    shard: PersonShard,
    renderers: dict[str, MakeRenderer],
    make_avatar: MakeAvatar,
    make_measure: Callable[[], MeasureMesh],
    place: Path | None,
    sheets: int,
) -> Reenacted:
    frame, avatar = rest_portrait(shard, make_avatar)
    moments = _moments(shard, frame, avatar, make_measure())
    # Spread evenly; a person's frames are few, and what is left out beside them is not drawn.
    kept = np.linspace(0, len(shard) - 1, sheets + 2).astype(int)[1:-1].tolist() if sheets else ()
    return judge_moments(name, avatar, moments, renderers, make_measure, place, kept)


def _moments(shard: PersonShard, source: int, avatar: Avatar, measure: MeasureMesh) -> Iterator[Moment | None]:
    """Every frame but the portrait's whose head is not turned too far against it."""
    labels, before = shard.labels, -2
    talking = int(shard.manifest["talking_frames"])
    for frame in range(len(shard)):
        pose, _ = relative_motion(labels, source, frame)
        if frame == source or np.linalg.norm(pose[:3]) > MOST_TURN_RAD:
            continue
        truth = shard.frame(frame)
        mesh = measure(truth)
        if mesh is None:
            yield None
            continue
        displaced = avatar.template + labels["displacement"][frame]
        landmarks = (displaced @ rotation_matrix(pose[:3]).T + pose[3:]).astype(np.float32)
        gaze = (labels["gaze"][frame] - labels["gaze"][source]).astype(np.float32)
        points, measured = labels["pixels"][frame].astype(np.float64), ibug68(mesh)[:, :2].astype(np.float64)
        follows = frame < talking and frame == before + 1
        yield Moment(frame, truth, points, measured, Driven(landmarks, pose, gaze), follows)
        before = frame


def _kept_out(person: Path) -> bool:
    try:
        shard = PersonShard(person)
    except ArtefactError:
        return False
    shard.close()
    return bool(shard.manifest.get("split") == SPLIT)


def _avatar_maker() -> MakeAvatar:
    tracker = FaceTracker(static=True)
    return lambda shard, frame: avatar_of_frame(shard, frame, tracker)
