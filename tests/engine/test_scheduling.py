import os
import subprocess
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


def test_who_gives_way_has_a_lower_priority() -> None:
    code = "import os; from engine.scheduling import give_way; a = os.nice(0); give_way(); print(os.nice(0) - a)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "5\n"
