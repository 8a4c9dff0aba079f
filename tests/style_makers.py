"""Styles on a bundle with random weights."""

import numpy as np
import pytest

from engine.artefacts.bundle import Bundle
from engine.artefacts.style import STYLE_NETWORKS, Style, StyleLife, StyleManifest, StylePose, bundle_digest

LIFE = StyleLife(blink_rate=2.0, gaze_spread=1.5, gaze_away=2.0, fixation_time=0.5)


def moved(graph: bytes, seed: int) -> bytes:
    """A graph with its weights moved."""
    onnx = pytest.importorskip("onnx", reason="another style's weights are written with onnx, which is not installed")
    model, rng = onnx.ModelProto.FromString(graph), np.random.default_rng(seed)
    for initializer in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(initializer)
        if weights.dtype.kind == "f" and weights.size > 1:
            moved = weights * (1 + 0.3 * rng.standard_normal(weights.shape)).astype(weights.dtype)
            initializer.CopyFrom(onnx.numpy_helper.from_array(moved, initializer.name))
    return bytes(model.SerializeToString())


def make_style(bundle: Bundle, seed: int | None = None, name: str = "ballad", life: StyleLife | None = None) -> Style:
    """A style with the bundle's own weights and settings, or with weights moved from there."""
    graphs = {key: bundle.graphs[key] if seed is None else moved(bundle.graphs[key], seed) for key in STYLE_NETWORKS}
    pose = bundle.manifest.pose
    manifest = StyleManifest(
        name=name,
        bundle_sha256=bundle_digest(bundle),
        networks={key: bundle.manifest.networks[key] for key in STYLE_NETWORKS},
        pose=StylePose(temperature=pose.temperature, limits=pose.limits),
        life=life or StyleLife(),
        provenance={"data": "none: random weights"},
    )
    return Style(manifest, graphs)
