"""Do sessions that are computed together say and look what each does alone?

Four sessions, three avatars, two styles and none: they come and go, whoever is due goes in one launch of each network
that they share, and all their faces are drawn in one. States are fed back; inputs are given. So this is how far a
device's launches of several rows stray from those of one. Whole sessions stray further: the head's motion is sampled
and feeds itself, so that it makes ten times as much of any difference in some seventy frames, on every device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle, NetworkGeometry, default_bundle, pick_renderer
from engine.artefacts.picture_network import PictureNetwork
from engine.artefacts.style import Style, load_style
from engine.artefacts.style_arrays import STYLE_NETWORKS
from engine.backends.device_graph import BATCH
from engine.backends.device_network import DeviceNetwork
from engine.backends.float_graph import to_floats
from engine.backends.opening import open_step
from engine.backends.painter import encode_static, open_painter
from engine.drawing import in_style
from engine.renderer.network_input import WINDOW_SIZE, source_input
from engine.renderer.sketch import SketchRenderer
from export.parity import STEPS
from export.picture_frames import drawn_faces, read_portraits
from export.verify import TOLERANCES, in_precision, share, step_inputs, step_precision

CAST: Final = ((0, None), (1, "ballad"), (2, "rap"), (0, "ballad"))
"""Who takes part: number of the avatar, and the style."""
LEVELS: Final = {"fp32": 1, "fp16": 6, "bf16": 24, "int8": 6}
"""Grey levels by which a byte of a picture may differ, by precision."""
_NETWORKS: Final = ("apc", "motion", "headpose")
_BUCKETS: Final = (1, 2, 4)
_PRESENT: Final = 0.8


@dataclass(frozen=True)
class BatchParity:
    """How far sessions in common launches stray from the same sessions alone.

    Attributes:
        precision: In which they were computed.
        steps: Of each network.
        worst: Largest RMS difference of a session's outputs or last states, as a share of its RMS.
        launches: For all together, as a share of those for each alone.
        pictures: Compared.
        levels: Largest difference of a byte of them.
    """

    precision: str
    steps: int
    worst: float
    launches: float
    pictures: int
    levels: int

    @property
    def holds(self) -> bool:
        """Whether that is within the precision's tolerances."""
        return self.worst <= TOLERANCES[self.precision] and self.levels <= LEVELS[self.precision]


def verify_batched(
    bundle: Bundle,
    preset: str,
    device: str,
    precision: str,
    steps: int = STEPS,
    *,
    network: PictureNetwork | None = None,
) -> BatchParity:
    """Compare sessions of mixed avatars and styles, together and alone, on one device.

    Args:
        bundle: The one that ships, for which the styles that ship are.
        preset: What draws: ``lite``, ``paper`` or ``warp``.
        device: As ``engine.backends.devices.Choice`` names it.
        precision: fp32, fp16, bf16 or int8.
        steps: How many.
        network: Draws instead of the bundle's own.

    Raises:
        ArtefactError: A graph cannot be run, or a style is for another bundle.
        ConfigError: The bundle does not hold the preset.
        MissingExtraError: A library is missing.
    """
    folder, rng = default_bundle().parent, np.random.default_rng(0)
    styles = {name: load_style(folder / "styles" / f"{name}.style") for _, name in CAST if name is not None}
    worst, shared, single = 0.0, 0, 0
    for graph, geometry, users in _networks(bundle, styles):
        states = {name: shape.index(BATCH) for name, shape in geometry.state.items()}
        halves = step_precision(device, precision)
        sizes: dict[str, Any] = {"buckets": _BUCKETS, "capacity": 4 * len(CAST), "precision": halves}
        steps_together = open_step(device, to_floats(graph), states, **sizes)
        rounds, strayed = _step(steps_together, geometry, users, steps, rng)
        worst, shared, single = max(worst, strayed), shared + rounds, single + steps_together.launches - rounds
    worn = [None if name is None else styles[name] for _, name in CAST]
    drawn = in_precision(network or pick_renderer(bundle, preset), precision)
    levels = _draw(drawn, device, precision, worn, folder)
    return BatchParity(precision, steps, worst, shared / single, len(CAST), levels)


def _networks(bundle: Bundle, styles: dict[str, Style]) -> Iterator[tuple[bytes, NetworkGeometry, int]]:
    """Graph and geometry of every network that several sessions ask, and how many: the bundle's are asked by all."""
    for name in _NETWORKS:
        yield bundle.graphs[name], bundle.manifest.networks[name], len(CAST)
    for worn, style in styles.items():
        wearers = sum(name == worn for _, name in CAST)
        if wearers < 2:
            continue
        graphs = style.graphs(bundle)
        for name in STYLE_NETWORKS:
            yield graphs[name], bundle.manifest.networks[name], wearers


def _step(
    network: DeviceNetwork, geometry: NetworkGeometry, users: int, steps: int, rng: np.random.Generator
) -> tuple[int, float]:
    """Step sessions together and alone; the launches for all together, and how far they strayed."""
    together, alone = ([network.init_state() for _ in range(users)] for _ in range(2))
    said: dict[tuple[int, str], list[NDArray[np.float32]]] = {}
    heard: dict[tuple[int, str], list[NDArray[np.float32]]] = {}
    rounds = 0
    for _ in range(steps):
        due = [number for number in range(users) if rng.random() < _PRESENT]
        if not due:
            continue
        inputs = step_inputs(geometry, rng, len(due))
        before = network.launches
        outputs, after = network.run_many(inputs, [together[number] for number in due])
        rounds += network.launches - before
        for row, number in enumerate(due):
            together[number] = after[row]
            expected, alone[number] = network.run(
                {name: each[row : row + 1] for name, each in inputs.items()}, alone[number]
            )
            for name in geometry.outputs:
                said.setdefault((number, name), []).append(expected[name][0])
                heard.setdefault((number, name), []).append(outputs[name][row])
    pairs = [(np.stack(said[key]), np.stack(heard[key])) for key in said]
    pairs += [(one[name], other[name]) for one, other in zip(alone, together, strict=True) for name in geometry.state]
    return rounds, max(share(one, other) for one, other in pairs)


def _draw(
    network: PictureNetwork | None, device: str, precision: str, styles: Sequence[Style | None], folder: Path
) -> int:
    """Largest difference of a byte between faces drawn in one launch and the same drawn one by one."""
    portraits = read_portraits(folder / "avatars")
    size = WINDOW_SIZE if network is None else network.geometry.size
    avatars: list[Avatar] = [portraits[number] for number, _ in CAST]
    painter = open_painter(device, network, buckets=_BUCKETS, avatars=len(CAST) + 1, precision=precision)
    sketches, who = [], []
    for number, (avatar, style) in enumerate(zip(avatars, styles, strict=True)):
        sketcher, patterns = SketchRenderer(avatar, size=size), in_style(avatar, network, style).patterns
        static = None if network is None else encode_static(network, source_input(avatar, size), patterns)
        who.append(painter.bind(sketcher.source, avatar.plate, static))
        sketches.append(sketcher.sketch(*drawn_faces(avatar, 1, number)[0]))
    together = painter.draw(sketches, who)
    alone = [painter.draw([sketch], [place])[0] for sketch, place in zip(sketches, who, strict=True)]
    return max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(together, alone, strict=True))
