"""``mien join``: the avatar in calls of others."""

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from engine.errors import ConfigError
from streaming.computing import DEVICE_HELP, choose_device

app = typer.Typer(name="join", help="Join a call of others with a face.", no_args_is_help=True, add_completion=False)

_SOCKET: Final = "ws"
_STDIN: Final = "-"

Avatar = Annotated[
    str, typer.Option(help="A shipped avatar's name, an .avatar file, or a picture.", metavar="NAME|FILE|PHOTO")
]
SpeechOption = Annotated[
    str | None,
    typer.Option(
        help="What to say: a recording, - for PCM16 on standard input, ws to take it on --port.", metavar="FILE|-|ws"
    ),
]
Rate = Annotated[int, typer.Option(help="Of the PCM on standard input, mono, Hz.")]
Port = Annotated[int, typer.Option(help="With --speech ws: the port of 127.0.0.1 that takes speech.", min=1, max=65535)]
Stay = Annotated[bool, typer.Option("--stay", help="Stay in the call when all was said.")]
Style = Annotated[str, typer.Option(help="How to move: a style that ships, or none.")]
Intensity = Annotated[float, typer.Option(help="Of the style, 0 to 1.5.")]
Fps = Annotated[int, typer.Option(help="Frames per second: 60, 30, 25 or 20.")]
Lookahead = Annotated[int | None, typer.Option(help="Motion frames of 1/60 s heard beforehand: 0 to 18.")]
Codec = Annotated[str, typer.Option(help="Of the picture: VP8 or H264.")]
Ice = Annotated[
    list[str] | None,
    typer.Option(help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT; may be repeated.", metavar="URL"),
]
Bundle = Annotated[Path | None, typer.Option(help="Networks trained elsewhere.", metavar="FOLDER")]
Patience = Annotated[float, typer.Option(help="Give up when the call cannot be joined for so long.", min=0)]
Computing = Annotated[str, typer.Option(help=DEVICE_HELP, metavar="NAME")]
Silent = Annotated[bool, typer.Option("--silent", help="Send the picture without the sound.")]


@app.command()
def whip(
    url: Annotated[str, typer.Argument(help="Of the WHIP endpoint.", metavar="URL")],
    avatar: Avatar,
    token: Annotated[str | None, typer.Option(help="Bearer token of the endpoint.", envvar="MIEN_WHIP_TOKEN")] = None,
    speech: SpeechOption = None,
    rate: Rate = 24_000,
    port: Port = 8765,
    stay: Stay = False,
    silent: Silent = False,
    style: Style = "none",
    intensity: Intensity = 1.0,
    fps: Fps = 30,
    lookahead: Lookahead = None,
    codec: Codec = "VP8",
    ice_server: Ice = None,
    bundle: Bundle = None,
    device: Computing = "cpu",
    patience_s: Patience = 60.0,
) -> None:
    """Publish the avatar to a WHIP server (RFC 9725)."""
    import httpx

    from streaming.bots.whip_bot import WhipCall
    from streaming.bots.whip_client import WhipClient

    options = _options(locals())

    async def main() -> None:
        async with httpx.AsyncClient() as http:
            client = WhipClient(url, token, http)
            await _attend(options, "pushed", lambda room, _: WhipCall(client, room, voice=not silent), speech, rate)

    asyncio.run(main())


@app.command()
def janus(
    url: Annotated[str, typer.Option(help="Of the server's WebSocket transport: ws:// or wss://.")],
    room: Annotated[str, typer.Option(help="The VideoRoom: its number or name.")],
    avatar: Avatar,
    pin: Annotated[str | None, typer.Option(help="Of the room.", envvar="MIEN_JANUS_PIN")] = None,
    display: Annotated[str, typer.Option(help="What to be called in the room.")] = "Mien",
    token: Annotated[str | None, typer.Option(help="Of servers with tokens.", envvar="MIEN_JANUS_TOKEN")] = None,
    secret: Annotated[
        str | None, typer.Option(help="Of servers with an API secret.", envvar="MIEN_JANUS_SECRET")
    ] = None,
    speech: SpeechOption = None,
    listen: Annotated[
        str | None,
        typer.Option(help="Speak what this participant says: a display name, an id, or * for whoever it is."),
    ] = None,
    rate: Rate = 24_000,
    port: Port = 8765,
    stay: Stay = False,
    silent: Silent = False,
    style: Style = "none",
    intensity: Intensity = 1.0,
    fps: Fps = 30,
    lookahead: Lookahead = None,
    codec: Codec = "VP8",
    ice_server: Ice = None,
    bundle: Bundle = None,
    device: Computing = "cpu",
    patience_s: Patience = 60.0,
) -> None:
    """Join a Janus VideoRoom as a participant with a face."""
    from streaming.bots.janus_bot import JanusAddress, JanusCall

    if speech is not None and listen is not None:
        raise ConfigError("--speech and --listen are two voices for one mouth: give one of them.")
    options = _options(locals())
    number = int(room) if re.fullmatch(r"\d{1,18}", room) else room
    address = JanusAddress(url, number, pin, display, token, secret)
    mode = "live" if listen is not None else "pushed"

    async def main() -> None:
        await _attend(
            options,
            mode,
            lambda shown, server: JanusCall(address, shown, server.clock, listen=listen, voice=not silent),
            speech,
            rate,
        )

    asyncio.run(main())


def _options(given: dict[str, Any]) -> Any:
    """The options that every call has.

    Raises:
        ConfigError: One leaves its range.
    """
    from streaming.bots.attendance import BotOptions
    from streaming.serve.config import ServeConfig
    from streaming.serve.messages import NewSession

    names = ("avatar", "style", "intensity", "fps", "lookahead", "codec", "bundle", "patience_s", "stay")
    chosen = {name: given[name] for name in names}
    servers = tuple(given["ice_server"] or ())
    try:
        ServeConfig.model_validate({"ice_servers": servers, "codec": chosen["codec"]})
        NewSession.model_validate(
            {name: chosen[name] for name in ("style", "intensity", "fps", "lookahead")} | {"avatar": "a"}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = (
            str(first["loc"][0]).replace("ice_servers", "ice_server").replace("_", "-") if first["loc"] else "options"
        )
        raise ConfigError(f"--{place}: {first['msg'].removeprefix('Value error, ')}.") from error
    door = given["port"] if given["speech"] == _SOCKET else None
    return BotOptions(**chosen, ice_servers=servers, door=door, device=choose_device(given["device"]))


async def _attend(options: Any, mode: Any, make_call: Callable[..., Any], speech: str | None, rate: int) -> None:
    """Open what is to be said, go, and say how it was."""
    from engine.lanes import ThreadLane
    from streaming.bots.attendance import attend
    from streaming.bots.speech import FileSpeech, PcmSpeech, Speech

    lane = ThreadLane("mien-speech")
    try:
        words: Speech | None = None
        if speech == _STDIN:
            words = PcmSpeech(sys.stdin.buffer, rate, lane)
        elif speech is not None and speech != _SOCKET:
            words = FileSpeech(Path(speech), lane)
        done = await attend(options, mode, make_call, words, say=lambda text: print(f"mien: {text}", flush=True))
    finally:
        lane.close()
    print(f"mien: left after {done.frames} frames at a latency of {done.latency_ms:.0f} ms, {done.missed} missed")
