"""Self-reenactment: a clip's first picture is moved by the clip's own landmarks and compared with the clip.

Nothing is predicted from sound, so what differs from the truth is the renderer's doing. Frames whose mouth is open are
judged apart from those where it is closed (OPEN_FU). See ``reenact_drive`` for what drives, ``reenact_metrics`` for
the regions, and ``FIGURES`` for the definitions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.lipsync import find_clips
from benchmarks.quality import reenact_metrics as look
from benchmarks.quality.framing import FramedClip, frame_clip
from benchmarks.quality.landmark_metrics import mouth_distances
from benchmarks.quality.methods import folder
from benchmarks.quality.picture_metrics import flicker, ssim
from benchmarks.quality.reenact_drive import Drive, unit_px
from benchmarks.quality.sharpness import cpbd
from benchmarks.quality.tps_renderer import TpsRenderer
from benchmarks.quality.tracks import Picture, Progress, read_pictures
from engine.artefacts.avatar import Avatar
from engine.errors import ConfigError, InputError, OutputError
from engine.images import encode_png
from engine.portrait.face_landmarks import FaceTracker
from engine.portrait.face_mesh import ibug68
from engine.renderer.lip_line import PARTED
from engine.renderer.warp import WarpRenderer

OPEN_FU: Final = PARTED
"""Measured inner-lip opening in outer-eye distances from which a frame counts as open; lips that touch give 0.035."""
UNTRAINED: Final = ("lite", "paper")
"""Renderers that the engine will have and that cannot be measured before they are trained."""
FIGURES: Final = {
    "inside_l1": "L1 inside the inner lips of the truth, grey levels 0..255",
    "lip_l1": "L1 on the ring of the lips, grey levels",
    "mouth_l1": "L1 in the mouth crop, grey levels",
    "mouth_ssim": "SSIM of the mouth crop's luma, -1 to 1",
    "sharpness": "mean gradient of the mouth crop over the truth's; 1 is as sharp",
    "eyes_l1": "L1 of both eyes with their lids, grey levels",
    "face_l1": "L1 within the hull of the 68 landmarks, grey levels",
    "lmd": "distance of the re-detected mouth points, about their centroid, from the truth's, px",
    "cpbd_ratio": "CPBD of the face over the truth's",
    "flicker_ratio": "flicker of the face over the truth's, on three sampled frames in a row",
}
HIGHER: Final = ("mouth_ssim",)
_RATIOS: Final = ("sharpness", "cpbd_ratio", "flicker_ratio")

Mesh = NDArray[np.float32]
MeasureMesh = Callable[[Picture], Mesh | None]
"""From a picture to its dense mesh (478, 3) px, None without a face; follows one clip."""
Framer = Callable[[Path, Path, Path, str], FramedClip]
Figures = dict[str, float | None]


class Renderer(Protocol):
    """What is measured: a picture from landmarks (68, 3) fu, pose (6,) and gaze (2,)."""

    def render(
        self, landmarks: NDArray[np.floating[Any]], pose: NDArray[np.floating[Any]], gaze: NDArray[np.floating[Any]]
    ) -> NDArray[np.uint8]:
        """Draw a frame, uint8 (512, 512, 3) RGB."""
        ...


RENDERERS: Final[dict[str, Callable[[Avatar], Renderer]]] = {"warp": WarpRenderer, "tps": TpsRenderer}


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
    """

    name: str
    open_frames: int
    closed_frames: int
    missing: int
    lost: dict[str, int]
    opened: dict[str, Figures]
    closed: dict[str, Figures]


