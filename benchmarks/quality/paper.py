"""The paper's own figures (arXiv 2303.09799, Tables 2 and 3), and when ours may be laid beside them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class PaperTable:
    """A table as printed.

    Attributes:
        title: What it shows.
        figures: Names of the columns, as in ``benchmarks.quality.pair.Scores``.
        rows: Method and its figures.
    """

    title: str
    figures: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


TABLE_2: Final = PaperTable(
    "Table 2: 2D talking head generation",
    ("cpbd", "lmd", "dl_percent", "dv_percent", "da_percent"),
    (
        ("paper: ground truth", (0.28, 0.00, 0.00, 0.00, 0.00)),
        ("paper: MIT", (0.18, 2.28, 2.78, 0.88, 14.52)),
        ("paper: PCT", (0.09, 3.22, 3.27, 0.86, 36.84)),
        ("paper: LSP", (0.20, 3.29, 5.43, 0.85, 30.65)),
        ("paper: AD-NERF", (0.21, 2.43, 2.67, 0.85, 13.34)),
        ("paper: theirs", (0.26, 1.83, 2.65, 0.83, 10.53)),
    ),
)
TABLE_3: Final = PaperTable(
    "Table 3: style",
    ("sld", "slv", "smd"),
    (
        ("paper: MIT", (3.00, 0.94, 5.03)),
        ("paper: PCT", (3.58, 0.93, 7.28)),
        ("paper: LSP", (5.40, 0.91, 6.89)),
        ("paper: AD-NERF", (4.69, 0.92, 5.48)),
        ("paper: theirs", (2.84, 0.89, 4.26)),
    ),
)


def conditions(name: str, fps: int, clips: int, skipped: int) -> list[str]:
    """Sentences on what must hold for our rows to be compared with the paper's.

    Args:
        name: The set: ``ravdess``, ``voxceleb2`` or ``obama``.
        fps: Of the clips compared.
        clips: How many were measured.
        skipped: How many could not be.
    """
    sentences = []
    if name != "ravdess":
        sentences.append("The paper's tables are of RAVDESS; of this set it gives no figures, so only trends compare.")
    sentences.append(
        f"{clips} clips were measured, {skipped} left out; the paper does not say which clips of the set it used, nor "
        "how many."
    )
    if fps != 60:
        sentences.append(f"D-V and SLV are per frame: ours at {fps} fps compare with the paper's 60 fps only at 60.")
    else:
        sentences.append("Clips filmed at a lower rate repeat pictures at 60 fps, which D-V and SLV see as jumps.")
    sentences.append(
        "Landmarks: ours are 68 points of a face mesh, the paper's those of an internal tracker; distances carry the "
        "tracker's own habits."
    )
    sentences.append(
        "Head motion is generated, not copied: D-L and D-V hold a free head against one film, as the paper's do."
    )
    sentences.append(
        "SLD, SLV and SMD follow equations 14 to 16 after one scale and shift a clip; the published script departs "
        "from the equations."
    )
    return sentences
