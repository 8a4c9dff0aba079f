import asyncio
from collections.abc import Awaitable, Callable

import pytest

from engine.clock import NS_PER_MS, NS_PER_S, VirtualClock
from streaming.live.lifeline import Lifeline
from streaming.live.live_errors import DeviceError
from tests.engine.session_fakes import InlineLane
from tests.streaming.live.live_fakes import HEADSET, MICROPHONE, FakeHost

Script = Callable[[FakeHost, Lifeline, VirtualClock], Awaitable[None]]


def play(script: Script, *, wanted: str | None = None) -> tuple[FakeHost, Lifeline]:
    """Run a script beside a lifeline that is open, and whose blocks come every 10 ms."""
    clock, host = VirtualClock(), FakeHost(MICROPHONE, HEADSET)
    lifeline = Lifeline(
        host, "input", wanted, lambda device: host.open_input(device, print), clock=clock, lane=InlineLane(clock)
    )

    async def beat() -> None:
        while True:
            stream = host.inputs[-1][0]
            stream.beats += stream.alive and stream.device in host.plugged
            await clock.sleep_until(clock.now_ns() + 10 * NS_PER_MS)

    async def main() -> None:
        await lifeline.open()
        tasks = [asyncio.create_task(lifeline.run()), asyncio.create_task(beat())]
        await script(host, lifeline, clock)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    clock.run(main())
    return host, lifeline


async def rest(clock: VirtualClock, seconds: float) -> None:
    await clock.sleep_until(clock.now_ns() + round(seconds * NS_PER_S))


def test_a_device_that_stays_is_opened_once() -> None:
    async def script(host: FakeHost, lifeline: Lifeline, clock: VirtualClock) -> None:
        await rest(clock, 60)
        assert lifeline.state == "open" and lifeline.losses == 0

    host, _ = play(script)
    assert len(host.inputs) == 1 and host.inputs[0][0].closed == 1, "and closed in the end"


def test_an_unplugged_device_is_waited_for_and_is_live_within_two_seconds() -> None:
    async def script(host: FakeHost, lifeline: Lifeline, clock: VirtualClock) -> None:
        host.plugged.remove(HEADSET)
        await rest(clock, 30)
        assert lifeline.state == "waiting" and "Headset" in lifeline.why and lifeline.stream is None
        host.plugged.append(HEADSET)
        await rest(clock, 2)
        assert lifeline.state == "open" and lifeline.device == HEADSET and lifeline.why == ""

    host, lifeline = play(script, wanted="1")
    assert lifeline.losses == 1 and len(host.inputs) == 2
    assert all(stream.closed for stream, _ in host.inputs)


def test_what_is_waited_for_is_the_device_and_not_its_number() -> None:
    async def script(host: FakeHost, lifeline: Lifeline, clock: VirtualClock) -> None:
        host.plugged.remove(MICROPHONE)
        await rest(clock, 5)
        assert lifeline.state == "waiting"

    play(script, wanted="0")


def test_a_stream_that_dies_or_stands_still_is_opened_again() -> None:
    async def script(host: FakeHost, lifeline: Lifeline, clock: VirtualClock) -> None:
        host.inputs[-1][0].xruns = 3
        host.inputs[-1][0].alive = False
        await rest(clock, 2)
        assert lifeline.state == "open" and lifeline.losses == 1 and lifeline.xruns == 3
        host.inputs[-1][0].device = HEADSET
        host.plugged.remove(HEADSET)  # no more blocks, though the device is listed
        await rest(clock, 5)
        assert lifeline.losses == 2 and lifeline.state == "open"

    play(script)


def test_a_device_that_refuses_is_tried_again() -> None:
    async def script(host: FakeHost, lifeline: Lifeline, clock: VirtualClock) -> None:
        host.refuses = 3
        host.inputs[-1][0].alive = False
        await rest(clock, 1)
        assert lifeline.state == "waiting" and "busy" in lifeline.why
        await rest(clock, 3)
        assert lifeline.state == "open"

    play(script)


def test_at_the_start_a_missing_device_is_an_error_that_names_the_others() -> None:
    clock = VirtualClock()
    lifeline = Lifeline(FakeHost(HEADSET), "input", "yeti", print, clock=clock, lane=InlineLane(clock))
    with pytest.raises(DeviceError, match="Headset"):
        clock.run(lifeline.open())
