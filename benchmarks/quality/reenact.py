"""Self-reenactment: a clip's first picture is moved by the clip's own landmarks and compared with the clip.

Nothing is predicted from sound, so what differs from the truth is the renderer's doing. Frames whose mouth is open are
judged apart from those where it is closed (OPEN_FU). See ``training.measured_drive`` for what drives,
``reenact_metrics`` for the regions, and ``reenact_judge`` for the definitions.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.lipsync import find_clips
from benchmarks.quality import reenact_metrics as look
from benchmarks.quality.framing import FramedClip, frame_clip
from benchmarks.quality.methods import folder
from benchmarks.quality.own_frames import OwnFrames
from benchmarks.quality.picture_metrics import flicker
from benchmarks.quality.reenact_judge import Figures, Tally, Truth, judge
from benchmarks.quality.tps_renderer import TpsRenderer
from benchmarks.quality.tracks import Picture, Progress, read_pictures
from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle
from engine.artefacts.picture_network import PRESETS, PictureNetwork
from engine.errors import ConfigError, InputError, OutputError
from engine.images import encode_png
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import ibug68
from engine.renderer.lip_line import PARTED
from engine.renderer.network import NetworkRenderer
from engine.renderer.warp import WarpRenderer
from training.measured_drive import Drive, Driven, unit_px

OPEN_FU: Final = PARTED
"""Measured inner-lip opening in outer-eye distances from which a frame counts as open; lips that touch give 0.035."""
APART_S: Final = 0.4
"""Seconds from which on another frame of a clip counts as another moment: mouths change within a tenth."""
Mesh = NDArray[np.float32]
MeasureMesh = Callable[[Picture], Mesh | None]
"""From a picture to its dense mesh (478, 3) px, None without a face; follows one clip."""
Framer = Callable[[Path, Path, Path, str], FramedClip]


class Renderer(Protocol):
    """What is measured: a picture from landmarks (68, 3) fu, pose (6,) and gaze (2,)."""

    def render(
        self, landmarks: NDArray[np.floating[Any]], pose: NDArray[np.floating[Any]], gaze: NDArray[np.floating[Any]]
    ) -> NDArray[np.uint8]:
        """Draw a frame, uint8 (512, 512, 3) RGB."""
        ...


MakeRenderer = Callable[[Avatar], Renderer]
RENDERERS: Final[dict[str, MakeRenderer]] = {"warp": WarpRenderer, "tps": TpsRenderer}
"""Those that no bundle is needed for."""


@dataclass(frozen=True)
class Moment:
    """A frame to be drawn.

    Attributes:
        index: Its number in the clip.
        truth: uint8 (512, 512, 3) RGB, as it was filmed.
        points: (68, 2) px, where its landmarks are.
        measured: (68, 2) px, where the tracker finds them.
        driven: What the renderers are given.
        follows: Whether it comes right after the moment before, so that flicker can be told.
    """

    index: int
    truth: Picture
    points: NDArray[np.float64]
    measured: NDArray[np.float64]
    driven: Driven
    follows: bool = True


@dataclass(frozen=True)
class Reenacted:
    """What was measured on one clip.

    Attributes:
        name: Of the clip.
        open_frames: Frames judged whose mouth is open.
        closed_frames: Those where it is closed.
        missing: Frames left out, for no face was found in the truth.
        lost: By renderer, judged frames in whose picture no face was found again; they take no part in LMD.
        opened: By renderer the figures of the open frames; None where no frame gives one.
        closed: Those of the closed frames.
        own: For the open frames, what the person's own other frames give, see ``own_frames``.
    """

    name: str
    open_frames: int
    closed_frames: int
    missing: int
    lost: dict[str, int]
    opened: dict[str, Figures]
    closed: dict[str, Figures]
    own: dict[str, Figures]


def pick_renderers(names: str, bundle: Bundle | None = None) -> dict[str, MakeRenderer]:
    """The renderers of a list such as ``tps,warp,lite``, in its order.

    Args:
        names: By comma.
        bundle: Where the picture networks among them are; none by default.

    Raises:
        ConfigError: One is unknown or not in the bundle, or none is named.
    """
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    networks = {} if bundle is None else bundle.renderers
    known: dict[str, MakeRenderer] = {**RENDERERS, **{name: _drawn_by(one) for name, one in networks.items()}}
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        what = f"There is no renderer {unknown[0]!r}" if unknown else "No renderer is named"
        absent = [name for name in PRESETS if name not in networks]
        hint = f" ({' and '.join(absent)} would come with a bundle that has it)" if absent else ""
        raise ConfigError(f"{what}; choose from {', '.join(known)}{hint}.")
    return {name: known[name] for name in chosen}


def _drawn_by(network: PictureNetwork) -> MakeRenderer:
    return lambda avatar: NetworkRenderer(avatar, network)


def face_mesher() -> MeasureMesh:
    """The project's own face tracker, giving the dense mesh, for one clip.

    Raises:
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    tracker = FaceTracker()

    def measure(rgb: Picture) -> Mesh | None:
        face = tracker.track(rgb)
        return None if face is None else face.mesh

    return measure