def pick_renderers(names: str) -> dict[str, Callable[[Avatar], Renderer]]:
    """The renderers of a list such as ``tps,warp``, in its order.

    Raises:
        ConfigError: One is unknown or not trained yet, or none is named.
    """
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in chosen if name not in RENDERERS]
    if unknown or not chosen:
        what = f"There is no renderer {unknown[0]!r}" if unknown else "No renderer is named"
        raise ConfigError(
            f"{what}; choose from {', '.join(RENDERERS)} ({' and '.join(UNTRAINED)} are not trained yet)."
        )
    return {name: RENDERERS[name] for name in chosen}


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
    renderers: dict[str, Callable[[Avatar], Renderer]],
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
    renderers: dict[str, Callable[[Avatar], Renderer]],
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
    drive, unit = Drive(clip.avatar, _portrait_mesh(clip, make_measure())), unit_px(clip.avatar)
    drawn = {name: make(clip.avatar) for name, make in renderers.items()}
    measure, again = make_measure(), {name: make_measure() for name in renderers}
    tallies = {name: (_Tally(), _Tally()) for name in renderers}
    recent: dict[str, list[Picture]] = {name: [] for name in ("", *renderers)}
    counts, missing, pending = [0, 0], 0, (0, slice(0), slice(0))
    lost = dict.fromkeys(renderers, 0)
    kept = np.linspace(0, clip.pictures - 1, sheets + 2).astype(int)[1:-1] // every if sheets else ()
    for index, truth in _sampled(clip, every, progress):
        mesh = measure(truth)
        if mesh is None:
            missing += 1
            recent = {name: [] for name in recent}
            continue
        points = np.asarray(ibug68(mesh)[:, :2], np.float64)
        state = int(look.opening(points, unit) < OPEN_FU)
        counts[state] += 1
        driven = drive.step(mesh)
        pictures = {name: one.render(driven.landmarks, driven.pose, driven.gaze) for name, one in drawn.items()}
        truths = _Truth.of(truth, points)
        grey = {"": truths.grey, **{name: look.grey_of(picture) for name, picture in pictures.items()}}
        for name, seen in recent.items():
            seen.append(grey[name])
            del seen[:-3]
        for name, picture in pictures.items():
            found = again[name](picture)
            lost[name] += found is None
            tally = tallies[name][state]
            _judge(tally, truths, picture, grey[name], None if found is None else ibug68(found)[:, :2])
            if len(recent[""]) == 3:
                # Of the middle frame, whose state and face these are.
                middle, rows, columns = pending
                both = [flicker(*(one[rows, columns] for one in recent[key])) for key in (name, "")]
                tallies[name][middle].ratio("flicker_ratio", *both)
        pending = (state, *truths.face_window)
        if sheet_folder is not None and index // every in kept:
            _write_sheet(folder(sheet_folder, clip.name) / f"{index:05d}.png", [truth, *pictures.values()])
    if not sum(counts):
        raise InputError(f"No face is found in any picture of {clip.reference}; give a clip of a talking head.")
    opened, closed = ({name: tally[state].figures() for name, tally in tallies.items()} for state in (0, 1))
    return Reenacted(clip.name, counts[0], counts[1], missing, lost, opened, closed)


def mean_figures(clips: Sequence[dict[str, Figures]]) -> dict[str, Figures]:
    """By renderer the mean of each figure over the clips that have it; None where none has."""
    means: dict[str, Figures] = {}
    for name in clips[0]:
        means[name] = {}
        for figure in FIGURES:
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
        "clips": [
            {
                "name": result.name,
                "open_frames": result.open_frames,
                "closed_frames": result.closed_frames,
                "missing_faces": result.missing,
                "lost_faces": result.lost,
                "renderers": rounded(result.opened),
                "closed": rounded(result.closed),
            }
            for result in results
        ],
        "open_from_fu": OPEN_FU,
        "every": every,
        "skipped": list(skipped),
    }


@dataclass
class _Tally:
    """Sums of one renderer's figures; ratios are of sums, so that a flat frame does not weigh more than others."""

    values: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    truths: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _RATIOS})

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.values[name].append(value)

    def ratio(self, name: str, drawn: float, truth: float) -> None:
        self.values[name].append(drawn)
        self.truths[name].append(truth)

    def figures(self) -> Figures:
        figures: Figures = {}
        for name, values in self.values.items():
            below = float(np.mean(self.truths[name])) if self.truths.get(name) else 1.0
            figures[name] = float(np.mean(values)) / below if values and below > 0 else None
        return figures


@dataclass(frozen=True)
class _Truth:
    """A filmed frame and where it is looked at."""

    picture: Picture
    grey: Picture
    points: NDArray[np.float64]
    masks: dict[str, look.Mask]
    mouth: look.Window
    face_window: look.Window

    @classmethod
    def of(cls, picture: Picture, points: NDArray[np.float64]) -> "_Truth":
        shape = (picture.shape[0], picture.shape[1])
        masks = {
            "inside_l1": look.inside_mask(points, shape),
            "lip_l1": look.lip_mask(points, shape),
            "eyes_l1": look.eyes_mask(points, shape),
            "face_l1": look.face_mask(points, shape),
        }
        windows = look.mouth_window(points, shape), look.face_window(points, shape)
        return cls(picture, look.grey_of(picture), points, masks, *windows)


def _judge(
    tally: _Tally, truth: _Truth, picture: Picture, grey: Picture, found: NDArray[np.floating[Any]] | None
) -> None:
    """Count one drawn frame; ``found`` are its re-detected landmarks (68, 2) px, if any."""
    for name, mask in truth.masks.items():
        tally.add(name, look.l1(truth.picture, picture, mask))
    mouth, face = truth.mouth, truth.face_window
    tally.add("mouth_l1", look.l1(truth.picture[mouth], picture[mouth]))
    tally.add("mouth_ssim", ssim(truth.grey[mouth], grey[mouth]))
    tally.ratio("sharpness", look.gradient(grey[mouth]), look.gradient(truth.grey[mouth]))
    tally.ratio("cpbd_ratio", cpbd(grey[face]), cpbd(truth.grey[face]))
    if found is not None:
        tally.add("lmd", float(mouth_distances(truth.points[None], found[None])[0]))


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
