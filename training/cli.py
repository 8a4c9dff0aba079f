"""``mien train``: parses, builds a recipe's config and runs it."""

import logging
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from engine.errors import ConfigError, MissingExtraError

app = typer.Typer(no_args_is_help=True, help="Make training data and train the networks.")

Config = TypeVar("Config", bound=BaseModel)

DataOption = Annotated[Path, typer.Option(help="Folder of prepared data (`mien train data`).")]
FramesOption = Annotated[Path, typer.Option(help="Folder of prepared people (`mien train frames`).")]
OutOption = Annotated[Path, typer.Option(help="Folder for checkpoints, TensorBoard events and weights.")]
FileOption = Annotated[Path | None, typer.Option("--config", help="TOML file with options of the recipe.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Any option of the recipe as key=value.")]
SeedOption = Annotated[int | None, typer.Option(help="Seed of all that is random.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")]
StepsOption = Annotated[int | None, typer.Option(help="Steps to train in all; a finished run can be extended.")]
EncoderOption = Annotated[Path, typer.Option(help="apc.safetensors of a trained encoder.")]


def build_config(kind: type[Config], file: Path | None, settings: list[str] | None, **given: Any) -> Config:
    """A recipe's config from a TOML file, ``key=value`` settings and options, later ones winning.

    Raises:
        ConfigError: The file cannot be read, or an option is unknown or out of range.
    """
    values: dict[str, Any] = {}
    if file:
        try:
            values |= tomllib.loads(file.read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file} is not a readable TOML file: {error}.") from error
    for setting in settings or []:
        key, sign, value = setting.partition("=")
        if not sign:
            raise ConfigError(f"--set takes key=value, not {setting!r}.")
        values[key.strip().replace("-", "_")] = value.strip()
    values |= {key: value for key, value in given.items() if value is not None}
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"Option {place!r}: {first['msg']}.") from error


@app.callback()
def _prepare_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Training needs PyTorch: pip install 'mien[train]'.") from error


@app.command()
def data(
    out: OutOption,
    hours: Annotated[float | None, typer.Option(help="Hours of speech; the paper uses 26.")] = None,
    seed: SeedOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Synthesise speech with its motion; goes on where it stopped."""
    from training.prepare import PrepareConfig, prepare

    made = prepare(build_config(PrepareConfig, config, settings, out=out, hours=hours, seed=seed))
    typer.echo(f"{made} shards made in {out}")


@app.command()
def apc(
    data: DataOption,
    out: OutOption,
    steps: StepsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Train the audio encoder."""
    _require_torch()
    from training.train_apc import ApcConfig, train_apc

    given = {"data": data, "out": out, "steps": steps, "seed": seed, "device": device}
    train_apc(build_config(ApcConfig, config, settings, **given))


@app.command()
def manifold(
    data: DataOption,
    out: OutOption,
    encoder: EncoderOption,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Cluster the encoder's features into the manifold's bank."""
    _require_torch()
    from training.train_manifold import ManifoldConfig, train_manifold

    given = {"data": data, "out": out, "encoder": encoder, "seed": seed, "device": device}
    train_manifold(build_config(ManifoldConfig, config, settings, **given))


@app.command()
def motion(
    data: DataOption,
    out: OutOption,
    encoder: EncoderOption,
    manifold: Annotated[Path | None, typer.Option(help="manifold.npz of the encoder.")] = None,
    start: Annotated[Path | None, typer.Option(help="motion.safetensors to start from.")] = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Train the generator of mouth, eye and nose motion."""
    _require_torch()
    from training.train_motion import MotionConfig, train_motion

    given: dict[str, Any] = {"data": data, "out": out, "encoder": encoder, "manifold": manifold, "start": start}
    given |= {"steps": steps, "seed": seed, "device": device}
    train_motion(build_config(MotionConfig, config, settings, **given))


@app.command()
def headpose(
    data: DataOption,
    out: OutOption,
    encoder: EncoderOption,
    steps: StepsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Train the generator of head pose."""
    _require_torch()
    from training.train_headpose import HeadPoseConfig, train_headpose

    given = {"data": data, "out": out, "encoder": encoder, "steps": steps, "seed": seed, "device": device}
    train_headpose(build_config(HeadPoseConfig, config, settings, **given))


@app.command()
def heads(
    assets: Annotated[
        Path, typer.Option(envvar="MIEN_MAKEHUMAN", help="MakeHuman data folder (docs/heads.md), or a pack of it.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the people.")] = None,
    people: Annotated[int | None, typer.Option(help="How many people.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of talking, each.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that render at the same time.")] = None,
    pack: Annotated[
        Path | None, typer.Option(help="Render nothing; write all that a run needs into this file.")
    ] = None,
    pack_speech: Annotated[float, typer.Option(help="Seconds of speech to put into the pack.")] = 600.0,
    seed: SeedOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Render people who talk, with exact landmarks and masks; goes on where it stopped."""
    from training.render_heads import HeadsConfig, pack_heads, render_heads

    if pack:
        size = pack_heads(assets, pack, seed or 0, pack_speech)
        typer.echo(f"{pack}: {size / 1e6:.1f} MB")
        return
    if out is None:
        raise ConfigError("Say where the people go with --out DIR, or what to pack them into with --pack FILE.")
    given: dict[str, Any] = {"assets": assets, "out": out, "people": people, "seconds": seconds, "jobs": jobs}
    made = render_heads(build_config(HeadsConfig, config, settings, **given, seed=seed))
    typer.echo(f"{made} people rendered in {out}")


@app.command()
def manners(
    assets: Annotated[
        Path, typer.Option(envvar="MIEN_MAKEHUMAN", help="MakeHuman data folder (docs/heads.md), or a pack of it.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the clips.")],
    seconds: Annotated[float | None, typer.Option(help="Seconds of each clip to learn from.")] = None,
    seed: SeedOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Render people who talk, sing a ballad, rap and sing opera: what the styles that ship are learned from."""
    from training.render_manners import MannersConfig, render_manners

    given: dict[str, Any] = {"assets": assets, "out": out, "seconds": seconds, "seed": seed}
    made = render_manners(build_config(MannersConfig, config, settings, **given))
    typer.echo(f"{made} clips rendered in {out}")


@app.command()
def frames(
    heads: Annotated[Path, typer.Option(help="Folder of rendered people (`mien train heads`).")],
    out: Annotated[Path, typer.Option(help="Folder for the prepared people.")],
    seed: SeedOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Prepare rendered people for the image generator; goes on where it stopped."""
    from training.generator_data import FramesConfig, prepare_frames

    made = prepare_frames(build_config(FramesConfig, config, settings, heads=heads, out=out, seed=seed))
    typer.echo(f"{made} people prepared in {out}")


@app.command()
def stylemap(
    data: FramesOption,
    out: OutOption,
    steps: StepsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Train the style mapping and draw the prepared people's intermediate style patterns."""
    _require_torch()
    from training.train_stylemap import StyleMapConfig, train_stylemap

    given = {"data": data, "out": out, "steps": steps, "seed": seed, "device": device}
    train_stylemap(build_config(StyleMapConfig, config, settings, **given))


@app.command()
def generator(
    data: FramesOption,
    out: OutOption,
    preset: Annotated[str | None, typer.Option(help="lite or paper.")] = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    config: FileOption = None,
    settings: SetOption = None,
) -> None:
    """Train the style-aware image generator."""
    _require_torch()
    from training.train_generator import GeneratorConfig, train_generator

    given = {"data": data, "out": out, "preset": preset, "steps": steps, "seed": seed, "device": device}
    train_generator(build_config(GeneratorConfig, config, settings, **given))
