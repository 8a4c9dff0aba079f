"""One call: a connection in which a peer is given the avatar, gives its voice, or both."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.sdp import candidate_from_sdp

from engine.clock import NS_PER_S, Clock
from engine.lanes import Lane
from streaming.serve.media.aiortc_doors import (
    MediaSender,
    WallClock,
    announce_fec,
    ask_for_promptness,
    gather_loopback_too,
    hang_up,
    listen,
)
from streaming.serve.media.encoders import VideoCodec
from streaming.serve.media.fanout import Feed
from streaming.serve.media.sources import DueNs, Lay, Note, VideoSource, VoiceSource
from streaming.serve.media.tracks import AvatarVideoTrack, VoiceAudioTrack
from streaming.serve.media.voice_in import Hear, VoiceReceiver
from streaming.serve.offers import Section, offered_username, read_fragment, read_offer
from streaming.serve.serve_errors import RequestError

logger = logging.getLogger(__name__)

Role = Literal["call", "whip", "whep"]

CONNECT_S: Final = 30.0
"""A peer that has not connected by then has gone."""


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server.

    Attributes:
        url: ``stun:host:port``, or ``turn:host:port?transport=udp``.
        username: For TURN.
        credential: For TURN.
    """

    url: str
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True)
class CallSettings:
    """How a session's calls are made.

    Attributes:
        fps: Pictures a second.
        due_ns: See ``DueNs``.
        clock: The engine's.
        lane: Where pictures are encoded.
        wall: The time that all reports give.
        note: Told how long coding takes, and how long after it is due an item leaves.
        sound_ahead_ns: By how much sound leaves before the picture of its time.
        ice_servers: To find a way through NAT with.
        codec: Of the picture, if the peer takes it.
        allowance_ms: See ``VoiceBuffer``.
        lay: Makes what is encoded of a picture; None for the picture itself.
    """

    fps: int
    due_ns: DueNs
    clock: Clock
    lane: Lane
    wall: WallClock
    note: Note
    sound_ahead_ns: int = 0
    ice_servers: Sequence[IceServer] = ()
    codec: VideoCodec = "VP8"
    allowance_ms: float = 40.0
    lay: Lay | None = None


