"""From what a user calls a style to the style, and motion in it from a recording's first frame on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle
from engine.artefacts.style import Style, load_style
from engine.backend_onnx import OnnxNetwork
from engine.backends.opening import NetworkOpener
from engine.errors import ArtefactError, ConfigError
from engine.pipeline import MotionFrame, Pipeline, PipelineState
from engine.stages.style_mix import MAX_INTENSITY, NO_STYLE, Steering
from engine.styles import open_style
from streaming.avatars import AVATARS

STYLES: Final = AVATARS.parent / "styles"
PLAIN: Final = "none"
"""The name of no style: to move as the bundle was taught."""


def shipped_styles(folder: Path = STYLES) -> dict[str, Path]:
    """The styles that ship, by name."""
    return {path.stem: path for path in sorted(folder.glob("*.style")) if path.stem != PLAIN}


def resolve_style(wanted: str | Path, folder: Path = STYLES) -> Style | None:
    """Load the style that the user named.

    Args:
        wanted: A shipped style's name, ``none``, or the path of a ``.style`` file or of a style's folder.
        folder: Where the shipped styles lie.

    Returns:
        The style; None for ``none``.

    Raises:
        ArtefactError: There is no such style, or it is damaged.
    """
    if str(wanted) == PLAIN:
        return None
    shipped = shipped_styles(folder)
    if str(wanted) in shipped:
        return load_style(shipped[str(wanted)])
    try:
        exists = Path(wanted).exists()
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{str(wanted)!r} cannot name a style.") from error
    if not exists:
        names = ", ".join([PLAIN, *shipped])
        raise ArtefactError(f"There is no style {str(wanted)!r}: give a shipped one ({names}) or a .style file.")
    return load_style(Path(wanted))


def steer(style: Style | None, bundle: Bundle, intensity: float = 1.0, opened: NetworkOpener = OnnxNetwork) -> Steering:
    """What a pipeline is told so that it moves in a style.

    Args:
        style: How to move.
        bundle: The pipeline's.
        intensity: Of the style, 0 to 1.5.
        opened: Opens its networks where the pipeline's are.

    Raises:
        ArtefactError: The style belongs to another bundle, or cannot be run.
        ConfigError: The intensity is not 0 to 1.5.
    """
    if not 0 <= intensity <= MAX_INTENSITY:
        raise ConfigError(f"The intensity of a style is 0 to {MAX_INTENSITY:g}, not {intensity}.")
    if style is None:
        return NO_STYLE
    return replace(NO_STYLE.wearing(open_style(style, bundle, opened)), intensity=intensity)


@dataclass(frozen=True)
class StyledPipeline:
    """A pipeline that is steered the same way in every block.

    Attributes:
        pipeline: The signal path.
        steering: As from ``steer``.
    """

    pipeline: Pipeline
    steering: Steering

    def init_state(self) -> Any:
        """As of the pipeline."""
        return self.pipeline.init_state()

    def step(self, block: NDArray[np.float32], state: PipelineState) -> tuple[list[MotionFrame], PipelineState]:
        """As of the pipeline, in the style."""
        return self.pipeline.step(block, state, self.steering)

    def flush(self, state: PipelineState) -> list[MotionFrame]:
        """As of the pipeline, in the style."""
        return self.pipeline.flush(state, self.steering)
