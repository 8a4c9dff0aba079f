"""Microphones and outputs through PortAudio: the one place that imports ``sounddevice``.

PortAudio lists devices once, when it is opened, and can only be opened anew when no stream is open. So what is plugged
in while one runs is looked up by a second process, and PortAudio is opened anew only to use it; streams that this
closes find themselves dead, and whoever owns them opens them again (``lifeline``).
"""

import contextlib
import ctypes
import json
import logging
import os
import statistics
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingExtraError
from engine.scheduling import Role, take_role
from models.spec import MEDIA_HZ
from streaming.live import pulse
from streaming.live.audio_host import Fill, OnSound
from streaming.live.devices import Device, Side
from streaming.live.live_errors import DeviceError

logger = logging.getLogger(__name__)

BLOCK_MS: Final = 10
_MAX_CHANNELS: Final = 8
_MAX_RATE_HZ: Final = 96_000
_PATIENCE_S: Final = 10.0
_ODD: Final = 30
_MEASURED: Final = 40
"""Blocks of a stream's odd beginning, and how many of the last ones count."""
_SETTLING_S: Final = 4.0
_LONGEST_MS: Final = 500.0
_SELDOM, _OFTEN = 10, 3
"""Every how many looks there is a listing: where the system's files tell of changes, and where there are none."""
_LIST: Final = "from streaming.live.portaudio import print_devices; print_devices()"


