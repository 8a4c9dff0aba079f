import asyncio

import numpy as np
import pytest

from engine.outlet import AudioBlock, Outlet, VideoFrame

PICTURE = np.zeros((1, 1, 3), np.uint8)


def frame(number: int) -> VideoFrame:
    return VideoFrame(number, number * 1600, PICTURE, False)


def block(number: int) -> AudioBlock:
    return AudioBlock(number * 960, np.zeros(960, np.int16))


async def drain(outlet: Outlet) -> list[VideoFrame | AudioBlock]:
    outlet.close()
    items = []
    while True:
        try:
            items.append(await outlet.get())
        except StopAsyncIteration:
            return items


def test_gives_in_order_and_then_ends() -> None:
    async def main() -> None:
        outlet = Outlet(500, 30)
        put = [frame(0), block(0), block(1), frame(1)]
        for item in put:
            outlet.put(item)
        assert outlet.queue_ms == 40
        assert await drain(outlet) == put
        outlet.put(frame(2))
        assert await drain(outlet) == []

    asyncio.run(main())


def test_a_slow_consumer_loses_the_oldest_of_each_kind() -> None:
    async def main() -> None:
        outlet = Outlet(100, 30)
        for number in range(10):
            outlet.put(frame(number))
        for number in range(7):
            outlet.put(block(number))
        items = await drain(outlet)
        assert [item.index for item in items if isinstance(item, VideoFrame)] == [7, 8, 9]
        assert [item.ticks // 960 for item in items if isinstance(item, AudioBlock)] == [2, 3, 4, 5, 6]
        assert (outlet.dropped_frames, outlet.dropped_blocks) == (7, 2)

    asyncio.run(main())


def test_frames_alone_never_displace_sound() -> None:
    async def main() -> None:
        outlet = Outlet(100, 30)
        outlet.put(block(0))
        for number in range(100):
            outlet.put(frame(number))
        assert isinstance(await outlet.get(), AudioBlock) and outlet.dropped_blocks == 0

    asyncio.run(main())


def test_an_error_comes_after_what_was_due_before_it_and_once() -> None:
    async def main() -> None:
        outlet = Outlet(500, 30)
        outlet.put(frame(0))
        outlet.close(ValueError("broke"))
        outlet.close(KeyError("later"))
        assert isinstance(await outlet.get(), VideoFrame)
        assert outlet.untold_error is not None
        with pytest.raises(ValueError, match="broke"):
            await outlet.get()
        assert outlet.untold_error is None
        with pytest.raises(StopAsyncIteration):
            await outlet.get()

    asyncio.run(main())


def test_closing_wakes_who_waits() -> None:
    async def main() -> None:
        outlet = Outlet(500, 30)
        waiting = asyncio.create_task(drain(Outlet(500, 30)))
        reader = asyncio.create_task(outlet.get())
        await asyncio.sleep(0)
        outlet.close(ValueError("gone"))
        with pytest.raises(ValueError, match="gone"):
            await reader
        assert await waiting == []

    asyncio.run(main())
