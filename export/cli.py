"""``mien export``: checkpoints to bundles, and proof that nothing was lost on the way."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.artefacts.bundle import ManifoldSettings, MotionSettings, PoseSettings, load_bundle
from engine.errors import ArtefactError, ConfigError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from export.graphs import Precision

app = typer.Typer(no_args_is_help=True, help="Turn trained networks into bundles that run without torch.")

CheckpointsOption = Annotated[Path, typer.Option(help="Folder of checkpoints that training wrote.")]
PRECISIONS = ("fp32", "fp16", "int8", "w8a8")


@app.callback(invoke_without_command=True)
def device(
    context: typer.Context,
    to: Annotated[str | None, typer.Option(help="For graphics cards: onnx, tensorrt or torch-tensorrt.")] = None,
    preset: Annotated[str, typer.Option(help="What draws: lite, paper, or warp alone.")] = "lite",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp16",
    batch: Annotated[str, typer.Option(help="Largest batch, as in 32 or 1..32.")] = "32",
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default the engine cache.")] = None,
    path: Annotated[Path | None, typer.Option("--bundle", help="By default the shipped one.")] = None,
    untrained: Annotated[
        bool,
        typer.Option("--untrained", help="Draw with a network of that preset that knows nothing: for speed alone."),
    ] = False,
) -> None:
    """Turn trained networks into bundles that run without torch, and bundles into graphs and engines for cards."""
    if context.invoked_subcommand is not None:
        return
    if to is None:
        raise ConfigError("mien export takes a command or --to: see mien export --help.")
    _require_torch()
    from engine.backends.engine_cache import cache_folder
    from export.device_export import DeviceSettings, export_for_device, parse_batch
    from export.untrained import untrained_network

    settings = DeviceSettings(to=to, preset=preset, precision=precision, most=parse_batch(batch))  # type: ignore[arg-type]
    folder = cache_folder() if out is None else out
    network = untrained_network(preset) if untrained else None
    for name, size in export_for_device(load_bundle(path), folder, settings, network).items():
        typer.echo(f"{folder / name}: {size / 1e6:.1f} MB")


@app.command()
def bundle(
    checkpoints: CheckpointsOption,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    name: Annotated[str, typer.Option(help="What the bundle is called.")] = "mien",
    apc: Annotated[str, typer.Option(help="Encoder: fp32, fp16, int8 (weights), or w8a8 (arithmetic).")] = "w8a8",
    motion: Annotated[str, typer.Option(help="The same of the motion generator.")] = "w8a8",
    headpose: Annotated[str, typer.Option(help="The same of the head pose network.")] = "w8a8",
    manifold_strength: Annotated[float, typer.Option(min=0, max=1, help="0: no projection, 1: all of it.")] = 0.3,
    heard_frames: Annotated[
        int, typer.Option(min=0, max=18, help="Lookahead with which the motion generator speaks best.")
    ] = 9,
    motion_smoothing: Annotated[
        float, typer.Option(min=0, max=6, help="Frames of smoothing that the rest of a lookahead is used for.")
    ] = 1.0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Liveliness of sampled head poses.")] = 0.6,
    head_smoothing: Annotated[
        float, typer.Option(min=0, max=60, help="Frames of each pole that they go through.")
    ] = 3.0,
    provenance: Annotated[list[str] | None, typer.Option(help="key=value to note in the manifest.")] = None,
) -> None:
    """Export the networks of a folder of checkpoints to one bundle."""
    _require_torch()
    from export.bundle import BundleSettings, export_bundle

    settings = BundleSettings(
        name=name,
        precisions={"apc": _precision(apc), "motion": _precision(motion), "headpose": _precision(headpose)},
        manifold=ManifoldSettings(strength=manifold_strength),
        motion=MotionSettings(heard_frames=heard_frames, smoothing_frames=motion_smoothing),
        pose=PoseSettings(temperature=temperature, smoothing_frames=head_smoothing),
        provenance=_pairs(provenance or []),
    )
    export_bundle(checkpoints, out, settings)
    size = sum(file.stat().st_size for file in out.iterdir())
    typer.echo(f"{out}: {size / 1e6:.1f} MB")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")],
    checkpoints: CheckpointsOption,
    steps: Annotated[int, typer.Option(min=1, help="Steps with state fed back.")] = 500,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Run every graph of a bundle beside its checkpoint, and fail where they differ too much."""
    _require_torch()
    from export.bundle import load_trained
    from export.parity import TOLERANCES, verify_bundle

    found = verify_bundle(load_bundle(path), load_trained(checkpoints), steps)
    typer.echo("network   precision  steps  worst error  tolerance")
    for name, parity in found.items():
        tolerance = TOLERANCES[parity.precision]
        typer.echo(f"{name:<10}{parity.precision:<11}{parity.steps:>5}{parity.worst:>13.1e}{tolerance:>11.0e}")
    if report:
        figures: dict[str, Any] = {
            name: {
                "precision": parity.precision,
                "steps": parity.steps,
                "errors": dict(parity.errors),
                "largest": dict(parity.largest),
                "holds": parity.holds,
            }
            for name, parity in found.items()
        }
        _write(report, figures)
    failed = [name for name, parity in found.items() if not parity.holds]
    if failed:
        raise ArtefactError(f"{path} strays from {checkpoints} in {', '.join(failed)}; export the bundle again.")


