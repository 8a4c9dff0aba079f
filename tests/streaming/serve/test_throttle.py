import pytest

from streaming.serve.throttle import Rate, Throttle


def test_a_burst_then_a_steady_rate_each_for_himself() -> None:
    throttle = Throttle(Rate(2, 5))
    assert [throttle.take("a", 0.0) for _ in range(5)] == [0.0] * 5
    assert throttle.take("a", 0.0) == pytest.approx(0.5) and throttle.take("b", 0.0) == 0.0
    assert throttle.take("a", 0.25) == pytest.approx(0.25) and throttle.take("a", 0.5) == 0.0
    assert throttle.take("a", 100.0, permits=5) == 0.0 and throttle.take("a", 100.0, permits=5) == pytest.approx(2.5)


def test_names_are_forgotten_before_they_fill_the_memory() -> None:
    throttle = Throttle(Rate(0.001, 1))
    for number in range(10_000):
        assert throttle.take(str(number), float(number) / 1000) == 0.0
    assert len(throttle._buckets) <= 4096 and throttle.take("9999", 10.0) > 0
