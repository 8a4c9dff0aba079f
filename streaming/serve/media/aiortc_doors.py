"""Where we reach into aiortc, and why. Everything that leans on its private names is in this file.

aiortc offers no way to hand it coded pictures at our pace, to see packets before its jitter buffer, or to say what an
RTP time means. Six places are taken over, four of them on single objects:

- *A receiver's jitter buffer* (``listen``). aiortc's holds 80 ms, stalls for 320 ms when a packet is lost and keeps
  280 ms for ever after, and its decoded frames pile up in a queue without bound while nobody reads. Ours sees each
  packet when it arrives and gives none on.
- *A sender's next frame* (``MediaSender``). aiortc encodes on the event loop's default executor with encoders of its
  own. Ours come coded from ``streaming.serve.media.encoders``, and with RTP times of the media clock.
- *A sender's reports* (the same). aiortc maps an RTP time to the moment at which encoding ended, so that sound and
  picture drift apart by the load of the machine. Ours map it to the moment at which it was due.
- *A sender's feedback* (the same): the receiver's estimate and losses, which aiortc answers with a new encoder.
- *The header extensions of pictures* (``ask_for_promptness``, and in ``MediaSender``): ``playout-delay`` asks a player
  to show each picture when it comes. Without it Chromium holds pictures back by the worst that it saw of the network.
- *The host's addresses* (``gather_loopback_too``), of the module aioice: without an address but loopback, as in a
  container without a network, it finds no candidate and no call can be made.

And its hanging up is not waited for without a limit (``hang_up``): it waits for every part of a connection to say that
it has ended, which a part whose task was cancelled before it ran cannot do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import aioice.ice
from aiortc import RTCRtpReceiver, RTCRtpSender, clock
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import (
    RTCP_PSFB_APP,
    AnyRtcpPacket,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
    pack_header_extensions,
    unpack_header_extensions,
    unpack_remb_fci,
)

from engine.clock import NS_PER_S

logger = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"
_PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_PLAYOUT_DELAY_ID: Final = 12
"""In our own offers; aiortc's extensions have smaller ones."""
_AT_ONCE: Final = bytes(3)
"""Least and greatest delay that is wanted, 12 bits each: none."""
HANG_UP_S: Final = 3.0
"""Hanging up takes milliseconds; what has not ended after this never will."""


class Closable(Protocol):
    """An ``RTCPeerConnection``."""

    async def close(self) -> None:
        """Hang up."""
        ...


async def hang_up(connection: Closable) -> None:
    """Close a connection; one that does not end within HANG_UP_S is left to itself."""
    try:
        async with asyncio.timeout(HANG_UP_S):
            await connection.close()
    except TimeoutError:
        logger.debug("a connection did not end within %.0f s and was left to itself", HANG_UP_S)


class PacketListener(Protocol):
    """Told of every packet of a stream."""

    def __call__(self, timestamp: int, payload: bytes) -> None:
        """A packet has come: its RTP time stamp and what it carries."""
        ...


class _Tap:
    """In the place of a receiver's jitter buffer: packets go to a listener, and no frame comes out."""

    def __init__(self, listener: PacketListener | None) -> None:
        self._listener = listener

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        if self._listener is not None and packet.payload:
            self._listener(packet.timestamp, packet.payload)
        return False, None


def listen(receiver: RTCRtpReceiver, listener: PacketListener | None) -> None:
    """Give ``listener`` a receiver's packets as they arrive, in aiortc's stead; None throws them away.

    The receiver's reports to the sender stay as they are. Call it before the connection is made.
    """
    assert hasattr(receiver, "_RTCRtpReceiver__jitter_buffer")
    setattr(receiver, "_RTCRtpReceiver__jitter_buffer", _Tap(listener))  # noqa: B010 - a private name, spelt out


class WallClock:
    """What time it is, in NTP's format, at any moment of the monotonic clock; the same answer for all that ask."""

    def __init__(self, now_ns: int) -> None:
        """Set the monotonic clock's ``now_ns`` beside the machine's wall clock."""
        self._at_ns, self._ntp = now_ns, clock.current_ntp_time()

    def ntp(self, at_ns: int) -> int:
        """64-bit NTP time (RFC 3550 section 4)."""
        return self._ntp + ((at_ns - self._at_ns) << 32) // NS_PER_S


class CodedFrame(Protocol):
    """A coded frame or block."""

    @property
    def payloads(self) -> list[bytes]:
        """For RTP, in order; none if there is nothing to send yet."""
        ...

    @property
    def stamp(self) -> int:
        """RTP time, any integer."""
        ...

    @property
    def due_ns(self) -> int:
        """When it was due, monotonic clock."""
        ...


class MediaSource(Protocol):
    """What a sender sends."""

    async def next(self, codec_name: str) -> CodedFrame:
        """The next coded frame.

        Raises:
            MediaStreamError: There is none any more.
        """
        ...

    def close(self) -> None:
        """Free what it holds; nothing is asked of it any more."""
        ...

    def want_keyframe(self) -> None:
        """The receiver cannot go on without a picture that stands for itself."""
        ...

    def feedback(self, estimate_bps: float | None, loss: float | None) -> None:
        """What the receiver says: the rate that it believes to fit, the share of packets that it lost."""
        ...


