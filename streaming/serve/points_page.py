"""A server for one avatar and the page on which its points are corrected."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from engine.artefacts.avatar import Avatar, load_avatar
from engine.errors import ConfigError
from streaming.serve.app import create_server
from streaming.serve.config import ServeConfig
from streaming.serve.run import serve


async def correct_in_page(
    file: Path, say: Callable[[str], None], *, port: int = 0, end: asyncio.Event | None = None
) -> None:
    """Serve the page until it is told to end.

    Args:
        file: An ``.avatar`` file, or an avatar's folder; it is written anew when points are saved.
        say: Told, once, where the page is.
        port: Of the page, on this machine alone; 0 for any that is free.
        end: Ends it when set, as Ctrl-C does.

    Raises:
        ArtefactError: There is no such avatar, or it is damaged.
        ConfigError: It is something else, or the port is none.
        OutputError: The port cannot be listened on.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"A port is 0 to 65535, not {port}.")
    avatar, target = await asyncio.to_thread(_open, file)
    config = ServeConfig.model_validate({"port": port, "max_sessions": 1, "drain_s": 0})
    server = create_server(config)
    server.rooms.gallery.keep(file.stem, avatar, target)

    def tell(text: str) -> None:
        base = text.removeprefix("Mien listens on ").split()[0]
        say(f"Points of {avatar.name}: {base}points?avatar={quote(file.stem)}   (end with Ctrl-C)")

    await serve(config, tell, make=lambda _: server, end=end)


def _open(file: Path) -> tuple[Avatar, Path]:
    """The avatar, and where it is written to."""
    if file.is_file() and file.suffix != ".avatar":
        raise ConfigError(f"{file} is no .avatar file: make one of a picture with `mien avatar create`.")
    return load_avatar(file), file.resolve()
