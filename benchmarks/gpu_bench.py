"""``mien bench gpu``: each stage and the whole frame by batch, on a card or on the processor, against its own limits.

Nothing here is particular to a card: what runs the graphs is chosen as everywhere (``engine.backends.devices``).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from rich.console import Group
from rich.table import Table

from benchmarks.gpu_limits import Limits, measure_limits, multiplications
from benchmarks.machine import fingerprint, resident_mb
from benchmarks.timing import percentiles
from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle, pick_renderer
from engine.artefacts.picture_network import PictureNetwork
from engine.backends.cards import cards, used_mb, watts
from engine.backends.device_graph import BATCH
from engine.backends.device_network import DeviceNetwork
from engine.backends.float_graph import to_floats
from engine.backends.opening import Wanted, open_graph, open_step, resolve
from engine.backends.painter import Painter, encode_static, open_painter
from engine.backends.tensorrt_build import library_versions
from engine.card_room import CardRenderer, CardRoom
from engine.controls import Face
from engine.errors import ConfigError, MissingExtraError
from engine.lanes import FrameRenderer
from engine.renderer.network_input import WINDOW_SIZE, source_input
from engine.renderer.sketch import Sketch, SketchRenderer
from export.picture_frames import drawn_faces

FRAME_S: Final = 1 / 60
ALLOWANCE_MS: Final = 50.0
"""Beside the lookahead, what a frame may take from being due to being there."""
BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
PRECISIONS: Final = ("fp32", "fp16", "bf16")
_WARM_UPS: Final = 5
_LEAST_RUNS: Final = 3
_PIXEL_BYTES: Final = 4 * 4 + 3 * 4 + 3
"""What a pixel of a frame costs at least: the person and the background read as float32, three bytes written."""
_NETWORKS: Final = ("apc", "motion", "headpose")


@dataclass(frozen=True)
class GpuSettings:
    """What is measured.

    Attributes:
        device: As ``engine.backends.devices.Choice`` names it.
        preset: What draws.
        precision: In which networks compute.
        most: Largest batch.
        seconds: For each stage and batch.
        live_s: For each number of sessions side by side; 0 leaves them out.
        untrained: Whether the network that draws knows nothing.
    """

    device: str
    preset: str
    precision: str
    most: int = 64
    seconds: float = 1.0
    live_s: float = 5.0
    untrained: bool = False

    @property
    def batches(self) -> tuple[int, ...]:
        """Sizes of batches."""
        return tuple(size for size in BATCHES if size <= self.most)


def measure_gpu(
    device: str,
    preset: str,
    precision: str,
    most: int,
    seconds: float,
    live_s: float,
    avatar: Avatar,
    bundle: Bundle,
) -> dict[str, Any]:
    """Choose the device and what draws, and measure; see ``GpuSettings``.

    A bundle that does not hold the preset is measured with an untrained network of it, which takes as long.

    Raises:
        ConfigError: There is no such device, preset, precision or batch.
        MissingExtraError: A library is missing.
    """
    if most not in BATCHES or precision not in PRECISIONS:
        raise ConfigError(f"Measured are batches of up to {', '.join(map(str, BATCHES))} in {', '.join(PRECISIONS)}.")
    chosen = resolve(device).device
    untrained = preset != "warp" and preset not in bundle.renderers
    network = _untrained(preset) if untrained else pick_renderer(bundle, preset)
    faces = [Face(landmarks, pose, gaze, np.zeros(6, np.float32)) for landmarks, pose, gaze in drawn_faces(avatar, 8)]
    # The processor has few kernels for half precision.
    computed = "fp32" if chosen == "cpu" else precision
    settings = GpuSettings(chosen, preset, computed, most, seconds, live_s, untrained)
    return gpu(bundle, avatar, faces, network, settings)


def _untrained(preset: str) -> PictureNetwork | None:
    """See ``export.untrained``.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        from export.untrained import untrained_network
    except ImportError as error:
        raise MissingExtraError("An untrained network is made with torch: pip install 'mien[train]'.") from error
    return untrained_network(preset)


