"""Hours of a session, and sources whose clocks are not ours."""

import numpy as np
import pytest

from engine.clock import ticks_to_ns
from engine.intake import Intake
from engine.session import Session
from engine.session_sound import LiveSound
from tests.engine.session_fakes import Log, Stage, speak

HOURS = 8
CHUNK_MS = 1000


@pytest.mark.parametrize("ppm", [-200, 200])
def test_eight_hours_of_drift_never_part_sound_and_frames(ppm: int) -> None:
    """What leaves stays in step with the source to a frame, sound with frames exactly, in flat memory."""
    sound = LiveSound(Intake("live", chunk_ms=CHUNK_MS))
    chunk, worst = np.zeros(16 * CHUNK_MS, np.float32), 0.0
    for chunks in range(1, HOURS * 3600 * 1000 // CHUNK_MS + 1):
        arrival = round(chunks * CHUNK_MS * 48 / (1 + ppm / 1e6))
        sound.push(chunk, 16_000, arrival)
        sound.advance(arrival, arrival)
        assert len(sound.orders()) == 1
        # As if taken, without making a million blocks of silence.
        sound.track._taken = sound.known_ticks // 960 * 960
        sound.track._parts.clear()
        # By now the source has captured all of this; what is not out yet is what the filter holds.
        if chunks > 60:
            worst = max(worst, abs(arrival - sound.known_ticks - 72))
        assert sound.track.end_ticks == sound.known_ticks, "played and heard sound are one"
    stats = sound.intake.stats()
    assert worst < 800, "within a frame of 60 fps"
    assert stats.gaps == 0 and stats.drift_ppm == pytest.approx(ppm, abs=10)
    assert sound.intake.queued_ticks < 48_000


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_drifting_source_is_shown_on_time(ppm: int) -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 60_000, chunk_ms=100, level=0.5, ppm=ppm)

    log = Stage().play(script, lookahead=0, fps=20, chunk_ms=100, queue_ms=1000)
    latency, origin = log.session.budget.total_ticks, log.session.origin_ns
    assert all(at == origin + ticks_to_ns(item.ticks + latency) for at, item in (*log.frames, *log.blocks))
    stats = log.session.stats()
    assert stats.missed == stats.gaps == 0 and stats.drift_ppm == pytest.approx(ppm, abs=20)
    assert min(list(log.openings().values())[1:-2]) == 50
