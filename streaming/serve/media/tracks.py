"""The avatar's picture and voice as tracks of a call, on the session's own schedule.

A session gives every frame and block at its due time, origin + ticks + L, on an absolute schedule; a track passes it
on and never sleeps, so its rate is the session's, whatever that is, and a rate that changes. Time stamps are the media
clock's: frame and sound of one instant carry one time, and the sender reports (``aiortc_doors``) say when that was.

The tracks also work in a plain aiortc connection, with aiortc's own encoders.
"""

from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from engine.outlet import AudioBlock, VideoFrame
from models.spec import MEDIA_HZ
from streaming.serve.media.fanout import Feed

_MEDIA_BASE: Final = Fraction(1, MEDIA_HZ)


class AvatarVideoTrack(MediaStreamTrack):
    """The picture. The newest frame counts; one that was not fetched before the next came is dropped."""

    kind = "video"

    def __init__(self, feed: Feed) -> None:
        """Show what ``feed`` gives; the feed is the caller's to close."""
        super().__init__()
        self._feed = feed

    async def next_frame(self) -> VideoFrame:
        """The next frame, as the session gave it.

        Raises:
            MediaStreamError: The track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await self._feed.frame()
        except StopAsyncIteration as end:
            self.stop()
            raise MediaStreamError from end

    async def recv(self) -> av.VideoFrame:
        """The same for aiortc: RGB, time in media ticks.

        Raises:
            MediaStreamError: The track has ended.
        """
        shown = await self.next_frame()
        frame = av.VideoFrame.from_ndarray(shown.picture, format="rgb24")
        frame.pts, frame.time_base = shown.ticks, _MEDIA_BASE
        return frame


class VoiceAudioTrack(MediaStreamTrack):
    """The sound that came in, delayed by exactly L: s16 mono at 48 kHz, blocks of 20 ms."""

    kind = "audio"

    def __init__(self, feed: Feed) -> None:
        """Play what ``feed`` gives; the feed is the caller's to close."""
        super().__init__()
        self._feed = feed

    async def next_block(self) -> AudioBlock:
        """The next block, as the session gave it.

        Raises:
            MediaStreamError: The track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await self._feed.block()
        except StopAsyncIteration as end:
            self.stop()
            raise MediaStreamError from end

    async def recv(self) -> av.AudioFrame:
        """The same for aiortc, time in media ticks.

        Raises:
            MediaStreamError: The track has ended.
        """
        block = await self.next_block()
        frame = av.AudioFrame.from_ndarray(block.samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = MEDIA_HZ, block.ticks, _MEDIA_BASE
        return frame
