"""The latency budget of a session: L = lookahead + chunk + compute + output, a constant.

::

    captured at t --chunk--> arrived --lookahead--> all heard --compute--> picture ready --output--> seen at t + L

Lookahead is what the stages declare (the motion generator's frames, the analysis window, the retiming to the
video's rate). Chunk is the sound that a source hands over at once. Compute is what the machine is allowed for the
motion and the picture of a frame. Output is what a wake-up may be late by. Pushed sound is there before it is due:
its lookahead and chunk are 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.clock import ms_to_ticks
from engine.errors import ConfigError

OUTPUT_MS = 2.0
QUANTILE = 0.999
_MARGIN = 1.4
"""On the measured compute: a calibration of seconds does not see the rarest of hours."""
_STRAGGLER = 1.5
_HEARING = 0.8
"""Of a motion frame's time what hearing alone may take: two thirds, and a margin. The rest is the head's."""
_LEAST_COMPUTE_MS = 4.0
_MOST_LATENCY_MS = 2000.0


@dataclass(frozen=True)
class Budget:
    """What a session's latency is made of, in ms.

    Attributes:
        lookahead_ms: Sound beyond a frame's own time that the frame depends on.
        chunk_ms: Sound that arrives at once, and so waits for its own end.
        compute_ms: From the arrival of the last sound that a frame needs to its picture.
        output_ms: From the picture to its deadline.
    """

    lookahead_ms: float
    chunk_ms: float
    compute_ms: float
    output_ms: float = OUTPUT_MS

    def __post_init__(self) -> None:
        """Refuse a negative or infinite part."""
        for name, value in vars(self).items():
            if not 0 <= value <= _MOST_LATENCY_MS:
                raise ConfigError(f"The latency budget's {name} must be 0 to {_MOST_LATENCY_MS:g} ms, not {value}.")

    @property
    def total_ms(self) -> float:
        """L in ms, for display."""
        return self.lookahead_ms + self.chunk_ms + self.compute_ms + self.output_ms

    @property
    def total_ticks(self) -> int:
        """L on the 48 kHz media clock."""
        return ms_to_ticks(self.total_ms)

    def table(self) -> str:
        """The parts and their sum, for people."""
        rows = [(name.removesuffix("_ms"), value) for name, value in vars(self).items()]
        lines = [f"{name:<10}{value:>8.1f} ms" for name, value in (*rows, ("latency", self.total_ms))]
        return "\n".join(lines)


@dataclass(frozen=True)
class Measurement:
    """What a machine needed for a stretch of frames, paced as a session paces them.

    Attributes:
        compute_ms: Of each frame, from its sound to its picture.
        busy_share: Of one core's time, what the frames used.
        motion_ms: Mean time of one motion frame.
    """

    compute_ms: Sequence[float] = field(repr=False)
    busy_share: float
    motion_ms: float = 0.0

    @property
    def straggles(self) -> bool:
        """Whether a few frames took much longer than most: the machine may have done something else meanwhile."""
        return max(self.compute_ms) > _STRAGGLER * self.typical_ms

    @property
    def typical_ms(self) -> float:
        """What nine frames in ten took."""
        return quantile(self.compute_ms, 0.9)

    def __post_init__(self) -> None:
        """Refuse a measurement of nothing."""
        if not self.compute_ms:
            raise ConfigError("A calibration must measure at least one frame; measure for longer.")

    @property
    def needed_ms(self) -> float:
        """The compute allowance that holds at p99.9, with a margin, in whole ms."""
        return float(max(_LEAST_COMPUTE_MS, math.ceil(_MARGIN * quantile(self.compute_ms, QUANTILE))))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them do not exceed: of few values and a high share, the largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def catch_up_ms(measured: Measurement, budget: Budget, frames: float) -> float:
    """By how much an utterance's first frame is later than any other could be, in ms.

    Args:
        measured: What this machine needs.
        budget: Of the session; its allowance for a frame has something to spare for most frames.
        frames: Motion frames of speech, beyond its own, that the first frame hears before it is drawn.
    """
    return max(0.0, _HEARING * measured.motion_ms * frames - (budget.compute_ms - measured.typical_ms))


def fit_budget(lookahead_ms: float, chunk_ms: float, latency_ms: float | None, measured: Measurement) -> Budget:
    """The budget of a session on a machine.

    Args:
        lookahead_ms: As the stages declare it.
        chunk_ms: As the source hands sound over.
        latency_ms: L as wanted; None for the smallest that holds.
        measured: What this machine needs.

    Returns:
        The budget; what a wanted L leaves over beyond the smallest goes to compute.

    Raises:
        ConfigError: The wanted L cannot be held; the message says which could. Or none can.
    """
    if lookahead_ms + chunk_ms + measured.needed_ms + OUTPUT_MS > _MOST_LATENCY_MS:
        raise ConfigError(
            f"This machine cannot hold a session as it is loaded now: a frame took up to {measured.needed_ms:g} ms to "
            "compute. Close what else runs, or ask for a smaller frame rate."
        )
    smallest = Budget(lookahead_ms, chunk_ms, measured.needed_ms)
    if latency_ms is None:
        return smallest
    if not 0 < latency_ms <= _MOST_LATENCY_MS:
        raise ConfigError(f"The latency must be above 0 and at most {_MOST_LATENCY_MS:g} ms, not {latency_ms}.")
    if latency_ms < smallest.total_ms:
        raise ConfigError(
            f"A latency of {latency_ms:g} ms cannot be held: beside {lookahead_ms:.1f} ms of lookahead, {chunk_ms:.1f} "
            f"of chunk and {OUTPUT_MS:.1f} of output this machine needs {smallest.compute_ms:.1f} ms to compute. "
            f"Ask for {math.ceil(smallest.total_ms)} ms or more, or for a smaller lookahead or frame rate."
        )
    return Budget(lookahead_ms, chunk_ms, smallest.compute_ms + latency_ms - smallest.total_ms)
