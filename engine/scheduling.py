"""What the operating system's scheduler is told about threads: who must run at once.

A frame's deadline is kept by a thread that sleeps most of the time, beside others that compute most of the time on
the same few cores. A scheduler that is fair to all lets the sleeper wait, and lets whatever else runs on the machine
take turns with a frame that is due. So live sessions ask for real-time priority, as sound servers do, each role
before those on whose work it waits. Linux grants it to root and to users with a limit for it (``rtprio`` in
``limits.conf``), and keeps a twentieth of each second for all others even then.

Where it is refused, a short time slice and a lower priority for drawing must do, which need no privileges; where a
system knows none of this, nothing happens.
"""

import ctypes
import os
import platform
import struct
import sys
from enum import IntEnum

_SYSCALLS = {"x86_64": 314, "aarch64": 274}
"""Number of ``sched_setattr`` by machine."""
_SLICE_NS = 100_000
NICENESS = 10
"""By how much drawing lowers its priority where it has no real-time one."""


class Role(IntEnum):
    """What a thread of a live session does; the number is its real-time priority.

    Whoever prepares what no frame waits for has one as well: while it holds Python's lock, all the others wait for it.
    """

    PREPARES = 1
    DRAWS = 2
    MOVES = 3
    KEEPS_TIME = 4


def take_role(role: Role, thread: int = 0) -> bool:
    """Let the scheduler treat a thread by its role. Threads and processes that it begins are not.

    Args:
        role: What the thread does. ``DRAWS`` may lower the priority of the calling thread for good.
        thread: Its number for the system (``threading.get_native_id``); 0 is the calling one. Of another thread, which
            may have ended, real-time priority is all that is asked.

    Returns:
        Whether it has real-time priority now.
    """
    if sys.platform != "linux":
        return False
    try:
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(role))
    except OSError:
        if thread:
            return False
        if role is Role.KEEPS_TIME:
            _ask_for_slice(_SLICE_NS)
        elif role is Role.DRAWS:
            os.nice(NICENESS)
        return False
    return True


def leave_role() -> None:
    """Let the scheduler treat the calling thread, that kept time, as any other again."""
    if sys.platform != "linux":
        return
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    _ask_for_slice(0)


def _ask_for_slice(slice_ns: int) -> None:
    """Ask for a time slice for the calling thread (Linux 6.12 and later); 0 is an ordinary one.

    With a short one it runs as soon as it wakes; its share of the processor stays what it was.
    """
    number = _SYSCALLS.get(platform.machine())
    if number is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice), deadline, period.
        attributes = struct.pack("<IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, slice_ns, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, ctypes.create_string_buffer(attributes), 0)