class Peer:
    """One connection.

    Attributes:
        id: Of the peer, not to be guessed.
        role: ``call`` both ways, ``whip`` its voice alone, ``whep`` the avatar alone.
        voice: Its voice, if it gives one.
    """

    def __init__(
        self, role: Role, settings: CallSettings, *, feed: Feed | None, hear: Hear | None, on_gone: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            role: What the peer asked for.
            settings: How to make the call.
            feed: What the peer is shown; closed with the peer.
            hear: Where its voice goes; None if it is not to be heard.
            on_gone: Called once, when the peer has left or could not be reached.
        """
        self.id = secrets.token_urlsafe(12)
        self.role: Role = role
        self.etag = f'"{secrets.token_hex(8)}"'
        self._settings, self._feed, self._hear, self._on_gone = settings, feed, hear, on_gone
        gather_loopback_too()
        ask_for_promptness()
        servers = [RTCIceServer(server.url, server.username, server.credential) for server in settings.ice_servers]
        self._connection = RTCPeerConnection(RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connection.on("connectionstatechange", self._changed)
        self.voice: VoiceReceiver | None = None
        self._video: VideoSource | None = None
        self._senders: list[MediaSender] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._offered: str | None = None

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return str(self._connection.connectionState)

    async def answer(self, sdp: str) -> str:
        """Answer an offer, with all our candidates.

        Raises:
            RequestError: 400: the offer is malformed; 406: it cannot be met. The peer must be closed then.
        """
        sections = read_offer(sdp)
        self._check(sections)
        transceivers = [self._prepare(section) for section in sections]
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            for transceiver in transceivers:
                announce_fec(transceiver._codecs)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except OperationError as error:
            raise RequestError(406, "The offer has no codec in common: Opus, and VP8 or H.264, are known.") from error
        except Exception as error:  # aiortc's parser stumbles over malformed SDP in many ways
            logger.debug("an offer could not be answered", exc_info=True)
            raise RequestError(400, "The offer is malformed, or lacks ICE or DTLS parameters.") from error
        self._offered = offered_username(sdp)
        self._start(self._give_up_unless_connected())
        if self.voice is not None:
            self._start(self.voice.run())
        return str(self._connection.localDescription.sdp)

    async def trickle(self, text: str) -> None:
        """Take candidates in (RFC 8840).

        Raises:
            RequestError: 400: they are malformed; 422: ICE is to be restarted, which is not done here.
        """
        fragment = read_fragment(text)
        if fragment.username is not None and fragment.username != self._offered:
            raise RequestError(422, "ICE is not restarted here: make a new connection.")
        for line, mid in fragment.candidates:
            try:
                candidate = candidate_from_sdp(line)
            except (ValueError, IndexError, AssertionError) as error:
                raise RequestError(400, "A candidate is malformed.") from error
            candidate.sdpMid = mid if mid is not None else self._connection.getTransceivers()[0].mid
            try:
                await self._connection.addIceCandidate(candidate)
            except (ValueError, OSError):
                # RFC 9725: what cannot be used is left out in silence.
                logger.debug("a candidate was left out: %s", line)
        if fragment.complete:
            await self._connection.addIceCandidate(None)

    async def close(self) -> None:
        """Hang up; closing twice, or from two tasks at once, is legal."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="mien-hang-up")
        await asyncio.shield(self._closing)

    def stats(self) -> dict[str, object]:
        """What a peer may know of its connection."""
        found: dict[str, object] = {"id": self.id, "role": self.role, "state": self.state}
        trips = [trip for trip in (sender.round_trip_ms for sender in self._senders) if trip is not None]
        if trips:
            found["round_trip_ms"] = round(min(trips), 3)
        if self._video is not None:
            found["video"] = {
                "frames": self._video.frames,
                "keyframes": self._video.keyframes,
                "bits_per_second": self._video.policy.bits_per_second,
                "dropped_frames": self._feed.dropped_frames if self._feed else 0,
            }
        if self.voice is not None:
            heard = self.voice.stats
            found["voice"] = {
                "packets": heard.packets,
                "lost": heard.lost,
                "recovered": self.voice.recovered,
                "late": heard.late,
                "duplicates": heard.duplicates,
                "concealed_ms": heard.lost_ticks / 48,
                "restarts": heard.restarts,
            }
        return found

    def _check(self, sections: Sequence[Section]) -> None:
        """Refuse an offer that is the wrong way round."""
        audio = next((section for section in sections if section.kind == "audio"), None)
        if self.role == "whip" and (audio is None or any(not section.sends for section in sections)):
            raise RequestError(406, "A WHIP offer here has an audio section, and its sections are sendonly.")
        if self.role == "whep" and any(not section.receives for section in sections):
            raise RequestError(406, "The sections of a WHEP offer are recvonly.")

    def _prepare(self, section: Section) -> RTCRtpTransceiver:
        """A transceiver for a section, with what is sent and heard in it."""
        sends = section.receives and self._feed is not None
        hears = section.sends and section.kind == "audio" and self._hear is not None
        takes = hears or (self.role == "whip" and section.sends)
        direction = {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
            (sends, takes), "inactive"
        )
        transceiver = self._connection.addTransceiver(section.kind, direction)
        transceiver.setCodecPreferences(codecs_for(section.kind, self._settings.codec))
        if sends:
            self._send(section.kind, transceiver)
        if hears:
            assert self._hear is not None
            self.voice = VoiceReceiver(self._settings.clock, self._hear, allowance_ms=self._settings.allowance_ms)
        listen(transceiver.receiver, self.voice.packet if hears and self.voice is not None else None)
        return transceiver

    def _send(self, kind: str, transceiver: RTCRtpTransceiver) -> None:
        assert self._feed is not None
        settings = self._settings
        if kind == "video":
            picture = AvatarVideoTrack(self._feed)
            transceiver.sender.replaceTrack(picture)
            self._video = VideoSource(
                picture, settings.fps, settings.due_ns, settings.clock, settings.lane, settings.note, settings.lay
            )
            self._senders.append(MediaSender(transceiver.sender, self._video, settings.wall))
        else:
            sound = VoiceAudioTrack(self._feed)
            transceiver.sender.replaceTrack(sound)
            source = VoiceSource(sound, settings.due_ns, settings.sound_ahead_ns, settings.clock, settings.note)
            self._senders.append(MediaSender(transceiver.sender, source, settings.wall))

    def _changed(self) -> None:
        logger.debug("peer %s is %s", self.role, self.state)
        if self.state in ("failed", "closed"):
            self._gone()

    def _gone(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="mien-hang-up")

    async def _give_up_unless_connected(self) -> None:
        clock = self._settings.clock
        await clock.sleep_until(clock.now_ns() + round(CONNECT_S * NS_PER_S))
        if self.state != "connected":
            self._gone()

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work, name=f"mien-{self.role}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("peer %s ends: %s", self.role, task.exception())
            self._gone()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        if self._feed is not None:
            self._feed.close()
        await hang_up(self._connection)
        for sender in self._senders:
            sender.close()
        self._on_gone()


def codecs_for(kind: str, preferred: VideoCodec) -> list[RTCRtpCodecCapability]:
    """What is offered and taken, the preferred first."""
    known = RTCRtpSender.getCapabilities(kind).codecs
    if kind == "audio":
        return [codec for codec in known if codec.mimeType == "audio/opus"]
    return sorted(known, key=lambda codec: codec.mimeType != f"video/{preferred}")
