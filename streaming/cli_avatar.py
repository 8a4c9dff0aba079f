"""The commands ``mien avatar``: make an avatar of a picture, correct its points, list those that ship."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engine.artefacts.avatar import load_avatar, save_avatar
from engine.errors import ConfigError, OutputError
from engine.images import encode_png
from engine.portrait.build import avatar_from_photo
from engine.portrait.preview import preview as draw_preview
from engine.portrait.smile import with_smile
from streaming.avatars import shipped_avatars

app = typer.Typer(help="Make avatars of pictures.", no_args_is_help=True)


@app.command()
def create(
    photo: Annotated[Path, typer.Argument(help="Picture of one person: PNG, JPEG, WebP, GIF or BMP.", metavar="PHOTO")],
    out: Annotated[Path, typer.Option(help="The avatar to write.", metavar="NAME.avatar")],
    name: Annotated[str | None, typer.Option(help="What to call it; by default the name of --out.")] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Where to draw what was found; by default beside --out.", metavar="PNG")
    ] = None,
    cutout: Annotated[
        Path | None,
        typer.Option(help="The same picture with a transparent background, as matte.", metavar="PNG"),
    ] = None,
    mouth: Annotated[
        Path | None,
        typer.Option(
            help="Another picture of the person, smiling or speaking, to take the teeth from.", metavar="SMILE_PHOTO"
        ),
    ] = None,
    rights: Annotated[
        str, typer.Option(help="Who may use the picture; kept in the avatar.")
    ] = "as for the source picture",
) -> None:
    """Make an avatar of a picture, and a preview of its parts."""
    if out.suffix not in ("", ".avatar"):
        raise ConfigError(f"--out {out} must end in .avatar (or in nothing, for a folder).")
    picture = preview or out.with_name(f"{out.stem}.preview.png")
    if picture.suffix.lower() != ".png":
        raise ConfigError(f"--preview {picture} must end in .png.")
    console = Console(stderr=True)
    with console.status("Looking for the face ..."):
        avatar = avatar_from_photo(photo, name=name or out.stem, cutout=cutout, rights=rights)
        if mouth is not None:
            avatar = with_smile(avatar, mouth)
        drawn = encode_png(draw_preview(avatar))
    save_avatar(avatar, out)
    _write(picture, drawn)
    console.print(f"Wrote {out} and {picture}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Where a point lies wrong: mien avatar points {out}", soft_wrap=True, highlight=False, markup=False)


@app.command()
def points(
    avatar: Annotated[Path, typer.Argument(help="The avatar whose points are to be corrected.", metavar="NAME.avatar")],
    port: Annotated[int, typer.Option(help="Of the page, on this machine alone; 0 for any that is free.")] = 0,
) -> None:
    """Look at an avatar's points in a page, drag them and save; until Ctrl-C."""
    from streaming.serve.points_page import correct_in_page

    def say(text: str) -> None:
        print(text, flush=True)

    asyncio.run(correct_in_page(avatar, say, port=port))


@app.command(name="list")
def list_avatars() -> None:
    """List the avatars that ship."""
    table = Table("name", "made from", "rights", box=None, pad_edge=False)
    for name, path in shipped_avatars().items():
        provenance = load_avatar(path).provenance
        table.add_row(name, provenance.get("source", ""), provenance.get("rights", ""))
    Console().print(table)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write the preview {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
