"""What a WebSocket may ask of a session: its speech, its face, and, where a desk gives it its voice, the desk.

The protocol is described in ``docs/live.md``; unknown fields and types are refused.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from streaming.serve.messages import ControlValues, Message


class Start(Message):
    """First message of a voice: binary messages that follow are PCM16, little-endian, mono, at ``rate_hz``."""

    type: Literal["start"]
    rate_hz: int = Field(ge=8000, le=96_000)


class Flush(Message):
    """The utterance ends here; answered by ``flushed`` when all of it was spoken."""

    type: Literal["flush"]


class Interrupt(Message):
    """Break off; answered by ``interrupted``."""

    type: Literal["interrupt"]


class Set(Message):
    """Steer the face; answered by ``controls``."""

    type: Literal["set"]
    controls: ControlValues


class ChangeAvatar(Message):
    """Go on as another person; answered by ``avatar``."""

    type: Literal["change_avatar"]
    avatar: str = Field(min_length=1, max_length=100)


class ChangeStyle(Message):
    """Go on in another style, or in a mix of two; answered by ``style``.

    Attributes:
        style: The style.
        second: A style that is mixed with it.
        part: What the second one has of the mix.
    """

    type: Literal["change_style"]
    style: str = Field(min_length=1, max_length=100)
    second: str | None = Field(default=None, min_length=1, max_length=100)
    part: float = Field(default=0.5, ge=0, le=1)


class Express(Message):
    """Wear an expression in the place of any other; answered by ``controls``.

    Attributes:
        expression: Which; ``neutral`` for none.
        amount: 0 to 1.
        seconds: After which it goes of itself; by default it stays.
        toggle: Take it off if it is worn.
    """

    type: Literal["express"]
    expression: Literal["smile", "frown", "surprise", "wink", "neutral"]
    amount: float = Field(default=1.0, ge=0, le=1)
    seconds: float | None = Field(default=None, gt=0, le=3600)
    toggle: bool = False


class Look(Message):
    """Look at the ``camera``, ``away`` from it, or where it comes (``free``); answered by ``controls``."""

    type: Literal["look"]
    at: Literal["camera", "away", "free"]


class Blink(Message):
    """Blink now; answered by ``blinked``."""

    type: Literal["blink"]


class Freeze(Message):
    """Stand still, or go on; by default the other of what is. Answered by ``controls``."""

    type: Literal["freeze"]
    on: bool | None = None


class Mute(Message):
    """Hear silence, or stop that; by default the other of what is. Answered by ``desk``."""

    type: Literal["mute"]
    on: bool | None = None


class Talk(Message):
    """The push-to-talk key goes down (``on``) or up. Answered by ``desk``."""

    type: Literal["talk"]
    on: bool


class PushToTalk(Message):
    """Be heard only while the key is down, or always. Answered by ``desk``."""

    type: Literal["push_to_talk"]
    on: bool | None = None


class Gain(Message):
    """Amplify the microphone, in dB. Answered by ``desk``."""

    type: Literal["gain"]
    gain_db: float = Field(ge=-30, le=30)


class Background(Message):
    """``original``, ``transparent``, ``#rrggbb``, or ``image``: that of the configuration. Answered by ``desk``.

    A picture's path is no command: whoever may speak to the desk may not make it read files.
    """

    type: Literal["background"]
    background: str = Field(pattern=r"^(original|transparent|image|#[0-9a-fA-F]{6})$")


class Record(Message):
    """Begin a recording, or finish it; by default the other of what is. Answered by ``desk``."""

    type: Literal["record"]
    on: bool | None = None


class Key(Message):
    """A key went down or up on a page: what it does is in the configuration. Answered by ``desk``."""

    type: Literal["key"]
    key: str = Field(min_length=1, max_length=30)
    down: bool = True


class Watch(Message):
    """Be told ``desk``, with the meter, so many times a second; 0 for no more. Answered by ``desk``."""

    type: Literal["watch"]
    hz: float = Field(default=10.0, ge=0, le=30)


FaceCommand = Set | ChangeAvatar | ChangeStyle | Express | Look | Blink | Freeze
DeskCommand = Mute | Talk | PushToTalk | Gain | Background | Record | Key
Command = Annotated[
    Start | Flush | Interrupt | FaceCommand | DeskCommand | Watch,
    Field(discriminator="type"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
