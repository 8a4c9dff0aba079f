"""The standing quality gate: what ships, measured again and held against the figures committed here."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import lipsync
from benchmarks.quality.methods import ENGINE, compare_methods
from engine.artefacts.bundle import load_bundle
from engine.errors import InputError
from models.spec import MAX_LOOKAHEAD


@dataclass(frozen=True)
class Figure:
    """A figure that must not get worse.

    Attributes:
        value: Mean over the clips, as committed.
        noise: By how much it may be worse without meaning anything: what another seed of the head's motion did to two
            of the clips, scaled to seven and rounded up, and no less than what encoders and rounding make of it.
        higher: Whether more is better.
    """

    value: float
    noise: float
    higher: bool = False


CLIPS: Final = ("talk_3", "talk_5", "talk_7", "talk_9", "talk_l2", "talk_l3", "talk_l5")
"""The figures are means over these clips of the project's evaluation data. The eighth begins with a blink, so its
portrait would be of another instant than its first picture."""
COMMITTED: Final[Mapping[str, Figure]] = {
    "motion_r0": Figure(0.530, 0.010, higher=True),
    "cpbd": Figure(0.275, 0.005, higher=True),
    "lmd": Figure(6.089, 0.150),
    "dl_percent": Figure(11.988, 0.300),
    "dv_percent": Figure(1.355, 0.020),
    "da_percent": Figure(16.000, 0.400),
    "sld": Figure(7.910, 0.400),
    "slv": Figure(1.169, 0.020),
    "smd": Figure(5.680, 0.150),
    "lipsync_r0": Figure(0.502, 0.015, higher=True),
}


@dataclass(frozen=True)
class Verdict:
    """A figure against its committed value.

    Attributes:
        name: Of the figure.
        committed: What was committed.
        now: What was measured.
        worse: Whether it is worse beyond the noise.
    """

    name: str
    committed: Figure
    now: float
    worse: bool


def measure(
    clips: Path, cache: Path | None = None, seed: int = 0, say: Callable[[str], None] = lambda text: None
) -> dict[str, float]:
    """Measure what ships on filmed clips: lip sync of the motion, and every figure of the rendered clips.

    Args:
        clips: Folder of talking heads with sound.
        cache: Folder for landmarks.
        seed: Of the head's motion.
        say: Told what is being done.

    Raises:
        InputError: The clips are missing or cannot be used.
        MissingExtraError: The face models are not there and cannot be fetched.
    """
    found = [path for path in lipsync.find_clips(clips) if path.stem in CLIPS]
    if len(found) != len(CLIPS):
        missing = sorted(set(CLIPS) - {path.stem for path in found})
        raise InputError(f"The committed figures are of clips that {clips} does not hold: {', '.join(missing)}.")
    bundle = load_bundle(None)
    r = []
    for path in found:
        say(f"{path.stem}: lip sync of the motion")
        clip = lipsync.measure_clip(path)
        r.append(lipsync.score(lipsync.predict_opening(bundle, clip, MAX_LOOKAHEAD), clip.opening, clip.fps).r0)
    with tempfile.TemporaryDirectory(prefix="mien-quality-") as out:
        rows, skipped = compare_methods(clips, Path(out), cache=cache, only=ENGINE, names=CLIPS, seed=seed, say=say)
    if skipped:
        raise InputError(f"The committed figures are of all clips. {' '.join(skipped)}")
    figures = asdict(rows[-1].mean)
    return {"motion_r0": float(np.mean(r)), **{name: float(value) for name, value in figures.items()}}


def judge(now: Mapping[str, float], committed: Mapping[str, Figure] = COMMITTED) -> list[Verdict]:
    """Hold measured figures against the committed ones; what is not committed is left out.

    Raises:
        KeyError: A committed figure was not measured.
    """
    verdicts = []
    for name, figure in committed.items():
        lost = figure.value - now[name] if figure.higher else now[name] - figure.value
        # A figure that is not a number is worse than any.
        verdicts.append(Verdict(name, figure, now[name], not lost <= figure.noise))
    return verdicts
