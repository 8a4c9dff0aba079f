"""How far a long job is: a bar with the time left on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

ProgressCallback = Callable[[int, int | None], None]
"""Called with the frames done and the frames in all, None while unknown."""


class ProgressDisplay(Protocol):
    """A context manager whose ``update`` is a ``ProgressCallback``."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show no more."""
        ...

    def update(self, done: int, total: int | None) -> None:
        """Show how far it is."""
        ...


def show_progress(stream: TextIO, what: str) -> ProgressDisplay:
    """The display that suits ``stream``; ``what`` names the job."""
    return _Bar(stream, what) if stream.isatty() else _Lines(stream, what)


class _Bar:
    def __init__(self, stream: TextIO, what: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)


class _Lines:
    """One line at every tenth, or every 600 frames while the total is unknown."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream, self._what, self._shown = stream, what, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, done: int, total: int | None) -> None:
        step = done * 10 // total if total else done // 600
        if step > self._shown:
            self._shown = step
            of = f" of {total} frames ({100 * done // total} %)" if total else " frames"
            print(f"{self._what}: {done}{of}", file=self._stream, flush=True)
