"""Files that are written: where they may lie, and the unfinished file beside each until it is complete."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from engine.errors import ConfigError, OutputError
from streaming.media_errors import reason


def check_target(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """Refuse a target that cannot be written, before any work begins.

    Args:
        path: Where the file shall lie. A link is followed; an existing file will be replaced.
        inputs: Files that are read and must not be overwritten.

    Returns:
        The target's absolute path.

    Raises:
        ConfigError: The name is that of an input.
        OutputError: Its folder is missing or the target is something other than a file.
    """
    try:
        target = path.resolve()
        if target.is_dir():
            raise OutputError(f"{path} is a folder: name the file to write in it.")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is not a regular file and will not be overwritten: choose another name.")
        for source in inputs:
            if target.exists() and source.exists() and target.samefile(source):
                raise ConfigError(f"{path} is also an input: choose another name for the output.")
        if not target.parent.is_dir():
            raise OutputError(f"There is no folder {path.parent} to write {path.name} in: make it first.")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {path.parent} cannot be written: choose another one.")
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(f"Cannot write {path}: {reason(error)}.") from error
    return target


def reserve_partial(target: Path) -> Path:
    """Make an empty file beside ``target`` to write into; its name is hidden, random and ends in ``.part``.

    Raises:
        OutputError: The folder cannot be written.
    """
    partial = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        # Not tempfile: the finished file shall have the permissions that the user's umask gives.
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise OutputError(f"Cannot write in {target.parent}: {reason(error)}.") from error
    return partial