def reenact_clips(
    clips: Path,
    out: Path,
    renderers: dict[str, MakeRenderer],
    *,
    every: int = 1,
    sheets: int = 0,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
    framer: Framer = frame_clip,
    make_measure: Callable[[], MeasureMesh] = face_mesher,
) -> tuple[list[Reenacted], list[str]]:
    """Reenact the clips of a folder by themselves and measure.

    Args:
        clips: Folder of talking heads with sound.
        out: Folder for the clips in the engine's framing; what is there already is not made again.
        renderers: By name, see ``pick_renderers``.
        every: Judge every so many frames.
        sheets: Of each clip, write so many pictures of the truth beside each renderer's drawing, spread evenly.
        say: Told what is being done.
        progress: Called with the pictures read, and those of all clips as if they were as long as the current one.
        framer: Makes portrait and framed clip.
        make_measure: Gives a mesh function that has seen nothing yet.

    Returns:
        The clips' figures, and a sentence for each clip that could not be used.

    Raises:
        InputError: No clip could be used.
        MienError: The face models are not there, or nothing can be written.
    """
    done: list[Reenacted] = []
    skipped: list[str] = []
    paths = find_clips(clips)
    for number, path in enumerate(paths):
        say(f"{path.stem}: framing")
        try:
            clip = framer(path, path, folder(out, "reference") / f"{path.stem}.mp4", path.stem)
            say(f"{path.stem}: reenacting")
            shown = folder(out, "sheets") if sheets else None
            told = _of_all(progress, number, len(paths))
            done.append(reenact(clip, renderers, every, make_measure, shown, sheets, told))
        except InputError as error:
            skipped.append(f"{path.name} is left out: {error}")
    if not done:
        raise InputError(f"No clip of {clips} can be used. {' '.join(skipped)}")
    return done, skipped


