import pytest

from engine.clock import NS_PER_S
from engine.errors import ConfigError
from streaming.serve.media.bitrate import STEPS_BPS, BitratePolicy


def run(policy: BitratePolicy, begin: int, seconds: int, sent: float, estimate: float | None, loss: float) -> None:
    for second in range(begin, begin + seconds):
        policy.observe(second * NS_PER_S, sent, estimate, loss)


def test_an_estimate_that_climbs_from_below_changes_nothing() -> None:
    """Chromium's begins at 0.3 Mbit/s and climbs for seconds: aiortc would open ten encoders meanwhile."""
    policy = BitratePolicy(0)
    for second in range(30):
        policy.observe(second * NS_PER_S, 1.2e6, min(4e6, 0.3e6 * 1.35**second), 0.0)
    assert policy.step == 0


def test_too_much_for_long_goes_down_a_step_at_a_time_and_up_again_after_peace() -> None:
    policy = BitratePolicy(0)
    run(policy, 6, 2, 2.4e6, 0.8e6, 0.0)
    assert policy.step == 0
    run(policy, 8, 2, 2.4e6, 0.8e6, 0.0)
    assert policy.bits_per_second == STEPS_BPS[1]
    run(policy, 10, 15, 1.5e6, 4e6, 0.0)
    assert policy.step == 1
    run(policy, 25, 10, 1.5e6, 4e6, 0.0)
    assert policy.step == 0


def test_loss_alone_is_trouble_too_and_never_goes_beyond_the_last_step() -> None:
    policy = BitratePolicy(0)
    run(policy, 0, 60, 1e6, None, 0.3)
    assert policy.bits_per_second == STEPS_BPS[-1]


def test_steps_must_fall() -> None:
    for steps in ((), (1000, 1000), (500, 1000)):
        with pytest.raises(ConfigError, match="fall"):
            BitratePolicy(0, steps)