class MediaSender:
    """Sends one source through one of aiortc's senders.

    Attributes:
        sent_bytes: RTP payload so far.
    """

    def __init__(self, sender: RTCRtpSender, source: MediaSource, wall: WallClock) -> None:
        """Take the sender over; call it before the connection is made."""
        self._sender, self._source, self._wall = sender, source, wall
        self._origin: int | None = None
        self._last: tuple[int, int] | None = None
        """RTP time, without the sender's random origin, and due time of what was last sent."""
        self.sent_bytes = 0
        self._original_feedback: Callable[[AnyRtcpPacket], Awaitable[None]] = sender._handle_rtcp_packet
        self._original_reports: Callable[[list[AnyRtcpPacket]], Awaitable[None]] = sender._send_rtcp
        setattr(sender, "_RTCRtpSender__rtp_header_extensions_map", _PromptExtensions())  # noqa: B010
        for name, ours in {
            "_next_encoded_frame": self._next,
            "_send_keyframe": source.want_keyframe,
            "_send_rtcp": self._report,
            "_handle_rtcp_packet": self._feedback,
        }.items():
            assert hasattr(sender, name)
            setattr(sender, name, ours)

    def close(self) -> None:
        """Free what the source holds, after the connection has ended; closing twice is legal."""
        self._source.close()

    @property
    def round_trip_ms(self) -> float | None:
        """To the receiver and back, as its reports tell; None until one has come."""
        found = self._private("rtt")
        return None if found is None else 1000 * float(found)

    async def _next(self, codec: RTCRtpCodecParameters) -> RTCEncodedFrame | None:
        if self._origin is None and self._last is not None:
            # What was handed over before has been sent by now; aiortc keeps its origin to itself.
            self._origin = (int(self._private("rtp_timestamp")) - self._last[0]) & 0xFFFFFFFF
            await self._report_at_once()
        coded = await self._source.next(codec.name)
        if not coded.payloads:
            return None
        self._last = (coded.stamp, coded.due_ns)
        self.sent_bytes += sum(map(len, coded.payloads))
        # The level of the sound is an option that we leave out; aiortc's signature does not say so.
        level: Any = None
        return RTCEncodedFrame(coded.payloads, coded.stamp, level)

    async def _report_at_once(self) -> None:
        """The first report: until it has one, a receiver cannot bring sound and picture together."""
        assert self._last is not None
        info = RtcpSenderInfo(
            ntp_timestamp=0,
            rtp_timestamp=0,
            packet_count=self._private("packet_count") & 0xFFFFFFFF,
            octet_count=self._private("octet_count") & 0xFFFFFFFF,
        )
        packets: list[AnyRtcpPacket] = [RtcpSrPacket(ssrc=self._sender._ssrc, sender_info=info)]
        name = self._private("cname")
        if name is not None:
            chunk = RtcpSourceInfo(ssrc=self._sender._ssrc, items=[(1, name.encode())])
            packets.append(RtcpSdesPacket(chunks=[chunk]))
        await self._report(packets)

    async def _report(self, packets: list[AnyRtcpPacket]) -> None:
        """Send reports, in which an RTP time stands beside the time at which it was due."""
        first = packets[0] if packets else None
        if isinstance(first, RtcpSrPacket):
            if self._origin is None or self._last is None:
                return  # nothing was sent: the report would say that RTP time 0 was in 1900
            stamp, due_ns = self._last
            first.sender_info.rtp_timestamp = (self._origin + stamp) & 0xFFFFFFFF
            first.sender_info.ntp_timestamp = self._wall.ntp(due_ns)
            # The receiver answers with the middle part of it, by which aiortc knows the round-trip time.
            setattr(self._sender, "_RTCRtpSender__lsr", (self._wall.ntp(due_ns) >> 16) & 0xFFFFFFFF)  # noqa: B010
            setattr(self._sender, "_RTCRtpSender__lsr_time", clock.current_datetime().timestamp())  # noqa: B010
        await self._original_reports(packets)

    async def _feedback(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                estimate, streams = unpack_remb_fci(packet.fci)
            except ValueError:
                return
            if self._sender._ssrc in streams:
                self._source.feedback(float(estimate), None)
            return
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._sender._ssrc:
                    self._source.feedback(None, report.fraction_lost / 256)
        await self._original_feedback(packet)

    def _private(self, name: str) -> Any:
        return getattr(self._sender, f"_RTCRtpSender__{name}")


class _PromptExtensions(HeaderExtensionsMap):
    """A sender's header extensions, with ``playout-delay`` where it was agreed on."""

    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        """Note what was agreed on."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == _PLAYOUT_DELAY:
                self._id = extension.id

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        """Profile and value of a packet's extensions."""
        profile, value = super().set(values)
        if self._id is None:
            return profile, value
        return pack_header_extensions([*unpack_header_extensions(profile, value), (self._id, _AT_ONCE)])


def ask_for_promptness() -> None:
    """From now on ``playout-delay`` is offered and taken for pictures; calling it twice is legal."""
    if all(extension.uri != _PLAYOUT_DELAY for extension in HEADER_EXTENSIONS["video"]):
        HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=_PLAYOUT_DELAY_ID, uri=_PLAYOUT_DELAY))


def announce_fec(codecs: Sequence[RTCRtpCodecParameters]) -> None:
    """Ask, in the answer, for Opus with in-band FEC and packets of 10 ms or more; aiortc's own answer does not."""
    for codec in codecs:
        if codec.name.lower() == "opus":
            codec.parameters.update({"minptime": 10, "useinbandfec": 1})


_host_addresses: Final = aioice.ice.get_host_addresses


def gather_loopback_too() -> None:
    """From now on a machine that has no address but loopback offers that; calling it twice is legal."""
    aioice.ice.get_host_addresses = _with_loopback


def _with_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    found = _host_addresses(use_ipv4, use_ipv6)
    return found if found or not use_ipv4 else [_LOOPBACK]
