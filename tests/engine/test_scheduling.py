import os
import sys
import threading
from collections.abc import Callable

import pytest

from engine.scheduling import NICENESS, Role, leave_role, take_role

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are scheduled by role on Linux alone")


def on_thread(script: Callable[[], None]) -> None:
    """Run a script on a thread of its own, whose priority ends with it."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            script()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


@pytest.mark.parametrize("role", Role)
def test_a_role_gives_real_time_priority_where_it_may_and_nobody_inherits_it(role: Role) -> None:
    def script() -> None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        if take_role(role):
            assert policy() == os.SCHED_RR and os.sched_getparam(0).sched_priority == role
        else:
            assert policy() == os.SCHED_OTHER
            lowered = NICENESS if role is Role.DRAWS else 0
            assert os.getpriority(os.PRIO_PROCESS, 0) == min(nice + lowered, 19)
        inherited: list[int] = []
        thread = threading.Thread(target=lambda: inherited.append(policy()))
        thread.start()
        thread.join()
        assert inherited == [os.SCHED_OTHER]

    on_thread(script)


def test_where_it_is_refused_drawing_gives_way_and_policies_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    def script() -> None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        assert not take_role(Role.KEEPS_TIME) and not take_role(Role.MOVES)
        assert (policy(), os.getpriority(os.PRIO_PROCESS, 0)) == (os.SCHED_OTHER, nice)
        assert not take_role(Role.DRAWS)
        assert (policy(), os.getpriority(os.PRIO_PROCESS, 0)) == (os.SCHED_OTHER, min(nice + NICENESS, 19))

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    on_thread(script)


def test_a_role_is_left_again() -> None:
    def script() -> None:
        before = (policy(), os.getpriority(os.PRIO_PROCESS, 0))
        take_role(Role.KEEPS_TIME)
        leave_role()
        assert (policy(), os.getpriority(os.PRIO_PROCESS, 0)) == before
        leave_role()

    on_thread(script)
