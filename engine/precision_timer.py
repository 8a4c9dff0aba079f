"""Timers of the operating system that an event loop can wait for: to a tenth of a millisecond.

An asyncio timer is the selector's timeout, which is rounded up to whole milliseconds. On Linux a timer is also a file
(``timerfd``), whose becoming readable the selector reports at once. Elsewhere asyncio's timers must do.
"""

import asyncio
import ctypes
import functools
import os
import sys
from typing import Any

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE = 1
_NS_PER_S = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


@functools.cache
def _library() -> Any:
    """The C library with its timer calls, or None where there are none."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "timerfd_create") else None


async def wait_until(monotonic_ns: int) -> bool:
    """Wait for a time of the monotonic clock.

    Returns:
        Whether the system has such timers and the event loop can wait for them; if not, nothing was waited for.
    """
    library, loop = _library(), asyncio.get_running_loop()
    timer = -1 if library is None else library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
    if timer < 0:
        return False
    try:
        # A time of 0 would disarm it.
        value = _Timespec(*divmod(max(1, monotonic_ns), _NS_PER_S))
        setting = _Setting(_Timespec(0, 0), value)
        if library.timerfd_settime(timer, _ABSOLUTE, ctypes.byref(setting), None):
            return False
        expired = loop.create_future()
        try:
            loop.add_reader(timer, _expire, expired)
        except NotImplementedError:
            return False
        try:
            await expired
        finally:
            loop.remove_reader(timer)
        return True
    finally:
        os.close(timer)


def _expire(expired: "asyncio.Future[None]") -> None:
    if not expired.done():
        expired.set_result(None)
