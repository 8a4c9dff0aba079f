"""Joined, lost, joined again: on a virtual clock."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.clock import NS_PER_S, VirtualClock
from streaming.bots.backoff import Backoff
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.bots.presence import Presence, Stay


class FakeCall:
    """Plays a script: an error, or for how many seconds the call stands."""

    def __init__(self, clock: VirtualClock, *script: Exception | float) -> None:
        self.clock, self.script = clock, list(script)
        self.entered: list[float] = []
        self.left = 0

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Stay]:
        self.entered.append(self.clock.now_ns() / NS_PER_S)
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, Exception):
            raise what
        try:
            yield FakeStay(self.clock, what)
        finally:
            self.left += 1


class FakeStay:
    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    async def until_lost(self) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + round(self.seconds * NS_PER_S))
        raise JoinUnavailable("the wire was cut")


def keep(*script: Exception | float, patience_s: float = 60.0) -> tuple[Presence, FakeCall, VirtualClock]:
    clock = VirtualClock()
    call = FakeCall(clock, *script)
    presence = Presence(call, clock, patience_s=patience_s, rng=random.Random(3))
    with pytest.raises((JoinRefused, JoinUnavailable)):
        clock.run(presence.keep())
    return presence, call, clock


def test_a_lost_call_is_joined_again_and_each_stay_is_left() -> None:
    presence, call, _ = keep(60.0, 60.0, JoinRefused("no"))
    assert (presence.stays, call.left, len(call.entered)) == (2, 2, 3)
    assert not presence.joined.is_set()
    assert all(later - earlier < 61 for earlier, later in zip(call.entered, call.entered[1:], strict=False))


def test_a_refusal_ends_it_at_once() -> None:
    _, call, clock = keep(JoinRefused("no"))
    assert len(call.entered) == 1 and clock.now_ns() == 0


def test_patience_ends_and_begins_anew_with_every_stay() -> None:
    down = JoinUnavailable("down")
    _, _, clock = keep(down, patience_s=20)
    assert 20 <= clock.now_ns() / NS_PER_S <= 60
    _, call, clock = keep(down, down, 300.0, down, patience_s=20)
    assert clock.now_ns() / NS_PER_S > 320 and call.left == 1


def test_the_server_is_not_asked_sooner_than_it_wants() -> None:
    _, call, _ = keep(JoinUnavailable("full", 7.0), JoinRefused("no"))
    assert 7.0 <= call.entered[1] <= 9.0


def test_a_call_that_flaps_is_joined_ever_more_seldom() -> None:
    _, call, _ = keep(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, JoinRefused("no"))
    waits = [later - earlier for earlier, later in zip(call.entered, call.entered[1:], strict=False)]
    assert waits[-1] > 10 > 1 > waits[0]


def test_leaving_while_in_the_call_leaves_it() -> None:
    clock = VirtualClock()
    call = FakeCall(clock, 1e6)

    async def main() -> None:
        presence = Presence(call, clock)
        task = asyncio.create_task(presence.keep())
        await presence.joined.wait()
        task.cancel()
        await asyncio.wait([task])

    clock.run(main())
    assert call.left == 1


def test_waits_double_up_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(random.Random(1), first_s=1, most_s=10)
    waits = [backoff.next_s() for _ in range(2000)]
    for wait, longest in zip(waits, [1, 2, 4, 8, 10, 10], strict=False):
        assert longest / 2 <= wait <= longest
    assert max(waits) <= 10
    backoff.reset()
    assert backoff.next_s() <= 1
