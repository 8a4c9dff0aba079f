"""Sound on a session's media clock to motion, one motion frame after another: sans-IO.

Live sound comes in order and is never taken back. Pushed speech need not wait for a lookahead: what has not come is
taken for silence, and when it does come the pipeline goes back to where its sound had been known, which is cheap
because its state is a value. The frames already shown are not shown again; where the new motion starts from another
face, ``engine.controls`` leads the one into the other.

::

    sound           |---- speech ----|.... taken for silence ....
    heard up to                      known        h                 state kept at the start of each motion frame
    speech arrives  |---- speech ----|---- more ----|               back to the state at ``known``, on from there
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching import Work, drive
from engine.pipeline import MotionFrame
from engine.stages.style_mix import FADE_FRAMES, NO_STYLE, OpenStyle, Steering
from engine.stages.voice_gate import VoiceGate
from models.spec import TICKS_PER_MOTION, TICKS_PER_SAMPLE


class MotionPipeline(Protocol):
    """Sound to motion, as ``engine.pipeline.Pipeline`` does it."""

    @property
    def latency_ticks(self) -> int:
        """How much later than a frame's own time the last sound it depends on ends."""
        ...

    def init_state(self) -> Any:
        """State of a stream that has not begun."""
        ...

    def work(
        self, block: NDArray[np.float32], state: Any, steering: Steering
    ) -> Work[tuple[Sequence[MotionFrame], Any]]:
        """Motion that ``block``, float32 (n,) at 16 kHz, makes known in the styles as set, and the next state.

        A work: it asks the networks with other sessions.
        """
        ...

    def go_back(self, states: Sequence[Any], frame: int) -> Any:
        """The first of ``states``, to hear other sound from; frames before ``frame`` need not be given again."""
        ...


