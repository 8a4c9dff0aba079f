"""Pictures of a session one by one over a WebSocket, for viewers without WebRTC: ``/ws/{session}/pictures``.

Each binary message is a JPEG. A viewer that is slow gets fewer; no picture is later than it must be.
"""

import asyncio
import contextlib
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from engine.images import encode_jpeg
from engine.lanes import Lane
from engine.outlet import VideoFrame
from streaming.serve.media.backdrop import PictureKind
from streaming.serve.media.sources import Lay
from streaming.serve.room import Room, present
from streaming.serve.rooms import Rooms

_QUALITY: Final = 88


class _Viewer:
    """Is shown pictures; pushes nothing."""

    def forget(self) -> None:
        """Nothing waits here."""


def router(rooms: Rooms, lane: Lane) -> APIRouter:
    """The door.

    Args:
        rooms: The sessions.
        lane: Where pictures are encoded.
    """
    doors = APIRouter()

    @doors.websocket("/ws/{session}/pictures")
    async def pictures(socket: WebSocket, session: str, picture: PictureKind = "desk") -> None:
        room = rooms.get(session)
        with present(room, _Viewer(), rooms.limits.sockets):
            await socket.accept()
            sending = asyncio.create_task(_send(socket, room, lane, picture), name="mien-pictures")
            hearing = asyncio.create_task(_until_gone(socket), name="mien-pictures-end")
            done, waiting = await asyncio.wait([sending, hearing], return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            await asyncio.wait([sending, hearing])
            if sending in done and not sending.cancelled():
                with contextlib.suppress(RuntimeError):  # it has gone in this moment
                    await socket.close(1001, "The session has ended.")

    return doors


async def _send(socket: WebSocket, room: Room, lane: Lane, picture: PictureKind) -> None:
    feed, lay = room.watch(), room.backdrop.layer(picture)
    try:
        while True:
            frame = await feed.frame()
            await socket.send_bytes(await lane.run(_encoded, lay, frame))
    except (StopAsyncIteration, WebSocketDisconnect, RuntimeError):
        return
    finally:
        feed.close()


def _encoded(lay: Lay, frame: VideoFrame) -> bytes:
    """On the lane."""
    return encode_jpeg(lay(frame.picture, frame.ticks), _QUALITY)


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
