"""The avatars that a server offers: those that ship, and those that visitors made of their pictures, in memory."""

import asyncio
import logging
import re
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np

from engine.artefacts.avatar import Avatar, load_avatar, save_avatar
from engine.errors import MissingExtraError
from engine.images import encode_png
from engine.lanes import Lane
from streaming.avatars import AVATARS, shipped_avatars
from streaming.serve.messages import AvatarView, NewPoints
from streaming.serve.serve_errors import RequestError

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES: Final = 12 << 20
_MADE: Final = 16
"""Avatars of visitors that are kept; the one that was not used for longest gives way."""


class Gallery:
    """Avatars by id."""

    def __init__(self, lane: Lane, folder: Path = AVATARS) -> None:
        """Look where the avatars lie.

        Args:
            lane: Where pictures are read and avatars are made.
            folder: Of the avatars that ship.
        """
        self._lane = lane
        self._shipped = shipped_avatars(folder)
        self._opened: dict[str, Avatar] = {}
        self._own: dict[str, Avatar] = {}
        self._files: dict[str, Path] = {}
        self._made: OrderedDict[str, Avatar] = OrderedDict()
        self._building = asyncio.Lock()

    def views(self) -> list[AvatarView]:
        """All there are, those that ship first."""
        named = [self._view(key, key.replace("_", " ").title()) for key in self._shipped if key not in self._own]
        return named + [self._view(key, avatar.name) for key, avatar in (*self._own.items(), *self._made.items())]

    async def load(self, key: str) -> Avatar:
        """An avatar by its id.

        Raises:
            RequestError: 404: there is none.
            ArtefactError: It is damaged.
        """
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        if key in self._own:
            return self._own[key]
        if key not in self._shipped:
            known = ", ".join([*self._shipped, *self._own])
            raise RequestError(404, f"There is no avatar of that name; there are {known}.")
        if key not in self._opened:
            self._opened[key] = await self._lane.run(load_avatar, self._shipped[key])
        return self._opened[key]

    async def picture(self, key: str) -> bytes:
        """Its picture as PNG.

        Raises:
            RequestError: 404: there is none.
        """
        avatar = await self.load(key)
        return await self._lane.run(_draw, avatar)

    async def make(self, data: bytes, name: str) -> AvatarView:
        """An avatar of a visitor's picture; one is made at a time.

        Args:
            data: The file's bytes: PNG, JPEG, WebP, GIF or BMP.
            name: What to call it.

        Raises:
            PortraitError: It is no picture, or none of one face.
            RequestError: 413: it is too large; 503: another one is being made.
            MissingExtraError: The [avatar] extra is not installed.
        """
        if len(data) > MAX_UPLOAD_BYTES:
            raise RequestError(413, f"A picture has at most {MAX_UPLOAD_BYTES >> 20} MB: save a smaller one.")
        self._refuse_while_building()
        async with self._building:
            avatar = await self._lane.run(_build, data, _plain(name))
        return self._view(self.add(avatar), avatar.name)

    def keep(self, key: str, avatar: Avatar, file: Path | None = None) -> None:
        """Offer an avatar of this machine's own under a name, in the place of any that had it.

        Args:
            key: Its id.
            avatar: The avatar.
            file: Where it is written to when its points are corrected.
        """
        self._own[key] = avatar
        if file is not None:
            self._files[key] = file

    def locked(self, key: str) -> str | None:
        """Why an avatar's points cannot be corrected; None if they can."""
        if key in self._made or key in self._own:
            return None
        return "This avatar ships with Mien and stays as it is: make one of a picture of yours."

    def file(self, key: str) -> Path | None:
        """Where an avatar is written to when its points are corrected; None for one that is kept in memory alone."""
        return self._files.get(key)

    async def correct(self, key: str, asked: NewPoints) -> Avatar:
        """Put an avatar's 68 points elsewhere, and write it to its file if it has one.

        Args:
            key: Its id.
            asked: Where to.

        Raises:
            RequestError: 404: there is no such avatar; 403: it is not to be changed; 503: another one is being made.
            PortraitError: They are no face's.
            OutputError: The file cannot be written; the avatar stays as it was.
        """
        avatar = await self.load(key)
        why = self.locked(key)
        if why is not None:
            raise RequestError(403, why)
        self._refuse_while_building()
        async with self._building:
            corrected = await self._lane.run(_correct, avatar, asked, self._files.get(key))
        (self._own if key in self._own else self._made)[key] = corrected
        return corrected

    def add(self, avatar: Avatar) -> str:
        """Offer another avatar; gives its id."""
        key = f"made-{secrets.token_urlsafe(9)}"
        self._made[key] = avatar
        while len(self._made) > _MADE:
            self._made.popitem(last=False)
        return key

    def _refuse_while_building(self) -> None:
        if self._building.locked():
            raise RequestError(503, "Another avatar is being made: try again in a moment.", {"Retry-After": "10"})

    @staticmethod
    def _view(key: str, name: str) -> AvatarView:
        return AvatarView(id=key, name=name, picture=picture_path(key))


def picture_path(key: str) -> str:
    """Where an avatar's picture is."""
    return f"/api/avatars/{quote(key, safe='')}/picture.png"


def _plain(name: str) -> str:
    """A visitor's name for an avatar, without what could be a path or markup."""
    stem = re.sub(r"\.\w{1,5}$", "", name.replace("\\", "/").rsplit("/", 1)[-1])
    return re.sub(r"[^\w \-]", "", stem).strip()[:40] or "Visitor"


def _build(data: bytes, name: str) -> Avatar:
    """On the lane: a picture becomes an avatar."""
    try:
        from engine.portrait.build import build_avatar
        from engine.portrait.photo import decode_photo
    except ImportError as error:
        raise MissingExtraError(
            "Making an avatar of a picture needs the [avatar] extra on the server: pip install 'mien[avatar]'."
        ) from error
    photo = decode_photo(data, "The picture")
    provenance = {"source": "upload", "licence": "the visitor's own"}
    return build_avatar(photo.rgb, alpha=photo.alpha, name=name, provenance=provenance)


def _draw(avatar: Avatar) -> bytes:
    """On the lane: the picture that an avatar was made of, as PNG."""
    from engine.portrait.preview import composed

    return encode_png(composed(avatar))


def _correct(avatar: Avatar, asked: NewPoints, file: Path | None) -> Avatar:
    """On the lane: the avatar with other points, written."""
    from engine.portrait.correct import correct_points

    irises = None if asked.irises is None else np.array(asked.irises, np.float64)
    corrected = correct_points(avatar, np.array(asked.points, np.float64), irises)
    if file is not None:
        save_avatar(corrected, file)
    return corrected
