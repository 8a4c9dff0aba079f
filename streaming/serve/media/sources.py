"""What a peer is sent: the avatar's picture and voice, coded, with the media clock's times."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.mediastreams import MediaStreamError

from engine.clock import NS_PER_S, Clock
from engine.lanes import Lane, Picture
from streaming.serve.media.bitrate import BitratePolicy
from streaming.serve.media.encoders import VideoCodec, VideoEncoder, VoiceEncoder, video_stamp
from streaming.serve.media.tracks import AvatarVideoTrack, VoiceAudioTrack

DueNs = Callable[[int], int]
"""When an item of a media time, 48 kHz ticks, is due, on the engine's clock."""
Note = Callable[[str, int, int], None]
"""Told of a stage of the work, and when it began and ended, on the engine's clock."""


Lay = Callable[[Picture, int], Picture]
"""Makes what is encoded of a picture of a media time."""


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

    def __init__(
        self,
        track: AvatarVideoTrack,
        fps: int,
        due_ns: DueNs,
        clock: Clock,
        lane: Lane,
        note: Note,
        lay: Lay | None = None,
    ) -> None:
        self._track, self._fps, self._due_ns, self._note, self._lay = track, fps, due_ns, note, lay
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
        encode = functools.partial(
            self._encode, self._encoder, keyframe=keyframe, bits_per_second=self.policy.bits_per_second
        )
        due_ns, began_ns = self._due_ns(frame.ticks), self._clock.now_ns()
        payloads = await self._lane.run(encode, frame.picture, frame.ticks)
        ended_ns = self._clock.now_ns()
        self._note("encode", began_ns, ended_ns)
        self._note("picture_out", due_ns, ended_ns)
        self.frames += 1
        self.keyframes += keyframe
        self._account(sum(map(len, payloads)))
        return Coded(payloads, video_stamp(frame.ticks), due_ns)

    def _encode(
        self, encoder: VideoEncoder, picture: Picture, ticks: int, *, keyframe: bool, bits_per_second: int
    ) -> list[bytes]:
        """On the lane."""
        laid = picture if self._lay is None else self._lay(picture, ticks)
        return encoder.encode(laid, ticks, keyframe=keyframe, bits_per_second=bits_per_second)

    def close(self) -> None:
        """Free the codec, and do not wait for the collector of garbage: it is megabytes that Python does not see."""
        self._encoder = None

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

    def __init__(self, track: VoiceAudioTrack, due_ns: DueNs, ahead_ns: int, clock: Clock, note: Note) -> None:
        self._track, self._due_ns, self._ahead_ns = track, due_ns, ahead_ns
        self._clock, self._note = clock, note
        self._encoder: VoiceEncoder | None = VoiceEncoder()

    async def next(self, codec_name: str) -> Coded:
        """The next block, coded."""
        block = await self._track.next_block()
        if self._encoder is None:
            raise MediaStreamError("the call has ended")
        payloads, ticks = self._encoder.encode(block.samples, block.ticks)
        self._note("sound_out", self._due_ns(block.ticks) - self._ahead_ns, self._clock.now_ns())
        return Coded(payloads, ticks, self._due_ns(ticks))

    def close(self) -> None:
        """Free the codec."""
        self._encoder = None

    def want_keyframe(self) -> None:
        """Sound has none."""

    def feedback(self, estimate_bps: float | None, loss: float | None) -> None:
        """Its rate is 2 % of the picture's: it stays."""
