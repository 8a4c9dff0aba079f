"""``mien export``: checkpoints to bundles, and proof that nothing was lost on the way."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.artefacts.bundle import ManifoldSettings, PoseSettings, load_bundle
from engine.errors import ArtefactError, ConfigError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from export.graphs import Precision

app = typer.Typer(no_args_is_help=True, help="Turn trained networks into bundles that run without torch.")

CheckpointsOption = Annotated[Path, typer.Option(help="Folder of checkpoints that training wrote.")]
PRECISIONS = ("fp32", "fp16", "int8", "w8a8")


@app.command()
def bundle(
    checkpoints: CheckpointsOption,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    name: Annotated[str, typer.Option(help="What the bundle is called.")] = "mien",
    apc: Annotated[str, typer.Option(help="Encoder: fp32, fp16, int8 (weights), or w8a8 (arithmetic).")] = "w8a8",
    motion: Annotated[str, typer.Option(help="The same of the motion generator.")] = "w8a8",
    headpose: Annotated[str, typer.Option(help="The same of the head pose network.")] = "w8a8",
    manifold_strength: Annotated[float, typer.Option(min=0, max=1, help="0: no projection, 1: all of it.")] = 0.3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Liveliness of sampled head poses.")] = 0.6,
    provenance: Annotated[list[str] | None, typer.Option(help="key=value to note in the manifest.")] = None,
) -> None:
    """Export the networks of a folder of checkpoints to one bundle."""
    _require_torch()
    from export.bundle import BundleSettings, export_bundle

    settings = BundleSettings(
        name=name,
        precisions={"apc": _precision(apc), "motion": _precision(motion), "headpose": _precision(headpose)},
        manifold=ManifoldSettings(strength=manifold_strength),
        pose=PoseSettings(temperature=temperature),
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
        try:
            report.write_text(json.dumps(figures, indent=2) + "\n")
        except OSError as error:
            raise OutputError(f"Cannot write {report}: {error.strerror or error}.") from error
    failed = [name for name, parity in found.items() if not parity.holds]
    if failed:
        raise ArtefactError(f"{path} strays from {checkpoints} in {', '.join(failed)}; export the bundle again.")


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
