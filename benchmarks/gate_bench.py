"""What moves the mouth and what does not: noises, a voice, a whisper and a shout, as a calibrated desk hears them.

::

    room, voice -> settle (gain, threshold)
    noise, voice -> gain -> voice gate -> pipeline -> 68 landmarks -> opening of the inner lips

Openings are shares of the range that the usual voice uses (rest to the 99th percentile). Nothing runs in real time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks import gate_sounds as sounds
from benchmarks.machine import fingerprint
from benchmarks.probe import true_opening
from benchmarks.recording import load_speech
from engine.artefacts.bundle import Bundle, load_bundle
from engine.pipeline import Pipeline
from engine.stages.voice_gate import VoiceGate, VoiceGateSettings
from models.spec import SAMPLE_HZ
from streaming.avatars import resolve_avatar
from streaming.live.calibrate import Heard, settle
from streaming.live.live_config import GateConfig

Report = dict[str, Any]

CLOSED: Final = 0.02
"""A mouth opened by less of its range is closed."""
NOISES: Final = {"fan": sounds.fan, "keyboard": sounds.keyboard, "music": sounds.music}
UNDER_DB: Final = 1.0
"""How far the loudest 20 ms of a noise lie under the gate."""
OVER_DB: Final = 6.0
_ROOM_DB: Final = -56.0
_VOICE_DB: Final = -30.0
"""Of the bare microphone."""
_SETTLING: Final = 6
"""Frames in which a stream begins."""


@dataclass(frozen=True)
class GateRun:
    """What is heard, and for how long.

    Attributes:
        voice: float32 (n,) at 16 kHz, somebody who speaks.
        noise_s: How long each noise lasts.
        lookahead: Motion frames.
        bundle: The networks; None for those that ship.
        avatar: See ``resolve_avatar``.
        more: Whether noises over the gate, and without one, are heard beside those under it.
    """

    voice: NDArray[np.float32]
    noise_s: float = 8.0
    lookahead: int = 6
    bundle: Bundle | None = None
    avatar: str = "ada"
    more: bool = True


def load_run(speech: Path, seconds: float, avatar: str, lookahead: int) -> GateRun:
    """A run with a recording's voice.

    Raises:
        AudioError: The recording cannot be used.
    """
    voice = load_speech(speech)[: round(3 * seconds * SAMPLE_HZ)]
    return GateRun(voice, noise_s=seconds, avatar=avatar, lookahead=lookahead)


class _Desk:
    """A desk that was calibrated: microphone, gate and mouth."""

    def __init__(self, run: GateRun) -> None:
        self._pipeline = Pipeline(run.bundle or load_bundle(None), resolve_avatar(run.avatar), run.lookahead)
        self.voice = sounds.at_speaking_level(run.voice, _VOICE_DB)
        room = Heard(sounds.at_level(sounds.fan(3.0), _ROOM_DB), SAMPLE_HZ)
        self.settled = settle(room, Heard(self.in_room(self.voice), SAMPLE_HZ))
        self._gate = GateConfig(threshold_db=self.settled.threshold_db).settings()
        self._rest = float(np.median(self._lips(np.zeros(SAMPLE_HZ // 2, np.float32))))
        spoken = self._amplified(self.in_room(self.voice))
        heard, share = self._through_gate(spoken)
        self._usual = self._lips(heard)
        self._range = float(np.percentile(self._usual, 99)) - self._rest
        self.usual = self._report(spoken, share, self._usual)
        """What the voice itself does to the mouth."""

    def in_room(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """A sound, and the room's fan."""
        fan = sounds.fan(len(sound) / SAMPLE_HZ + 0.01, seed=9)[: len(sound)]
        return sound + sounds.at_level(fan, _ROOM_DB)

    def hear(self, sound: NDArray[np.float32], *, gated: bool = True) -> Report:
        """What a sound at the bare microphone does to the mouth."""
        amplified = self._amplified(sound)
        heard, share = self._through_gate(amplified) if gated else (amplified, 1.0)
        return self._report(amplified, share, self._lips(heard))

    def _report(self, amplified: NDArray[np.float32], share: float, lips: NDArray[np.float64]) -> Report:
        opening = (lips - self._rest) / self._range
        return {
            "loudest_db": round(sounds.loudest_db(amplified), 1),
            "gate_open": round(share, 3),
            "opening_p50": round(float(np.percentile(opening, 50)), 4),
            "opening_p95": round(float(np.percentile(opening, 95)), 4),
            "opening_p99": round(float(np.percentile(opening, 99)), 4),
            "closed": round(float((opening < CLOSED).mean()), 4),
            "as_usual": self._likeness(lips),
        }

    def at_gate(self, noise: NDArray[np.float64], over_db: float) -> NDArray[np.float32]:
        """A noise whose loudest moment lies so far over the gate's threshold."""
        return sounds.at_level(noise, self.settled.threshold_db - self.settled.gain_db + over_db)

    def _likeness(self, lips: NDArray[np.float64]) -> float | None:
        """Correlation with the usual voice's lips, where they say the same."""
        if len(lips) != len(self._usual) or not lips.std():
            return None
        return round(float(np.corrcoef(lips, self._usual)[0, 1]), 3)

    def _amplified(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        amplified: NDArray[np.float32] = sound * np.float32(10 ** (self.settled.gain_db / 20))
        return np.clip(amplified, np.float32(-1), np.float32(1))

    def _through_gate(self, sound: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """What is left of a sound, and for which share of it the gate was not shut."""
        gate = VoiceGate(self._gate or VoiceGateSettings())
        given, state = gate.step(sound, gate.init_state())
        left = np.concatenate([given, gate.flush(state)])
        return left, float((left != 0).mean())

    def _lips(self, sound: NDArray[np.float32]) -> NDArray[np.float64]:
        """Opening in each motion frame, fu."""
        frames, state = self._pipeline.step(sound, self._pipeline.init_state())
        return true_opening([*frames, *self._pipeline.flush(state)])[_SETTLING:]


def gate(run: GateRun) -> Report:
    """Calibrate a desk, and let it hear everything.

    Returns:
        The report: ``sounds`` by name, each with its level after the gain, the share of time the gate was open, the
        opening's percentiles and the share of frames in which the mouth is ``closed``; ``as_usual`` is the correlation
        with the opening of the usual voice.

    Raises:
        AudioError: The voice cannot be told from the room.
    """
    desk = _Desk(run)
    heard: dict[str, Report] = {}
    for name, make in NOISES.items():
        noise = make(run.noise_s)
        heard[f"{name}, {UNDER_DB:g} dB under"] = desk.hear(desk.at_gate(noise, -UNDER_DB))
        if run.more:
            over = desk.at_gate(noise, OVER_DB)
            heard[f"{name}, {OVER_DB:g} dB over"] = desk.hear(over)
            heard[f"{name}, no gate"] = desk.hear(over, gated=False)
    heard["voice"] = desk.usual
    for name, voice in (("whisper", sounds.whispered(desk.voice)), ("shout", sounds.shouted(desk.voice))):
        heard[name] = desk.hear(desk.in_room(voice))
    return {
        "scenario": "gate",
        "machine": fingerprint(),
        "settings": {"noise_s": run.noise_s, "lookahead": run.lookahead, "avatar": run.avatar},
        "calibration": desk.settled.words,
        "sounds": heard,
    }


def gate_table(report: Report) -> Table:
    """The report for people."""
    title = f"mien bench gate: {report['calibration']} Opening as a share of the voice's range; r with the voice."
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    columns = ("sound", "loudest", "gate open", "p50", "p95", "p99", "closed", "r")
    for column in columns:
        table.add_column(column, justify="left" if column == "sound" else "right")
    for name, found in report["sounds"].items():
        shares = (found[key] for key in ("gate_open", "opening_p50", "opening_p95", "opening_p99", "closed"))
        like = "" if found["as_usual"] is None else f"{found['as_usual']:.2f}"
        table.add_row(name, f"{found['loudest_db']:.0f} dB", *(f"{abs(100 * share):.1f}%" for share in shares), like)
    return table
