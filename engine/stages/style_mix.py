r"""How much of which style is in a frame: intensities that are set become shares that move without a jump.

A session wears at most one style or a mix of two, and fades from one to the next: two slots are enough. Every change of
a share, a style put on or off as well as another intensity, takes 0.25 s, linearly; while a slider is dragged the share
follows it with that lag. Only a stream's first frame has its style at once::

    change_style(B)      |
    share of A   1 ------\_______ 0      base + a * (A - base) + b * (B - base)
    share of B   0 ------/-------- 1
                         |  15  | frames

A style whose share is and stays 0 is not run at all. When it begins to run, its networks take over the state that the
base's networks have then: a style is the base with its weights moved a little, so its units mean the same and it goes
on in the middle of the word, and a style that equals the base gives exactly the base's motion; what differs is
forgotten while the share is still small. (Replaying the last frames through it would need them kept, and would cost
dozens of network calls within one frame.)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backend import NetworkState, Tensors
from engine.batching import NetworkServer, Work
from engine.stages.liveliness import PLAIN, Manner
from models.spec import LANDMARKS, MOTION_HZ, POSE_DIM

FADE_FRAMES = MOTION_HZ // 4
MAX_INTENSITY = 1.5
SLOTS = ("first", "second")
_BOUNDS = {
    "blink_rate": (0.2, 5.0),
    "gaze_spread": (0.2, 5.0),
    "gaze_away": (0.2, 5.0),
    "fixation_time": (0.2, 5.0),
    "lid_rest": (-0.3, 0.8),
    "shut_share": (0.0, 0.95),
    "shut_time": (0.3, 20.0),
}
"""Beyond these no face blinks, looks about or shuts its eyes, however strong a style is."""


@dataclass(frozen=True, eq=False)
class OpenStyle:
    """A style ready to run, shared by all sessions that wear it.

    Attributes:
        name: What it is called.
        motion: Its motion generator, normalised as the bundle's.
        head_pose: Its head pose network.
        temperature: Factor on the deviation of its head poses.
        limits: float64 (6,), rad and fu, beyond which its head is pulled back.
        manner: Blinks, lids and gaze.
        centre: float64 (6,), rad and fu, about which its head moves.
        smoothing_frames: Time constant of the causal smoothing of its head poses; None as the bundle's.
        motion_keep: What each of the two poles keeps, in a frame, that the motion of mouth and eyes goes through; 0
            for none.
        rest: float32 (68, 3) fu, its resting expression.
    """

    name: str
    motion: NetworkServer
    head_pose: NetworkServer
    temperature: float
    limits: NDArray[np.float64]
    manner: Manner
    centre: NDArray[np.float64] = field(default_factory=lambda: np.zeros(POSE_DIM))
    smoothing_frames: float | None = None
    motion_keep: float = 0.0
    rest: NDArray[np.float32] = field(default_factory=lambda: np.zeros((LANDMARKS, 3), np.float32))


@dataclass(frozen=True)
class Worn:
    """A style in a slot; the number tells it from all that were there before."""

    serial: int
    style: OpenStyle


@dataclass(frozen=True)
class Steering:
    """The styles of a session, as set.

    Attributes:
        slots: The style that is worn, and the one before it.
        current: The slot that is worn; the other one's style fades, or is worn beside it.
        intensity: Of what is worn, 0 to ``MAX_INTENSITY``.
        serials: Styles put on so far.
        beside: The other slot's part of what is worn, 0 to 1.
    """

    slots: tuple[Worn | None, Worn | None] = (None, None)
    current: int = 0
    intensity: float = 1.0
    serials: int = 0
    beside: float = 0.0

    def wearing(self, style: OpenStyle | None) -> "Steering":
        """Put another style on, or none. A style that was worn before this one, and still fades, is gone at once."""
        worn, other = self.slots[self.current], 1 - self.current
        if (worn.style if worn else None) is style:
            return replace(self, beside=0.0) if self.beside else self
        before = self.slots[other]
        if style is not None and before is not None and before.style is style:
            return replace(self, current=other, beside=0.0)
        slot = None if style is None else Worn(self.serials + 1, style)
        slots = (slot, worn) if other == 0 else (worn, slot)
        return replace(self, slots=slots, current=other, serials=self.serials + 1, beside=0.0)

    def mixing(self, style: OpenStyle, second: OpenStyle, part: float) -> "Steering":
        """Put a mix of two styles on, of the second one ``part``, 0 to 1; as ``wearing`` for each of them."""
        if style is second:
            return self.wearing(style)
        # Whoever of the two is worn already stays in its slot and goes on.
        worn = [slot.style if slot else None for slot in self.slots]
        following = self if worn[self.current] is second else self.wearing(second)
        return replace(following.wearing(style), beside=part)

    def goal(self, slot: int) -> float:
        """The share that a slot's style moves to."""
        if self.slots[slot] is None:
            return 0.0
        return float(self.intensity) * (1 - self.beside if slot == self.current else self.beside)


NO_STYLE = Steering()


@dataclass(frozen=True)
class Share:
    """A style's part in one frame.

    Attributes:
        slot: Where stages keep what its networks remember.
        run: Number of the run that this frame belongs to: a stage that knows another one begins from the base.
        style: The style.
        weight: Its share, 0 to ``MAX_INTENSITY``.
    """

    slot: str
    run: int
    style: OpenStyle
    weight: float


