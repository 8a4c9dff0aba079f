"""The same clips by several methods: a still picture, a mouth driven by loudness, this engine.

Every method gets the first picture and the sound of a filmed clip, and is measured against the clip in the same
framing. A still picture is the least that anybody can do; a mouth that follows the RMS is the usual cheap trick. Both
hold head and eyes, which no sound foretells, as the clip begins: so the engine is measured that way as well, where only
what the sound says moves, and with its head held but its eyes alive, and as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.lipsync import find_clips
from benchmarks.quality.folder import mean_scores
from benchmarks.quality.framing import FramedClip, frame_clip, read_heard
from benchmarks.quality.pair import PairResult, Scores, evaluate_pair
from benchmarks.quality.tracks import Progress, read_sound
from engine.artefacts.bundle import Bundle, load_bundle
from engine.artefacts.picture_network import PRESETS
from engine.errors import InputError, MienError, OutputError
from engine.renderer.warp import WarpRenderer
from engine.stages.geometry import Geometry, GeometryInput
from models.spec import MAX_LOOKAHEAD, MOTION_POINT_COUNT, MOTION_POINTS, POSE_DIM, SAMPLE_HZ
from streaming.media_out import Mp4Writer
from streaming.render import FRAME_RATES, render_file

ENGINE: Final = "this engine, warp"
HELD: Final = {"": (1.0, True), ", head still": (0.0, True), ", head and eyes still": (0.0, False)}
"""What a row of the engine holds, by what its name says: the factor on the head's motion, and whether the eyes live."""
RMS_OPENING_FU: Final = 0.15
"""How far the lower lip falls where the sound is as loud as its 95th percentile."""
_LOWER_LIP: Final = (55, 56, 57, 58, 59, 65, 66, 67)
_SMOOTHING_S: Final = 0.05

Draw = Callable[[FramedClip, Path], None]
"""Makes the clip that a method shows for a framed clip."""


@dataclass(frozen=True)
class MethodRow:
    """A method's figures.

    Attributes:
        method: Its name.
        mean: Over the clips.
        results: For each clip.
    """

    method: str
    mean: Scores
    results: tuple[PairResult, ...]


