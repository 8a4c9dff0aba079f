"""``mien serve``: the live avatar for browsers, WHIP, WHEP and WebSockets."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from engine.errors import ConfigError
from streaming.computing import DEVICE_HELP, choose_device
from streaming.serve.config import ServeConfig

app = typer.Typer(name="serve", help="Serve live avatars over WebRTC and WebSocket.", add_completion=False)


@app.callback(invoke_without_command=True)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback needs --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any that is free.")] = 8000,
    token: Annotated[str | None, typer.Option(help="That visitors must show.", envvar="MIEN_TOKEN")] = None,
    max_sessions: Annotated[int, typer.Option(help="Sessions at once.")] = 4,
    ice_server: Annotated[
        list[str] | None,
        typer.Option(help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT; may be repeated.", metavar="URL"),
    ] = None,
    idle_s: Annotated[float, typer.Option(help="A session in which nobody is ends after this time.")] = 60.0,
    limit_s: Annotated[float, typer.Option(help="No session is longer.")] = 4 * 3600.0,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Of pages beside our own that may use the server; may be repeated.", metavar="ORIGIN"),
    ] = None,
    codec: Annotated[str, typer.Option(help="Of the picture: VP8 or H264.")] = "VP8",
    drain_s: Annotated[float, typer.Option(help="After SIGTERM, how long sessions may go on.")] = 10.0,
    bundle: Annotated[Path | None, typer.Option(help="Networks trained elsewhere.", metavar="FOLDER")] = None,
    renderer: Annotated[
        str | None, typer.Option(help="warp, lite or paper; by default the bundle's best.", metavar="NAME")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP, metavar="NAME")] = "cpu",
    probe: Annotated[bool, typer.Option("--probe", help="Draw time blocks into the picture, to measure with.")] = False,
) -> None:
    """Serve live avatars over WebRTC and WebSocket, until Ctrl-C or SIGTERM."""
    from streaming.serve.run import run_server

    try:
        config = ServeConfig.model_validate(
            {
                "host": host,
                "port": port,
                "token": token,
                "max_sessions": max_sessions,
                "ice_servers": tuple(ice_server or ()),
                "idle_s": idle_s,
                "limit_s": limit_s,
                "origins": tuple(origin or ()),
                "codec": codec,
                "drain_s": drain_s,
                "bundle": bundle,
                "renderer": renderer,
                "device": device,
                "probe": probe,
            }
        )
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from error
    run_server(config.model_copy(update={"device": choose_device(device)}))


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = "".join(f"--{str(part).replace('_', '-')}: " for part in first["loc"][:1])
    return f"{place}{first['msg'].removeprefix('Value error, ')}."
