"""Sets gate and gain by ear: first the room, then the voice.

The gate opens well above the room and well below the softest speech; the gain brings speech to the level at which the
mouth was taught, and never so far that a shout clips.
"""

import math
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError
from engine.stages.voice_gate import level_db
from streaming.live.audio_host import AudioHost
from streaming.live.devices import find_device, none_such
from streaming.live.live_config import MicrophoneConfig
from streaming.live.microphone import MAX_GAIN_DB, Microphone

SPEECH_DB: Final = -23.0
"""Level of speech, where it is loud, after the gain."""
_HEADROOM_DB: Final = 3.0
_WINDOW_S: Final = 0.02
_ABOVE_ROOM_DB: Final = 6.0
"""A fan's loudest 20 ms lie 2 dB above what 95 of 100 stay below."""
_BELOW_SPEECH_DB: Final = 25.0
"""A whisper lies some 15 to 20 dB below a voice, and its soft sounds lower. Measured by `mien bench gate`: where the
gate opens 9 dB above a room of -50 dB, a whisper moves the mouth by a third of what speech does, at 5 by two thirds."""
_LEAST_CONTRAST_DB: Final = 10.0
_SILENCE_DB: Final = -100.0


@dataclass(frozen=True)
class Settled:
    """What suits a microphone, its room and its voice.

    Attributes:
        gain_db: Of the microphone.
        threshold_db: Of the gate, after the gain.
        words: What was found, for people.
    """

    gain_db: float
    threshold_db: float
    words: str


@dataclass(frozen=True)
class Heard:
    """A stretch of sound, without gain.

    Attributes:
        samples: float32 (n,) in [-1, 1].
        rate_hz: Its rate.
    """

    samples: NDArray[np.float32]
    rate_hz: int

    def levels_db(self) -> NDArray[np.float64]:
        """RMS of every 20 ms, dBFS."""
        window = max(1, round(_WINDOW_S * self.rate_hz))
        count = len(self.samples) // window
        return np.array([level_db(part) for part in np.split(self.samples[: count * window], max(1, count))])


def listen(host: AudioHost, config: MicrophoneConfig, seconds: float) -> Heard:
    """Hear a microphone for a while; blocks.

    Raises:
        DeviceError: It is not there, or cannot be opened.
        AudioError: It gave no sound.
    """
    devices = host.devices()
    device = find_device(devices, "input", config.device)
    if device is None:
        raise none_such(devices, "input", config.device)
    parts: list[NDArray[np.float32]] = []
    rates: list[int] = []
    enough = threading.Event()

    def push(samples: NDArray[np.float32], rate_hz: int) -> None:
        parts.append(samples)
        rates.append(rate_hz)
        if sum(map(len, parts)) >= seconds * rate_hz:
            enough.set()

    stream = host.open_input(device, Microphone(push, channel=config.channel).on_sound)
    try:
        enough.wait(seconds + 5)
    finally:
        stream.close()
    if not parts:
        raise AudioError(f"{device.label} gave no sound: see that it is switched on, and not muted by the system.")
    return Heard(np.concatenate(parts), rates[0])


def settle(room: Heard, speech: Heard) -> Settled:
    """Gate and gain for a room and a voice.

    Raises:
        AudioError: Nothing was heard, or the voice can hardly be told from the room.
    """
    quiet = float(np.percentile(room.levels_db(), 95))
    loud = float(np.percentile(speech.levels_db(), 90))
    peak = 20 * math.log10(max(1e-6, float(np.abs(speech.samples).max())))
    if loud < _SILENCE_DB:
        raise AudioError("Nothing was heard: see that the microphone is not muted, by its own switch or the system.")
    if loud - quiet < _LEAST_CONTRAST_DB:
        raise AudioError(
            f"Your voice ({loud:.0f} dB) is hardly louder than the room ({quiet:.0f} dB): come nearer to the "
            "microphone, or choose another one (see `mien devices`)."
        )
    gain = min(SPEECH_DB - loud, -_HEADROOM_DB - peak)
    gain = round(min(MAX_GAIN_DB, max(-MAX_GAIN_DB, gain)), 1)
    # Above the room at least; where there is room between the two, as low as a whisper needs.
    threshold = max(quiet + _ABOVE_ROOM_DB, loud - _BELOW_SPEECH_DB)
    threshold = round(min(0.0, max(-90.0, min(threshold, loud - 6) + gain)), 1)
    heard = f"Room {quiet:.0f} dB, voice {loud:.0f} dB"
    words = f"{heard}: gain {gain:+.1f} dB, and the gate opens at {threshold:.0f} dB after the gain."
    return Settled(gain, threshold, words)
