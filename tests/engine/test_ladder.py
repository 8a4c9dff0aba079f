import itertools

import pytest

from engine.care import Care
from engine.errors import ConfigError
from engine.ladder import LADDERS, Ladder, LadderState, Rung, refined_ladder


def drive(ladder: Ladder, state: LadderState, seconds: float, *, missed: bool, busy: float = 0.1, begin: int = 0):
    """Frames at the ladder's own rate; the state and the rates passed through."""
    ticks, rates = begin, [ladder.rung(state)]
    while ticks < begin + seconds * 48_000:
        period = 48_000 // ladder.rung(state).fps
        state = ladder.step(state, ticks, missed=missed, busy_ticks=round(busy * period))
        if ladder.rung(state) != rates[-1]:
            rates.append(ladder.rung(state))
        ticks += period
    return state, rates, ticks


def test_steps_down_under_sustained_overload_and_no_further_than_its_end() -> None:
    ladder = Ladder(60)
    assert drive(ladder, LadderState(), 0.9, missed=True)[1] == [Rung(60)]
    assert drive(ladder, LadderState(), 10, missed=True)[1] == list(LADDERS[60])
    assert LADDERS[60] == (Rung(60), Rung(30), Rung(20), Rung(20, Care.ECONOMY))


def test_a_single_miss_changes_nothing() -> None:
    ladder, state = Ladder(60), LadderState()
    for frame in range(600):
        state = ladder.step(state, frame * 800, missed=frame % 100 == 50, busy_ticks=80)
    assert state.rung == 0


def test_climbs_back_when_there_is_room() -> None:
    ladder = Ladder(60)
    state, _, now = drive(ladder, LadderState(), 5, missed=True)
    assert ladder.rung(state).economy
    _, rates, _ = drive(ladder, state, 30, missed=False, begin=now)
    assert rates == list(reversed(LADDERS[60]))


def test_does_not_climb_to_what_would_not_fit() -> None:
    ladder = Ladder(60)
    state, _, now = drive(ladder, LadderState(), 1.02, missed=True)
    assert ladder.rung(state) == Rung(30)
    assert drive(ladder, state, 60, missed=False, busy=0.5, begin=now)[1] == [Rung(30)]


def test_full_drawing_is_taken_back_only_where_its_cost_fits() -> None:
    ladder = Ladder(20)
    state, _, now = drive(ladder, LadderState(), 1.1, missed=True)
    assert ladder.rung(state) == Rung(20, Care.ECONOMY)
    assert drive(ladder, state, 60, missed=False, busy=0.7, begin=now)[1] == [Rung(20, Care.ECONOMY)]
    assert drive(ladder, state, 60, missed=False, busy=0.6, begin=now)[1] == [Rung(20, Care.ECONOMY), Rung(20)]


def test_a_climb_that_fails_is_tried_ever_more_seldom() -> None:
    ladder, state, now, climbs = Ladder(30), LadderState(), 0, []
    while now < 300 * 48_000:
        before = ladder.rung(state).fps
        state = ladder.step(state, now, missed=before == 30, busy_ticks=10)
        if ladder.rung(state).fps > before:
            climbs.append(now)
        now += 48_000 // before
    waits = [(b - a) / 48_000 for a, b in itertools.pairwise(climbs)]
    assert waits[0] < 15 and all(b >= a for a, b in itertools.pairwise(waits)) and waits[-1] > 60


def test_there_is_no_ladder_for_other_rates() -> None:
    with pytest.raises(ConfigError, match="fps, not 24"):
        Ladder(24)


def test_a_network_goes_before_a_picture_does() -> None:
    ladder = Ladder(60, refined=True)
    assert drive(ladder, LadderState(), 10, missed=True)[1] == list(refined_ladder(60))
    assert refined_ladder(60)[:3] == (Rung(60), Rung(60, Care.PLAIN), Rung(30, Care.PLAIN))
    assert refined_ladder(60)[-1] == Rung(20, Care.ECONOMY)


@pytest.mark.parametrize(("busy", "climbs"), [(0.3, False), (0.2, True)])
def test_the_network_is_taken_back_only_where_its_cost_fits(busy: float, climbs: bool) -> None:
    ladder = Ladder(20, refined=True)
    state, _, now = drive(ladder, LadderState(), 1.1, missed=True)
    assert ladder.rung(state) == Rung(20, Care.PLAIN)
    _, rungs, _ = drive(ladder, state, 60, missed=False, busy=busy, begin=now)
    assert rungs == [Rung(20, Care.PLAIN), *([Rung(20)] if climbs else [])]
