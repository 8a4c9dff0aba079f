"""Styles on a bundle with random weights."""

import numpy as np

from engine.artefacts.bundle import Bundle
from engine.artefacts.graph_weights import stored_tensors, weight
from engine.artefacts.style import Style, StyleLife, StyleManifest, StylePose, bundle_digest
from engine.artefacts.style import make_style as put_together
from engine.artefacts.style_arrays import STYLE_NETWORKS, FactoredChange, StyleArrays

LIFE = StyleLife(blink_rate=2.0, gaze_spread=1.5, gaze_away=2.0, fixation_time=0.5)


def moved(graph: bytes, seed: int, by: float = 0.5) -> tuple[FactoredChange, ...]:
    """Changes that move the large weights of a graph, at rank 2."""
    rng, tensors = np.random.default_rng(seed), stored_tensors(graph)
    changes = []
    for name in (each.removesuffix(".u8") for each in tensors if each.endswith(".u8")):
        old = weight(graph, tensors, name)
        left, right = (rng.standard_normal(shape).astype(np.float32) for shape in ((len(old), 2), (2, old.shape[1])))
        changes.append(FactoredChange(name, np.float32(by * old.std()) * left, right))
    return tuple(changes)


def make_style(
    bundle: Bundle,
    seed: int | None = None,
    name: str = "ballad",
    life: StyleLife | None = None,
    rest: np.ndarray | None = None,
    pictures: int = 0,
    side: int = 32,
) -> Style:
    """A style with the bundle's own weights and settings, or with weights moved from there."""
    changes = {} if seed is None else {key: moved(bundle.graphs[key], seed) for key in STYLE_NETWORKS}
    pose = bundle.manifest.pose
    manifest = StyleManifest(
        name=name,
        bundle_sha256=bundle_digest(bundle),
        pose=StylePose(temperature=pose.temperature, limits=pose.limits),
        life=life or StyleLife(),
        provenance={"data": "none: random weights"},
    )
    arrays = StyleArrays(changes) if rest is None else StyleArrays(changes, rest)
    images = [np.full((side, side, 3), 60 * number, np.uint8) for number in range(pictures)]
    return put_together(manifest, arrays, images)
