"""The command ``mien``: it parses, calls the library, and says in one line what went wrong.

Exit codes: 0 done; 1 could not be done; 2 what the user can mend (see ``engine.errors``); 130 Ctrl-C; 143
SIGTERM. Groups of commands that sit above the runtime are found through the entry points ``mien.commands``.
"""

import importlib.metadata
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from engine.errors import MienError, MissingExtraError
from streaming.computing import DEVICE_HELP, choose_device

GROUPS = "mien.commands"
INTERRUPTED = 130


class _Terminated(BaseException):
    """The system asks the process to end (SIGTERM); unwinds the stack so that nothing half-written stays."""


class _Groups(TyperGroup):
    """The root: commands defined here and, loaded when they are named, those that entry points add."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        return [*super().list_commands(ctx), *sorted(_entry_points())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        found = super().get_command(ctx, cmd_name)
        entry = _entry_points().get(cmd_name)
        return found if found is not None or entry is None else _load_group(entry)


app = typer.Typer(
    cls=_Groups,
    name="mien",
    help="One portrait and a voice in, a talking head out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {_installed_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """One portrait and a voice in, a talking head out."""


@app.command()
def render(
    speech: Annotated[Path, typer.Argument(help="Sound or video file with the speech.", metavar="SPEECH")],
    avatar: Annotated[
        str,
        typer.Option(help="A shipped avatar's name, an .avatar file, or a picture.", metavar="NAME|FILE|PHOTO"),
    ],
    out: Annotated[Path, typer.Option(help="The video to write.", metavar="OUT.mp4")],
    fps: Annotated[int, typer.Option(help="Frames per second: 60, 30 or 25.")] = 60,
    lookahead: Annotated[int, typer.Option(help="Motion frames of 1/60 s heard beforehand: 0 to 18.")] = 18,
    seed: Annotated[int, typer.Option(help="Of the head's motion.")] = 0,
    bundle: Annotated[Path | None, typer.Option(help="Networks trained elsewhere.", metavar="FOLDER")] = None,
    style: Annotated[
        str, typer.Option(help="A shipped style's name, none, or a .style file.", metavar="NAME|FILE")
    ] = "none",
    intensity: Annotated[float, typer.Option(help="Of the style, 0 to 1.5.")] = 1.0,
    renderer: Annotated[
        str | None, typer.Option(help="warp, lite or paper; by default the bundle's best.", metavar="NAME")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP, metavar="NAME")] = "cpu",
    report: Annotated[Path | None, typer.Option("--json", help="Write a report.", metavar="REPORT")] = None,
) -> None:
    """Make a portrait speak a recording: an MP4 of 512x512 with the sound in sync."""
    from streaming.progress import show_progress
    from streaming.render import render_file

    computing = choose_device(device)
    with show_progress(sys.stderr, f"Rendering {out.name}") as display:
        done = render_file(
            speech,
            avatar,
            out,
            fps=fps,
            lookahead=lookahead,
            seed=seed,
            bundle=bundle,
            style=style,
            intensity=intensity,
            renderer=renderer,
            device=computing,
            report=report,
            progress=display.update,
        )
    for warning in done.warnings:
        print(f"mien: warning: {warning}", file=sys.stderr)
    print(
        f"{out}: {done.frames} frames at {done.fps} fps, {done.audio_seconds:.2f} s of speech "
        f"in {done.wall_seconds:.2f} s ({done.realtime_factor:.2f} x real time)"
    )


def main() -> None:
    """Entry point of the command ``mien``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run ``mien`` with ``arguments``.

    Returns:
        The exit code; whatever went wrong has been said on standard error, without a traceback unless
        ``--debug`` is among the arguments.
    """
    # numpy's BLAS would start a thread a core in every one of our own threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    previous = _unwind_on_sigterm()
    try:
        command = typer.main.get_command(app)
        code = int(command.main(rest, prog_name="mien", standalone_mode=False) or 0)
        if code == INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
        return code
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped.", INTERRUPTED, debug)
    except _Terminated:
        return _say("ended by SIGTERM.", 143, debug)
    except MienError as error:
        return _say(str(error), error.exit_code, debug)
    except BrokenPipeError:
        # Whoever read our output has had enough; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # wrong usage, as typer puts it
            usage = error.format_message()
            return _say(f"{usage} Try `mien --help`.", int(error.exit_code), debug) if usage else int(error.exit_code)
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return _say(f"this is a bug ({what}). Run again with --debug and report what it prints.", 1, debug)
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _say(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"mien: {' '.join(message.split())}", file=sys.stderr)
    return code


def _unwind_on_sigterm() -> Any:
    """Make SIGTERM unwind the stack like Ctrl-C does; returns the former handler, None if not ours to set."""

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        raise _Terminated

    try:
        return signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: somebody else's process
        return None


def _installed_version() -> str:
    try:
        return importlib.metadata.version("mien")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUPS)}


def _load_group(entry: importlib.metadata.EntryPoint) -> Any:
    """The group that ``entry`` names, or a stand-in that says which extra to install."""
    try:
        group = typer.main.get_group(entry.load())
    except ImportError as error:
        return _unavailable(entry.name, error)
    group.name = entry.name
    return group


def _unavailable(name: str, error: ImportError) -> Any:
    missing = (error.name or str(error)).split(".")[0]
    extra = _extra_of(missing, name)
    remedy = f"install it with: pip install 'mien[{extra}]'" if extra else "reinstall mien"
    stand_in = typer.Typer(add_completion=False)

    @stand_in.command(
        name,
        help=f"Not installed: {escape(remedy)}.",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )
    def unavailable() -> None:
        raise MissingExtraError(f"`mien {name}` needs {missing}, which is not installed: {remedy}.") from error

    return typer.main.get_command(stand_in)


def _extra_of(module: str, command: str) -> str | None:
    """The extra of mien that brings ``module``, going by the requirements' names; rather ``command``'s own."""
    try:
        requirements = importlib.metadata.requires("mien") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    extras = []
    for requirement in requirements:
        found = re.match(r"""([\w.-]+).*;.*extra\s*==\s*["']([\w-]+)""", requirement)
        if found and found[1].lower().replace("-", "_") == module.lower():
            extras.append(found[2])
    return command if command in extras else next(iter(extras), None)
