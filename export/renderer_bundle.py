"""A trained image generator into a bundle that is there already."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle, default_bundle, save_bundle
from engine.artefacts.picture_network import PATTERNS_SHAPE, PRESETS, PictureNetwork, check_patterns
from engine.errors import ArtefactError, ConfigError
from export.picture_frames import Frame, drawn_frames, read_portraits
from export.renderer import Generator, PicturePrecision, export_generator, load_generator, picture_network
from export.renderer_parity import PictureParity, measure_picture_parity

FRAMES_EACH = 16
"""Of every portrait; as many again, of other faces, are compared."""


@dataclass(frozen=True)
class RendererSettings:
    """How a generator is exported.

    Attributes:
        preset: ``lite`` or ``paper``.
        alignment: What ``paper`` was trained to be given: ``warp`` or ``raw``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        patterns: A .npy of uint8 (12, 256, 256); by default ``isp.npy`` among the checkpoints, or zeros, which say
            that there is no style.
        portraits: Folder of .avatar files; by default those that ship.
        better: Whether it draws better than the geometric renderer.
        provenance: What to note.
    """

    preset: str = "lite"
    alignment: str = "warp"
    precision: str = "fp32"
    patterns: Path | None = None
    portraits: Path | None = None
    better: bool = False
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        for name, value, known in (
            ("preset", self.preset, PRESETS),
            ("alignment", self.alignment, ("warp", "raw")),
            ("precision", self.precision, get_args(PicturePrecision)),
        ):
            if value not in known:
                raise ConfigError(f"The {name} is one of {', '.join(known)}, not {value!r}.")


def export_renderer(checkpoints: Path, bundle: Bundle, out: Path, settings: RendererSettings) -> PictureParity:
    """Export a generator, put it into ``bundle``, and write that to the folder ``out``.

    Returns:
        How far the graphs stray from torch, on frames that they were not scaled by.

    Raises:
        ArtefactError: A checkpoint, the patterns or the portraits are missing or damaged.
        OutputError: ``out`` cannot be written.
    """
    generator = load_generator(checkpoints, settings.preset, cast(Literal["warp", "raw"], settings.alignment))
    patterns = _patterns(checkpoints, settings.patterns)
    folder = settings.portraits or default_bundle().parent / "avatars"
    # The paper's layers take seconds a frame here, so they are compared on few.
    each = FRAMES_EACH if settings.preset == "lite" else 1
    avatars = read_portraits(folder)
    scaling = drawn_frames(avatars, each, generator.size) if settings.precision == "int8" else []
    network = picture_network(
        settings.preset,
        export_generator(generator),
        patterns,
        precision=cast(PicturePrecision, settings.precision),
        frames=_encoded(generator, patterns, scaling),
        better=settings.better,
        provenance=settings.provenance,
    )
    found = measure_picture_parity(generator, network, drawn_frames(avatars, each, generator.size, seed=1))
    save_bundle(with_renderer(bundle, network), out)
    return found


def with_renderer(bundle: Bundle, network: PictureNetwork) -> Bundle:
    """``bundle`` with ``network`` in place of one of its name."""
    renderers = {**bundle.renderers, network.name: network}
    manifest = bundle.manifest.model_copy(update={"renderers": {name: one.geometry for name, one in renderers.items()}})
    return replace(bundle, manifest=manifest, renderers=renderers)


def _encoded(
    generator: Generator, patterns: NDArray[np.uint8], frames: list[Frame]
) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Frames with what is static of them in place of the source."""
    told, encoded = torch.from_numpy(patterns)[None].float() / 255, []
    for dynamic, source in frames:
        with torch.inference_mode():
            static = generator.encode(torch.from_numpy(source)[None].float() / 255, told)
        encoded.append((dynamic, static[0].numpy()))
    return encoded


def _patterns(checkpoints: Path, file: Path | None) -> NDArray[np.uint8]:
    beside = checkpoints / "isp.npy"
    if file is None and not beside.exists():
        return np.zeros(PATTERNS_SHAPE, np.uint8)
    try:
        patterns = np.load(file or beside, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtefactError(f"{file or beside} is missing or no .npy file of style patterns.") from error
    check_patterns(patterns)
    return cast(NDArray[np.uint8], patterns)
