"""The avatar, published to a WHIP server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streaming.bots.outgoing import OutgoingPeer
from streaming.bots.whip_client import WhipClient
from streaming.serve.room import Room


class WhipCall:
    """See ``streaming.bots.presence.Call``."""

    def __init__(self, client: WhipClient, room: Room, *, voice: bool = True) -> None:
        """Publish what ``room`` shows, with its sound if ``voice``, to the endpoint of ``client``."""
        self._client, self._room, self._voice = client, room, voice

    @asynccontextmanager
    async def join(self) -> AsyncIterator["WhipStay"]:
        """Publish; ends the session on the server in any case.

        Raises:
            JoinRefused: The server will not have us.
            JoinUnavailable: It has no place now, or no media reaches it.
        """
        peer = OutgoingPeer(self._room.call_settings(), self._room.watch(), voice=self._voice)
        try:
            resource = await self._client.publish(await peer.offer())
            try:
                await peer.accept(resource.answer)
                await peer.connected()
                yield WhipStay(peer)
            finally:
                await self._client.end(resource)
        finally:
            await peer.close()


class WhipStay:
    """One session.

    Attributes:
        peer: Its connection.
    """

    def __init__(self, peer: OutgoingPeer) -> None:
        self.peer = peer

    async def until_lost(self) -> None:
        """Wait until the connection has ended."""
        await self.peer.lost()
