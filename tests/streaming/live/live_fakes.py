"""A sound system without sound: devices come and go, blocks move when the test says so."""

from collections.abc import Callable

import numpy as np

from streaming.live.devices import Device
from streaming.live.live_errors import DeviceError

MICROPHONE = Device("Desk Microphone", "input", "Fake", 0, 2, 44_100, default=True)
HEADSET = Device("Headset", "input", "Fake", 1, 1, 48_000)
CABLE = Device("Virtual Cable", "output", "Fake", 2, 2, 48_000)


class FakeStream:
    def __init__(self, device: Device, latency_ms: float = 20.0) -> None:
        self.device, self.latency_ms = device, latency_ms
        self.beats, self.xruns, self.alive, self.closed = 0, 0, True, 0

    def close(self) -> None:
        self.alive = False
        self.closed += 1


class FakeHost:
    """Opens what is plugged in."""

    def __init__(self, *devices: Device) -> None:
        self.plugged = list(devices)
        self.inputs: list[tuple[FakeStream, Callable]] = []
        self.outputs: list[tuple[FakeStream, Callable]] = []
        self.refuses = 0
        self.closed = 0

    def devices(self) -> list[Device]:
        return list(self.plugged)

    def find_again(self, device: Device) -> Device | None:
        return device if device in self.plugged else None

    def present(self, device: Device) -> bool:
        return device in self.plugged

    def open_input(self, device: Device, on_sound: Callable) -> FakeStream:
        return self._open(device, on_sound, self.inputs)

    def open_output(self, device: Device, fill: Callable) -> FakeStream:
        return self._open(device, fill, self.outputs)

    def _open(self, device: Device, callback: Callable, kept: list) -> FakeStream:
        if self.refuses:
            self.refuses -= 1
            raise DeviceError(f"{device.name} is busy.")
        stream = FakeStream(device)
        kept.append((stream, callback))
        return stream

    def close(self) -> None:
        self.closed += 1

    # What the test does.

    def hear(self, block: np.ndarray, rate_hz: int) -> bool:
        """A block reaches the microphone that is open; False if none is."""
        stream, on_sound = self.inputs[-1]
        if not stream.alive or stream.device not in self.plugged:
            return False
        stream.beats += 1
        on_sound(block, rate_hz)
        return True

    def play(self, frames: int, delay_ms: float = 20.0) -> np.ndarray | None:
        """The output that is open asks for samples; None if none is."""
        stream, fill = self.outputs[-1]
        if not stream.alive or stream.device not in self.plugged:
            return None
        stream.beats += 1
        return fill(frames, delay_ms)
