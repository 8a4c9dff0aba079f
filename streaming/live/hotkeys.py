"""Keys and what they do: actions are words, and become commands of the control protocol.

======================  ====================================================================
``smile`` ``frown`` ``surprise`` ``wink``  wear that expression; again to take it off
``neutral``             no expression
``look camera|away|free``  where the eyes go
``blink``               once
``freeze``              stand still, or go on
``mute``                mute the microphone, or stop that
``talk``                push-to-talk: heard while the key is down
``push-to-talk``        switch push-to-talk on or off
``record``              begin a recording, or finish it
``background WHICH``    original, transparent, image or #rrggbb
``avatar NAME``         become another avatar
``style NAME``          move in another style
``intensity X``         of the style, 0 to 1.5
``head X``              how far the head moves, 0 to 2
``quit``                end
======================  ====================================================================

Keys are named as SDL and browsers name them: ``a`` to ``z``, ``0`` to ``9``, ``f1`` to ``f12``, ``space``, ``escape``.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from engine.errors import ConfigError
from engine.expressions import EXPRESSIONS
from streaming.serve.commands import (
    Background,
    Blink,
    ChangeAvatar,
    ChangeStyle,
    DeskCommand,
    Express,
    FaceCommand,
    Freeze,
    Look,
    Mute,
    PushToTalk,
    Record,
    Set,
    Talk,
)
from streaming.serve.messages import ControlValues

DEFAULT_KEYS: Final = {
    "1": "smile",
    "2": "frown",
    "3": "surprise",
    "4": "wink",
    "0": "neutral",
    "c": "look camera",
    "v": "look away",
    "x": "look free",
    "b": "blink",
    "f": "freeze",
    "m": "mute",
    "space": "talk",
    "p": "push-to-talk",
    "r": "record",
    "escape": "quit",
}

QUIT: Final = "quit"


@dataclass(frozen=True)
class Action:
    """What a key does.

    Attributes:
        down: When it goes down; None to end the desk.
        up: When it comes up again, if that matters.
    """

    down: FaceCommand | DeskCommand | None
    up: DeskCommand | None = None


def read_action(text: str) -> Action:
    """An action in words.

    Raises:
        ConfigError: There is no such action.
    """
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    try:
        action = _with_argument(word, rest) if rest else _PLAIN.get(word)
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"{text!r} is no action: {_first(error)}.") from error
    if action is None:
        raise ConfigError(f"{text!r} is no action; there are {', '.join((*_PLAIN, *_ARGUMENTS))}.")
    return action


def _with_argument(word: str, rest: str) -> Action | None:
    match word:
        case "look":
            return Action(Look.model_validate({"type": "look", "at": rest}))
        case "background":
            return Action(Background(type="background", background=rest))
        case "avatar":
            return Action(ChangeAvatar(type="change_avatar", avatar=rest))
        case "style":
            return Action(ChangeStyle(type="change_style", style=rest))
        case "intensity":
            return Action(Set(type="set", controls=ControlValues(intensity=float(rest))))
        case "head":
            return Action(Set(type="set", controls=ControlValues(head_motion=float(rest))))
    return None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"]
    return str(error)


_ARGUMENTS: Final = ("look WHERE", "background WHICH", "avatar NAME", "style NAME", "intensity X", "head X")
_PLAIN: Final[dict[str, Action]] = {
    **{
        name: Action(Express.model_validate({"type": "express", "expression": name, "toggle": True}))
        for name in EXPRESSIONS
    },
    "neutral": Action(Express(type="express", expression="neutral")),
    "blink": Action(Blink(type="blink")),
    "freeze": Action(Freeze(type="freeze")),
    "mute": Action(Mute(type="mute")),
    "talk": Action(Talk(type="talk", on=True), Talk(type="talk", on=False)),
    "push-to-talk": Action(PushToTalk(type="push_to_talk")),
    "record": Action(Record(type="record")),
    QUIT: Action(None),
}
