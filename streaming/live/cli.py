"""``mien live``, ``mien devices`` and ``mien doctor``."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streaming.computing import DEVICE_HELP, choose_device
from streaming.live.live_config import LiveConfig, config_path, load_config, save_config

app = typer.Typer(name="live", help="Be your avatar, live from a microphone.", add_completion=False)
devices_app = typer.Typer(name="devices", help="List microphones and sound outputs.", add_completion=False)
doctor_app = typer.Typer(name="doctor", help="Check this machine for live use, in plain words.", add_completion=False)

ConfigPath = Annotated[Path | None, typer.Option("--config", help="Another configuration file.", metavar="FILE")]


@app.callback(invoke_without_command=True)
def live(
    avatar: Annotated[
        list[str] | None,
        typer.Option(help="A shipped name, an .avatar file or a picture; more of them to switch to.", metavar="NAME"),
    ] = None,
    microphone: Annotated[str | None, typer.Option(help="Number or name; see `mien devices`.")] = None,
    voice: Annotated[
        str | None, typer.Option(help="Output for the delayed voice, such as a virtual cable; none for none.")
    ] = None,
    window: Annotated[bool | None, typer.Option("--window/--no-window", help="A preview window.")] = None,
    camera: Annotated[bool | None, typer.Option("--camera/--no-camera", help="A virtual camera.")] = None,
    background: Annotated[
        str | None, typer.Option(help="original, transparent, #rrggbb, or a picture's path.", metavar="WHAT")
    ] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second: 60, 30, 25 or 20.")] = None,
    lookahead: Annotated[int | None, typer.Option(help="Motion frames of 1/60 s heard beforehand: 0 to 18.")] = None,
    latency: Annotated[str | None, typer.Option(help="Of the engine in ms, or auto.")] = None,
    style: Annotated[str | None, typer.Option(help="A style that ships.")] = None,
    renderer: Annotated[str | None, typer.Option(help="warp, lite or paper; by default the bundle's best.")] = None,
    device: Annotated[str | None, typer.Option(help=DEVICE_HELP, metavar="NAME")] = None,
    gain: Annotated[float | None, typer.Option(help="Of the microphone, dB.")] = None,
    gate: Annotated[bool | None, typer.Option("--gate/--no-gate", help="The noise gate.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Level at which the gate opens, dBFS.")] = None,
    attack: Annotated[float | None, typer.Option(help="How long the gate takes to open, ms.")] = None,
    hold: Annotated[float | None, typer.Option(help="How long it stays open without a sound, ms.")] = None,
    push_to_talk: Annotated[
        bool | None, typer.Option("--push-to-talk/--open-microphone", help="Be heard only while the key is down.")
    ] = None,
    record: Annotated[str | None, typer.Option(help="Format of recordings: mp4, webm or mov.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Folder of recordings.", metavar="FOLDER")] = None,
    port: Annotated[int | None, typer.Option(help="Of the desk's page, on this machine alone.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="First listen to the room and to you, and set gate and gain.")
    ] = False,
    save: Annotated[bool, typer.Option("--save", help="Keep all this as the configuration.")] = False,
    config: ConfigPath = None,
) -> None:
    """Speak, and your character speaks; until Ctrl-C."""
    from streaming.live.portaudio import PortAudioHost
    from streaming.live.run_desk import run_desk
    from streaming.live.status_line import StatusLine

    path = config or config_path()
    chosen = load_config(
        path,
        _changes(
            avatar=_lasting(avatar[0]) if avatar else None,
            avatars=[_lasting(name) for name in avatar[1:]] if avatar else None,
            style=style,
            renderer=renderer,
            device=device,
            fps=fps,
            lookahead=lookahead,
            latency=_number(latency),
            port=port,
            microphone={"device": microphone, "gain_db": gain, "push_to_talk": push_to_talk},
            gate={"on": gate, "threshold_db": threshold, "attack_ms": attack, "hold_ms": hold},
            output={
                "voice": voice,
                "window": window,
                "camera": camera,
                **_background(background),
                "format": record,
                "recordings": None if recordings is None else str(recordings),
            },
        ),
    )
    if voice == "none":
        chosen = chosen.model_copy(update={"output": chosen.output.model_copy(update={"voice": None})})
    console = Console(stderr=True)
    if calibrate:
        chosen = _calibrated(chosen, console)
    if save:
        save_config(chosen, path)
        console.print(f"Saved {path}", soft_wrap=True, highlight=False, markup=False)

    # What is saved is what was asked for: the card may be there the next time.
    chosen = chosen.model_copy(update={"device": choose_device(chosen.device)})

    def say(text: str) -> None:
        print(text, flush=True)

    status = StatusLine(sys.stderr)
    with status:
        asyncio.run(run_desk(chosen, PortAudioHost, say, on_open=status.watch))


@devices_app.callback(invoke_without_command=True)
def devices() -> None:
    """List microphones and sound outputs, with the number and the name to choose them by."""
    from streaming.live.portaudio import PortAudioHost

    host = PortAudioHost()
    table = Table("", "number", "name", "channels", "rate", "through", box=None, pad_edge=False)
    try:
        for side, title in (("input", "microphones"), ("output", "outputs")):
            table.add_row(f"[bold]{title}[/]")
            for device in host.devices():
                if device.side == side:
                    mark = "default" if device.default else ""
                    about = (str(device.number), device.label, str(device.channels), str(device.rate_hz), device.host)
                    table.add_row(mark, *about)
    finally:
        host.close()
    Console().print(table)


@doctor_app.callback(invoke_without_command=True)
def doctor(config: ConfigPath = None) -> None:
    """Check microphone, cable, camera, GPU and speed, and say what to do about what is missing."""
    from streaming.live.doctor import examine

    console = Console()
    chosen = load_config(config or config_path())
    well = True
    for finding in examine(chosen):
        well = well and finding.well is not False
        mark = {True: "[green]ok[/]     ", False: "[red]missing[/]", None: "[yellow]note[/]   "}[finding.well]
        console.print(f"{mark} ", end="")
        console.print(f"{finding.about}: {finding.words}", soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(0 if well else 1)


def _calibrated(config: LiveConfig, console: Console) -> LiveConfig:
    from streaming.live.calibrate import listen, settle
    from streaming.live.portaudio import PortAudioHost

    host = PortAudioHost()
    try:
        with console.status("Be silent for three seconds ..."):
            room = listen(host, config.microphone, 3.0)
        with console.status("Now speak for five seconds, as you will on air ..."):
            speech = listen(host, config.microphone, 5.0)
    finally:
        host.close()
    settled = settle(room, speech)
    console.print(settled.words, highlight=False, markup=False)
    return config.model_copy(
        update={
            "microphone": config.microphone.model_copy(update={"gain_db": settled.gain_db}),
            "gate": config.gate.model_copy(update={"on": True, "threshold_db": settled.threshold_db}),
        }
    )


def _changes(**given: Any) -> dict[str, Any]:
    """What was said, without what was not."""
    kept = {}
    for key, value in given.items():
        inner = _changes(**value) if isinstance(value, dict) else value
        if inner is not None and inner != {}:
            kept[key] = inner
    return kept


def _number(latency: str | None) -> float | str | None:
    try:
        return None if latency is None else float(latency)
    except ValueError:
        return latency


def _background(given: str | None) -> dict[str, str | None]:
    if given is None or given in ("original", "transparent", "image") or given.startswith("#"):
        return {"background": given}
    return {"background": "image", "image": _lasting(given)}


def _lasting(given: str) -> str:
    """A file's path that means the same from any folder; a name stays a name."""
    path = Path(given).expanduser()
    return str(path.resolve()) if path.exists() else given