def _library() -> Any:
    """``sounddevice``, with PortAudio.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    _quieten_alsa()
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("A live microphone needs the [live] extra: pip install 'mien[live]'.") from error
    except OSError as error:
        raise MissingExtraError(
            "The PortAudio library is not installed. Debian and Ubuntu: apt-get install libportaudio2; Fedora: "
            "dnf install portaudio."
        ) from error
    return sounddevice


_ERROR_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)


def _keep_quiet(*_: Any) -> None:
    """ALSA complains on standard error about every device that a configuration names and a machine lacks."""


_quiet = _ERROR_HANDLER(_keep_quiet)


def _quieten_alsa() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_quiet)


class PortAudioHost:
    """All sound devices of the machine. Used from one thread; only the streams' callbacks run on others."""

    def __init__(self) -> None:
        """Open PortAudio.

        Raises:
            MissingExtraError: It is not installed.
        """
        self._library = _library()
        self._open: list[_Stream] = []
        self._files, self._looks = _sound_files(), 0

    def devices(self) -> list[Device]:
        """All devices there are now."""
        self._open = [stream for stream in self._open if stream.alive]
        if self._open:
            known = _listed_by_another_process()
        else:
            self._reopen()
            known = self._known()
        served = pulse.pulse_devices(1 + max((device.number for device in known), default=-1))
        defaults = {device.side for device in served if device.default}
        return [replace(device, default=device.default and device.side not in defaults) for device in known] + served

    def find_again(self, device: Device) -> Device | None:
        """A device that had gone, if it is back.

        A listing by a second process takes a quarter of a second of one core: it is made when the system's own files
        say that something has changed, and seldom otherwise.
        """
        if device.host == pulse.HOST:
            return next((found for found in pulse.pulse_devices(0) if _same(found, device)), None)
        before, self._files = self._files, _sound_files()
        self._looks += 1
        if self._files == before and self._looks % (_SELDOM if self._files else _OFTEN):
            return None
        return next((found for found in self.devices() if _same(found, device)), None)

    def present(self, device: Device) -> bool:
        """Whether the server, if there is one, still has it; of others the stream tells."""
        return device.host != pulse.HOST or not pulse.has_gone(device)

    def open_input(self, device: Device, on_sound: OnSound) -> "_Stream":
        """Open a microphone with all its channels, in blocks of 10 ms.

        Raises:
            DeviceError: It cannot be opened.
        """
        rate = device.rate_hz if device.rate_hz <= _MAX_RATE_HZ else MEDIA_HZ
        channels = 1 if device.host == pulse.HOST else min(_MAX_CHANNELS, device.channels)
        stream = _Stream(steady=False)

        def heard(data: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
            stream.beat(time.currentTime - time.inputBufferAdcTime - frames / rate, bool(status.input_overflow))
            on_sound(data, rate)

        return self._start(self._library.InputStream, device, stream, heard, rate, channels)

    def open_output(self, device: Device, fill: Fill) -> "_Stream":
        """Open an output: 48 kHz, the voice on every channel, in blocks of 10 ms.

        Raises:
            DeviceError: It cannot be opened.
        """
        stream = _Stream(steady=True)

        def wanted(data: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
            stream.beat(time.outputBufferDacTime - time.currentTime, bool(status.output_underflow))
            data[:] = fill(frames, stream.latency_ms)[:, None]

        return self._start(self._library.OutputStream, device, stream, wanted, MEDIA_HZ, min(2, device.channels))

    def close(self) -> None:
        """Close all streams; closing twice is legal."""
        for stream in self._open:
            stream.close()
        self._open = []

    def _start(
        self,
        kind: Callable[..., Any],
        device: Device,
        stream: "_Stream",
        callback: Callable[[NDArray[np.float32], int, Any, Any], None],
        rate_hz: int,
        channels: int,
    ) -> "_Stream":
        """Open PortAudio's stream of that kind, float32 in blocks of 10 ms, and start it."""
        try:
            chosen = pulse.chosen(device) if device.host == pulse.HOST else contextlib.nullcontext()
            with chosen, _new_threads_keep_time():
                opened = kind(
                    device=self._number(device),
                    samplerate=rate_hz,
                    channels=channels,
                    blocksize=rate_hz * BLOCK_MS // 1000,
                    dtype="float32",
                    latency="low",
                    callback=callback,
                    finished_callback=stream.finish,
                )
                stream.carry(opened)
            stream.settle()
        except (self._library.PortAudioError, ValueError, OSError) as error:
            stream.close()
            raise DeviceError(
                f"{device.label} cannot be opened: {_reason(error)}. See that no other program holds it alone, and "
                "that this one may use it."
            ) from error
        self._open.append(stream)
        return stream

    def _number(self, device: Device) -> int:
        """PortAudio's number of a device; PortAudio is opened anew if it does not know it yet."""
        for attempt in range(2):
            for known in self._known():
                served = device.host == pulse.HOST and known.name == "pulse"
                if known.side == device.side and (served or (known.name, known.host) == (device.name, device.host)):
                    return known.number
            if attempt == 0:
                self._reopen()
        if device.host == pulse.HOST:
            raise DeviceError(
                "PortAudio cannot reach the PulseAudio server: install ALSA's plug-in for it (Debian and Ubuntu: "
                "apt-get install libasound2-plugins)."
            )
        raise DeviceError(f"{device.label} is not there any more.")

    def _reopen(self) -> None:
        self.close()
        self._library._terminate()
        self._library._initialize()

    def _known(self) -> list[Device]:
        hosts = [str(host["name"]) for host in self._library.query_hostapis()]
        default = self._library.default.device
        found = []
        sides: tuple[tuple[Side, str], ...] = (("input", "max_input_channels"), ("output", "max_output_channels"))
        for number, about in enumerate(self._library.query_devices()):
            for place, (side, channels) in enumerate(sides):
                if about[channels] > 0:
                    found.append(
                        Device(
                            name=str(about["name"]),
                            side=side,
                            host=hosts[about["hostapi"]],
                            number=number,
                            channels=int(about[channels]),
                            rate_hz=int(about["default_samplerate"]),
                            default=number == default[place],
                        )
                    )
        return found


class _Stream:
    """An open stream of PortAudio."""

    def __init__(self, *, steady: bool) -> None:
        """Prepare.

        Args:
            steady: Whether its latency is settled once, as it is opened, because others are set by it: through
                PulseAudio the times of a stream that has run for minutes wander off by far more than its buffers hold.
        """
        self._stream: Any = None
        self._steady = steady
        self._finished = threading.Event()
        self._settled = threading.Event()
        self._delays_ms: deque[float] = deque(maxlen=_MEASURED)
        self._reported_ms, self._settled_ms = 0.0, 0.0
        self.beats, self.xruns = 0, 0

    @property
    def latency_ms(self) -> float:
        """By the times that PortAudio gives with every block; by what it says of the whole until there are some."""
        return self._settled_ms if self._steady else self._measured_ms()

    @property
    def alive(self) -> bool:
        """Whether PortAudio still calls us."""
        return not self._finished.is_set()

    def carry(self, stream: Any) -> None:
        """Start PortAudio's stream."""
        self._stream = stream
        stream.start()
        self._reported_ms = self._settled_ms = 1000 * float(stream.latency)

    def settle(self) -> None:
        """See how long its buffers are, if that matters.

        What PortAudio says before is a wish; the times that it gives with every block are what came of it. They are odd
        at first, until the buffers have filled.
        """
        if self._steady and self._settled.wait(_SETTLING_S):
            self._settled_ms = self._measured_ms()

    def beat(self, delay_s: float, xrun: bool) -> None:
        """A block came or went, that far from the air."""
        self.beats += 1
        self.xruns += xrun
        self._delays_ms.append(1000 * delay_s)
        if self.beats == _ODD + _MEASURED:
            self._settled.set()

    def _measured_ms(self) -> float:
        if self.beats < _ODD:
            return self._reported_ms
        found = statistics.median(list(self._delays_ms))
        return round(max(0.0, found), 1) if found < _LONGEST_MS else self._reported_ms

    def finish(self) -> None:
        """PortAudio has ended it."""
        self._finished.set()
        self._settled.set()

    def close(self) -> None:
        """Close it."""
        self.finish()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)


@contextlib.contextmanager
def _new_threads_keep_time() -> Iterator[None]:
    """Threads that are begun within run at once when they wake: PortAudio's, and those of a sound server's library.

    A block that waits for a frame to be drawn is a hole in somebody's voice. A thread that somebody else begins in this
    moment is treated likewise, which does no harm.
    """
    before = _threads()
    yield
    for thread in _threads() - before:
        take_role(Role.KEEPS_TIME, thread)


def _threads() -> set[int]:
    """This process's, by the system's numbers; none where it does not say (not Linux)."""
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def print_devices() -> None:
    """What a second process prints: PortAudio's devices as JSON."""
    host = PortAudioHost()
    print(json.dumps([asdict(device) for device in host._known()]))


def _same(found: Device, device: Device) -> bool:
    return (found.name, found.side, found.host) == (device.name, device.side, device.host)


def _sound_files() -> frozenset[str]:
    """ALSA's devices as files; none on other systems."""
    try:
        return frozenset(os.listdir("/dev/snd"))
    except OSError:
        return frozenset()


def _listed_by_another_process() -> list[Device]:
    try:
        done = subprocess.run([sys.executable, "-c", _LIST], capture_output=True, timeout=_PATIENCE_S, check=True)
        return [Device(**about) for about in json.loads(done.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        logger.warning("the sound devices could not be listed: %s", error)
        return []


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).rstrip(".")
