"""The session's door: exact, bounded, true to the clock whatever comes in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AudioError, ConfigError
from engine.intake import Intake
from engine.resampling import Sound, join

MS = 48
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]


def tone(seconds: float, rate: int, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def pushed(chunks: list[np.ndarray], rate: int) -> Sound:
    intake = Intake("pushed", queue_ms=60_000)
    for chunk in chunks:
        intake.push(chunk, rate)
    intake.finish()
    return intake.read(intake.queued_ticks)


class Live:
    """A live session: chunks of 20 ms arrive, sound is due ``slack_ms`` after the chunk that holds it could come."""

    def __init__(self, rate: int = 16_000, slack_ms: float = 5, **options) -> None:
        self.intake, self.rate, self.slack = Intake(**options), rate, 20 + slack_ms
        self.parts: list[Sound] = []

    def push(self, chunk: np.ndarray, at_ms: float) -> None:
        self.tick(at_ms)
        self.intake.push(chunk, self.rate, at_ms * MS)
        self.tick(at_ms)

    def tick(self, at_ms: float) -> None:
        self.parts.append(self.intake.take(round(max(0.0, at_ms - self.slack) * MS)))

    @property
    def heard(self) -> Sound:
        return join(self.parts)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_comes_out_whole_in_both_renditions(rate):
    heard = pushed([tone(0.5, rate)], rate)
    assert len(heard.speech) == -(-len(tone(0.5, rate)) * 16_000 // rate)
    assert heard.ticks == 3 * len(heard.speech) and heard.sound.dtype == heard.speech.dtype == np.float32
    for made, hz in ((heard.sound, 48_000), (heard.speech, 16_000)):
        true, inner = tone(0.5, hz)[: len(made)], slice(hz // 100, -hz // 50)
        assert np.abs(made[: len(true)] - true)[inner].max() < 1e-3


@given(st.sampled_from(RATES), st.lists(st.integers(0, 900), max_size=12))
def test_result_does_not_depend_on_the_cuts(rate, sizes):
    sound = noise(sum(sizes))
    whole, cut = pushed([sound], rate), pushed(np.split(sound, np.cumsum(sizes)[:-1]) if sizes else [], rate)
    np.testing.assert_array_equal(whole.sound, cut.sound)
    np.testing.assert_array_equal(whole.speech, cut.speech)


def test_sound_at_our_own_rates_is_untouched():
    np.testing.assert_array_equal(pushed([noise(4800)], 48_000).sound, noise(4800))
    np.testing.assert_array_equal(pushed([noise(4800)], 16_000).speech, noise(4800))


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_nothing_folds_down_into_the_speech(rate):
    for hz in (8_600, 12_345):
        heard = pushed([tone(0.3, rate, hz)], rate)
        assert np.abs(heard.speech[500:-500]).max() < 0.5e-3  # -60 dB


@pytest.mark.parametrize("hz", [300, 3_000])
def test_nothing_is_mirrored_up_into_the_sound(hz):
    heard = pushed([tone(1, 8_000, hz)], 8_000)
    inner = heard.sound[2400:-2400] * np.hanning(len(heard.sound) - 4800)
    spectrum = np.abs(np.fft.rfft(inner))
    assert spectrum[round(4_100 * len(inner) / 48_000) :].max() < 1e-3 * spectrum.max()


def test_sixteen_bit_samples_are_scaled():
    whole = (noise(1600) * 32768).astype(np.int16)
    np.testing.assert_array_equal(pushed([whole], 16_000).speech, whole / np.float32(32768))


def test_the_rate_may_change_and_the_ticks_add_up():
    intake = Intake("pushed", queue_ms=60_000)
    for rate in (16_000, 48_000, 8_000):
        intake.push(tone(0.25, rate), rate)
    intake.finish()
    heard = intake.read(intake.queued_ticks)
    assert heard.ticks == 36_000
    for start in (1_000, 13_000, 25_000):
        assert 0.33 < heard.sound[start : start + 10_000].std() < 0.37


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (np.zeros(10), 16_000, "float64"),
        (np.zeros((2, 10), np.float32), 16_000, "one channel"),
        ([0.0], 16_000, "list"),
        (np.array([0, np.nan], np.float32), 16_000, "NaN"),
        (np.array([np.inf, 0], np.float32), 16_000, "NaN"),
        (np.array([900], np.float32), 16_000, "900"),
        (np.zeros(10, np.float32), 7_999, "7999"),
        (np.zeros(10, np.float32), 96_001, "96001"),
        (np.zeros(10, np.float32), 16_000.5, "16000.5"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_sentence_and_alters_nothing(samples, rate, words):
    intake = Intake("pushed")
    intake.push(noise(500), 16_000)
    with pytest.raises(AudioError, match=words) as refusal:
        intake.push(samples, rate)
    assert str(refusal.value).count(". ") == 0 and str(refusal.value).endswith(".")
    intake.push(noise(500, 1), 16_000)
    intake.finish()
    expected = np.concatenate([noise(500), noise(500, 1)])
    np.testing.assert_array_equal(intake.read(10_000).speech, expected)


def test_options_out_of_range_are_refused():
    for options in ({"mode": "both"}, {"chunk_ms": 0}, {"queue_ms": float("nan")}):
        with pytest.raises(ConfigError):
            Intake(**options)


def test_a_pushed_source_waits_when_the_queue_is_full():
    intake = Intake("pushed", queue_ms=100)
    intake.push(tone(0.2, 16_000), 16_000)
    assert intake.full and intake.policy == "block"
    with pytest.raises(AudioError, match="wait"):
        intake.push(tone(0.2, 16_000), 16_000)
    assert intake.read(48 * 150).ticks == 48 * 150
    assert not intake.full
    intake.push(tone(0.2, 16_000), 16_000)


def test_a_live_source_that_is_not_taken_is_bounded_and_keeps_its_clock():
    intake = Intake(queue_ms=200)
    for number in range(50):
        intake.push(tone(0.02, 16_000), 16_000, (number + 1) * 20 * MS)
    assert intake.policy == "gap" and not intake.full
    stats = intake.stats()
    assert 780 <= stats.dropped_ms <= 840
    heard = intake.take(0)
    assert 990 * MS < heard.ticks <= 1000 * MS
    assert not heard.sound[: 780 * MS].any() and heard.sound[850 * MS :].std() > 0.3


def test_live_sound_lies_where_it_was_captured():
    live, sound = Live(), noise(16_000)
    for number, chunk in enumerate(np.split(sound, 50)):
        live.push(chunk, 1000 + 20 * (number + 1))
    start = 1000 * 16
    # The first 5 ms are faded in; then the sound is the source's own.
    np.testing.assert_array_equal(live.heard.speech[start + 80 :], sound[80 : len(live.heard.speech) - start])
    assert not live.heard.speech[:start].any()
    assert (live.intake.stats().gaps, live.intake.stats().late_ms) == (0, 0)


def test_large_chunks_fit_without_gaps():
    live = Live()
    for number in range(20):
        for moment in range(100):
            live.tick(number * 100 + moment)
        live.push(tone(0.1, 16_000), (number + 1) * 100)
    assert live.intake.stats().gaps == 0 and live.intake.stats().late_ms == 0


def test_a_gap_is_faded_counted_and_keeps_the_clock():
    live, sound = Live(), tone(1, 16_000, hz=210)
    for number, chunk in enumerate(np.split(sound, 50)):
        if not 20 <= number < 25:
            live.push(chunk, 20 * (number + 1))
    stats, heard = live.intake.stats(), live.heard.sound
    assert stats.gaps == 1 and 95 <= stats.gap_ms <= 105 and stats.late_ms < 6
    assert not heard[415 * MS : 495 * MS].any()
    # The loss of five chunks has moved nothing: what comes after lies where it lay.
    np.testing.assert_allclose(heard[600 * MS : 980 * MS], tone(1, 48_000, 210)[600 * MS : 980 * MS], atol=1e-3)
    steps = np.abs(np.diff(heard[20 * MS :]))
    assert steps.max() < 2 * np.abs(np.diff(tone(1, 48_000, 210))).max()


def test_chunks_that_were_only_late_do_not_delay_what_follows():
    live, sound = Live(), tone(2, 16_000, hz=150)
    for number, chunk in enumerate(np.split(sound, 100)):
        live.push(chunk, max(20 * (number + 1), 700 if 25 <= number < 35 else 0))
    stats, heard = live.intake.stats(), live.heard.sound
    assert stats.gaps == 1 and 150 <= stats.gap_ms <= 200 and 130 <= stats.late_ms <= 200
    np.testing.assert_allclose(heard[1000 * MS : 1900 * MS], tone(2, 48_000, 150)[1000 * MS : 1900 * MS], atol=2e-3)


def test_jitter_within_the_slack_makes_no_gap_and_no_steering():
    live, rng = Live(slack_ms=15), np.random.default_rng(3)
    for number in range(1500):
        live.push(tone(0.02, 16_000), 20 * (number + 1) + rng.exponential(2.0) % 12)
    stats = live.intake.stats()
    assert stats.gaps == 0 and abs(stats.drift_ppm) < 30 and abs(live.intake._ppm) < 150


@pytest.mark.parametrize(("hours", "ppm"), [(1, -500), (8, -200), (8, 200), (1, 500)])
def test_hours_of_drift_never_move_the_sound_by_a_frame(hours, ppm):
    """The sound is silence, which costs nothing to resample, in chunks of a second."""
    intake, rng, worst = Intake(chunk_ms=1000, queue_ms=5000), np.random.default_rng(ppm + 500), 0.0
    chunk = np.zeros(8_000, np.float32)
    for second in range(1, hours * 3600):
        captured = second * 48_000 / (1 + ppm / 1e6)
        waited = rng.exponential(1.5) * MS + (300 * MS if rng.random() < 0.01 else 0)
        intake.push(chunk, 8_000, captured + waited)
        made = intake.position_ticks + intake.queued_ticks + intake.delay_ticks
        worst = max(worst, abs(made - captured))
        intake.take(0)
    assert worst < 48_000 / 60
    assert abs(intake.stats().drift_ppm - ppm) < 25 and intake.stats().gaps == 0


def test_drift_is_absorbed_in_the_sound_itself():
    """A tone from a fast card comes out at its true pitch, with no seam."""
    live, ppm, seconds = Live(rate=8_000, slack_ms=10), 400, 30
    sound = tone(seconds, 8_000, 440 / (1 + ppm / 1e6))
    for number, chunk in enumerate(np.split(sound, seconds * 50)):
        live.push(chunk, 20 * (number + 1) / (1 + ppm / 1e6))
    heard = live.heard.sound[-10 * 48_000 : -4800]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 8 * len(heard)))
    assert np.argmax(spectrum) * 48_000 / (8 * len(heard)) == pytest.approx(440, rel=120e-6)
    assert np.abs(np.diff(heard)).max() < 0.5 * 2 * np.pi * 450 / 48_000
    assert live.intake.stats().late_ms == 0


def test_a_clock_that_steps_back_harms_nothing():
    live = Live(slack_ms=15)
    for number in range(100):
        at = 20 * (number + 1)
        live.intake.push(tone(0.02, 16_000), 16_000, (at - (1000 if number > 50 else 0)) * MS)
        live.tick(at)
    assert live.intake.stats().gaps <= 1


def test_clear_forgets_the_sound_and_keeps_a_live_clock():
    intake = Intake()
    for number in range(10):
        intake.push(tone(0.02, 16_000), 16_000, (number + 1) * 20 * MS)
    waiting = intake.queued_ticks
    intake.clear()
    assert intake.queued_ticks == waiting and not intake.read(waiting).sound.any()
    text = Intake("pushed")
    text.push(tone(0.2, 16_000), 16_000)
    text.clear()
    text.finish()
    assert text.queued_ticks == 0 and text.read(4800).ticks == 0


def test_a_pause_between_utterances_is_no_gap():
    intake = Intake("pushed")
    intake.push(tone(0.1, 16_000, hz=333), 16_000)
    intake.pad(2400)
    intake.push(tone(0.1, 16_000, hz=333), 16_000)
    intake.finish()
    heard = intake.read(20_000)
    assert heard.ticks == 4800 + 2400 + 4800 and intake.stats().gaps == 0
    assert not heard.sound[4800 + 480 : 7000].any()
    assert np.abs(np.diff(heard.sound[100:-200])).max() < 0.05


def test_reading_keeps_the_renditions_in_step():
    intake = Intake("pushed")
    intake.push(noise(3200), 16_000)
    first, second = intake.read(1000), intake.read(1000)
    assert first.ticks == second.ticks == 999 and len(first.speech) == 333
    assert intake.position_ticks == 1998
    np.testing.assert_array_equal(np.concatenate([first.speech, second.speech]), noise(3200)[:666])
