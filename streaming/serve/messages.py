"""What goes over HTTP, typed; unknown fields are refused. What goes over WebSockets is in ``commands``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.artefacts.bundle import RendererName
from engine.intake import Mode
from models.spec import LANDMARKS


class Message(BaseModel):
    """Frozen and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NewSession(Message):
    """What a session is to be.

    Attributes:
        avatar: Its id, as ``/api/avatars`` tells.
        style: Its id, as ``/api/styles`` tells.
        intensity: Of the style, 0 (none of it) to 1.5.
        fps: 60, 30, 25 or 20.
        lookahead: 0 to 18 motion frames (1/60 s) that the mouth hears ahead; by default 18 live, 4 pushed.
        mode: ``live``: a voice with a clock. ``pushed``: speech that comes as fast as it is made.
        latency: L in ms, or ``auto`` for the smallest that this machine holds.
        jitter_ms: Of a live voice, by how much the network may delay one packet more than another; part of L.
        seed: Of the head's motion.
        renderer: ``warp``, ``lite`` or ``paper``; by default the server's.
    """

    avatar: str = Field(min_length=1, max_length=100)
    style: str = Field("none", min_length=1, max_length=100)
    intensity: float = Field(1.0, ge=0, le=1.5)
    fps: Literal[60, 30, 25, 20] = 30
    lookahead: int | None = Field(None, ge=0, le=18)
    mode: Mode = "live"
    latency: float | Literal["auto"] = "auto"
    jitter_ms: float = Field(40.0, ge=0, le=200)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    renderer: RendererName | None = None


class ControlValues(Message):
    """Steering of the face; see ``engine.controls.Controls`` for units and ranges. What is left out stays as it is."""

    gaze_yaw: float | None = None
    gaze_pitch: float | None = None
    head_pitch: float | None = None
    head_yaw: float | None = None
    head_roll: float | None = None
    head_motion: float | None = None
    blink: float | None = None
    mouth: float | None = None
    eye_contact: float | None = None
    smile: float | None = None
    frown: float | None = None
    surprise: float | None = None
    wink: float | None = None
    freeze: float | None = None
    intensity: float | None = None


class Change(Message):
    """A change to a running session; what is left out stays as it is.

    Attributes:
        avatar: The id of another avatar.
        style: The id of another style.
        controls: Steering of the face.
        mute: Whether the voice that comes in is heard as silence.
    """

    avatar: str | None = Field(None, min_length=1, max_length=100)
    style: str | None = Field(None, min_length=1, max_length=100)
    controls: ControlValues | None = None
    mute: bool | None = None


class BudgetView(Message):
    """What a session's latency is made of, ms.

    Attributes:
        lookahead_ms: Sound beyond a frame's own time that the frame depends on.
        chunk_ms: Sound that arrives at once, and of it ``jitter_ms`` for the network's jitter.
        jitter_ms: See ``NewSession``; contained in ``chunk_ms``.
        compute_ms: What the machine is allowed for a frame.
        output_ms: What a wake-up may be late by.
        total_ms: L, the sum of lookahead, chunk, compute and output.
        sound_ahead_ms: By how much sound leaves before L has passed: a player holds it back longer than a picture.
    """

    lookahead_ms: float
    chunk_ms: float
    jitter_ms: float
    compute_ms: float
    output_ms: float
    total_ms: float
    sound_ahead_ms: float


class SessionMade(Message):
    """A session that has begun.

    Attributes:
        id: Of the session.
        label: What it is called in ``/metrics``.
        avatar: Who it is.
        style: How it moves.
        mode: ``live`` or ``pushed``.
        fps: Frames a second.
        budget: What its latency is made of.
        token: That opens this session's doors, where the server asks for one.
        ice_servers: For the peer's own connection, in the form of ``RTCConfiguration``.
    """

    id: str
    label: str
    avatar: str
    style: str
    mode: Mode
    fps: int
    budget: BudgetView
    token: str | None = None
    ice_servers: list[dict[str, str]] = []


class SessionView(Message):
    """A running session.

    Attributes:
        id: Of the session.
        label: What it is called in ``/metrics``.
        avatar: Who it is.
        style: How it moves.
        mode: ``live`` or ``pushed``.
        fps: Frames a second that were asked for.
        age_s: Since when it runs.
        budget: What its latency is made of.
        stats: See ``engine.session_parts.SessionStats``.
        stages: p50, p95, p99 and max in ms of every stage.
        controls: The face's steering.
        mute: Whether the voice is heard as silence.
        peers: Its connections.
        sockets: WebSockets.
    """

    id: str
    label: str
    avatar: str
    style: str
    mode: Mode
    fps: int
    age_s: float
    budget: BudgetView
    stats: dict[str, float]
    stages: dict[str, dict[str, float]]
    controls: dict[str, float]
    mute: bool
    peers: list[dict[str, object]]
    sockets: int


class AvatarView(Message):
    """An avatar that a session can be.

    Attributes:
        id: To ask for it with.
        name: For people.
        picture: Where its picture is.
    """

    id: str
    name: str
    picture: str


class PointsView(Message):
    """What an avatar's picture was understood to show, px in the picture of 512x512.

    Attributes:
        id: Of the avatar.
        name: For people.
        picture: Where its picture is.
        points: The 68 landmarks, in iBUG's order.
        lines: Which of them make a line, and whether it is closed.
        outline: Closed lines about the person, where the matte is half opaque.
        irises: Centre and radius of the right and the left one.
        rest: The landmarks as they lie when the face is at rest.
        file: Where it is written when points are saved; None for an avatar that is kept in memory alone.
        locked: Why its points cannot be corrected; None if they can.
    """

    id: str
    name: str
    picture: str
    points: list[tuple[float, float]]
    lines: list[tuple[list[int], bool]]
    outline: list[list[tuple[float, float]]]
    irises: list[tuple[float, float, float]]
    rest: list[tuple[float, float]]
    file: str | None
    locked: str | None


class NewPoints(Message):
    """A face as somebody has put it, px in the picture of 512x512.

    Attributes:
        points: The 68 landmarks.
        irises: Centre and radius of the right and the left one; by default they go with their eyes.
    """

    points: list[tuple[float, float]] = Field(min_length=LANDMARKS, max_length=LANDMARKS)
    irises: list[tuple[float, float, float]] | None = Field(None, min_length=2, max_length=2)


class StyleView(Message):
    """A style that a session can move in.

    Attributes:
        id: To ask for it with.
        name: For people.
    """

    id: str
    name: str


class Offer(Message):
    """A call's offer or answer."""

    type: Literal["offer"]
    sdp: str = Field(max_length=64 << 10)


class Answer(Message):
    """The answer to an offer; ``peer`` names the connection."""

    type: Literal["answer"] = "answer"
    sdp: str
    peer: str


class Failure(Message):
    """Why a request was not met."""

    message: str