@dataclass(frozen=True)
class SlotState:
    """Where a slot's share is.

    Attributes:
        serial: Of the style that it belongs to; 0 for none.
        run: As in ``Share``; 0 while it does not run.
        start: Share at which the present move began.
        goal: Share at which it ends.
        age: Frames since.
    """

    serial: int = 0
    run: int = 0
    start: float = 0.0
    goal: float = 0.0
    age: int = FADE_FRAMES

    @property
    def weight(self) -> float:
        """The share now."""
        if self.age >= FADE_FRAMES:
            return self.goal
        return self.start + (self.goal - self.start) * self.age / FADE_FRAMES


@dataclass(frozen=True)
class StyleMixState:
    """What the mix remembers.

    Attributes:
        begun: Whether a frame was made.
        runs: Runs begun so far.
        slots: By the names of ``SLOTS``.
    """

    begun: bool
    runs: int
    slots: Mapping[str, SlotState]


class StyleMix:
    """What is set in, the shares of one frame out."""

    lookahead_ticks = 0

    def init_state(self) -> StyleMixState:
        """No style, before the first frame."""
        return StyleMixState(False, 0, dict.fromkeys(SLOTS, SlotState()))

    def step(self, x: Steering, state: StyleMixState) -> tuple[tuple[Share, ...], StyleMixState]:
        """Move the shares on by one frame; those that are and stay 0 are left out."""
        if state.begun and x.slots == (None, None) and not any(slot.serial for slot in state.slots.values()):
            return (), state
        shares, runs, slots = [], state.runs, {}
        for number, name in enumerate(SLOTS):
            worn, slot, goal = x.slots[number], state.slots[name], x.goal(number)
            if slot.serial != (worn.serial if worn else 0):
                slot = SlotState(worn.serial if worn else 0)
            if goal != slot.goal:
                # A stream begins as it is set; later everything fades.
                slot = replace(slot, start=slot.weight, goal=goal, age=0 if state.begun else FADE_FRAMES)
            slot = replace(slot, age=min(slot.age + 1, FADE_FRAMES))
            if worn is None or (slot.weight == 0 and goal == 0):
                slot = replace(slot, run=0)
            else:
                if slot.run == 0:
                    runs += 1
                    slot = replace(slot, run=runs)
                shares.append(Share(name, slot.run, worn.style, slot.weight))
            slots[name] = slot
        return tuple(shares), StyleMixState(True, runs, slots)

    def flush(self, state: StyleMixState) -> tuple[Share, ...]:
        """Nothing is held back."""
        return ()


def manner(shares: Sequence[Share]) -> Manner:
    """Blinks, lids and gaze of a face that has these shares of styles."""
    if not shares:
        return PLAIN
    values = {}
    for name, (least, most) in _BOUNDS.items():
        plain = getattr(PLAIN, name)
        value = plain + sum(share.weight * (getattr(share.style.manner, name) - plain) for share in shares)
        values[name] = min(most, max(least, value))
    rhythm = tuple(part.times(share.weight) for share in shares for part in share.style.manner.rhythm)
    return Manner(**values, rhythm=rhythm)


def pole_keep(frames: float) -> float:
    """What a smoothing pole with a time constant of ``frames`` keeps in a frame."""
    return math.exp(-1 / frames) if frames > 0 else 0.0


def resting(shares: Sequence[Share]) -> NDArray[np.float32] | None:
    """The resting expression of a face that has these shares of styles, float32 (68, 3) fu; None for a neutral one."""
    if not shares:
        return None
    total = np.zeros((LANDMARKS, 3), np.float32)
    for share in shares:
        total += np.float32(share.weight) * share.style.rest
    return total


@dataclass(frozen=True)
class Voice:
    """What a style's network remembers, in the state of the stage that asks it.

    Attributes:
        run: The run that it belongs to.
        network: The network's state.
    """

    run: int
    network: NetworkState


Voices = Mapping[str, Voice]


def no_voices(like: NetworkState) -> Voices:
    """Voices that have not begun; ``like`` is a state of the base's network."""
    return dict.fromkeys(SLOTS, Voice(0, like))


def ask_styles(
    servers: Iterable[tuple[Share, NetworkServer]], inputs: Tensors, base: NetworkState, voices: Voices
) -> Work[tuple[list[tuple[Share, Tensors]], Voices]]:
    """Ask the same of several styles.

    Args:
        servers: The styles' networks.
        inputs: What the base's network was asked.
        base: The state in which it was.
        voices: As from ``no_voices`` or the last call.

    Returns:
        The outputs of each, and the next voices.
    """
    answers, following = [], dict(voices)
    for share, server in servers:
        voice = voices[share.slot]
        outputs, network = yield from server.ask(inputs, voice.network if voice.run == share.run else base)
        answers.append((share, outputs))
        following[share.slot] = Voice(share.run, network)
    return answers, following


def mixed(base: NDArray[Any], parts: Iterable[tuple[float, NDArray[Any]]]) -> NDArray[Any]:
    """The base plus the sum of weight * (style - base); exactly the base where the styles equal it.

    Args:
        base: Any shape.
        parts: Weight and array, of the same shape, of each style.
    """
    result = base
    for weight, style in parts:
        result = result + base.dtype.type(weight) * (style - base)
    return result
