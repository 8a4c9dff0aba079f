"""Where an avatar's points are looked at and corrected: ``/api/avatars/{avatar}/points``, for the page ``/points``."""

import logging
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import MienError
from streaming.serve.descriptions import refusals
from streaming.serve.gallery import Gallery, picture_path
from streaming.serve.messages import NewPoints, PointsView
from streaming.serve.rooms import Rooms
from streaming.serve.serve_errors import RequestError

logger = logging.getLogger(__name__)

_ELSEWHERE = "Points are corrected on the machine that the avatar lies on, by a server that is open to it alone."


def router(rooms: Rooms, *, with_token: bool) -> APIRouter:
    """The doors.

    Args:
        rooms: The sessions; those that are the avatar go on with its new points.
        with_token: Whether others than this machine may come in; they may look, and change nothing.
    """
    doors = APIRouter(prefix="/api/avatars")
    gallery = rooms.gallery

    @doors.get("/{avatar}/points", responses=refusals(404))
    async def points(avatar: str) -> PointsView:
        """What was understood of an avatar's picture."""
        return _view(gallery, avatar, await gallery.load(avatar), with_token=with_token)

    @doors.put("/{avatar}/points", responses=refusals(400, 403, 404, 422, 503, 507))
    async def correct(avatar: str, asked: NewPoints) -> PointsView:
        """Put its points elsewhere: all that rests on them is made anew, written, and worn by running sessions."""
        if with_token:
            raise RequestError(403, _ELSEWHERE)
        corrected = await gallery.correct(avatar, asked)
        for room in rooms:
            if room.avatar == avatar:
                await _go_on(rooms, room.id, avatar)
        return _view(gallery, avatar, corrected, with_token=with_token)

    return doors


async def _go_on(rooms: Rooms, room: str, avatar: str) -> None:
    """The session that is this avatar takes it up as it is now."""
    try:
        await rooms.get(room).become(avatar, rooms.gallery)
    except MienError as error:
        # It has ended meanwhile, or cannot draw it: what was saved stays saved.
        logger.warning("session %s keeps the points that it had: %s", room, error)


def _view(gallery: Gallery, key: str, avatar: Avatar, *, with_token: bool) -> PointsView:
    from engine.portrait.correct import matte_outline
    from engine.portrait.preview import LINES

    file = gallery.file(key)
    return PointsView(
        id=key,
        name=avatar.name,
        picture=picture_path(key),
        points=_numbers(avatar.source_points),
        lines=[(list(indices), closed) for indices, closed in LINES],
        outline=[_numbers(piece) for piece in matte_outline(avatar)],
        irises=_numbers(avatar.irises),
        rest=_numbers(avatar.project(avatar.template)),
        file=None if file is None else str(file),
        locked=_ELSEWHERE if with_token else gallery.locked(key),
    )


def _numbers(points: NDArray[np.float32]) -> list[Any]:
    """Rows as tuples, to a hundredth of a pixel."""
    return [tuple(round(float(value), 2) for value in row) for row in points]
