"""One line under a running desk: the meter, and what is not as it should be."""

import asyncio
import sys
from types import TracebackType
from typing import Any, Final, Self, TextIO

from streaming.live.desk import Desk

_HZ: Final = 5.0
_WIDTH: Final = 24
_FLOOR_DB: Final = -60.0


class StatusLine:
    """Writes over itself on a terminal; anywhere else it writes nothing."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """The line."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._task is not None:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def watch(self, desk: Desk) -> None:
        """Show a desk, on the running event loop, until that ends."""
        if self._out.isatty() and sys.platform != "win32":
            self._task = asyncio.create_task(self._show(desk), name="mien-status")

    async def _show(self, desk: Desk) -> None:
        while True:
            self._out.write(f"\r\x1b[K{status(desk.view(), desk.session.stats().missed)}")
            self._out.flush()
            await asyncio.sleep(1 / _HZ)


def status(view: dict[str, Any], missed: int) -> str:
    """The line.

    Args:
        view: See ``Desk.view``.
        missed: Frames that were not ready.
    """
    heard, voice, recording = view["microphone"], view["voice"], view["recording"]
    parts = [_bar(heard["rms_db"], heard["peak_db"])]
    if heard["state"] != "open":
        parts.append(f"waiting: {heard['why']}")
    elif heard["muted"]:
        parts.append("muted")
    elif not heard["heard"]:
        parts.append("push to talk")
    if voice is not None and voice["state"] != "open":
        parts.append(f"voice waits: {voice['why']}")
    if recording["on"]:
        parts.append(f"recording {recording['seconds']:.0f} s")
    lost = heard["xruns"] + (voice["xruns"] + voice["underruns"] if voice is not None else 0)
    parts.append(f"{view['latency_ms']:.0f} ms, {missed} frames missed, {lost} xruns")
    return "  ".join(parts)


def _bar(rms_db: float, peak_db: float) -> str:
    """A meter from -60 to 0 dBFS."""

    def cells(level: float) -> int:
        return round(_WIDTH * min(1.0, max(0.0, 1 - level / _FLOOR_DB)))

    bar = list("#" * cells(rms_db) + "-" * (_WIDTH - cells(rms_db)))
    if 0 < cells(peak_db):
        bar[cells(peak_db) - 1] = "|"
    return f"[{''.join(bar)}]{peak_db:6.1f} dB"
