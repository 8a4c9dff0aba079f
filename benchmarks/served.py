"""``mien serve`` in a process of its own, for as long as it is needed."""

import re
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Final

from engine.errors import SessionError

_START_S: Final = 120
_END_S: Final = 30
_SERVE: Final = (
    sys.executable,
    "-u",
    "-c",
    "from streaming.serve.cli import app; app()",
    "--port",
    "0",
    "--drain-s",
    "0",
)


@contextmanager
def served(*options: str, command: Sequence[str] = _SERVE) -> Iterator[str]:
    """Run the server on a free port of this machine, and end it with SIGTERM.

    Args:
        options: Of ``mien serve``.
        command: Another program that prints its address.

    Yields:
        Its address, such as ``http://127.0.0.1:40123``.

    Raises:
        SessionError: It did not start; the message has its last words.
    """
    with TemporaryFile("w+") as words, _process([*command, *options], words) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        found = re.search(r"http://\S+?:\d+", process.stdout.readline() if ready else "")
        if found is None:
            words.seek(0)
            raise SessionError(f"The server did not start: {words.read()[-1000:].strip() or 'it said nothing'}")
        yield found[0]


@contextmanager
def _process(command: Sequence[str], words: IO[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