def gpu(
    bundle: Bundle, avatar: Avatar, faces: Sequence[Face], network: PictureNetwork | None, settings: GpuSettings
) -> dict[str, Any]:
    """Measure.

    Args:
        bundle: The networks of sound and motion.
        avatar: Whom to draw.
        faces: What to draw, one after another.
        network: What draws beside the geometric renderer.
        settings: How.

    Returns:
        Figures: ``limits``, ``stages`` (each with ``batch``, ``ms``, ``per_s``), ``sessions``, memory and power.
    """
    card = next(iter(cards()), None) if settings.device != "cpu" else None
    before = used_mb() if card else resident_mb()
    limits = _limits(settings)
    stages = [row for name in _NETWORKS for row in _step_rows(name, bundle, settings)]
    size = WINDOW_SIZE if network is None else network.geometry.size
    sketcher = SketchRenderer(avatar, size=size)
    sketches = [sketcher.sketch(*face) for face in faces]
    static = None if network is None else encode_static(network, source_input(avatar, size))
    stages.append(_row("sketch (processor)", 1, _timed(lambda: sketcher.sketch(*faces[0]), settings.seconds)))
    stages += _frame_rows("warp and compose", None, (sketcher, avatar, None), sketches, settings, limits)
    power: list[float] = []
    if network is not None:
        work = multiplications(to_floats(network.graph))
        parts = (sketcher, avatar, static)
        stages += _frame_rows("whole frame", network, parts, sketches, settings, limits, work, power)
    after = used_mb() if card else resident_mb()
    return {
        "scenario": "gpu",
        **asdict(settings),
        "card": None if card is None else asdict(card),
        "machine": fingerprint(),
        "libraries": library_versions(),
        "limits": asdict(limits),
        "stages": stages,
        "sessions_60fps": _by_throughput(stages),
        "live": _live(network, avatar, faces, settings),
        "memory_mb": None if before is None or after is None else round(after - before, 1),
        "watts": round(float(np.mean(power)), 1) if power else None,
    }


def _limits(settings: GpuSettings) -> Limits:
    """On the processor with little, for it has little."""
    small = settings.device == "cpu"
    side, megabytes = (512, 64) if small else (8192, 2048)
    wanted = Wanted({"count": megabytes * 2**18}, (1,), settings.precision, cuda_graphs=False)
    return measure_limits(
        lambda graph: open_graph(settings.device, graph, wanted),
        settings.precision,
        side=side,
        megabytes=megabytes,
        seconds=settings.seconds,
    )


def _step_rows(name: str, bundle: Bundle, settings: GpuSettings) -> list[dict[str, Any]]:
    """One network of sound and motion, sessions of a batch at once, from inputs to outputs on the host."""
    geometry = bundle.manifest.networks[name]
    states = {state: shape.index(BATCH) for state, shape in geometry.state.items()}
    network = open_step(
        settings.device,
        to_floats(bundle.graphs[name]),
        states,
        buckets=settings.batches,
        capacity=3 * settings.batches[-1],
        precision=settings.precision,
    )
    rows = []
    for batch in settings.batches:
        inputs: dict[str, Any] = {
            key: np.full(batch, 6, np.int64) if key in geometry.dtypes else np.zeros((batch, *shape[1:]), np.float32)
            for key, shape in geometry.inputs.items()
        }
        rows.append(_row(name, batch, _timed(_Steps(network, inputs, batch), settings.seconds)))
    return rows


class _Steps:
    """One step after another of a batch of sessions."""

    def __init__(self, network: DeviceNetwork, inputs: Mapping[str, Any], batch: int) -> None:
        self._network, self._inputs = network, inputs
        self._states: Sequence[Any] = [network.init_state() for _ in range(batch)]

    def __call__(self) -> None:
        _, self._states = self._network.run_many(self._inputs, self._states)


def _frame_rows(
    name: str,
    network: PictureNetwork | None,
    parts: tuple[SketchRenderer, Avatar, Any],
    sketches: Sequence[Sketch],
    settings: GpuSettings,
    limits: Limits,
    work: float = 0.0,
    power: list[float] | None = None,
) -> list[dict[str, Any]]:
    """Frames from sketches on the host to pictures on the host."""
    sketcher, avatar, static = parts
    painter = open_painter(settings.device, network, buckets=settings.batches, avatars=3, precision=settings.precision)
    bound = painter.bind(sketcher.source, avatar.plate, static)
    rows = []
    for batch in settings.batches:
        frames = [sketches[number % len(sketches)] for number in range(batch)]
        runs = _timed(_Draws(painter, frames, [bound] * batch), settings.seconds)
        row = _row(name, batch, runs)
        row["copy_share"] = round(row["per_s"] * _PIXEL_BYTES * 512 * 512 / limits.copied, 4)
        if work:
            row["matrix_share"] = round(row["per_s"] * 2 * work / limits.flops, 4)
            row["gmac"] = round(work / 1e9, 2)
        if power is not None and (now := watts()) is not None:
            power.append(now)
        rows.append(row)
    return rows


class _Draws:
    """One launch after another."""

    def __init__(self, painter: Painter, sketches: Sequence[Sketch], who: Sequence[Any]) -> None:
        self._painter, self._sketches, self._who = painter, sketches, who

    def __call__(self) -> None:
        self._painter.draw(self._sketches, self._who)