class Hearing:
    """Sound in, in order; motion out by its number. Its memory is bounded by the lookahead and by what is ahead."""

    def __init__(self, pipeline: MotionPipeline, *, assumes_silence: bool, gate: VoiceGate | None = None) -> None:
        """Begin a session's stream at media time 0.

        Args:
            pipeline: Sound to motion. It may be exchanged for one of the same bundle and lookahead.
            assumes_silence: Whether sound that has not come is taken for silence until it does.
            gate: What all sound goes through first; it must not be combined with assumed silence, for it holds back
                up to 2.5 ms.
        """
        self._gate = gate
        self._gate_state = gate.init_state() if gate else None
        self.pipeline = pipeline
        self._assumes_silence = assumes_silence
        self._state: Any = pipeline.init_state()
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        """Sample number of ``_samples[0]``; it is the oldest to which the pipeline can still go back."""
        self._heard = 0
        """One past the last sample that the pipeline has heard, or taken for silence."""
        self.steering = NO_STYLE
        """The styles that the pipeline moves in from now on."""
        self._worn_at = 0
        """The sample from which on the last style was put on."""
        self._known = 0
        """One past the last sample that has come."""
        self._states: OrderedDict[int, Any] = OrderedDict()
        """What the pipeline was before it heard the sample of that number."""
        self._motion: OrderedDict[int, MotionFrame] = OrderedDict()
        self._kept = pipeline.latency_ticks // TICKS_PER_MOTION + 6

    @property
    def known_ticks(self) -> int:
        """Media time up to which sound has come."""
        return self._known * TICKS_PER_SAMPLE

    def append(self, speech: NDArray[np.float32]) -> bool:
        """Add sound where the last ended.

        Args:
            speech: float32 (n,), mono at 16 kHz in [-1, 1].

        Returns:
            Whether silence that had been assumed was taken back for it, so that motion goes on from another face.
        """
        if self._gate is not None and self._gate_state is not None:
            speech, self._gate_state = self._gate.step(speech, self._gate_state)
        went_back = self._known < self._heard and self._go_back(self._known)
        # ``_samples`` ends where silence begins; what lies before the oldest state can no longer be heard.
        missing = max(0, self._known - self._first - len(self._samples))
        late = max(0, self._first - self._known)
        self._samples = np.concatenate([self._samples, np.zeros(missing, np.float32), speech[late:]])
        self._known += len(speech)
        return went_back

    def skip_to(self, media_ticks: int) -> None:
        """Silence from where the sound ends up to ``media_ticks``; nothing if that is past."""
        self._known = max(self._known, media_ticks // TICKS_PER_SAMPLE)

    def cut(self, media_ticks: int) -> bool:
        """Forget the sound from ``media_ticks`` on, as far as can be, as if it had not come. As ``append``."""
        sample = max(media_ticks // TICKS_PER_SAMPLE, self._first)
        if sample >= self._known:
            return False
        went_back = sample < self._heard and self._go_back(sample)
        self._samples = self._samples[: sample - self._first]
        self._known = sample
        return went_back

    def wear(self, style: OpenStyle | None, second: OpenStyle | None = None, part: float = 0.0) -> bool:
        """Go over to another style, to none, or to a mix of two, in which the second has ``part``.

        Returns:
            Whether one that was still to be seen is gone at once for it: changes came within a quarter of a second, or
            a mix was worn before or is now.
        """
        before = self.steering
        if style is not None and second is not None:
            self.steering = before.mixing(style, second, part)
        else:
            self.steering = before.wearing(style)
        gone = [slot for slot in (0, 1) if before.slots[slot] not in (None, *self.steering.slots)]
        fading = self._heard - self._worn_at < _first_sample(FADE_FRAMES + 1)
        if self.steering is not before:
            self._worn_at = self._heard
        return any(fading or before.goal(slot) > 0 for slot in gone)

    def intensify(self, intensity: float) -> None:
        """Go over to another intensity of the style."""
        if intensity != self.steering.intensity:
            self.steering = replace(self.steering, intensity=intensity)

    def motion(self, index: int) -> MotionFrame | None:
        """The motion frame ``index``; numbers may be left out and never fall by more than one.

        Every frame up to it is computed: motion is never skipped, only not asked for. None while its sound has not
        come, unless silence is assumed.
        """
        return drive(self.work(index))

    def work(self, index: int) -> Work[MotionFrame | None]:
        """As ``motion``, asking the networks with other sessions; nothing else may be done with this meanwhile."""
        while not self._motion or next(reversed(self._motion)) < index:
            if self._assumes_silence:
                self._keep_state()
                yield from self._hear(_first_sample(_block_of(self._heard) + 1))
            elif self._heard < self._known:
                # No more than the frame needs, which is waited for; the rest is for ``listen``.
                wanted = -(-(index * TICKS_PER_MOTION + self.pipeline.latency_ticks) // TICKS_PER_SAMPLE)
                yield from self._hear(wanted if self._heard < wanted < self._known else self._known)
            else:
                return None
        for number in [number for number in self._motion if number < index - 1]:
            del self._motion[number]
        return next(frame for number, frame in self._motion.items() if number >= index)

    def listen(self) -> Work[None]:
        """Step the pipeline over all that has come, ahead of the frames that will ask for it."""
        if not self._assumes_silence and self._heard < self._known:
            yield from self._hear(self._known)

    def _hear(self, end: int) -> Work[None]:
        """Step the pipeline over the sound, or assumed silence, up to the sample ``end``."""
        block = self._samples[max(0, self._heard - self._first) : max(0, end - self._first)]
        block = np.concatenate([block, np.zeros(end - self._heard - len(block), np.float32)])
        frames, self._state = yield from self.pipeline.work(block, self._state, self.steering)
        for frame in frames:
            self._motion[frame.index] = frame
        self._heard = end
        oldest = next(iter(self._states), end)
        self._samples = self._samples[max(0, oldest - self._first) :].copy()
        self._first = oldest

    def _keep_state(self) -> None:
        self._states[self._heard] = self._state
        if len(self._states) > self._kept:
            self._states.popitem(last=False)

    def _go_back(self, sample: int) -> bool:
        """Take back what was heard from ``sample`` on, or as much of it as is kept."""
        reached = [heard for heard in self._states if heard <= sample] or list(self._states)[:1]
        if not reached:
            return False
        # Of the states before the sample the last; if none is left, the oldest, and the sound before it is lost.
        place, frame = reached[-1], _block_of(sample)
        followed = [self._states.pop(heard) for heard in list(self._states) if heard >= place]
        self._state, self._heard = self.pipeline.go_back([*followed, self._state], frame), place
        for later in [number for number in self._motion if number >= frame]:
            del self._motion[later]
        return True


def _block_of(sample: int) -> int:
    """The motion frame that a 16 kHz sample lies in."""
    block = sample * TICKS_PER_SAMPLE // TICKS_PER_MOTION
    return block + 1 if _first_sample(block + 1) <= sample else block


def _first_sample(block: int) -> int:
    """First 16 kHz sample of a motion frame."""
    return block * TICKS_PER_MOTION // TICKS_PER_SAMPLE
