"""The door ``/ws/{session}``; its protocol is in ``socket_door``."""

from fastapi import APIRouter, WebSocket

from engine.clock import Clock
from streaming.serve.room import present
from streaming.serve.rooms import Rooms
from streaming.serve.socket_door import SocketDoor


def router(rooms: Rooms, clock: Clock) -> APIRouter:
    """The door for WebSockets."""
    doors = APIRouter()

    @doors.websocket("/ws/{session}")
    async def serve_socket(socket: WebSocket, session: str) -> None:
        room = rooms.get(session)
        door = SocketDoor(socket, room, rooms.steering(room), clock)
        with present(room, door, rooms.limits.sockets):
            await door.run()

    return doors