def _timed(work: Callable[[], Any], seconds: float) -> list[float]:
    """How long each of many runs took, s, after a warm-up."""
    began = time.perf_counter()
    for _ in range(_WARM_UPS):
        work()
        # What takes long needs no warming.
        if time.perf_counter() - began > seconds:
            break
    runs: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(runs) < _LEAST_RUNS:
        began = time.perf_counter()
        work()
        runs.append(time.perf_counter() - began)
    return runs


def _row(name: str, batch: int, runs: Sequence[float]) -> dict[str, Any]:
    ms = percentiles(np.array(runs) * 1e3)
    return {"stage": name, "batch": batch, "ms": ms, "per_s": round(batch / (ms["p50"] / 1e3), 1), "runs": len(runs)}


def _by_throughput(stages: Sequence[Mapping[str, Any]]) -> int:
    """Sessions at 60 fps for whose frames one launch after another is in time: 95 of 100 within a frame's time."""
    frames = [row for row in stages if row["stage"] == "whole frame"] or [
        row for row in stages if row["stage"] == "warp and compose"
    ]
    fitting = [row["batch"] for row in frames if row["ms"]["p95"] <= 1e3 * FRAME_S]
    return max(fitting, default=0)


def _live(
    network: PictureNetwork | None, avatar: Avatar, faces: Sequence[Face], settings: GpuSettings
) -> list[dict[str, Any]]:
    """Sessions side by side at 60 fps in real time, twice as many until a frame of 100 is too late."""
    rows: list[dict[str, Any]] = []
    if not settings.live_s:
        return rows
    painter = open_painter(
        settings.device, network, buckets=settings.batches, avatars=settings.most + 1, precision=settings.precision
    )
    room, renderers = CardRoom(painter, network, most=settings.most), list[CardRenderer]()
    try:
        for count in settings.batches:
            while len(renderers) < count:
                renderers.append(room.renderer(avatar))
            late = np.array(asyncio.run(_sessions(renderers, faces, settings.live_s))) * 1e3
            figures = percentiles(late)
            rows.append({"sessions": count, "due_to_picture_ms": figures, "holds": figures["p99"] <= ALLOWANCE_MS})
            if not rows[-1]["holds"]:
                break
    finally:
        for renderer in renderers:
            renderer.close()
        room.close()
    return rows


async def _sessions(renderers: Sequence[FrameRenderer], faces: Sequence[Face], seconds: float) -> list[float]:
    """How late each picture was, s, of sessions whose frames are due at the same ticks."""
    for _ in range(_WARM_UPS):
        await asyncio.gather(*(renderer.render(faces[0]) for renderer in renderers))
    began, late = time.perf_counter(), list[float]()
    ticks = max(1, round(seconds / FRAME_S))

    async def session(number: int, renderer: FrameRenderer) -> None:
        for tick in range(ticks):
            due = began + tick * FRAME_S
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            elif -wait > 1.0:
                # Hopelessly late: what comes would not change the answer.
                late.append(-wait)
                return
            await renderer.render(faces[(tick + number) % len(faces)])
            late.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number, renderer in enumerate(renderers):
            group.create_task(session(number, renderer))
    return late


def gpu_table(found: Mapping[str, Any]) -> Group:
    """The figures as tables for a terminal."""
    limits = found["limits"]
    where = found["card"]["name"] if found["card"] else found["machine"]["cpu"]
    title = f"{where}, {found['device']}, {found['preset']} in {found['precision']}"
    table = Table(title=title + (" (untrained)" if found["untrained"] else ""))
    for name in ("stage", "batch", "p50 ms", "p95 ms", "a second", "of matrix rate", "of copy rate"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for row in found["stages"]:
        shares = (f"{row[name]:.1%}" if name in row else "" for name in ("matrix_share", "copy_share"))
        times = (f"{row['ms'][name]:.3f}" for name in ("p50", "p95"))
        table.add_row(row["stage"], str(row["batch"]), *times, f"{row['per_s']:.0f}", *shares)
    power = f"{found['watts']} W" if found["watts"] is not None else "power: nvidia-smi is not here, or does not say"
    lines = [
        f"limits measured: {limits['flops'] / 1e12:.2f} TFLOP/s, copy {limits['copied'] / 1e9:.1f} GB/s, "
        f"up {limits['uploaded'] / 1e9:.1f}, down {limits['downloaded'] / 1e9:.1f} GB/s; "
        f"memory {found['memory_mb']} MB; {power}",
        f"sessions at 60 fps by throughput: {found['sessions_60fps']}",
        *(
            f"live, {row['sessions']} sessions: due to picture p99 {row['due_to_picture_ms']['p99']:.1f} ms, "
            f"{'holds' if row['holds'] else 'too late'}"
            for row in found["live"]
        ),
    ]
    return Group(table, *lines)
