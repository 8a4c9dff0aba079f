"""Do the styles that ship move as the people they were learned from, on clips and sound that were kept out?

A folder of reference clips, one a style (``ballad.mp4`` ...), that no style was learned from. Each avatar speaks the
sound of a style's reference, once in the style and once as the bundle was taught, and both are held against the
reference by SLD, SLV and SMD (equations 14 to 16); the lips are held against the reference's, by the correlation of
``mien evaluate lipsync``. Then the test of the nearest style: many clips in all styles, each of which should lie
nearest to the reference of its own.

By default the engine's landmarks go straight through each avatar's camera. ``render`` draws the clips instead, and
finds the landmarks in the pictures. References are always clips, whose landmarks are found in their pictures.

Two faces differ by more than two manners do: a person's features alone leave an SLD of 2 to 3 % and an SMD of 2 to 3 px
that no style can take away. So each comparison is made twice: with the reference as it is, and with the reference's
pose and expression on the avatar's own landmarks (equation 6), which is the manner alone.

The three figures have no common size, and each has another size for each reference: a singer who hardly moves lies
near to everybody in velocity, one whose features are nobody's lies far from all. So in the test of the nearest style
each figure counts by what the clips of the other styles score against that reference, which depends on no clip that
is judged; the distance is the mean of the three.

A face model's landmarks tremble: on a rendered clip whose motion is known, half of the velocity was that. So landmarks
of both sides go through one Gaussian of 33 ms before they are compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from benchmarks.lipsync import score
from benchmarks.quality.face_metrics import lip_openings
from benchmarks.quality.style_drive import Drive
from benchmarks.quality.style_metrics import StyleScores, register_framing, style_scores
from benchmarks.quality.tracks import FaceTrack, Progress, load_track, read_sound
from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import load_bundle
from engine.artefacts.style import Style, load_style
from engine.backend_onnx import open_networks
from engine.errors import InputError
from engine.pipeline import open_manifold
from engine.rotation import rotation_matrix
from engine.stages.style_mix import NO_STYLE, Steering
from models.spec import MOTION_HZ, POSE_DIM
from streaming.avatars import resolve_avatar
from streaming.render import FRAME_RATES, render_file
from streaming.styles import STYLES, shipped_styles, steer

NEUTRAL: Final = "neutral"
FIGURES: Final = ("sld", "slv", "smd")
LEAST_GAIN: Final = 0.20
"""Share by which each figure must lie below neutral's."""
MOST_SYNC_LOST: Final = 0.05
LEAST_RIGHT: Final = 36
"""Of 40 clips."""
TREMBLE_S: Final = 1 / 30
"""Deviation of the Gaussian."""
_VIDEO: Final = (".mp4", ".mov", ".mkv", ".webm")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Reference:
    """A clip that shows a style.

    Attributes:
        name: Of the style.
        path: The clip.
        track: Its landmarks.
        samples: float32 (n,), its sound, 16 kHz mono.
        motion: float32 (pictures, 68, 3) fu against the person at rest, and float32 (pictures, 6) of the head; None
            where it could not be measured.
    """

    name: str
    path: Path
    track: FaceTrack
    samples: NDArray[np.float32]
    motion: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def on(self, avatar: Avatar) -> NDArray[np.float32] | None:
        """Landmarks (pictures, 68, 2) px of an avatar that does what this person does (eq. 6)."""
        if self.motion is None:
            return None
        face = avatar.template + self.motion[0]
        turned = np.stack(
            [points @ rotation_matrix(p[:3]).T + p[3:] for points, p in zip(face, self.motion[1], strict=True)]
        )
        return np.asarray(avatar.project(turned.astype(np.float32)), np.float32)


@dataclass(frozen=True)
class StyleRow:
    """One style on one avatar, both against the style's reference.

    Attributes:
        style: Its name.
        avatar: Its name.
        neutral: Scores without the style.
        styled: Scores in the style.
        sync_neutral: Correlation of lip openings without the style.
        sync_styled: The same in the style.
        own_neutral: As ``neutral``, against the reference's motion on the avatar's own landmarks; None without.
        own_styled: Likewise.
    """

    style: str
    avatar: str
    neutral: StyleScores
    styled: StyleScores
    sync_neutral: float
    sync_styled: float
    own_neutral: StyleScores | None = None
    own_styled: StyleScores | None = None


@dataclass(frozen=True)
class Guess:
    """A clip of the test of the nearest style.

    Attributes:
        style: In which it was made.
        avatar: On whom.
        seed: Of head and eyes.
        distances: To each reference, no unit, 1 for what lies as far from it as the references of other styles do.
        nearest: The reference that it lies nearest to.
        nearest_manner: The same by the manner alone; None where the references' motion is not known.
    """

    style: str
    avatar: str
    seed: int
    distances: dict[str, float]
    nearest: str
    nearest_manner: str | None = None


