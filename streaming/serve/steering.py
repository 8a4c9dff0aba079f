"""What the face and the desk are asked for, by whatever way it came: a socket, a hotkey, a page."""

import asyncio
import dataclasses
from typing import Any, Final, Protocol

from engine.expressions import EXPRESSIONS
from streaming.serve.commands import (
    Blink,
    ChangeAvatar,
    ChangeStyle,
    DeskCommand,
    Express,
    FaceCommand,
    Freeze,
    Look,
    Set,
)
from streaming.serve.gallery import Gallery
from streaming.serve.messages import ControlValues
from streaming.serve.room import Room
from streaming.serve.serve_errors import RequestError
from streaming.serve.wardrobe import Wardrobe

_AWAY: Final = ControlValues(eye_contact=1.0, gaze_yaw=0.28, gaze_pitch=0.08)
_GAZES: Final = {
    "camera": ControlValues(eye_contact=1.0, gaze_yaw=0.0, gaze_pitch=0.0),
    "away": _AWAY,
    "free": ControlValues(eye_contact=0.0, gaze_yaw=0.0, gaze_pitch=0.0),
}
_WORN: Final = 0.01


class Desk(Protocol):
    """What gives a session its voice on this machine; see ``streaming.live.desk``."""

    async def obey(self, command: DeskCommand) -> None:
        """Do what is asked.

        Raises:
            MienError: It cannot be done; the desk goes on as it was.
        """
        ...

    def view(self) -> dict[str, Any]:
        """What the desk does now, for JSON."""
        ...


class Steering:
    """One room's face and desk, steered by anybody.

    Attributes:
        desk: Where the room's voice comes from, if it is a microphone of this machine.
    """

    def __init__(self, room: Room, gallery: Gallery, wardrobe: Wardrobe) -> None:
        """Prepare.

        Args:
            room: Whose.
            gallery: Knows avatars.
            wardrobe: Knows styles.
        """
        self._room, self._gallery, self._wardrobe = room, gallery, wardrobe
        self.desk: Desk | None = None
        self._release: asyncio.TimerHandle | None = None

    async def obey(self, command: FaceCommand | DeskCommand) -> dict[str, Any]:
        """Do what is asked.

        Returns:
            The answer, with its ``type``, for JSON.

        Raises:
            MienError: It cannot be done; everything goes on as it was.
        """
        match command:
            case Set():
                return self._controls(command.controls)
            case ChangeAvatar():
                await self._room.become(command.avatar, self._gallery)
                return {"type": "avatar", "avatar": command.avatar}
            case ChangeStyle():
                await self._room.wear(command.style, self._wardrobe, command.second, command.part)
                return {"type": "style", "style": command.style}
            case Express():
                return self._express(command)
            case Look():
                return self._controls(_GAZES[command.at])
            case Freeze():
                on = self._now("freeze") < 0.5 if command.on is None else command.on
                return self._controls(ControlValues(freeze=float(on)))
            case Blink():
                self._room.session.blink()
                return {"type": "blinked"}
        await self._sitting().obey(command)
        return self.desk_view()

    def desk_view(self) -> dict[str, Any]:
        """What the desk does now.

        Raises:
            RequestError: 409: there is none.
        """
        return {"type": "desk", **self._sitting().view()}

    def close(self) -> None:
        """Forget what was still to be taken off."""
        if self._release is not None:
            self._release.cancel()

    def _sitting(self) -> Desk:
        if self.desk is None:
            raise RequestError(409, "This session has no microphone of its own: start one with `mien live`.")
        return self.desk

    def _express(self, command: Express) -> dict[str, Any]:
        if self._release is not None:
            self._release.cancel()
            self._release = None
        worn = command.expression in EXPRESSIONS and self._now(command.expression) > _WORN
        off = command.expression == "neutral" or (command.toggle and worn)
        if not off and command.seconds is not None:
            self._release = asyncio.get_running_loop().call_later(command.seconds, self._take_off)
        return self._controls(_wearing(None if off else command.expression, command.amount))

    def _take_off(self) -> None:
        if not self._room.session.closed:
            self._controls(_wearing(None, 0.0))

    def _controls(self, values: ControlValues) -> dict[str, Any]:
        return {"type": "controls", "controls": self._room.steer(values)}

    def _now(self, name: str) -> float:
        return float(dataclasses.asdict(self._room.session.set())[name])


def _wearing(expression: str | None, amount: float) -> ControlValues:
    """That expression and no other."""
    return ControlValues(**{name: amount if name == expression else 0.0 for name in EXPRESSIONS})
