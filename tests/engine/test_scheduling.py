import os
import sys

import pytest

from engine.scheduling import run_on_wakeup


@pytest.mark.skipif(sys.platform != "linux", reason="time slices of threads are Linux's")
def test_a_short_slice_leaves_policy_and_priority_alone() -> None:
    before = (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
    run_on_wakeup()
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before
    run_on_wakeup(False)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before
