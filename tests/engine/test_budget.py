import math

import pytest

from engine.budget import Budget, Measurement, catch_up_ms, fit_budget, quantile
from engine.errors import ConfigError

QUICK = Measurement([8.0] * 999 + [9.0], 0.3)


def test_latency_is_the_sum_of_its_parts() -> None:
    budget = Budget(325.0, 20.0, 10.0, 2.0)
    assert budget.total_ms == 357.0 and budget.total_ticks == 357 * 48
    assert budget.table().splitlines()[-1].split() == ["latency", "357.0", "ms"]
    assert len(budget.table().splitlines()) == 5


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 2001.0])
def test_a_part_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="compute_ms"):
        Budget(0.0, 0.0, value)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.999, 4), (0.0, 1), (0.25, 1), (0.26, 2)])
def test_quantile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert quantile([3, 1, 2, 4], share) == value


def test_auto_takes_the_smallest_that_holds_at_p999() -> None:
    rare = Measurement([8.0] * 9995 + [50.0] * 5, 0.3)
    often = Measurement([8.0] * 99 + [50.0], 0.3)
    assert rare.needed_ms == math.ceil(8 * 1.4)
    assert often.needed_ms == math.ceil(50 * 1.4)
    assert fit_budget(25.0, 23.0, None, rare) == Budget(25.0, 23.0, 12.0)


def test_an_utterance_begins_later_by_the_hearing_that_no_frame_has_time_for() -> None:
    measured = Measurement([10.0] * 95 + [14.0] * 5, 0.3, motion_ms=3.0)
    budget = fit_budget(0.0, 0.0, None, measured)
    assert budget.compute_ms == 20.0 and measured.typical_ms == 10.0
    assert catch_up_ms(measured, budget, 8) == pytest.approx(0.8 * 8 * 3.0 - 10.0)
    assert catch_up_ms(measured, budget, 4) == 0


def test_a_wanted_latency_is_kept_exactly() -> None:
    budget = fit_budget(25.0, 20.0, 80.0, QUICK)
    assert budget.total_ms == pytest.approx(80.0) and budget.compute_ms > QUICK.needed_ms


def test_a_latency_that_cannot_hold_is_refused_with_one_that_does() -> None:
    smallest = fit_budget(25.0, 20.0, None, QUICK).total_ms
    with pytest.raises(ConfigError, match=f"Ask for {math.ceil(smallest)} ms") as refused:
        fit_budget(25.0, 20.0, smallest - 0.5, QUICK)
    assert "25.0 ms of lookahead" in str(refused.value)
    assert fit_budget(25.0, 20.0, smallest, QUICK).total_ms == smallest


@pytest.mark.parametrize("latency", [0.0, -5.0, math.nan, 1e9])
def test_no_latency_at_all_is_refused(latency: float) -> None:
    with pytest.raises(ConfigError, match="latency must be"):
        fit_budget(0.0, 0.0, latency, QUICK)


def test_a_measurement_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one frame"):
        Measurement([], 0.0)


def test_a_machine_that_can_hold_nothing_is_told_so_in_plain_words() -> None:
    with pytest.raises(ConfigError, match="as it is loaded now"):
        fit_budget(300.0, 23.0, None, Measurement([6000.0], 1.0))
