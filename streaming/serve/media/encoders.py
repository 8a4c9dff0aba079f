"""Pictures and sound to RTP payloads: VP8 and H.264 for the avatar, Opus for its voice.

aiortc's own encoders know 30 pictures a second, 1.5 Mbit/s, and open anew - with a picture that weighs twenty times as
much as its neighbours - whenever the receiver's estimate moves by a tenth. These are opened once; their rate changes
in few steps and seldom (``streaming.serve.media.bitrate``). Putting bits into packets is left to aiortc.
"""

from fractions import Fraction
from typing import Any, Final, Literal, Protocol

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder as H264Packer
from aiortc.codecs.vpx import Vp8Encoder as Vp8Packer
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from models.spec import MEDIA_HZ

VideoCodec = Literal["VP8", "H264"]

VIDEO_HZ: Final = 90_000
_VIDEO_BASE: Final = Fraction(1, VIDEO_HZ)
_AUDIO_BASE: Final = Fraction(1, MEDIA_HZ)
_KEYFRAME_SECONDS: Final = 60
"""A receiver that lost its way asks for one; this is for those that cannot."""
_VOICE_BPS: Final = 48_000


def video_stamp(media_ticks: int) -> int:
    """RTP time of a picture, 90 kHz: 48 kHz ticks times 15/8, exact for every frame rate that a session has."""
    return media_ticks * 15 // 8


class _Packer(Protocol):
    """The half of aiortc's encoders that cuts a coded picture into payloads."""

    def pack(self, packet: "av.Packet[Any]") -> tuple[list[bytes], int]:
        """Payloads and time stamp."""
        ...


class VideoEncoder:
    """One receiver's pictures; called from one thread at a time."""

    def __init__(self, codec: VideoCodec, fps: int, bits_per_second: int) -> None:
        """Prepare; the codec is opened by the first picture.

        Args:
            codec: ``VP8`` or ``H264``.
            fps: Pictures a second that are to be expected.
            bits_per_second: What they may take.
        """
        self.codec: VideoCodec = codec
        self._fps, self._bps = fps, bits_per_second
        self._context: VideoCodecContext | None = None
        # One for all pictures, on this thread: a picture's own would start threads for it and end them again.
        self._converter = VideoReformatter()
        self._packer: _Packer = Vp8Packer() if codec == "VP8" else H264Packer()

    def encode(
        self,
        picture: NDArray[np.uint8],
        media_ticks: int,
        *,
        keyframe: bool = False,
        bits_per_second: int | None = None,
    ) -> list[bytes]:
        """Encode a picture.

        Args:
            picture: uint8 (H, W, 3) RGB, H and W even.
            media_ticks: Its place in time, 48 kHz; greater than the last one's.
            keyframe: Whether it must stand for itself.
            bits_per_second: Another rate from here on.

        Returns:
            RTP payloads, in order.
        """
        if bits_per_second is not None and bits_per_second != self._bps:
            self._bps, self._context = bits_per_second, None
        height, width = picture.shape[:2]
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            self._context = self._open(width, height)
        shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = self._converter.reformat(shown, format="yuv420p", threads=1)
        frame.pts, frame.time_base = video_stamp(media_ticks), _VIDEO_BASE
        # A picture that was decoded or converted may carry a type of its own, which x264 would obey.
        kinds = av.video.frame.PictureType
        frame.pict_type = kinds.I if keyframe else kinds.NONE
        payloads: list[bytes] = []
        for packet in self._context.encode(frame):
            payloads += self._packer.pack(packet)[0]
        return payloads

    def _open(self, width: int, height: int) -> VideoCodecContext:
        name = "libvpx" if self.codec == "VP8" else "libx264"
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.bit_rate, context.time_base = self._bps, _VIDEO_BASE
        context.framerate = Fraction(self._fps)
        context.gop_size = self._fps * _KEYFRAME_SECONDS
        context.thread_count = 1
        rate = str(self._bps)
        if self.codec == "VP8":
            # Constant rate (minrate = maxrate) with a buffer of half a second, one token partition. A quantizer below
            # 8 (47 dB) spends bits, packets and time on what nobody sees: with 4 a talking head takes twice the rate.
            # Speed 12 of 16 takes two thirds of the time of 6 and costs 0.3 dB.
            context.qmin, context.qmax = 8, 56
            context.options = {
                "bufsize": str(self._bps // 2),
                "minrate": rate,
                "maxrate": rate,
                "cpu-used": "-12",
                "deadline": "realtime",
                "lag-in-frames": "0",
                "error-resilient": "default",
                "overshoot-pct": "15",
                "undershoot-pct": "100",
                "static-thresh": "1",
            }
        else:
            context.profile = "Baseline"
            context.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "level": "31",
                "maxrate": rate,
                "bufsize": str(self._bps // 2),
                "x264-params": "repeat-headers=1:annexb=1",
            }
        return context


class VoiceEncoder:
    """One receiver's sound: Opus, mono, blocks of 20 ms, with in-band FEC."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.bit_rate, context.sample_rate = _VOICE_BPS, MEDIA_HZ
        context.format, context.layout = "s16", "mono"
        context.time_base = _AUDIO_BASE
        context.options = {"application": "voip", "fec": "1", "packet_loss": "5", "frame_duration": "20"}
        self._context = context

    def encode(self, samples: NDArray[np.int16], media_ticks: int) -> tuple[list[bytes], int]:
        """Encode a block.

        Args:
            samples: int16 (960,) mono at 48 kHz.
            media_ticks: Media time of the first one.

        Returns:
            The payload (none while the codec fills), and the media time of its first sample: the codec hears some
            6 ms ahead, so that is earlier than ``media_ticks``.
        """
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = MEDIA_HZ, media_ticks, _AUDIO_BASE
        packets = self._context.encode(frame)
        if not packets:
            return [], media_ticks
        first = packets[0].pts
        return [bytes(packet) for packet in packets], media_ticks if first is None else first
