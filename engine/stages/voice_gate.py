r"""The noise gate of a microphone: what is below a threshold does not move the mouth.

Levels are RMS over 20 ms in dBFS (a full-scale square wave is 0), after the gain. Loud speech opens the gate with
its first milliseconds; the click of a key is short, and is spread over the window.

::

    level          __/--------\__/-\______     above threshold_db: open; it stays so above threshold - hysteresis
    open           ..|---------------|.....     hold_ms more after the level fell below that
    gain           ../---------------\_...      a ramp of attack_ms up, of release_ms down, then exactly 0

It acts on what the engine hears, not on what is played.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.errors import ConfigError
from models.spec import SAMPLE_HZ, TICKS_PER_SAMPLE

HOP: Final = 40
"""Samples between two decisions: 2.5 ms."""
_WINDOW_HOPS: Final = 8


@dataclass(frozen=True)
class VoiceGateSettings:
    """How the gate works; a session has none unless it is given these.

    Attributes:
        threshold_db: Level above which it opens, dBFS, -90 to 0.
        hysteresis_db: It closes only this far below the threshold, 0 to 30 dB.
        attack_ms: How long opening takes, 0 to 500 ms.
        hold_ms: How long it stays open after the last sound that was loud enough, 0 to 5000 ms.
        release_ms: How long closing takes, 0 to 5000 ms.
        gain_db: Applied before everything else, -30 to 30 dB.
    """

    threshold_db: float = -38.0
    hysteresis_db: float = 6.0
    attack_ms: float = 5.0
    hold_ms: float = 200.0
    release_ms: float = 120.0
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            ConfigError: One is outside its range or not a number.
        """
        ranges = {
            "threshold_db": (-90, 0),
            "hysteresis_db": (0, 30),
            "attack_ms": (0, 500),
            "hold_ms": (0, 5000),
            "release_ms": (0, 5000),
            "gain_db": (-30, 30),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"The voice gate's {name} must be {low} to {high}, not {value}.")


@dataclass(frozen=True)
class VoiceGateState:
    """What the gate remembers.

    Attributes:
        pending: float32 (< 40,), sound, with the gain, for which no decision was made yet.
        energies: float64 (7,), mean squares of the last hops, oldest first.
        open: Whether the level is in the open state.
        hold: Hops for which the gate stays open without it.
        gain: Of the last sample given, 0 shut to 1 open.
    """

    pending: NDArray[np.float32]
    energies: NDArray[np.float64]
    open: bool
    hold: int
    gain: float


class VoiceGate:
    """16 kHz sound in; the same with silence for what is below the threshold out."""

    lookahead_ticks = HOP * TICKS_PER_SAMPLE
    """A hop is decided upon when it is complete."""

    def __init__(self, settings: VoiceGateSettings | None = None) -> None:
        """Take the settings, or the defaults."""
        settings = settings or VoiceGateSettings()
        self._factor = np.float32(10 ** (settings.gain_db / 20))
        self._opens = 10 ** (settings.threshold_db / 10)
        self._closes = 10 ** ((settings.threshold_db - settings.hysteresis_db) / 10)
        self._hold = round(settings.hold_ms * SAMPLE_HZ / 1000 / HOP)
        self._up, self._down = _change(settings.attack_ms), _change(settings.release_ms)

    def init_state(self) -> VoiceGateState:
        """A shut gate that has heard nothing."""
        return VoiceGateState(np.zeros(0, np.float32), np.zeros(_WINDOW_HOPS - 1), False, 0, 0.0)

    def step(self, x: NDArray[np.float32], state: VoiceGateState) -> tuple[NDArray[np.float32], VoiceGateState]:
        """Hear a block.

        Args:
            x: float32 (n,) at 16 kHz in [-1, 1], any number of samples.
            state: As from ``init_state`` or the last step.

        Returns:
            float32, all whole hops that can be decided upon, less than 40 samples fewer than were heard; and the next
            state. A shut gate gives zeros.
        """
        heard = np.concatenate([state.pending, x * self._factor])
        hops = len(heard) // HOP
        if not hops:
            return np.zeros(0, np.float32), _replace_pending(state, heard)
        blocks = heard[: hops * HOP].reshape(hops, HOP)
        energies = np.concatenate([state.energies, np.square(blocks, dtype=np.float64).mean(axis=1)])
        levels = sliding_window_view(energies, _WINDOW_HOPS).mean(axis=1)
        is_open, hold, gains = state.open, state.hold, [state.gain]
        for level in levels.tolist():
            is_open = level > (self._closes if is_open else self._opens)
            hold = self._hold if is_open else max(0, hold - 1)
            gains.append(min(1.0, max(0.0, gains[-1] + (self._up if is_open or hold else -self._down))))
        given = _with_gains(blocks, np.array(gains))
        return given, VoiceGateState(heard[hops * HOP :], energies[hops:], is_open, hold, gains[-1])

    def flush(self, state: VoiceGateState) -> NDArray[np.float32]:
        """The end of the sound, shorter than a hop, at the gate's last gain."""
        return _with_gains(state.pending[None], np.array([state.gain, state.gain]))


def level_db(samples: NDArray[np.float32]) -> float:
    """RMS level in dBFS, as the gate's thresholds are meant; silence is -120.

    Args:
        samples: float32 (n,), n > 0.
    """
    return 10 * math.log10(max(1e-12, float(np.square(samples, dtype=np.float64).mean())))


def _change(duration_ms: float) -> float:
    """Change of the gain in a hop, for a ramp of that length."""
    return min(1.0, 1000 * HOP / SAMPLE_HZ / duration_ms) if duration_ms else 1.0


def _with_gains(blocks: NDArray[np.float32], gains: NDArray[np.float64]) -> NDArray[np.float32]:
    """Hops (n, samples) with a gain that goes linearly from ``gains[i]`` to ``gains[i + 1]`` in hop i."""
    part = np.arange(1, blocks.shape[1] + 1) / blocks.shape[1]
    ramps = (gains[:-1, None] + (gains[1:] - gains[:-1])[:, None] * part).astype(np.float32)
    # Adding 0 turns the -0 of a silenced negative sample into 0.
    given: NDArray[np.float32] = (blocks * ramps + np.float32(0)).reshape(-1)
    return given


def _replace_pending(state: VoiceGateState, pending: NDArray[np.float32]) -> VoiceGateState:
    return VoiceGateState(pending, state.energies, state.open, state.hold, state.gain)
