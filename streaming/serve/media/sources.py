"""What a peer is sent: the avatar's picture and voice, coded, with the media clock's times."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from engine.clock import NS_PER_S, Clock
from engine.lanes import Lane
from streaming.serve.media.bitrate import BitratePolicy
from streaming.serve.media.encoders import VideoCodec, VideoEncoder, VoiceEncoder, video_stamp
from streaming.serve.media.tracks import AvatarVideoTrack, VoiceAudioTrack

DueNs = Callable[[int], int]
"""When an item of a media time, 48 kHz ticks, is due, on the engine's clock."""


@dataclass(frozen=True)
class Coded:
    """See ``streaming.serve.media.aiortc_doors.CodedFrame``."""

    payloads: list[bytes]
    stamp: int
    due_ns: int


class VideoSource:
    """Pictures, encoded on a lane.

    Attributes:
        frames: Sent so far.
        keyframes: Of them, those that stand for themselves because the receiver asked.
        policy: Their rate.
    """

    def __init__(self, track: AvatarVideoTrack, fps: int, due_ns: DueNs, clock: Clock, lane: Lane) -> None:
        self._track, self._fps, self._due_ns = track, fps, due_ns
        self._clock, self._lane = clock, lane
        self._encoder: VideoEncoder | None = None
        self._keyframe = True
        self.policy = BitratePolicy(clock.now_ns())
        self.frames, self.keyframes = 0, 0
        self._estimate: float | None = None
        self._loss = 0.0
        self._window = (clock.now_ns(), 0)

    async def next(self, codec_name: str) -> Coded:
        """The next picture, coded."""
        frame = await self._track.next_frame()
        if self._encoder is None:
            codec: VideoCodec = "H264" if codec_name == "H264" else "VP8"
            self._encoder = VideoEncoder(codec, self._fps, self.policy.bits_per_second)
        keyframe, self._keyframe = self._keyframe, False
        encode = functools.partial(self._encoder.encode, keyframe=keyframe, bits_per_second=self.policy.bits_per_second)
        payloads = await self._lane.run(encode, frame.picture, frame.ticks)
        self.frames += 1
        self.keyframes += keyframe
        self._account(sum(map(len, payloads)))
        return Coded(payloads, video_stamp(frame.ticks), self._due_ns(frame.ticks))

    def want_keyframe(self) -> None:
        """Make the next picture stand for itself."""
        self._keyframe = True

    def feedback(self, estimate_bps: float | None, loss: float | None) -> None:
        """Note what the receiver says."""
        self._estimate = self._estimate if estimate_bps is None else estimate_bps
        self._loss = self._loss if loss is None else loss

    def _account(self, size: int) -> None:
        """About once a second, see whether the rate still fits."""
        began, sent = self._window
        now = self._clock.now_ns()
        if now - began >= NS_PER_S:
            self.policy.observe(now, 8 * sent * NS_PER_S / (now - began), self._estimate, self._loss)
            began, sent = now, 0
        self._window = (began, sent + size)


class VoiceSource:
    """Sound; a block takes some 0.2 ms to encode, less than the way to another thread and back."""

    def __init__(self, track: VoiceAudioTrack, due_ns: DueNs) -> None:
        self._track, self._due_ns = track, due_ns
        self._encoder = VoiceEncoder()

    async def next(self, codec_name: str) -> Coded:
        """The next block, coded."""
        block = await self._track.next_block()
        payloads, ticks = self._encoder.encode(block.samples, block.ticks)
        return Coded(payloads, ticks, self._due_ns(ticks))

    def want_keyframe(self) -> None:
        """Sound has none."""

    def feedback(self, estimate_bps: float | None, loss: float | None) -> None:
        """Its rate is 2 % of the picture's: it stays."""