@dataclass(frozen=True)
class StylesResult:
    """All that was measured.

    Attributes:
        rows: Styles against neutral.
        guesses: The test of the nearest style.
        skipped: Sentences about what could not be measured.
    """

    rows: tuple[StyleRow, ...]
    guesses: tuple[Guess, ...]
    skipped: tuple[str, ...]

    def mean(self, style: str) -> dict[str, float]:
        """A style's figures, mean over avatars."""
        own = [row for row in self.rows if row.style == style]
        figures = {f"{figure}_neutral": fmean(getattr(row.neutral, figure) for row in own) for figure in FIGURES}
        figures |= {figure: fmean(getattr(row.styled, figure) for row in own) for figure in FIGURES}
        faces = [(row.own_neutral, row.own_styled) for row in own if row.own_neutral and row.own_styled]
        if faces:
            for figure in FIGURES:
                before, after = (fmean(getattr(pair[which], figure) for pair in faces) for which in (0, 1))
                figures |= {f"own_{figure}_neutral": before, f"own_{figure}": after}
        names = [name for name in figures if f"{name}_neutral" in figures]
        figures |= {f"{name}_gain": 1 - figures[name] / figures[f"{name}_neutral"] for name in names}
        return figures | {
            "sync_neutral": fmean(row.sync_neutral for row in own),
            "sync": fmean(row.sync_styled for row in own),
        }

    @property
    def styles(self) -> list[str]:
        """Of the rows, in order."""
        return list(dict.fromkeys(row.style for row in self.rows))

    @property
    def right(self) -> int:
        """Clips whose nearest style is their own."""
        return sum(guess.nearest == guess.style for guess in self.guesses)

    @property
    def right_manners(self) -> int | None:
        """The same by the manner alone."""
        if not all(guess.nearest_manner for guess in self.guesses):
            return None
        return sum(guess.nearest_manner == guess.style for guess in self.guesses)

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "styles": {name: self.mean(name) for name in self.styles},
            "rows": [asdict(row) for row in self.rows],
            "nearest": {
                "right": self.right,
                "right_manners": self.right_manners,
                "of": len(self.guesses),
                "clips": [asdict(g) for g in self.guesses],
            },
            "skipped": list(self.skipped),
        }


def find_references(folder: Path, styles: Sequence[str]) -> dict[str, Path]:
    """The clips of a folder that are named after styles."""
    clips = sorted(p for p in folder.glob("*") if p.suffix.lower() in _VIDEO) if folder.is_dir() else []
    return {path.stem: path for path in clips if path.stem in styles}


def measure_styles(
    references: Path,
    *,
    styles: Path = STYLES,
    avatars: Sequence[str] = ("ada", "imani", "ravi"),
    bundle: Path | None = None,
    render: Path | None = None,
    nearest: int = 40,
    cache: Path | None = None,
    say: Say = lambda text: None,
    progress: Progress | None = None,
) -> StylesResult:
    """Measure the styles of a folder.

    Args:
        references: Folder of clips named after styles.
        styles: Folder of ``.style`` files.
        avatars: Names that ship, or files.
        bundle: Networks, by default those that ship.
        render: Folder for drawn clips, whose landmarks are then found in the pictures; None measures without drawing.
        nearest: Clips in the test of the nearest style; 0 leaves it out.
        cache: Folder for landmarks.
        say: Told what is being done.
        progress: Called with the pictures of references done.

    Raises:
        InputError: The folder holds no clip of any style, or one that cannot be used.
        ArtefactError: A style or the bundle is damaged.
        MissingExtraError: The face models are not there and cannot be fetched.
        OutputError: The landmark cache or a clip cannot be written.
    """
    shipped = shipped_styles(styles)
    found = find_references(references, (*shipped, NEUTRAL))
    worn = [name for name in shipped if name in found]
    if not worn:
        names = ", ".join(shipped) or "none ship"
        raise InputError(f"{references} holds no clip that is named after a style ({names}), such as ballad.mp4.")
    skipped = [f"{name}: {references} has no clip of it." for name in shipped if name not in found]
    stage = _Stage(bundle, {name: load_style(shipped[name]) for name in worn}, render, cache)
    people = [resolve_avatar(name) for name in avatars]
    held = []
    for name, path in found.items():
        say(f"{name}: landmarks of the reference")
        held.append(_reference(name, path, cache, progress))
    rows = []
    for reference in held:
        for avatar in people if reference.name in worn and reference.name != NEUTRAL else []:
            say(f"{reference.name} on {avatar.name}")
            rows.append(_row(stage, reference, avatar))
    guesses: tuple[Guess, ...] = ()
    if nearest and len(held) > 1:
        say(f"nearest style of {nearest} clips")
        guesses = _guesses(stage, held, people, nearest)
    return StylesResult(tuple(rows), guesses, tuple(skipped))


