"""What the operating system's scheduler is told about threads: who must run at once.

A frame's deadline is kept by one thread that sleeps most of the time, beside processes that draw all the time on the
same few cores. A scheduler that is fair to all lets the sleeper wait for the end of a drawing's time slice, several
milliseconds. Nothing here needs privileges; where a system knows no such thing, nothing happens.
"""

import ctypes
import os
import platform
import struct
import sys

_SYSCALLS = {"x86_64": 314, "aarch64": 274}
"""Number of ``sched_setattr`` by machine."""
_SLICE_NS = 100_000


def run_on_wakeup(wanted: bool = True) -> bool:
    """Ask for a short time slice for the calling thread (Linux 6.12 and later): it then runs as soon as it wakes.

    Its share of the processor stays what it was.

    Args:
        wanted: False gives it an ordinary slice again.

    Returns:
        Whether the system knows time slices of a thread.
    """
    number = _SYSCALLS.get(platform.machine())
    if sys.platform != "linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    # struct sched_attr: size, policy, flags, nice, priority, runtime (the slice), deadline, period.
    attributes = struct.pack("<IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, _SLICE_NS if wanted else 0, 0, 0)
    refused: int = ctypes.CDLL(None).syscall(number, 0, ctypes.create_string_buffer(attributes), 0)
    return not refused
