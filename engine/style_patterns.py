"""Draws a style's Intermediate Style Patterns from its reference images (paper, section 4.2)."""

from dataclasses import replace

import numpy as np

from engine.artefacts.bundle import Bundle
from engine.artefacts.picture_network import PATTERNS_SHAPE
from engine.artefacts.style import PATTERN_SIZE, PATTERNS, Style
from engine.backend_onnx import draw_patterns
from engine.errors import ArtefactError


def with_patterns(style: Style, bundle: Bundle, *, threads: int = 1) -> Style:
    """``style`` with the four patterns that the bundle's style mapping draws in its manner.

    Args:
        style: With reference images; patterns that it has are replaced.
        bundle: That it was learned on.
        threads: Threads to draw with.

    Raises:
        ArtefactError: The style has no reference images of 256x256 or belongs to another bundle, or the bundle has no
            style mapping or a damaged one.
    """
    style.check_fits(bundle)
    if bundle.style_mapping is None:
        raise ArtefactError(
            f"The bundle {bundle.manifest.name!r} has no style mapping: put one into it with `mien export stylemap`."
        )
    pictures = style.reference_images()
    if len(pictures) != PATTERNS or any(picture.shape != (PATTERN_SIZE, PATTERN_SIZE, 3) for picture in pictures):
        raise ArtefactError(
            f"The style {style.name!r} has no {PATTERNS} reference images of {PATTERN_SIZE}x{PATTERN_SIZE} "
            "to draw patterns from: make it again from its clip with `mien style create`."
        )
    references = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    drawn = draw_patterns(bundle.style_mapping, references, threads=threads)
    assert drawn.shape == PATTERNS_SHAPE
    split = drawn.reshape(PATTERNS, 3, PATTERN_SIZE, PATTERN_SIZE).transpose(0, 2, 3, 1)
    told = {**style.manifest.provenance, "patterns": f"drawn by the style mapping of {bundle.manifest.name}"}
    manifest = style.manifest.model_copy(update={"provenance": told})
    return replace(style, manifest=manifest).with_isp(np.ascontiguousarray(split))
