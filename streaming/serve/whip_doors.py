"""A session's voice by WHIP (RFC 9725), and its avatar by WHEP (draft-ietf-wish-whep).

::

    POST    /whip/{session}          application/sdp -> 201, the answer, Location, ETag, Link to ICE servers
    OPTIONS /whip/{session}          200, Accept-Post
    PATCH   /whip/{session}/{peer}   application/trickle-ice-sdpfrag, If-Match -> 204
    OPTIONS /whip/{session}/{peer}   200, Accept-Patch
    DELETE  /whip/{session}/{peer}   200

    and the same under /whep, where POST /whep/{session}?picture=stacked or =original asks for another picture (see
    ``media.backdrop``)

Refused are: another media type (415), malformed SDP (400), what cannot be answered in full (406), a fragment without
If-Match (428) or with that of another ICE session (412), ICE restarts (422), and methods that are kept for later (405).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from streaming.serve.config import split_ice
from streaming.serve.descriptions import refusals
from streaming.serve.media.backdrop import PictureKind
from streaming.serve.peers import Role
from streaming.serve.rooms import Rooms
from streaming.serve.serve_errors import RequestError

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_KEPT: Final = ["GET", "HEAD", "PUT"]


def router(rooms: Rooms, ice_servers: Sequence[str]) -> APIRouter:
    """The doors ``/whip`` and ``/whep``."""
    doors = APIRouter()
    _add(doors, "whip", rooms, ice_servers)
    _add(doors, "whep", rooms, ice_servers)
    return doors


def _add(doors: APIRouter, role: Role, rooms: Rooms, ice_servers: Sequence[str]) -> None:
    """The doors of one of the two."""
    links = [_link(server) for server in ice_servers]

    @doors.post(
        f"/{role}/{{session}}",
        operation_id=f"{role}_begin",
        **_described(SDP, 201, "The answer.", 400, 404, 406, 409, 410, 413, 415, 503),
    )
    async def begin(session: str, request: Request, picture: PictureKind = "desk") -> Response:
        room = rooms.get(session)
        peer, answer = await room.join(role, await _body(request, SDP), picture=picture)
        made = Response(answer, 201, media_type=SDP)
        made.headers["Location"] = f"/{role}/{session}/{peer.id}"
        made.headers["ETag"] = peer.etag
        for link in links:
            made.headers.append("Link", link)
        return made

    @doors.options(f"/{role}/{{session}}", operation_id=f"{role}_options")
    async def endpoint_options(session: str) -> Response:
        return Response(status_code=200, headers={"Accept-Post": SDP, "Allow": "OPTIONS, POST"})

    @doors.patch(
        f"/{role}/{{session}}/{{peer}}",
        operation_id=f"{role}_trickle",
        **_described(FRAGMENT, 204, "Taken in.", 400, 404, 412, 413, 415, 422, 428),
    )
    async def trickle(session: str, peer: str, request: Request) -> Response:
        found = rooms.get(session).peer(peer, role)
        text = await _body(request, FRAGMENT)
        match = request.headers.get("if-match")
        if match is None:
            raise RequestError(428, "A fragment needs If-Match, with the ETag of the answer.")
        if match.strip() in ("*", '"*"'):
            raise RequestError(422, "ICE is not restarted here: make a new connection.")
        if found.etag not in [tag.strip() for tag in match.split(",")]:
            raise RequestError(412, "The fragment belongs to another ICE session than this.")
        await found.trickle(text)
        return Response(status_code=204)

    @doors.options(f"/{role}/{{session}}/{{peer}}", operation_id=f"{role}_session_options")
    async def session_options(session: str, peer: str) -> Response:
        return Response(status_code=200, headers={"Accept-Patch": FRAGMENT, "Allow": "DELETE, OPTIONS, PATCH"})

    @doors.delete(f"/{role}/{{session}}/{{peer}}", operation_id=f"{role}_end", responses=refusals(404))
    async def end(session: str, peer: str) -> Response:
        await rooms.get(session).peer(peer, role).close()
        return Response(status_code=200)

    doors.add_api_route(
        f"/{role}/{{session}}", _kept_for_later("OPTIONS, POST"), methods=_KEPT, include_in_schema=False
    )
    doors.add_api_route(
        f"/{role}/{{session}}/{{peer}}",
        _kept_for_later("DELETE, OPTIONS, PATCH"),
        methods=[*_KEPT, "POST"],
        include_in_schema=False,
    )


def _kept_for_later(allowed: str) -> Callable[[], Any]:
    async def refuse() -> Response:
        raise RequestError(405, "That method is kept for later versions.", {"Allow": allowed})

    return refuse


async def _body(request: Request, media_type: str) -> str:
    """A request's text, of one media type.

    Raises:
        RequestError: 415: it is of another; 400: it is no text.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        name = "Accept-Post" if media_type == SDP else "Accept-Patch"
        raise RequestError(415, f"Send it as {media_type}.", {name: media_type})
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, "The body is not UTF-8.") from error


def _link(server: str) -> str:
    """An ICE server as a Link header (RFC 9725 section 4.6)."""
    url, username, credential = split_ice(server)
    link = f'<{url}>; rel="ice-server"'
    if username is not None:
        link += f'; username="{username}"; credential="{credential}"; credential-type="password"'
    return link


def _described(media_type: str, status: int, text: str, *refused: int) -> dict[str, Any]:
    """For the API's description: what goes in and out as plain text."""
    content = {media_type: {"schema": {"type": "string"}}}
    answered: dict[str, Any] = {"description": text}
    if status == 201:
        answered["content"] = content
    return {
        "status_code": status,
        "response_class": Response,
        "responses": {status: answered, **refusals(*refused)},
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }
