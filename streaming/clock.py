"""The one place where the outside world's time is read; everything else is handed a clock."""

import time
from collections.abc import Callable

NowNs = Callable[[], int]
"""A monotonic clock: nanoseconds since an arbitrary origin, never going back."""


def now_ns() -> int:
    """The machine's monotonic clock in nanoseconds."""
    return time.perf_counter_ns()