@app.command("verify-device")
def verify_device(
    path: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="By default the shipped one.")] = None,
    to: Annotated[
        str, typer.Option("--device", help="As of mien serve, or torch for torch on the processor.")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp16",
    preset: Annotated[str, typer.Option(help="What draws: lite, paper, or warp alone.")] = "warp",
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Draw with a network of that preset that knows nothing.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Steps with state fed back.")] = 500,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Compare a device with torch in float32, and sessions together with each alone; fail where they differ.

    States are fed back, and pictures are compared.
    """
    _require_torch()
    from engine.backends.opening import resolve
    from export.batched import LEVELS, verify_batched
    from export.untrained import untrained_network
    from export.verify import LEAST_PSNR_DB, TOLERANCES, failures, step_precision, verify_pictures, verify_steps

    if precision not in TOLERANCES:
        raise ConfigError(f"A device is verified in {', '.join(TOLERANCES)}, not {precision!r}.")
    opened, chosen = load_bundle(path), to if to == "torch" else resolve(to).device
    network = untrained_network(preset) if untrained else None
    found = verify_steps(opened, chosen, step_precision(chosen, precision), steps)
    pictures = verify_pictures(opened, preset, chosen, precision, network=network)
    # Torch on the processor is there to be compared with, and batches nothing.
    together = None if chosen == "torch" else verify_batched(opened, preset, chosen, precision, steps, network=network)
    typer.echo(f"{chosen}, {precision}, against torch in fp32")
    for name, parity in found.items():
        typer.echo(
            f"{name:<10}{parity.steps:>5} steps  worst error {parity.worst:.1e}, at most {TOLERANCES[precision]:.0e}"
        )
    least = LEAST_PSNR_DB[precision]
    quality = f"{pictures.psnr_db:.1f} dB, face {pictures.face_psnr_db:.1f}, at least {least:.0f}"
    typer.echo(f"{preset:<10}{pictures.frames:>5} frames {quality}")
    if together:
        typer.echo(
            f"batched   {together.steps:>5} steps  worst error {together.worst:.1e}, at most "
            f"{TOLERANCES[precision]:.0e}; pictures within {together.levels} grey levels, at most "
            f"{LEVELS[precision]}; {together.launches:.0%} of the launches"
        )
    if report:
        figures: dict[str, Any] = {name: vars(each) for name, each in found.items()}
        batched = {"batched": vars(together)} if together else {}
        _write(report, {"device": chosen, **figures, preset: vars(pictures), **batched})
    failed = failures([*found.items(), (preset, pictures), *([("batched", together)] if together else [])])
    if failed:
        raise ArtefactError(f"{chosen} strays from torch in {', '.join(failed)}: compute in a higher precision.")


@app.command()
def renderer(
    checkpoints: Annotated[Path, typer.Argument(help="Folder with the trained generator.", metavar="CHECKPOINTS")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; may be the one that is read.")],
    bundle: Annotated[Path | None, typer.Option(help="Put it into this bundle; by default the shipped one.")] = None,
    preset: Annotated[str, typer.Option(help="lite or paper.")] = "lite",
    alignment: Annotated[str, typer.Option(help="What paper was trained to be given: warp or raw.")] = "warp",
    precision: Annotated[str, typer.Option(help="fp32, fp16 (weights), or int8 (arithmetic).")] = "fp32",
    patterns: Annotated[
        Path | None, typer.Option(help="Neutral style patterns, .npy; by default isp.npy beside, or none.")
    ] = None,
    portraits: Annotated[
        Path | None, typer.Option(help="Folder of .avatar files to scale integers by; by default those that ship.")
    ] = None,
    better: Annotated[bool, typer.Option("--better", help="It draws better than warp: use it by default.")] = False,
    provenance: Annotated[list[str] | None, typer.Option(help="key=value to note in the manifest.")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Put a trained image generator into a bundle, and compare what it draws with torch."""
    _require_torch()
    from export.renderer_bundle import RendererSettings, export_renderer

    found = export_renderer(
        checkpoints,
        load_bundle(bundle),
        out,
        RendererSettings(
            preset=preset,
            alignment=alignment,
            precision=precision,
            patterns=patterns,
            portraits=portraits,
            better=better,
            provenance=_pairs(provenance or []),
        ),
    )
    typer.echo(f"{out}: {preset} in {precision}, {found.psnr_db:.1f} dB against torch on {found.frames} frames")
    if report:
        _write(report, vars(found))


@app.command()
def stylemap(
    weights: Annotated[Path, typer.Argument(help="Trained style mapping, .safetensors.", metavar="WEIGHTS")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write; may be the one that is read.")],
    bundle: Annotated[Path | None, typer.Option(help="Put it into this bundle; by default the shipped one.")] = None,
    neutral: Annotated[
        Path | None, typer.Option(help="Face of the neutral person, PNG; by default neutral.png beside the weights.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or fp16, of the weights.")] = "fp16",
    provenance: Annotated[list[str] | None, typer.Option(help="key=value to note in the manifest.")] = None,
) -> None:
    """Put a trained style mapping into a bundle: it draws the patterns of new styles."""
    _require_torch()
    from export.style_mapping import export_style_mapping

    worst = export_style_mapping(
        weights,
        load_bundle(bundle),
        out,
        neutral=neutral,
        precision=_precision(precision),
        provenance=_pairs(provenance or []),
    )
    typer.echo(f"{out}: style mapping in {precision}, within {worst} grey levels of torch")


def _precision(text: str) -> "Precision":
    """One of the precisions.

    Raises:
        ConfigError: It is none.
    """
    match text:
        case "fp32" | "fp16" | "int8" | "w8a8":
            return text
        case _:
            raise ConfigError(f"A precision is one of {', '.join(PRECISIONS)}, not {text!r}.")


def _write(report: Path, figures: dict[str, Any]) -> None:
    """Write figures as JSON.

    Raises:
        OutputError: The place cannot be written.
    """
    try:
        report.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"Cannot write {report}: {error.strerror or error}.") from error


def _pairs(texts: list[str]) -> dict[str, str]:
    """``key=value`` texts as a dictionary.

    Raises:
        ConfigError: A text has no equals sign.
    """
    pairs = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--provenance takes key=value, not {text!r}.")
        pairs[key.strip()] = value.strip()
    return pairs


def _require_torch() -> None:
    """Name the extra where torch is not installed.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Exporting needs torch: pip install 'mien[train]'.") from error
