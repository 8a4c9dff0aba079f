"""``mien bench``: parses, runs a scenario on a live engine, prints a table, writes JSON and a page with plots."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import pushed as pushed_speech
from benchmarks import scenarios
from benchmarks import throughput as side_by_side
from benchmarks.bench_report import html_page, terminal
from benchmarks.calls_bench import calls as calls_of_many
from benchmarks.comparison import DEFAULT_TOLERANCE, compare, load_report, same_machine
from benchmarks.gate_bench import gate as what_moves_the_mouth
from benchmarks.gate_bench import gate_table, load_run
from benchmarks.live_bench import LiveSettings, desk_config
from benchmarks.live_bench import live as desk_between_null_sinks
from benchmarks.live_figures import live_table
from benchmarks.probe import ProbeRenderer, true_opening
from benchmarks.recording import load_speech
from benchmarks.style_switching import switching
from benchmarks.webrtc_bench import BROWSER_LOOKAHEAD
from benchmarks.webrtc_bench import webrtc as call_from_browser
from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle, load_bundle, pick_renderer
from engine.artefacts.style import Style, load_style
from engine.backends.painter import open_painter
from engine.card_room import CardRoom
from engine.clock import MonotonicClock
from engine.drawing import Drawing
from engine.engine import PUSHED_LOOKAHEAD, Engine
from engine.errors import ConfigError, MissingExtraError, OutputError
from engine.lanes import FrameRenderer
from engine.pipeline import Pipeline
from engine.process_renderer import ProcessRenderer
from models.spec import MAX_LOOKAHEAD
from streaming.avatars import resolve_avatar
from streaming.computing import DEVICE_HELP, choose_device
from streaming.report import write_json
from streaming.styles import STYLES, shipped_styles

SPEECH = Path(__file__).parents[1] / "models" / "pretrained" / "demo" / "hello.flac"
REGRESSED = 3
"""Exit code when a figure has become worse beyond the tolerance."""

app = typer.Typer(no_args_is_help=True, help="Measure the live engine on this machine, in real time.")

Speech = Annotated[Path, typer.Option("--speech", help="Recording that is spoken, in a loop.")]
AvatarName = Annotated[str, typer.Option("--avatar", help="A shipped avatar's name, an .avatar file, or a picture.")]
Seconds = Annotated[float, typer.Option(min=3, help="Length of the measurement, after the warm-up.")]
Fps = Annotated[int, typer.Option(help="Frames per second: 60, 30, 25 or 20.")]
Lookahead = Annotated[int, typer.Option(min=0, max=MAX_LOOKAHEAD, help="Frames (60 Hz) of audio heard ahead.")]
Latency = Annotated[str, typer.Option(help="The budget in ms, or auto for the smallest that holds.")]
BundlePath = Annotated[Path | None, typer.Option("--bundle", help="Bundle to measure instead of the shipped one.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes in which a session draws.")]
RendererName = Annotated[str | None, typer.Option(help="warp, lite or paper; by default the bundle's best.")]
DeviceName = Annotated[str, typer.Option(help=DEVICE_HELP)]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
HtmlPath = Annotated[Path | None, typer.Option("--html", help="Write a page with plots here.")]
TracePath = Annotated[Path | None, typer.Option("--trace", help="Write a trace for ui.perfetto.dev here.")]
OldPath = Annotated[
    Path | None, typer.Option("--compare", help="JSON of an earlier run; exit code 3 if it was better.")
]
Tolerance = Annotated[float, typer.Option(min=0, help="Share by which a figure may be worse than in that run.")]


@app.command()
def latency(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 60,
    fps: Fps = 30,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    budget: Latency = "auto",
    bundle: BundlePath = None,
    workers: Workers = None,
    device: DeviceName = "cpu",
    renderer: RendererName = None,
    report: JsonPath = None,
    page: HtmlPath = None,
    trace: TracePath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """Mouth-to-frame latency of every frame, missed frames, jitter; and of syllables after silence."""
    bench = Bench(bundle, avatar, workers, device, renderer=renderer, tracing=trace is not None)
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = bench.run(lambda opened: scenarios.latency(opened, settings, bench.clock, bench.opening))
    if trace is not None:
        _write(trace, bench.trace)
    _conclude(found, report, page, old, tolerance)


@app.command()
def lookahead(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 20,
    fps: Fps = 30,
    budget: Latency = "auto",
    bundle: BundlePath = None,
    workers: Workers = None,
    device: DeviceName = "cpu",
    report: JsonPath = None,
    page: HtmlPath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """The same for lookahead 0, 3, 6, 9, 12 and 18."""
    bench = Bench(bundle, avatar, workers, device)
    settings = _settings(speech, seconds, fps, MAX_LOOKAHEAD, budget)
    found = bench.run(lambda opened: scenarios.lookahead(opened, settings, bench.clock, bench.opening))
    _conclude(found, report, page, old, tolerance)


@app.command()
def throughput(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 20,
    fps: Fps = 25,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    budget: Latency = "auto",
    bundle: BundlePath = None,
    workers: Workers = 1,
    device: DeviceName = "cpu",
    renderer: RendererName = None,
    report: JsonPath = None,
    page: HtmlPath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """Sessions side by side, one more until the engine refuses."""
    bench = Bench(bundle, avatar, workers, device, renderer=renderer)
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = bench.run(lambda opened: side_by_side.throughput(opened, settings, bench.clock))
    _conclude(found, report, page, old, tolerance)


@app.command()
def styles(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 40,
    fps: Fps = 30,
    lookahead: Lookahead = BROWSER_LOOKAHEAD,
    budget: Latency = "auto",
    folder: Annotated[Path, typer.Option("--styles", help="Styles to change between.", metavar="FOLDER")] = STYLES,
    companions: Annotated[int, typer.Option(min=0, help="Sessions that speak beside it.")] = 1,
    bundle: BundlePath = None,
    workers: Workers = 1,
    device: DeviceName = "cpu",
    report: JsonPath = None,
) -> None:
    """A session that changes its style every two seconds: what it misses then, and otherwise."""
    worn = [load_style(path) for path in shipped_styles(folder).values()]
    bench = Bench(bundle, avatar, workers, device, styles=worn)
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = bench.run(lambda opened: switching(opened, settings, worn, bench.clock, companions))
    _conclude(found, report, None, None, DEFAULT_TOLERANCE)


@app.command()
def pushed(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 60,
    fps: Fps = 30,
    lookahead: Lookahead = PUSHED_LOOKAHEAD,
    budget: Latency = "auto",
    bundle: BundlePath = None,
    workers: Workers = None,
    device: DeviceName = "cpu",
    report: JsonPath = None,
    page: HtmlPath = None,
    trace: TracePath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """Speech faster than real time: the first frame of an utterance, and silence after an interruption."""
    bench = Bench(bundle, avatar, workers, device, tracing=trace is not None)
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = bench.run(lambda opened: pushed_speech.pushed(opened, settings, bench.clock))
    if trace is not None:
        _write(trace, bench.trace)
    _conclude(found, report, page, old, tolerance)


@app.command()
def soak(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 600,
    fps: Fps = 30,
    lookahead: Lookahead = MAX_LOOKAHEAD,
    budget: Latency = "auto",
    bundle: BundlePath = None,
    workers: Workers = None,
    device: DeviceName = "cpu",
    report: JsonPath = None,
    page: HtmlPath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """A long session: memory after its first minute, picture against sound."""
    bench = Bench(bundle, avatar, workers, device)
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = bench.run(lambda opened: scenarios.soak(opened, settings, bench.clock))
    _conclude(found, report, page, old, tolerance)


@app.command()
def webrtc(
    speech: Speech = SPEECH,
    avatar: Annotated[str, typer.Option("--avatar", help="A shipped avatar's name.")] = "ada",
    seconds: Seconds = 60,
    fps: Fps = 30,
    lookahead: Lookahead = BROWSER_LOOKAHEAD,
    budget: Latency = "auto",
    codec: Annotated[str, typer.Option(help="Of the picture: VP8 or H264.")] = "VP8",
    bundle: BundlePath = None,
    report: JsonPath = None,
    page: HtmlPath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """Mouth to glass: a browser calls the server, hears and sees the avatar, and measures both."""
    settings = _settings(speech, seconds, fps, lookahead, budget)
    _conclude(call_from_browser(settings, avatar=avatar, codec=codec, bundle=bundle), report, page, old, tolerance)


@app.command()
def calls(
    speech: Speech = SPEECH,
    avatar: Annotated[str, typer.Option("--avatar", help="A shipped avatar's name.")] = "ada",
    seconds: Seconds = 20,
    fps: Fps = 25,
    lookahead: Lookahead = BROWSER_LOOKAHEAD,
    budget: Latency = "auto",
    sessions: Annotated[int, typer.Option(min=1, help="At once, or as many as the server takes.")] = 4,
    cycles: Annotated[int, typer.Option(min=1, help="Visitors who come and go.")] = 200,
    bundle: BundlePath = None,
    report: JsonPath = None,
    page: HtmlPath = None,
    old: OldPath = None,
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> None:
    """Real calls side by side until the server refuses; then what visitors leave behind who come and go."""
    settings = _settings(speech, seconds, fps, lookahead, budget)
    found = asyncio.run(calls_of_many(settings, sessions=sessions, cycles=cycles, avatar=avatar, bundle=bundle))
    _conclude(found, report, page, old, tolerance)


@app.command()
def live(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 120,
    fps: Fps = 30,
    lookahead: Lookahead = BROWSER_LOOKAHEAD,
    budget: Latency = "auto",
    report: JsonPath = None,
) -> None:
    """`mien live` on real PortAudio, between null sinks of a PulseAudio of its own: sync, latency, xruns, memory."""
    settings = LiveSettings(speech, seconds, desk_config(avatar, fps, lookahead, budget))
    found = desk_between_null_sinks(settings)
    Console().print(live_table(found))
    if report is not None:
        write_json(report, found)


@app.command()
def gate(
    speech: Speech = SPEECH,
    avatar: AvatarName = "ada",
    seconds: Seconds = 8,
    lookahead: Lookahead = BROWSER_LOOKAHEAD,
    report: JsonPath = None,
) -> None:
    """What moves the mouth: a fan, a keyboard and music about the voice gate; a voice, a whisper, a shout."""
    found = what_moves_the_mouth(load_run(speech, seconds, avatar, lookahead))
    Console().print(gate_table(found))
    if report is not None:
        write_json(report, found)


@app.command()
def gpu(
    device: Annotated[str, typer.Option(help="As of mien serve: auto, cpu, cuda, tensorrt, cuda-graph ...")] = "auto",
    preset: Annotated[str, typer.Option(help="What draws: lite, paper, or warp alone.")] = "paper",
    precision: Annotated[str, typer.Option(help="fp32, fp16 or bf16; the processor computes in fp32.")] = "fp16",
    most: Annotated[int, typer.Option(help="Largest batch: 1, 2, 4 ... 64.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.01, help="For each stage and batch.")] = 1.0,
    live_s: Annotated[float, typer.Option(min=0, help="For each number of sessions side by side; 0: none.")] = 5.0,
    avatar: AvatarName = "ada",
    bundle: BundlePath = None,
    report: JsonPath = None,
) -> None:
    """A graphics card, or the processor: each stage and the whole frame by batch, against the device's own limits."""
    try:
        from benchmarks.gpu_bench import gpu_table, measure_gpu
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"`mien bench gpu` needs {error.name}: pip install 'mien[gpu]'.") from error

    found = measure_gpu(device, preset, precision, most, seconds, live_s, resolve_avatar(avatar), load_bundle(bundle))
    Console().print(gpu_table(found))
    if report is not None:
        write_json(report, found)


