import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import NS_PER_MS, Alarm, MonotonicClock, VirtualClock, ms_to_ticks, ns_to_ticks, ticks_to_ns


@given(st.integers(0, 10**12))
def test_ticks_and_nanoseconds_agree(ticks: int) -> None:
    assert ns_to_ticks(ticks_to_ns(ticks)) == ticks
    assert ns_to_ticks(ticks_to_ns(ticks) - 1) == ticks - 1 if ticks else True


def test_rates_of_the_media_clock() -> None:
    assert ticks_to_ns(48_000) == 10**9 and ms_to_ticks(20) == 960


def test_virtual_time_passes_only_when_all_wait() -> None:
    clock, seen = VirtualClock(), []

    async def sleeper(at: int) -> None:
        await clock.sleep_until(at)
        seen.append((at, clock.now_ns()))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper(at)) for at in (50, 10, 30, 10)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert clock.now_ns() == 0
        await asyncio.gather(*tasks)

    clock.run(main())
    assert seen == [(10, 10), (10, 10), (30, 30), (50, 50)]


def test_virtual_hours_take_no_time() -> None:
    clock = VirtualClock()
    began = time.monotonic()
    clock.run(clock.sleep_until(10**18))
    assert clock.now_ns() == 10**18 and time.monotonic() - began < 60


def test_a_cancelled_sleeper_moves_no_time() -> None:
    clock = VirtualClock()

    async def main() -> None:
        task = asyncio.create_task(clock.sleep_until(10**9))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await clock.sleep_until(5)

    clock.run(main())
    assert clock.now_ns() == 5


def test_waiting_for_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.clock._VirtualSelector._PATIENCE_S", 0.01)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="never happen"):
        VirtualClock().run(main())


def test_an_alarm_ends_a_sleep_and_leaves_no_task() -> None:
    clock = VirtualClock()

    async def main() -> None:
        alarm = Alarm(clock)
        sleeping = asyncio.create_task(alarm.wait(100 * NS_PER_MS))
        await clock.sleep_until(7 * NS_PER_MS)
        alarm.ring()
        await sleeping
        assert clock.now_ns() == 7 * NS_PER_MS
        await alarm.wait(9 * NS_PER_MS)
        assert clock.now_ns() == 9 * NS_PER_MS
        alarm.ring()  # kept for who sleeps next
        await alarm.wait(100 * NS_PER_MS)
        assert clock.now_ns() == 9 * NS_PER_MS
        assert asyncio.all_tasks() == {asyncio.current_task()}

    clock.run(main())


def test_a_cancelled_alarm_leaves_no_task() -> None:
    clock = VirtualClock()

    async def main() -> None:
        sleeping = asyncio.create_task(Alarm(clock).wait(NS_PER_MS))
        await asyncio.sleep(0)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    clock.run(main())


def test_the_machines_clock_is_never_early() -> None:
    clock = MonotonicClock()

    async def main() -> None:
        for wait_us in (0, 50, 500, 2000):
            deadline = clock.now_ns() + wait_us * 1000
            await clock.sleep_until(deadline)
            assert clock.now_ns() >= deadline

    asyncio.run(main())
