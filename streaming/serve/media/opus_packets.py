"""Opus as it comes over RTP: how long a packet lasts, and libopus's own decoder with its concealment.

FFmpeg's decoders, which PyAV gives, cannot be asked for the two things that a fixed latency lives on: the copy of a
lost packet that the next one carries (in-band FEC, RFC 6716 section 2.1.7), and concealment where there is none (PLC).
libopus can. Every wheel of PyAV brings it along; elsewhere the system's is used.
"""

import ctypes
import ctypes.util
import functools
import importlib.metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError, MissingExtraError
from models.spec import MEDIA_HZ

MAX_PACKET_TICKS: Final = MEDIA_HZ * 120 // 1000
_GRAIN_TICKS: Final = 120
"""libopus conceals multiples of 2.5 ms."""
_FADE_FROM_TICKS: Final = 80 * MEDIA_HZ // 1000
_FADE_TO_TICKS: Final = 200 * MEDIA_HZ // 1000
_FADE_IN_TICKS: Final = 5 * MEDIA_HZ // 1000
_LIBRARY_PATTERNS: Final = ("libopus-*", "libopus.*", "libopus*.dll", "opus*.dll")


def packet_ticks(payload: bytes) -> int:
    """How long an Opus packet lasts, in 48 kHz ticks (RFC 6716 section 3.1).

    Raises:
        AudioError: It is no Opus packet.
    """
    if not payload:
        raise AudioError("An empty packet is not Opus.")
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:  # SILK: 10, 20, 40, 60 ms
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:  # hybrid: 10, 20 ms
        frame = (480, 960)[config & 1]
    else:  # CELT: 2.5, 5, 10, 20 ms
        frame = (120, 240, 480, 960)[config & 3]
    if code == 3 and len(payload) < 2:
        raise AudioError("An Opus packet is truncated.")
    count = (1, 2, 2, payload[1] & 0x3F)[code] if code == 3 else (1, 2, 2)[code]
    if not 0 < count * frame <= MAX_PACKET_TICKS:
        raise AudioError("An Opus packet lasts at most 120 ms.")
    return count * frame


class OpusDecoder:
    """One stream's decoder: mono at 48 kHz, with FEC and PLC."""

    def __init__(self) -> None:
        """Open it.

        Raises:
            MissingExtraError: There is no libopus.
        """
        self._library = _libopus()
        error = ctypes.c_int()
        self._state = self._library.opus_decoder_create(MEDIA_HZ, 1, ctypes.byref(error))
        if error.value or not self._state:
            raise AudioError(f"libopus could not open a decoder (error {error.value}).")
        self._lost_ticks = 0
        self._out = (ctypes.c_int16 * MAX_PACKET_TICKS)()

    def decode(self, payload: bytes) -> NDArray[np.int16]:
        """A packet's sound; the first after one that had faded away is faded in.

        Returns:
            int16 (ticks,) mono at 48 kHz.

        Raises:
            AudioError: It is no Opus packet; the decoder goes on.
        """
        heard = self._run(payload, MAX_PACKET_TICKS, fec=False)
        if self._lost_ticks > _FADE_FROM_TICKS:
            begin = heard[:_FADE_IN_TICKS]
            begin[:] = begin * np.linspace(0, 1, len(begin))
        self._lost_ticks = 0
        return heard

    def conceal(self, ticks: int, follower: bytes | None = None) -> NDArray[np.int16]:
        """Sound in place of a packet that was lost.

        Args:
            ticks: How long it lasted, at most 5760.
            follower: The packet after it, if that has come: it may carry a copy.

        Returns:
            int16 (ticks,) mono at 48 kHz; without a copy it fades to silence from 80 to 200 ms of loss in a row, for
            libopus would go on humming for seconds.
        """
        whole = -(-ticks // _GRAIN_TICKS) * _GRAIN_TICKS
        copied = follower is not None and self.carries_copy(follower)
        made = self._run(follower if copied else None, whole, fec=copied)[:ticks]
        if copied:
            self._lost_ticks = 0
            return made
        place = self._lost_ticks + np.arange(ticks)
        self._lost_ticks += ticks
        gain = np.interp(place, (_FADE_FROM_TICKS, _FADE_TO_TICKS), (1.0, 0.0))
        return (made * gain).astype(np.int16)

    def carries_copy(self, follower: bytes) -> bool:
        """Whether a packet carries a copy of the one before it."""
        known = hasattr(self._library, "opus_packet_has_lbrr")
        # Without the question every follower is tried; libopus then conceals by itself.
        return not known or int(self._library.opus_packet_has_lbrr(follower, len(follower))) == 1

    def close(self) -> None:
        """Free the decoder; closing twice is legal."""
        state, self._state = self._state, None
        if state:
            self._library.opus_decoder_destroy(state)

    def _run(self, payload: bytes | None, ticks: int, *, fec: bool) -> NDArray[np.int16]:
        if not self._state:
            raise AudioError("The decoder was closed.")
        size = len(payload) if payload else 0
        made = self._library.opus_decode(self._state, payload, size, self._out, ticks, int(fec))
        if made < 0:
            raise AudioError(f"A packet is not Opus (libopus error {made}).")
        return np.array(self._out[:made], np.int16)


@functools.cache
def _libopus() -> Any:
    """The library, with the types of what is called."""
    for place in _places():
        try:
            library = ctypes.CDLL(place)
        except OSError:
            continue
        state = ctypes.c_void_p
        library.opus_decoder_create.restype = state
        library.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        library.opus_decoder_destroy.restype = None
        library.opus_decoder_destroy.argtypes = [state]
        library.opus_decode.restype = ctypes.c_int
        library.opus_decode.argtypes = [
            state,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.POINTER(ctypes.c_int16),
            ctypes.c_int,
            ctypes.c_int,
        ]
        if hasattr(library, "opus_packet_has_lbrr"):  # since libopus 1.5
            library.opus_packet_has_lbrr.restype = ctypes.c_int
            library.opus_packet_has_lbrr.argtypes = [ctypes.c_char_p, ctypes.c_int32]
        return library
    raise MissingExtraError(
        "libopus is not there, which voices from a call are decoded with: install PyAV from its wheel "
        "(pip install --force-reinstall --only-binary=:all: av), or the system's (Debian: apt-get install libopus0)."
    )


def _places() -> list[str]:
    """Where the library may be: beside PyAV, then where the system looks."""
    places: list[str] = []
    try:
        distribution = importlib.metadata.distribution("av")
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    if distribution is not None:
        for file in distribution.files or []:
            if any(Path(file.name).match(pattern) for pattern in _LIBRARY_PATTERNS):
                places.append(str(distribution.locate_file(file)))
    system = ctypes.util.find_library("opus")
    return [*places, system] if system else places
