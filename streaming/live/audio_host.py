"""What the desk asks of a sound system; ``portaudio`` is the real one, tests bring their own."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.live.devices import Device

OnSound = Callable[[NDArray[np.float32], int], None]
"""Told of a block, float32 (n, channels), and its sample rate; from a thread of the sound system."""
Fill = Callable[[int, float], NDArray[np.float32]]
"""Asked for so many samples at 48 kHz, float32 (n,), the first of which is heard after so many ms; on a thread of the
sound system."""


class SoundStream(Protocol):
    """An open microphone or output."""

    @property
    def latency_ms(self) -> float:
        """As the sound system reports it: beyond the block itself for a microphone, to the ear for an output."""
        ...

    @property
    def xruns(self) -> int:
        """Times that sound was lost or missing between the device and us."""
        ...

    @property
    def beats(self) -> int:
        """Blocks so far; a stream whose count stands still has died."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as the sound system knows."""
        ...

    def close(self) -> None:
        """Close it; closing twice is legal. Blocks."""
        ...


class AudioHost(Protocol):
    """A sound system. All but ``close`` may block, and is called on one thread of its own."""

    def devices(self) -> list[Device]:
        """All devices there are now, also those that were plugged in since."""
        ...

    def find_again(self, device: Device) -> Device | None:
        """A device that had gone, if it is back; asked again and again while it is waited for."""
        ...

    def present(self, device: Device) -> bool:
        """Whether an open device is still there; True where only its stream can tell."""
        ...

    def open_input(self, device: Device, on_sound: OnSound) -> SoundStream:
        """Open a microphone.

        Raises:
            DeviceError: It cannot be opened.
        """
        ...

    def open_output(self, device: Device, fill: Fill) -> SoundStream:
        """Open an output.

        Raises:
            DeviceError: It cannot be opened.
        """
        ...

    def close(self) -> None:
        """Close all that is open."""
        ...