def reenact(
    clip: FramedClip,
    renderers: dict[str, MakeRenderer],
    every: int = 1,
    make_measure: Callable[[], MeasureMesh] = face_mesher,
    sheet_folder: Path | None = None,
    sheets: int = 0,
    progress: Progress | None = None,
) -> Reenacted:
    """Reenact and judge one framed clip; see ``reenact_clips``.

    Raises:
        InputError: No face is found in the portrait's frame or in any other.
        OutputError: A sheet cannot be written.
    """
    moments = _moments(clip, every, make_measure, progress)
    kept = {int(at) // every * every for at in np.linspace(0, clip.pictures - 1, sheets + 2)[1:-1]} if sheets else set()
    place = folder(sheet_folder, clip.name) if sheet_folder is not None else None
    apart = round(APART_S * clip.fps)
    done = judge_moments(clip.name, clip.avatar, moments, renderers, make_measure, place, kept, apart)
    if not done.open_frames + done.closed_frames:
        raise InputError(f"No face is found in any picture of {clip.reference}; give a clip of a talking head.")
    return done


def judge_moments(
    name: str,
    avatar: Avatar,
    moments: Iterable[Moment | None],
    renderers: dict[str, MakeRenderer],
    make_measure: Callable[[], MeasureMesh] = face_mesher,
    sheets: Path | None = None,
    kept: Collection[int] = (),
    apart: int = 1,
) -> Reenacted:
    """Draw every moment with every renderer and judge what comes out.

    Args:
        name: Of the clip.
        avatar: Whom to draw.
        moments: In order; None for a frame in which no face was found.
        renderers: By name, see ``pick_renderers``.
        make_measure: Gives a mesh function that has seen nothing yet.
        sheets: Folder for pictures of the truth beside what was drawn, if any are wanted.
        kept: Numbers of the frames of which to write one.
        apart: Frames from which on another frame counts as another moment, see ``own_frames``.

    Raises:
        OutputError: A sheet cannot be written.
    """
    unit, drawn = unit_px(avatar), {renderer: make(avatar) for renderer, make in renderers.items()}
    again = {renderer: make_measure() for renderer in renderers}
    tallies = {renderer: (Tally(), Tally()) for renderer in renderers}
    recent: dict[str, list[Picture]] = {renderer: [] for renderer in ("", *renderers)}
    counts, missing, pending = [0, 0], 0, (0, slice(0), slice(0))
    lost, own = dict.fromkeys(renderers, 0), OwnFrames(apart)
    for moment in moments:
        if moment is None or not moment.follows:
            recent = {renderer: [] for renderer in recent}
        if moment is None:
            missing += 1
            continue
        state = int(look.opening(moment.points, unit) < OPEN_FU)
        counts[state] += 1
        if state == 0:
            own.add(moment.index, moment.truth, moment.points, unit)
        driven, truth = moment.driven, Truth.of(moment.truth, moment.points, moment.measured)
        pictures = {key: one.render(driven.landmarks, driven.pose, driven.gaze) for key, one in drawn.items()}
        grey = {"": truth.grey, **{key: look.grey_of(picture) for key, picture in pictures.items()}}
        for key, seen in recent.items():
            seen.append(grey[key])
            del seen[:-3]
        for key, picture in pictures.items():
            found = again[key](picture)
            lost[key] += found is None
            judge(tallies[key][state], truth, picture, grey[key], None if found is None else ibug68(found)[:, :2])
            if len(recent[""]) == 3:
                # Of the middle frame, whose state and face these are.
                middle, rows, columns = pending
                both = [flicker(*(one[rows, columns] for one in recent[each])) for each in (key, "")]
                tallies[key][middle].ratio("flicker_ratio", *both)
        pending = (state, *truth.face_window)
        if sheets is not None and moment.index in kept:
            _write_sheet(sheets / f"{moment.index:05d}.png", [moment.truth, *pictures.values()])
    opened, closed = ({key: tally[state].figures() for key, tally in tallies.items()} for state in (0, 1))
    return Reenacted(name, counts[0], counts[1], missing, lost, opened, closed, own.figures())


def _moments(
    clip: FramedClip, every: int, make_measure: Callable[[], MeasureMesh], progress: Progress | None
) -> Iterator[Moment | None]:
    """What a filmed clip's own measured landmarks drive."""
    drive = Drive(clip.avatar, _portrait_mesh(clip, make_measure()))
    measure = make_measure()
    for index, truth in _sampled(clip, every, progress):
        mesh = measure(truth)
        if mesh is None:
            yield None
            continue
        points = np.asarray(ibug68(mesh)[:, :2], np.float64)
        yield Moment(index, truth, points, points, drive.step(mesh))


def mean_figures(clips: Sequence[dict[str, Figures]]) -> dict[str, Figures]:
    """By renderer the mean of each figure over the clips that have it; None where none has."""
    means: dict[str, Figures] = {}
    for name in clips[0]:
        means[name] = {}
        for figure in clips[0][name]:
            values = [value for clip in clips if (value := clip[name][figure]) is not None]
            means[name][figure] = float(np.mean(values)) if values else None
    return means


def reenact_json(results: Sequence[Reenacted], skipped: Sequence[str], every: int) -> dict[str, Any]:
    """The machine-readable report."""

    def rounded(figures: dict[str, Figures]) -> dict[str, Figures]:
        return {
            name: {key: None if value is None else round(value, 5) for key, value in row.items()}
            for name, row in figures.items()
        }

    return {
        "renderers": rounded(mean_figures([result.opened for result in results])),
        "closed": rounded(mean_figures([result.closed for result in results])),
        "own_frames": rounded(mean_figures([result.own for result in results])),
        "clips": [
            {
                "name": result.name,
                "open_frames": result.open_frames,
                "closed_frames": result.closed_frames,
                "missing_faces": result.missing,
                "lost_faces": result.lost,
                "renderers": rounded(result.opened),
                "closed": rounded(result.closed),
                "own_frames": rounded(result.own),
            }
            for result in results
        ],
        "open_from_fu": OPEN_FU,
        "every": every,
        "skipped": list(skipped),
    }


def _write_sheet(target: Path, pictures: Sequence[Picture]) -> None:
    try:
        target.write_bytes(encode_png(np.concatenate(pictures, axis=1)))
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}.") from error


def _of_all(progress: Progress | None, number: int, clips: int) -> Progress | None:
    """Counts one clip's pictures on from those before it, so that what is shown only goes forward."""
    if progress is None:
        return None
    return lambda done, total: progress(number * (total or 0) + done, clips * (total or 0) or None)


def _portrait_mesh(clip: FramedClip, measure: MeasureMesh) -> Mesh:
    """The mesh of the frame that the avatar is of."""
    nearest = round(clip.portrait_s * clip.fps)
    for index, (_, picture) in enumerate(read_pictures(clip.reference)):
        mesh = measure(picture)
        if index >= nearest and mesh is not None:
            return mesh
        if index >= nearest:
            break
    raise InputError(f"No face is found in the portrait's picture of {clip.reference}; give a clearer clip.")


def _sampled(clip: FramedClip, every: int, progress: Progress | None) -> Iterator[tuple[int, Picture]]:
    for index, (_, picture) in enumerate(read_pictures(clip.reference)):
        if index % every == 0:
            yield index, picture
        if progress is not None:
            progress(index + 1, clip.pictures)
