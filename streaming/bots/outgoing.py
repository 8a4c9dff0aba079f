"""A call that we make: the avatar's picture and voice offered to somebody else's server."""

import asyncio
import logging
from typing import Final

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import candidate_from_sdp

from engine.clock import NS_PER_S
from streaming.bots.bot_errors import JoinRefused, JoinUnavailable
from streaming.serve.media.aiortc_doors import MediaSender, ask_for_promptness, gather_loopback_too, hang_up, listen
from streaming.serve.media.fanout import Feed
from streaming.serve.media.sources import VideoSource, VoiceSource
from streaming.serve.media.tracks import AvatarVideoTrack, VoiceAudioTrack
from streaming.serve.peers import CONNECT_S, CallSettings, codecs_for

logger = logging.getLogger(__name__)

_EARLY: Final = 48
"""Candidates that wait for the answer, at most."""


class OutgoingPeer:
    """One connection that sends the avatar and receives nothing."""

    def __init__(self, settings: CallSettings, feed: Feed, *, voice: bool = True) -> None:
        """Prepare.

        Args:
            settings: How to make the call.
            feed: What to send; closed with the connection.
            voice: Whether the sound is sent beside the picture.
        """
        gather_loopback_too()
        ask_for_promptness()
        servers = [RTCIceServer(server.url, server.username, server.credential) for server in settings.ice_servers]
        self._connection = RTCPeerConnection(RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connection.on("connectionstatechange", self._changed)
        self._settings, self._feed = settings, feed
        self._news = asyncio.Event()
        self._early: list[tuple[str, str | None]] = []
        self._answered = False
        self._senders: list[MediaSender] = []
        if voice:
            sound = VoiceAudioTrack(feed)
            transceiver = self._connection.addTransceiver(sound, "sendonly")
            source = VoiceSource(sound, settings.due_ns, settings.sound_ahead_ns, settings.clock, settings.note)
            self._senders.append(MediaSender(transceiver.sender, source, settings.wall))
            transceiver.setCodecPreferences(codecs_for("audio", settings.codec))
            listen(transceiver.receiver, None)
        picture = AvatarVideoTrack(feed)
        transceiver = self._connection.addTransceiver(picture, "sendonly")
        self.video = VideoSource(picture, settings.fps, settings.due_ns, settings.clock, settings.lane, settings.note)
        self._senders.append(MediaSender(transceiver.sender, self.video, settings.wall))
        transceiver.setCodecPreferences(codecs_for("video", settings.codec))
        listen(transceiver.receiver, None)

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return str(self._connection.connectionState)

    async def offer(self) -> str:
        """The offer, with all our candidates."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the answer to the offer.

        Raises:
            JoinRefused: It is no answer to it, or takes neither picture nor sound.
        """
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except (OperationError, InvalidAccessError) as error:
            raise JoinRefused(
                "The server's answer has no codec in common: Opus, and VP8 or H.264, are sent."
            ) from error
        except Exception as error:  # aiortc's parser stumbles over malformed SDP in many ways
            logger.debug("an answer could not be used", exc_info=True)
            raise JoinRefused("The server's answer is malformed, or lacks ICE or DTLS parameters.") from error
        self._answered = True
        for line, mid in self._early:
            await self._add(line, mid)
        self._early.clear()

    async def trickle(self, line: str | None, mid: str | None) -> None:
        """A candidate of the other side (without ``a=``); None: there are no more. What cannot be used is left out."""
        if line is None or line == "":
            return
        if self._answered:
            await self._add(line, mid)
        elif len(self._early) < _EARLY:
            self._early.append((line, mid))

    async def connected(self) -> None:
        """Wait until media can flow.

        Raises:
            JoinUnavailable: It does not within 30 s.
        """
        clock = self._settings.clock
        limit = asyncio.ensure_future(clock.sleep_until(clock.now_ns() + round(CONNECT_S * NS_PER_S)))
        try:
            while self.state not in ("connected", "failed", "closed") and not limit.done():
                self._news.clear()
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait([news, limit], return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            limit.cancel()
        if self.state != "connected":
            raise JoinUnavailable(
                "The server answered, but no media path to it was found: open UDP to it, or name a TURN server "
                "with --ice-server."
            )

    async def lost(self) -> None:
        """Wait until the connection has ended."""
        while self.state not in ("failed", "closed"):
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Hang up; closing twice is legal."""
        self._feed.close()
        await hang_up(self._connection)
        for sender in self._senders:
            sender.close()

    async def _add(self, line: str, mid: str | None) -> None:
        try:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
            candidate.sdpMid = mid if mid is not None else self._connection.getTransceivers()[0].mid
            await self._connection.addIceCandidate(candidate)
        except (ValueError, IndexError, AssertionError, OSError, InvalidStateError):
            logger.debug("a candidate was left out: %s", line)

    def _changed(self) -> None:
        logger.debug("the outgoing call is %s", self.state)
        self._news.set()
