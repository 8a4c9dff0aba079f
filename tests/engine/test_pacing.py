import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import NS_PER_MS
from engine.errors import ConfigError
from engine.pacing import (
    FRAME_RATES,
    LONGEST_SKIP_NS,
    Action,
    deadline_ns,
    decide,
    motion_index,
    next_slot,
    period_ticks,
    retiming_ticks,
)

PERIOD = 33 * NS_PER_MS


@pytest.mark.parametrize(
    ("late_ns", "ready", "action"),
    [
        (0, True, Action.SHOW),
        (0, False, Action.REPEAT),
        (PERIOD - 1, True, Action.SHOW),
        (PERIOD - 1, False, Action.REPEAT),
        (PERIOD, True, Action.SKIP),
        (PERIOD, False, Action.SKIP),
    ],
)
def test_what_becomes_of_a_frame(late_ns: int, ready: bool, action: Action) -> None:
    assert decide(10**12 + late_ns, 10**12, ready, PERIOD) is action


@pytest.mark.parametrize(("ready", "action"), [(True, Action.SHOW), (False, Action.REPEAT)])
def test_a_process_that_is_always_late_still_shows_something(ready: bool, action: Action) -> None:
    assert decide(10**12 + 3 * PERIOD, 10**12, ready, PERIOD, LONGEST_SKIP_NS - 1) is Action.SKIP
    assert decide(10**12 + 3 * PERIOD, 10**12, ready, PERIOD, LONGEST_SKIP_NS) is action


@given(st.sampled_from(FRAME_RATES), st.integers(0, 8 * 3600), st.integers(0, 10**18), st.integers(0, 50_000))
def test_deadlines_do_not_drift(fps: int, second: int, origin: int, latency: int) -> None:
    """After any number of frames a deadline is where exact arithmetic has it, to the nanosecond."""
    ticks = second * fps * period_ticks(fps)
    assert deadline_ns(origin, ticks, latency) == origin + second * 10**9 + -(-latency * 62_500 // 3)


@given(st.sampled_from(FRAME_RATES), st.integers(0, 10**9))
def test_the_next_frame_is_the_first_on_the_grid(fps: int, after: int) -> None:
    period = period_ticks(fps)
    slot = next_slot(after, period)
    assert slot % period == 0 and after < slot <= after + period


@pytest.mark.parametrize(("fps", "ticks"), [(60, 0), (30, 0), (25, 640), (20, 0)])
def test_only_25_fps_needs_motion_beyond_its_frames(fps: int, ticks: int) -> None:
    assert retiming_ticks(fps) == ticks
    period = period_ticks(fps)
    assert max(motion_index(n * period) * 800 - n * period for n in range(1000)) == ticks


@pytest.mark.parametrize("fps", [0, 24, 61, -30])
def test_other_rates_are_refused(fps: int) -> None:
    with pytest.raises(ConfigError, match="60, 30, 25, 20 fps"):
        period_ticks(fps)
