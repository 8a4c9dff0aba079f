"""From a microphone's blocks to the sound of a session: one channel, gain, mute, push-to-talk, and a meter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.stages.voice_gate import level_db

MAX_GAIN_DB: Final = 30.0
_FLOOR_DB: Final = -120.0
_PEAK_FALLS_DB_S: Final = 20.0
_CLIPS: Final = 0.999

Push = Callable[[NDArray[np.float32], int], Any]
"""``Session.push_threadsafe``."""


@dataclass(frozen=True)
class Level:
    """What a meter shows, dBFS; silence is -120.

    Attributes:
        rms_db: Of the last block, with the gain, whether it is heard or not.
        peak_db: The highest of late; it falls by 20 dB a second.
        clipped: Blocks so far that reached full scale.
    """

    rms_db: float = _FLOOR_DB
    peak_db: float = _FLOOR_DB
    clipped: int = 0


class Microphone:
    """Hears blocks on the sound system's thread; everything else may be called from any thread.

    Attributes:
        level: For a meter.
        blocks: Heard so far.
    """

    def __init__(
        self, push: Push, *, gain_db: float = 0.0, channel: int | None = None, push_to_talk: bool = False
    ) -> None:
        """Prepare.

        Args:
            push: Takes the sound: float32 (n,) in [-1, 1], and its rate. It may raise when nobody listens any more.
            gain_db: On everything, -30 to 30 dB.
            channel: The one that is heard, from 1; by default the mean of all.
            push_to_talk: Whether it is heard only while ``talk(True)`` was called last.

        Raises:
            ConfigError: A value leaves its range.
        """
        self._push, self._push_to_talk = push, push_to_talk
        self._muted, self._talking = False, False
        self._shown_gain = 0.0
        if channel is not None and channel < 1:
            raise ConfigError(f"A microphone's channels count from 1, not {channel}.")
        self._channel = channel
        self.set_gain(gain_db)
        self.level = Level()
        self.blocks = 0

    @property
    def muted(self) -> bool:
        """Whether it was muted."""
        return self._muted

    @property
    def push_to_talk(self) -> bool:
        """Whether it is heard only on request."""
        return self._push_to_talk

    @property
    def gain_db(self) -> float:
        """On everything."""
        return self._gain_db

    @property
    def heard(self) -> bool:
        """Whether what is said now goes further."""
        return not self._muted and (self._talking or not self._push_to_talk)

    def mute(self, on: bool) -> None:
        """Hear silence, or stop that."""
        self._muted = on

    def talk(self, on: bool) -> None:
        """The push-to-talk key goes down, or up."""
        self._talking = on

    def use_push_to_talk(self, on: bool) -> None:
        """Be heard only while the key is down, or always."""
        self._push_to_talk = on

    def set_gain(self, gain_db: float) -> None:
        """Amplify from the next block on.

        Raises:
            ConfigError: It is not in -30 to 30 dB.
        """
        if not -MAX_GAIN_DB <= gain_db <= MAX_GAIN_DB:
            raise ConfigError(f"The microphone's gain is {-MAX_GAIN_DB:g} to {MAX_GAIN_DB:g} dB, not {gain_db}.")
        self._gain_db = gain_db

    def on_sound(self, block: NDArray[np.float32], rate_hz: int) -> None:
        """Hear a block.

        Args:
            block: float32 (n, channels); it is not kept.
            rate_hz: Its rate.
        """
        if not len(block):
            return
        mono = self._one_channel(block)
        factor = 10 ** (self._gain_db / 20)
        self._measure(mono, factor, rate_hz)
        gain = factor if self.heard else 0.0
        # A step in the gain would click.
        ramp = np.linspace(self._shown_gain, gain, len(mono) + 1, dtype=np.float32)[1:]
        self._shown_gain = gain
        self.blocks += 1
        self._push(np.clip(mono * ramp, -1, 1), rate_hz)

    def _one_channel(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        # A driver may give what is no number; it must not reach further.
        clean = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        if self._channel is not None:
            return np.ascontiguousarray(clean[:, min(self._channel, clean.shape[1]) - 1])
        return clean.mean(axis=1, dtype=np.float32) if clean.shape[1] > 1 else np.ascontiguousarray(clean[:, 0])

    def _measure(self, mono: NDArray[np.float32], factor: float, rate_hz: int) -> None:
        peak = float(np.abs(mono).max()) * factor
        peak_db = 20 * float(np.log10(max(1e-6, peak)))
        fallen = self.level.peak_db - _PEAK_FALLS_DB_S * len(mono) / rate_hz
        self.level = Level(
            rms_db=max(_FLOOR_DB, level_db(mono) + 20 * float(np.log10(factor))),
            peak_db=max(_FLOOR_DB, peak_db, fallen),
            clipped=self.level.clipped + (peak >= _CLIPS),
        )
