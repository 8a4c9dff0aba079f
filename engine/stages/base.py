"""The contract that every stage of the pipeline keeps.

A stage is a pure, sans-IO transformer of a stream. It holds weights and geometry; the session holds its state.
``step`` never changes the state it is given, so a state can be kept, copied and resumed, and two sessions share a
stage. Rates are those of the media clock (``models.spec``); ``lookahead_ticks`` is how much later than an output
frame's own time its last input sample lies, and the pipeline's latency is the sum of what its stages declare.
"""

from typing import Protocol, TypeVar

X = TypeVar("X", contravariant=True)
Y = TypeVar("Y", covariant=True)
S = TypeVar("S")


class Stage(Protocol[X, Y, S]):
    """A streaming stage: explicit state in, explicit state out."""

    @property
    def lookahead_ticks(self) -> int:
        """Media-clock ticks (48 kHz) of input beyond an output's own time that the output depends on."""
        ...

    def init_state(self) -> S:
        """State of a stream that has not begun."""
        ...

    def step(self, x: X, state: S) -> tuple[Y, S]:
        """Consume ``x``; return what can be said now and the new state. ``state`` is left as it was."""
        ...

    def flush(self, state: S) -> Y:
        """What the stream still owes when no more input comes."""
        ...