class Bench:
    """A live engine whose pictures carry the opening of their lips.

    Attributes:
        clock: The engine's.
        trace: Of the last run, in the Chrome trace-event format, if it was asked for.
    """

    def __init__(
        self,
        bundle: Path | None,
        avatar: str,
        workers: int | None = None,
        device: str = "cpu",
        *,
        renderer: str | None = None,
        styles: Sequence[Style] = (),
        tracing: bool = False,
    ) -> None:
        """Open the artefacts.

        Args:
            bundle: Folder of the networks; by default those that ship.
            avatar: As ``streaming.avatars.resolve_avatar`` takes it.
            workers: Processes in which a session draws; by default as many as cores, at most 2.
            device: What computes; see ``engine.backends.devices``.
            renderer: What draws; by default the bundle's best.
            styles: Kept ready to be put on.
            tracing: Whether to record every stage of every frame.

        Raises:
            MienError: One of them cannot be used.
        """
        self.clock = MonotonicClock()
        self.trace = ""
        self._tracing, self._styles = tracing, styles
        self._bundle: Bundle = load_bundle(bundle)
        self._avatar = resolve_avatar(avatar)
        self._network = pick_renderer(self._bundle, renderer)
        self._workers = workers or min(2, os.cpu_count() or 1)
        self._device: str = choose_device(device)
        self._room: CardRoom | None = None

    def run(self, scenario: Callable[[scenarios.OpenSession], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run a scenario on an engine of its own; Ctrl-C ends it cleanly."""

        async def main() -> dict[str, Any]:
            async with Engine(
                self._bundle,
                clock=self.clock,
                device=self._device,
                styles=self._styles,
                renderer_factory=lambda avatar: ProbeRenderer(self._renderer(avatar)),
            ) as engine:
                if self._tracing:
                    engine.start_trace()

                def open_session(**options: Any) -> Any:
                    return engine.session(avatar=self._avatar, **options)

                found = await scenario(open_session)
                if self._tracing:
                    self.trace = engine.trace()
                return found

        try:
            return asyncio.run(main())
        finally:
            if self._room is not None:
                self._room.close()

    def _renderer(self, avatar: Avatar) -> FrameRenderer:
        if self._device == "cpu":
            return ProcessRenderer(Drawing(avatar, self._network), self._workers)
        if self._room is None:
            self._room = CardRoom(open_painter(self._device, self._network), self._network)
        return self._room.renderer(avatar)

    def opening(self, speech: NDArray[np.float32], lookahead: int) -> NDArray[np.float64]:
        """The opening of the lips in each motion frame, computed offline."""
        pipeline = Pipeline(self._bundle, self._avatar, lookahead)
        frames, state = pipeline.step(speech, pipeline.init_state())
        return true_opening([*frames, *pipeline.flush(state)])


def _settings(speech: Path, seconds: float, fps: int, lookahead: int, budget: str) -> scenarios.Settings:
    try:
        wanted: float | str = "auto" if budget == "auto" else float(budget)
    except ValueError as error:
        raise ConfigError(f"The budget is a number of ms or auto, not {budget}.") from error
    # The impulse test wants a word after a pause, which any recording may lack.
    voice = load_speech(SPEECH)
    return scenarios.Settings(load_speech(speech), seconds, fps, lookahead, wanted, voice=voice)


def _conclude(
    found: dict[str, Any], report: Path | None, page: Path | None, old: Path | None, tolerance: float
) -> None:
    """Print and write what was found; exit with 3 if it is worse than an earlier report."""
    console = Console()
    earlier = None if old is None else load_report(old)
    changes = [] if earlier is None else compare(earlier, found, tolerance)
    console.print(terminal(found, changes))
    if earlier is not None and not same_machine(earlier, found):
        console.print("The earlier report is of another machine: the comparison says little.", style="yellow")
    if report is not None:
        write_json(report, found)
    if page is not None:
        _write(page, html_page(found, changes))
    worse = [change.name for change in changes if change.regressed]
    if worse:
        console.print(f"Worse beyond {tolerance:.0%}: {', '.join(worse)}", style="bold red")
        raise typer.Exit(REGRESSED)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
