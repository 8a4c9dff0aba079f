"""Sound that leaves before the picture of its time, for players that hold it back longer."""

import numpy as np
import pytest

from engine.clock import NS_PER_MS, ms_to_ticks, ticks_to_ns
from engine.errors import ConfigError
from engine.session import Session
from tests.engine.session_fakes import Log, Stage, speak


def assert_ahead(log: Log) -> None:
    """Sound left that much before its time, pictures at theirs, to the nanosecond; and nothing was missing."""
    session = log.session
    latency, origin, ahead = session.budget.total_ticks, session.origin_ns, session.sound_ahead_ticks
    assert all(at == origin + ticks_to_ns(frame.ticks + latency) for at, frame in log.frames)
    assert all(at == origin + ticks_to_ns(block.ticks + latency - ahead) for at, block in log.blocks)
    assert [block.ticks for _, block in log.blocks] == [960 * n for n in range(len(log.blocks))]
    assert session.stats().gaps == 0


@pytest.mark.parametrize("lookahead", [0, 18])
@pytest.mark.parametrize("ahead_ms", [0.0, 40.0, 200.0])
def test_sound_leaves_ahead_of_its_picture_and_no_sooner_than_it_has_come(lookahead: int, ahead_ms: float) -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 1500)

    log = Stage().play(script, lookahead=lookahead, sound_ahead_ms=ahead_ms)
    budget = log.session.budget
    assert log.session.sound_ahead_ticks == ms_to_ticks(min(ahead_ms, budget.lookahead_ms + budget.compute_ms - 20))
    assert_ahead(log)
    assert log.session.stats().missed == 0


def test_pushed_speech_is_whole_and_in_its_place() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.clock.sleep_until(log.clock.now_ns() + 500 * NS_PER_MS)
        await session.push(np.full(16_000, 0.5, np.float32), 16_000)
        await session.flush()

    log = Stage().play(script, mode="pushed", lookahead=6, sound_ahead_ms=40.0)
    assert_ahead(log)
    loud = [block.ticks for _, block in log.blocks if np.abs(block.samples.astype(int)).max() > 8000]
    assert 49 <= len(loud) <= 52 and loud == list(range(loud[0], loud[-1] + 1, 960))
    # The mouth opens with the sound of its own time, whenever that left.
    opened = next(ticks for ticks, opening in log.openings().items() if opening > 20)
    assert abs(opened - loud[0]) <= 2 * 1600


def test_it_has_a_range() -> None:
    with pytest.raises(ConfigError, match="200 ms before"):
        Stage().play(lambda *_: None, sound_ahead_ms=201.0)  # type: ignore[arg-type,return-value]