def compare_methods(
    clips: Path,
    out: Path,
    *,
    bundle: Path | None = None,
    lookahead: int = MAX_LOOKAHEAD,
    cache: Path | None = None,
    pictures: bool = False,
    only: str | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> tuple[list[MethodRow], list[str]]:
    """Measure the methods on a folder of filmed clips.

    Args:
        clips: Folder of talking heads with sound.
        out: Folder for the clips made; what is there already is not made again.
        bundle: Networks of the engine, by default those that ship.
        lookahead: Of the engine, in frames of 1/60 s.
        cache: Folder for landmarks.
        pictures: Also measure what needs both clips' pictures (PSNR, SSIM, worst frames).
        only: One of the methods, instead of all.
        names: Of the clips to measure, without suffix; all by default.
        seed: Of the engine's head motion.
        say: Told what is being done.
        progress: Called with the pictures done of each clip.

    Returns:
        A row for each method, ground truth first, and a sentence for each clip that could not be used.

    Raises:
        InputError: No clip could be used.
        MienError: The networks or the face models are not there, or nothing can be written.
    """
    loaded = load_bundle(bundle)
    draws: dict[str, Draw] = {
        "still picture": draw_still,
        "RMS-driven mouth": lambda clip, target: draw_rms(clip, target, loaded),
    }
    for renderer in ("warp", *(name for name in PRESETS if name in loaded.renderers)):
        for held, (head_motion, eyes) in HELD.items():
            draws[f"this engine, {renderer}{held}"] = _engine(bundle, lookahead, seed, renderer, head_motion, eyes)
    draws = {method: draw for method, draw in draws.items() if only in (None, method)}
    results: dict[str, list[PairResult]] = {"ground truth": [], **{method: [] for method in draws}}
    skipped = []
    for path in find_clips(clips):
        if names is not None and path.stem not in names:
            continue
        say(f"{path.stem}: framing")
        try:
            clip = frame_clip(path, path, folder(out, "reference") / f"{path.stem}.mp4", path.stem)
        except InputError as error:
            skipped.append(f"{path.name} is left out: {error}")
            continue
        if clip.portrait_s > 0:
            say(f"{path.stem}: no portrait can be made of its first picture; it is the one at {clip.portrait_s:.2f} s")
        made = {"ground truth": clip.reference}
        for method, draw in draws.items():
            made[method] = folder(out, method.replace(" ", "-").replace(",", "")) / f"{path.stem}.mp4"
            if not made[method].exists():
                say(f"{path.stem}: {method}")
                draw(clip, made[method])
        for method, target in made.items():
            say(f"{path.stem}: measuring {method}")
            judged = pictures and method != "ground truth"
            results[method].append(
                evaluate_pair(clip.reference, target, name=path.stem, cache=cache, pictures=judged, progress=progress)
            )
    if not results["ground truth"]:
        raise InputError(f"No clip of {clips} can be used. {' '.join(skipped)}")
    return [MethodRow(method, mean_scores(of), tuple(of)) for method, of in results.items()], skipped


def folder(out: Path, name: str) -> Path:
    """A folder that exists.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {out / name}: {error.strerror or error}.") from error
    return out / name


def draw_still(clip: FramedClip, target: Path) -> None:
    """The portrait, for as long as the clip lasts."""
    share = clip.avatar.matte[..., None].astype(np.float32) / 255
    still = np.rint(clip.avatar.image * share + clip.avatar.plate * (1 - share)).astype(np.uint8)
    _write(clip, target, lambda _: still)


def draw_rms(clip: FramedClip, target: Path, bundle: Bundle) -> None:
    """The portrait with a lower lip and jaw that fall with the loudness of the sound; head and eyes are still."""
    geometry = Geometry(clip.avatar.template, bundle.completion)
    renderer = WarpRenderer(clip.avatar)
    loudness = rms_opening(_speech(clip), clip.pictures, clip.fps)
    lower = np.array(_LOWER_LIP) - MOTION_POINTS.start
    rest = np.zeros(POSE_DIM, np.float32)

    def picture(index: int) -> NDArray[np.uint8]:
        displacement = np.zeros((MOTION_POINT_COUNT, 3), np.float32)
        displacement[lower, 1] = RMS_OPENING_FU * loudness[index]
        face, _ = geometry.step(GeometryInput(displacement, 1.0, 0.0, rest), geometry.init_state())
        return renderer.render(face.landmarks, rest, np.zeros(2, np.float32), rest)

    _write(clip, target, picture)


def draw_engine(
    clip: FramedClip,
    target: Path,
    bundle: Path | None,
    lookahead: int,
    seed: int = 0,
    renderer: str | None = None,
    head_motion: float = 1.0,
    eyes: bool = True,
) -> None:
    """What ``mien render`` makes of the portrait and the sound, at the engine's rate nearest to the clip's."""
    render_file(
        clip.reference,
        clip.avatar,
        target,
        fps=min(FRAME_RATES, key=lambda rate: abs(rate - clip.fps)),
        lookahead=lookahead,
        seed=seed,
        bundle=bundle,
        renderer=renderer,
        head_motion=head_motion,
        eyes=eyes,
    )


def _engine(bundle: Path | None, lookahead: int, seed: int, renderer: str, head_motion: float, eyes: bool) -> Draw:
    return lambda clip, target: draw_engine(clip, target, bundle, lookahead, seed, renderer, head_motion, eyes)


def rms_opening(samples: NDArray[np.float32], pictures: int, fps: int) -> NDArray[np.float64]:
    """Loudness at each picture, 0 to 1.5: RMS over 50 ms against its 95th percentile in the clip (pictures,)."""
    half = round(_SMOOTHING_S * SAMPLE_HZ / 2)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(pictures) * SAMPLE_HZ // fps
    begin, end = (np.clip(centres + shift, 0, len(samples)) for shift in (-half, half))
    rms = np.sqrt((energy[end] - energy[begin]).clip(0) / (2 * half))
    return np.asarray(np.minimum(rms / max(float(np.percentile(rms, 95)), 1e-6), 1.5))


def _write(clip: FramedClip, target: Path, picture: Callable[[int], NDArray[np.uint8]]) -> None:
    heard = read_heard(clip.reference)
    with Mp4Writer(target, fps=clip.fps, channels=heard.shape[0]) as writer:
        for index in range(clip.pictures):
            writer.write_frame(picture(index))
        writer.write_sound(heard)
        writer.finish()


def _speech(clip: FramedClip) -> NDArray[np.float32]:
    samples = read_sound(clip.reference)
    if samples is None:
        raise MienError(f"{clip.reference} has lost its sound; delete it and run again.")
    return samples


def best_of(rows: Sequence[MethodRow], figure: str, *, higher: bool = False) -> str:
    """The method (not the ground truth) with the best mean of a figure."""
    contest = [row for row in rows if row.method != "ground truth"]
    key: Callable[[MethodRow], float] = lambda row: float(getattr(row.mean, figure))  # noqa: E731
    return (max if higher else min)(contest, key=key).method
