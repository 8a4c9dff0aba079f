import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from engine.outlet import AudioBlock, Item, VideoFrame
from streaming.serve.media.fanout import Fanout, Feed
from streaming.serve.media.tracks import AvatarVideoTrack, VoiceAudioTrack

PICTURE = np.full((16, 16, 3), 9, np.uint8)


def frame(number: int) -> VideoFrame:
    return VideoFrame(number, 1600 * number, PICTURE, False)


def block(number: int) -> AudioBlock:
    return AudioBlock(960 * number, np.full(960, number, np.int16))


async def handed_out(items: list[Item], error: Exception | None = None) -> AsyncIterator[Item]:
    for item in items:
        yield item
        await asyncio.sleep(0)
    if error is not None:
        raise error


def test_every_receiver_gets_all_of_it_and_a_slow_one_only_the_newest() -> None:
    async def main() -> None:
        items = [item for number in range(30) for item in (frame(number), block(number))]
        fanout = Fanout(handed_out(items))
        quick, slow = fanout.subscribe(), fanout.subscribe()

        async def consume(feed: Feed) -> list[int]:
            seen = []
            try:
                while True:
                    seen.append((await feed.frame()).index)
            except StopAsyncIteration:
                return seen

        reader = asyncio.create_task(consume(quick))
        slow._wants_frames = slow._wants_blocks = True
        await fanout.run()
        assert (await reader)[-3:] == [27, 28, 29]
        assert (await slow.frame()).index == 29 and slow.dropped_frames == 29
        assert [(await slow.block()).ticks for _ in range(10)] == [960 * number for number in range(20, 30)]
        assert slow.dropped_blocks == 20 and quick.dropped_blocks == 0
        with pytest.raises(StopAsyncIteration):
            await slow.block()
        assert fanout.feeds == 0

    asyncio.run(main())


def test_the_end_reaches_all_and_the_error_the_one_who_runs_it() -> None:
    async def main() -> None:
        fanout = Fanout(handed_out([frame(0)], ValueError("broke")))
        waiting = asyncio.create_task(fanout.subscribe().block())
        with pytest.raises(ValueError, match="broke"):
            await fanout.run()
        with pytest.raises(StopAsyncIteration):
            await waiting
        late = fanout.subscribe()
        assert late.closed
        late.close()

    asyncio.run(main())


def test_tracks_carry_the_media_clock_and_end_with_their_feed() -> None:
    async def main() -> None:
        feed = Feed(lambda _: None)
        picture, sound = AvatarVideoTrack(feed), VoiceAudioTrack(feed)
        feed.put(frame(3))
        feed.put(block(5))
        shown, heard = await picture.recv(), await sound.recv()
        assert shown.pts * shown.time_base == Fraction(1, 10) == heard.pts * heard.time_base
        assert heard.sample_rate == 48_000 and heard.format.name == "s16" and heard.samples == 960
        assert (shown.to_ndarray(format="rgb24") == 9).all() and (heard.to_ndarray() == 5).all()
        feed.close()
        for track in (picture, sound):
            with pytest.raises(MediaStreamError):
                await track.recv()
            assert track.readyState == "ended"

    asyncio.run(main())
