import pytest

from engine.pacing import FRAME_RATES
from engine.schedule import Schedule


@pytest.mark.parametrize("fps", FRAME_RATES)
def test_frames_lie_on_the_grid_for_hours(fps: int) -> None:
    schedule = Schedule(fps)
    last = fps * 3600
    for number in range(0, last + 1, 100):
        assert schedule.at(number) == number * 48_000 // fps
        schedule.forget(number)
    assert len(schedule._slots) < 200


def test_a_change_of_rate_holds_for_what_was_not_planned() -> None:
    schedule = Schedule(60)
    assert [schedule.at(n) for n in range(4)] == [0, 800, 1600, 2400]
    schedule.change_rate(20)
    assert [schedule.at(n) for n in range(6)] == [0, 800, 1600, 2400, 4800, 7200]
    schedule.change_rate(60)
    assert [schedule.at(n) for n in (5, 6, 7)] == [7200, 8000, 8800]


def test_a_frame_can_be_planned_anew_on_the_motions_grid() -> None:
    schedule = Schedule(30)
    assert schedule.at(3) == 4800
    assert schedule.start_at(3, 3300) == 4000
    assert [schedule.at(n) for n in (2, 3, 4, 5)] == [3200, 4000, 5600, 7200]
    assert schedule.start_at(6, 100) == 8000, "never before the frame ahead of it"
