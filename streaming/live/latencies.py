"""What lies between a mouth and the picture that everybody sees, row by row, for people and for OBS."""

from dataclasses import dataclass

from engine.budget import Budget


@dataclass(frozen=True)
class DeskBudget:
    """All latencies of a live desk, ms.

    Attributes:
        microphone_ms: From the air to us, beyond the block itself, as the sound system reports it.
        engine: The session's own.
        voice_hold_ms: By how much the delayed voice is held back, so that its output never runs dry; 0 without one.
        voice_out_ms: From us to the cable or the ear, as the sound system reports it; 0 without an output.
        ahead_ms: By how much the voice leaves before its picture.
    """

    microphone_ms: float
    engine: Budget
    voice_hold_ms: float = 0.0
    voice_out_ms: float = 0.0
    ahead_ms: float = 0.0

    @property
    def hold_ms(self) -> float:
        """By how much pictures wait after they are due, because the voice cannot leave so early."""
        return max(0.0, self.voice_hold_ms + self.voice_out_ms - self.ahead_ms)

    @property
    def total_ms(self) -> float:
        """From the mouth to the picture; where a voice is played, to that as well."""
        return self.microphone_ms + self.engine.total_ms + self.hold_ms

    @property
    def obs_offset_ms(self) -> int:
        """What to enter in OBS as *Sync Offset* of the bare microphone, if OBS hears that and not the delayed voice.

        OBS hears the microphone as late as we do, so that part is the same on both sides.
        """
        return round(self.total_ms - self.microphone_ms)

    def table(self) -> str:
        """The rows and their sum."""
        rows = [
            ("microphone", self.microphone_ms),
            ("lookahead", self.engine.lookahead_ms),
            ("chunk", self.engine.chunk_ms),
            ("compute", self.engine.compute_ms),
            ("output", self.engine.output_ms),
            ("voice's way out", self.hold_ms),
            ("mouth to frame", self.total_ms),
        ]
        lines = [f"{name:<16}{value:>8.1f} ms" for name, value in rows if value or name != "voice's way out"]
        if self.voice_out_ms:
            needed = self.voice_hold_ms + self.voice_out_ms
            lines.append(f"The voice needs {needed:.0f} ms on its way out, and leaves {self.ahead_ms:.0f} ms ahead.")
        return "\n".join(lines)
