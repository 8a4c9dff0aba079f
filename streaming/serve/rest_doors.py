"""Avatars and sessions over HTTP and JSON, and the two-way call."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile

from streaming.serve.descriptions import refusals
from streaming.serve.gallery import MAX_UPLOAD_BYTES
from streaming.serve.messages import (
    Answer,
    AvatarView,
    Change,
    NewSession,
    Offer,
    SessionMade,
    SessionView,
    StyleView,
)
from streaming.serve.rooms import Rooms


def router(rooms: Rooms, *, with_token: bool) -> APIRouter:
    """The doors under ``/api``.

    Args:
        rooms: The sessions.
        with_token: Whether a new session's token is told.
    """
    doors = APIRouter(prefix="/api")
    gallery, wardrobe = rooms.gallery, rooms.wardrobe

    @doors.get("/avatars")
    async def avatars() -> list[AvatarView]:
        """The avatars that a session can be."""
        return gallery.views()

    @doors.get(
        "/avatars/{avatar}/picture.png",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **refusals(404)},
    )
    async def picture(avatar: str) -> Response:
        """An avatar's picture, 512x512."""
        data = await gallery.picture(avatar)
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    @doors.post("/avatars", status_code=201, responses=refusals(400, 413, 422, 501, 503))
    async def make_avatar(
        picture: Annotated[UploadFile, File(description="PNG, JPEG, WebP, GIF or BMP of one face.")],
        name: Annotated[str | None, Form(max_length=100)] = None,
    ) -> AvatarView:
        """Make an avatar of a picture; it is kept in memory while the server runs and others do not push it out."""
        data = await picture.read(MAX_UPLOAD_BYTES + 1)
        return await gallery.make(data, name or picture.filename or "")

    @doors.get("/styles")
    async def styles() -> list[StyleView]:
        """The styles that a session can move in."""
        return wardrobe.views()

    @doors.post("/sessions", status_code=201, responses=refusals(400, 404, 422, 503))
    async def open_session(asked: NewSession) -> SessionMade:
        """Begin a session; the machine is measured first, for about two seconds."""
        return (await rooms.open(asked)).made(with_token=with_token)

    @doors.get("/sessions/{session}", responses=refusals(404, 410))
    async def session_view(session: str) -> SessionView:
        """How a session does."""
        return rooms.get(session).view()

    @doors.patch("/sessions/{session}", responses=refusals(400, 404, 410, 422))
    async def change_session(session: str, change: Change) -> SessionView:
        """Change a running session."""
        room = rooms.get(session)
        await room.change(change, gallery, wardrobe)
        return room.view()

    @doors.delete("/sessions/{session}", status_code=204, responses=refusals(404))
    async def close_session(session: str) -> Response:
        """End a session."""
        await rooms.close(rooms.get(session))
        return Response(status_code=204)

    @doors.post("/sessions/{session}/interrupt", status_code=204, responses=refusals(404))
    async def interrupt(session: str) -> Response:
        """Break off what is being said (barge-in)."""
        await rooms.get(session).interrupt()
        return Response(status_code=204)

    @doors.post("/sessions/{session}/offer", responses=refusals(400, 404, 406, 410, 413, 422, 503))
    async def call(session: str, offer: Offer) -> Answer:
        """Make a call: the peer's voice in, where it gives one, and the avatar's picture and voice out."""
        peer, answer = await rooms.get(session).join("call", offer.sdp)
        return Answer(sdp=answer, peer=peer.id)

    return doors