class _Stage:
    """Drives avatars, in pictures or without."""

    def __init__(self, bundle: Path | None, styles: dict[str, Style], render: Path | None, cache: Path | None) -> None:
        loaded = load_bundle(bundle)
        self._drive = Drive(loaded, open_networks(loaded), open_manifold(loaded))
        self._styles, self._bundle = styles, bundle
        self._worn: dict[str, Steering] = {name: steer(style, loaded) for name, style in styles.items()}
        self._render, self._cache = render, cache

    def play(self, reference: Reference, avatar: Avatar, style: str, seed: int) -> tuple[NDArray[np.float32], float]:
        """Landmarks (pictures, 68, 2) px of an avatar that speaks a reference's sound, and its lip sync with it."""
        fps = reference.track.fps
        count = len(reference.track.times)
        if self._render is None:
            driven = self._drive.run(avatar, reference.samples, self._worn.get(style, NO_STYLE), fps, count, seed)
            points, opening = driven.points, driven.opening
        else:
            points = self._drawn(reference, avatar, style, seed).at(reference.track.times)
            opening = lip_openings(points)
        return points, score(opening, lip_openings(reference.track.points), fps).r0

    def _drawn(self, reference: Reference, avatar: Avatar, style: str, seed: int) -> FaceTrack:
        assert self._render is not None
        target = self._render / f"{reference.name}-{avatar.name}-{style}-{seed}.mp4"
        rate = min(FRAME_RATES, key=lambda fps: abs(fps - reference.track.fps))
        if not target.exists():
            worn = self._styles.get(style)
            render_file(reference.path, avatar, target, fps=rate, seed=seed, bundle=self._bundle, style=worn)
        return load_track(target, self._cache)


def _reference(name: str, path: Path, cache: Path | None, progress: Progress | None) -> Reference:
    samples = read_sound(path)
    if samples is None:
        raise InputError(f"{path} has no sound; a reference's own sound is what the avatars speak.")
    track = load_track(path, cache, progress=progress)
    return Reference(name, path, track, samples, _motion(path, track))


def _motion(path: Path, track: FaceTrack) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """A clip's motion at its pictures; None where torch, which reads references, is not installed."""
    try:
        from training.reference_motion import read_reference
    except ImportError:
        return None
    motion = read_reference(path)
    times = np.arange(len(motion.pose)) / MOTION_HZ
    flat = np.concatenate([motion.displacement.reshape(len(times), -1), motion.pose], axis=1)
    at = np.stack([np.interp(track.times, times, column) for column in flat.T], axis=1).astype(np.float32)
    return at[:, :-POSE_DIM].reshape(len(at), -1, 3), at[:, -POSE_DIM:]


def _row(stage: _Stage, reference: Reference, avatar: Avatar) -> StyleRow:
    made = {style: stage.play(reference, avatar, style, 0) for style in (NEUTRAL, reference.name)}
    (plain, plain_sync), (own, own_sync) = made[NEUTRAL], made[reference.name]
    scored = [_scores(reference, points) for points in (plain, own)]
    same_face = reference.on(avatar)
    on_own = [None if same_face is None else _scores(reference, points, same_face) for points in (plain, own)]
    return StyleRow(reference.name, avatar.name, scored[0], scored[1], plain_sync, own_sync, on_own[0], on_own[1])


def _scores(reference: Reference, points: NDArray[np.float32], model: NDArray[np.float32] | None = None) -> StyleScores:
    shown = reference.track.points if model is None else model
    ours, made = (calmed(track, reference.track.fps) for track in (shown, points))
    return style_scores(ours, register_framing(ours, made))


def calmed(points: NDArray[np.float32], fps: float) -> NDArray[np.float64]:
    """Landmarks (pictures, 68, 2) without a face model's trembling."""
    return np.asarray(gaussian_filter1d(points.astype(np.float64), TREMBLE_S * fps, axis=0, mode="nearest"))


def _guesses(stage: _Stage, held: list[Reference], people: list[Avatar], count: int) -> tuple[Guess, ...]:
    """Clips in all styles by turns, each on the sound of its own reference, on all avatars, with other seeds."""
    makings = [(ref, avatar, seed) for seed in range(count) for avatar in people for ref in held][:count]
    usual, guesses = between(held), []
    for ref, avatar, seed in makings:
        points, _ = stage.play(ref, avatar, ref.name, seed)
        plain = nearness(_figures([_scores(other, points) for other in held]), usual)
        faces = [other.on(avatar) for other in held]
        known = [_scores(other, points, face) for other, face in zip(held, faces, strict=True) if face is not None]
        manner = nearness(_figures(known), usual) if len(known) == len(held) else None
        guesses.append(
            Guess(
                ref.name,
                avatar.name,
                seed,
                {other.name: float(distance) for other, distance in zip(held, plain, strict=True)},
                held[int(plain.argmin())].name,
                None if manner is None else held[int(manner.argmin())].name,
            )
        )
    return tuple(guesses)


def between(held: Sequence[Reference]) -> NDArray[np.float64]:
    """What the clips of the other styles score against each reference on average, (references, 3)."""
    others = [[_scores(one, other.track.points) for other in held if other is not one] for one in held]
    return np.stack([_figures(scores).mean(0) for scores in others])


def nearness(figures: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """One distance from three figures: each over what is usual for the reference, then their mean.

    Args:
        figures: (references, 3).
        usual: (references, 3), as from ``between``.

    Returns:
        (references,).
    """
    return np.asarray((figures / usual).mean(axis=1), np.float64)


def _figures(scores: Sequence[StyleScores]) -> NDArray[np.float64]:
    return np.array([[getattr(each, figure) for figure in FIGURES] for each in scores])
