r"""Keeps one microphone or output open: looks for it, opens it, sees when it dies, and looks for it again.

::

    waiting --found--> opening --> open --unplugged, or its blocks stop--> waiting
                          \--refused--> waiting

Nothing ends because a device is missing: it is waited for.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Final, Literal

from engine.clock import NS_PER_MS, Clock
from engine.lanes import Lane
from streaming.live.audio_host import AudioHost, SoundStream
from streaming.live.devices import Device, Side, find_device, none_such
from streaming.live.live_errors import DeviceError

logger = logging.getLogger(__name__)

State = Literal["waiting", "open"]
Open = Callable[[Device], SoundStream]

_LOOK_NS: Final = 400 * NS_PER_MS
_CHECK_NS: Final = 200 * NS_PER_MS
_SILENT_CHECKS: Final = 10
"""Checks without a single block after which a stream is dead, though its system does not say so."""
_FIRST_CHECKS: Final = 20
"""The same for its first block: some systems take seconds to begin."""


class Lifeline:
    """One device's stream, for as long as it is wanted.

    Attributes:
        state: Whether it is open.
        device: The one that is open, or was last.
        stream: Its stream, while it is open.
        losses: Times that it went.
        why: What it is waited for, in words; empty while it is open.
    """

    def __init__(
        self, host: AudioHost, side: Side, wanted: str | None, open_stream: Open, *, clock: Clock, lane: Lane
    ) -> None:
        """Prepare.

        Args:
            host: The sound system.
            side: Which kind of device.
            wanted: See ``find_device``.
            open_stream: Opens a device, on the lane.
            clock: The time.
            lane: One thread, on which the sound system is used.
        """
        self._host, self._side, self._wanted, self._open_stream = host, side, wanted, open_stream
        self._clock, self._lane = clock, lane
        self.state: State = "waiting"
        self.device: Device | None = None
        self.stream: SoundStream | None = None
        self.losses, self._xruns, self.why = 0, 0, ""

    @property
    def xruns(self) -> int:
        """Of all its streams so far."""
        return self._xruns + (self.stream.xruns if self.stream is not None else 0)

    @property
    def latency_ms(self) -> float:
        """As the sound system reports it; 0 before the device was first open."""
        return self._latency_ms if self.stream is None else self.stream.latency_ms

    _latency_ms = 0.0

    async def open(self) -> None:
        """Open the device once, for the first time.

        Raises:
            DeviceError: It is not there, or cannot be opened.
        """
        devices = await self._lane.run(self._host.devices)
        device = find_device(devices, self._side, self._wanted)
        if device is None:
            raise none_such(devices, self._side, self._wanted)
        await self._begin(device)

    async def run(self) -> None:
        """Keep it open until cancelled, and close it then; to be called after ``open``.

        What is waited for is the device that was open, not whoever has its number then.
        """
        try:
            while True:
                if self.stream is None:
                    await self._look()
                else:
                    await self._watch(self.stream)
        finally:
            stream, self.stream = self.stream, None
            if stream is not None:
                await self._lane.run(stream.close)

    async def _look(self) -> None:
        """Open the device if it is there, or wait a little."""
        assert self.device is not None
        try:
            device = await self._lane.run(self._host.find_again, self.device)
            if device is not None:
                await self._begin(device)
                return
        except DeviceError as error:
            self.why = str(error)
        await self._clock.sleep_until(self._clock.now_ns() + _LOOK_NS)

    async def _begin(self, device: Device) -> None:
        self.stream = await self._lane.run(self._open_stream, device)
        self.device, self.state, self.why = device, "open", ""
        logger.info("%s is open: %s", self._side, device.label)

    async def _watch(self, stream: SoundStream) -> None:
        """Return when the stream has died."""
        assert self.device is not None
        beats, silent = 0, 0
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + _CHECK_NS)
            silent = 0 if stream.beats > beats else silent + 1
            limit = _SILENT_CHECKS if stream.beats else _FIRST_CHECKS
            beats = stream.beats
            gone = None
            if not stream.alive:
                gone = "its stream ended"
            elif silent >= limit:
                gone = "it stands still"
            elif not await self._lane.run(self._host.present, self.device):
                gone = "it is not listed any more"
            if gone is not None:
                break
        self._xruns += stream.xruns
        self._latency_ms = stream.latency_ms
        self.stream, self.state, self.losses = None, "waiting", self.losses + 1
        self.why = f"{self.device.label} has gone ({gone})"
        logger.warning("%s: it is waited for", self.why)
        await self._lane.run(stream.close)
        # What merely hung, or was closed because another device was looked for, opens again at once.
        if await self._lane.run(self._host.present, self.device):
            with contextlib.suppress(DeviceError):
                await self._begin(self.device)
