"""How a program that runs until it is told to stop hears that it should."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ended_by_signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call ``on_signal`` on the running event loop at every Ctrl-C and SIGTERM, instead of what they did before.

    Where the system or the thread does not allow it, they keep doing that.
    """
    loop, installed = asyncio.get_running_loop(), []
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, on_signal)
        except (NotImplementedError, RuntimeError, ValueError):  # no POSIX system, or not the main thread
            continue
        installed.append((number, before))
    try:
        yield
    finally:
        for number, before in installed:
            loop.remove_signal_handler(number)
            signal.signal(number, before)
