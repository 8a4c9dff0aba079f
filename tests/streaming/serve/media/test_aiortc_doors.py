import asyncio
import struct
from dataclasses import dataclass, field

from aiortc import RTCRtpSender, clock
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
    RtpPacket,
    is_rtcp,
    pack_remb_fci,
    unpack_header_extensions,
)

from engine.clock import NS_PER_MS
from streaming.serve.media import aiortc_doors
from streaming.serve.media.aiortc_doors import MediaSender, WallClock, hang_up
from streaming.serve.media.sources import Coded

CODEC = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)


class Silent(MediaStreamTrack):
    kind = "video"

    async def recv(self) -> None:
        raise AssertionError("aiortc does not ask the track")


@dataclass
class Wire:
    """In the place of a DTLS transport."""

    state: str = "connected"
    sent: list[bytes] = field(default_factory=list)
    _stats_id: str = "wire"

    def _get_stats(self) -> dict[str, object]:
        return {}

    async def _send_rtp(self, data: bytes) -> None:
        self.sent.append(data)

    def _register_rtp_sender(self, *_: object) -> None:
        pass

    def _unregister_rtp_sender(self, *_: object) -> None:
        pass


@dataclass
class Script:
    """Pictures that were late by anything: only their due times matter."""

    frames: list[Coded]
    said: list[tuple[float | None, float | None]] = field(default_factory=list)
    keyframes: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self, codec_name: str) -> Coded:
        assert codec_name == "VP8"
        if not self.frames:
            self.done.set()
            await asyncio.Event().wait()
            raise MediaStreamError
        await asyncio.sleep(0)
        return self.frames.pop(0)

    def close(self) -> None:
        pass

    def want_keyframe(self) -> None:
        self.keyframes += 1

    def feedback(self, estimate_bps: float | None, loss: float | None) -> None:
        self.said.append((estimate_bps, loss))


async def sending(script: Script, wall: WallClock, *extensions: str) -> tuple[RTCRtpSender, Wire]:
    wire = Wire()
    sender = RTCRtpSender(Silent(), wire)
    MediaSender(sender, script, wall)
    parameters = RTCRtpSendParameters(codecs=[CODEC], muxId="0")
    parameters.headerExtensions = [RTCRtpHeaderExtensionParameters(7 + n, uri) for n, uri in enumerate(extensions)]
    parameters.rtcp.cname = "avatar"
    await sender.send(parameters)
    await asyncio.wait_for(script.done.wait(), 60)
    return sender, wire


def test_reports_say_when_a_picture_was_due() -> None:
    async def main() -> None:
        due = [10**12 + number * 33 * NS_PER_MS for number in range(5)]
        wall = WallClock(10**12)
        script = Script([Coded([b"x" * 20] * 2, 3000 * number, at) for number, at in enumerate(due)])
        script.frames.insert(2, Coded([], 4500, due[2]))  # nothing to send yet
        sender, wire = await sending(script, wall)
        packets = [RtpPacket.parse(data) for data in wire.sent if not is_rtcp(data)]
        first = packets[0].timestamp
        assert [(packet.timestamp - first) % 2**32 for packet in packets] == [3000 * (n // 2) for n in range(10)]
        assert [packet.marker for packet in packets] == [0, 1] * 5
        (compound,) = [RtcpPacket.parse(data) for data in wire.sent if is_rtcp(data)]
        report, name = compound
        assert isinstance(report, RtcpSrPacket) and isinstance(name, RtcpSdesPacket)
        assert name.chunks[0].items == [(1, b"avatar")]
        number, rest = divmod((report.sender_info.rtp_timestamp - first) % 2**32, 3000)
        assert rest == 0 and report.sender_info.ntp_timestamp == wall.ntp(due[number])
        assert report.sender_info.packet_count == 2 * (number + 1)
        await sender.stop()

    asyncio.run(main())


def test_a_player_that_understands_it_is_asked_to_show_pictures_at_once() -> None:
    playout_delay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

    async def extensions(*agreed: str) -> list[list[tuple[int, bytes]]]:
        script = Script([Coded([b"x" * 20] * 2, 3000 * number, 10**12) for number in range(3)])
        sender, wire = await sending(script, WallClock(10**12), *agreed)
        found = []
        for data in wire.sent:
            if not is_rtcp(data):
                profile, words = struct.unpack("!HH", data[12:16]) if data[0] & 0x10 else (0, 0)
                found.append(unpack_header_extensions(profile, data[16 : 16 + 4 * words]))
        await sender.stop()
        return found

    async def main() -> None:
        mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
        assert await extensions(mid, playout_delay) == [[(7, b"0"), (8, bytes(3))]] * 6
        assert await extensions(playout_delay) == [[(7, bytes(3))]] * 6
        assert await extensions(mid) == [[(7, b"0")]] * 6
        assert await extensions() == [[]] * 6

    asyncio.run(main())


def test_a_receivers_words_reach_the_source() -> None:
    async def main() -> None:
        script = Script([Coded([b"x"], 3000 * number, 10**12) for number in range(3)])
        sender, wire = await sending(script, WallClock(10**12))
        remb = pack_remb_fci(800_000, [sender._ssrc])
        await sender._handle_rtcp_packet(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=remb))
        await sender._handle_rtcp_packet(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=b"broken"))
        await sender._handle_rtcp_packet(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=sender._ssrc))
        report = next(RtcpPacket.parse(data)[0] for data in wire.sent if is_rtcp(data))
        assert isinstance(report, RtcpSrPacket)
        heard = RtcpReceiverInfo(
            ssrc=sender._ssrc,
            fraction_lost=64,
            packets_lost=1,
            highest_sequence=1,
            jitter=0,
            lsr=report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF,
            dlsr=1,
        )
        await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[heard]))
        assert script.said == [(800_000.0, None), (None, 0.25)] and script.keyframes == 1
        stats = (await sender.getStats()).values()
        (remote,) = [found for found in stats if found.type == "remote-inbound-rtp"]
        assert 0 <= remote.roundTripTime < 60
        await sender.stop()

    asyncio.run(main())


def test_ntp_follows_the_monotonic_clock() -> None:
    wall = WallClock(5 * 10**9)
    assert abs(wall.ntp(5 * 10**9) - clock.current_ntp_time()) < 60 << 32
    assert wall.ntp(7 * 10**9) - wall.ntp(5 * 10**9) == 2 << 32


def test_a_connection_that_never_ends_is_left_to_itself(monkeypatch) -> None:
    class Stuck:
        left = False

        async def close(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.left = True

    monkeypatch.setattr(aiortc_doors, "HANG_UP_S", 0.02)
    stuck = Stuck()

    async def leave() -> None:
        await asyncio.wait_for(hang_up(stuck), 5)

    asyncio.run(leave())
    assert stuck.left
