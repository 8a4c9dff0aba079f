import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.snapshot import load_state, save_state
from engine.stages.voice_gate import HOP, VoiceGate, VoiceGateSettings, level_db

RATE = 16_000


def at_level(sound: np.ndarray, dbfs: float) -> np.ndarray:
    return (sound * 10 ** ((dbfs - level_db(sound.astype(np.float32))) / 20)).astype(np.float32)


def white(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def fan(seconds: float) -> np.ndarray:
    """Brown noise and the hum of a motor."""
    t = np.arange(int(seconds * RATE)) / RATE
    walk = np.cumsum(white(seconds + 0.1))[: len(t) + 799]
    rumble = walk[400 : 400 + len(t)] - np.convolve(walk, np.ones(800) / 800, "valid")
    return rumble / rumble.std() + 0.5 * np.sin(2 * np.pi * 118 * t)


def breath(seconds: float) -> np.ndarray:
    t = np.linspace(0, np.pi, int(seconds * RATE))
    return np.convolve(white(seconds), np.ones(4) / 4, "same") * np.sin(t) ** 2


def keyboard(seconds: float) -> np.ndarray:
    """Six strokes a second: 3 ms of decaying noise each."""
    strokes = np.zeros(int(seconds * RATE))
    for start in range(800, len(strokes) - 200, RATE // 6):
        strokes[start : start + 200] += white(200 / RATE, start) * np.exp(-np.arange(200) / 40)
    return strokes


def music(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330, 440)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t))


def speech(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return np.sign(np.sin(2 * np.pi * 130 * t)) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t))


def gated(sound: np.ndarray, settings: VoiceGateSettings | None = None) -> np.ndarray:
    gate = VoiceGate(settings)
    made, state = gate.step(sound.astype(np.float32), gate.init_state())
    return np.concatenate([made, gate.flush(state)])


@pytest.mark.parametrize(
    ("noise", "dbfs"), [(fan(2), -46), (breath(1), -46), (music(2), -45), (white(2), -45), (keyboard(2), -52)]
)
def test_noise_below_the_threshold_is_exact_silence(noise, dbfs):
    made = gated(at_level(noise, dbfs))
    assert len(made) == len(noise) and not made.any() and not np.signbit(made).any()


def test_a_key_is_shorter_than_a_voice():
    """A stroke as loud as speech in its peak opens nothing; a word of that level does."""
    strokes = keyboard(2)
    strokes *= 0.06 / np.abs(strokes).max()
    assert max(level_db(s.astype(np.float32)) for s in strokes.reshape(-1, 40)) > -37 and not gated(strokes).any()
    assert gated(0.06 * speech(1)).any()


def test_speech_passes_untouched_once_the_gate_is_open():
    sound = np.concatenate([at_level(white(0.5), -55), at_level(speech(1), -20), at_level(white(1), -55)])
    made = gated(sound)
    onset = RATE // 2
    assert not made[:onset].any()
    # Its attack of 5 ms begins with the first hop that is loud.
    loud = onset + np.flatnonzero(made[onset:])[0]
    assert loud - onset <= 40 * RATE // 1000
    np.testing.assert_array_equal(made[loud + 160 : onset + RATE], sound[loud + 160 : onset + RATE])


def test_hold_and_release_last_as_long_as_they_say():
    settings = VoiceGateSettings(hold_ms=100, release_ms=50, attack_ms=0)
    sound = np.concatenate([np.full(1600, 0.5), np.full(8000, 1e-4)])
    made = gated(sound, settings)
    # The window of the level still holds the loud sound for 20 ms.
    last = np.flatnonzero(made)[-1]
    assert 1600 + 0.150 * RATE <= last <= 1600 + 0.175 * RATE
    held = made[1600 : 1600 + RATE // 10]
    np.testing.assert_array_equal(held, sound[1600 : 1600 + RATE // 10].astype(np.float32))
    falling = made[1600 + int(0.125 * RATE) : last]
    assert (np.diff(falling) < 0).all() and len(falling) > 500


def test_hysteresis_keeps_a_gate_open_that_would_not_open():
    between = at_level(white(1), -41)
    assert not gated(between).any()
    settings = VoiceGateSettings(hold_ms=0, release_ms=0)
    opened = gated(np.concatenate([at_level(white(0.1), -20), between]), settings)
    assert opened[-RATE // 2 :].all()
    shut = gated(np.concatenate([at_level(white(0.1), -20), at_level(white(1), -50)]), settings)
    assert not shut[-RATE // 2 :].any()


def test_gain_comes_before_the_threshold():
    quiet = at_level(speech(1), -45)
    assert not gated(quiet).any()
    made = gated(quiet, VoiceGateSettings(gain_db=20))
    np.testing.assert_allclose(made[8000:], quiet[8000:] * 10, rtol=1e-5)


@given(st.lists(st.integers(0, 500), max_size=12))
def test_result_does_not_depend_on_the_cuts(sizes):
    length = sum(sizes)
    sound = (0.05 * white(length / RATE + 1)[:length] * np.sin(np.arange(length) / 900) ** 2).astype(np.float32)
    gate = VoiceGate(VoiceGateSettings(hold_ms=10, release_ms=20))
    whole, end = gate.step(sound, gate.init_state())
    state, parts = gate.init_state(), [np.zeros(0, np.float32)]
    for chunk in np.split(sound, np.cumsum(sizes)):
        made, state = gate.step(chunk, state)
        parts.append(made)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(gate.flush(state), gate.flush(end))
    assert 0 <= length - len(whole) < HOP


def test_state_is_left_alone_and_can_be_saved():
    gate, sound = VoiceGate(), at_level(speech(1), -20)
    _, state = gate.step(sound[:3333], gate.init_state())
    stored = save_state(state)
    first, _ = gate.step(sound[3333:], state)
    assert save_state(state) == stored
    again, _ = VoiceGate().step(sound[3333:], load_state(stored, like=gate.init_state()))
    np.testing.assert_array_equal(first, again)


def test_it_hears_no_further_than_it_declares():
    """What comes a hop later changes nothing that was given."""
    gate = VoiceGate()
    quiet = at_level(white(0.1), -60)
    one = gated(np.concatenate([quiet, at_level(speech(0.1), -10)]))
    assert gate.lookahead_ticks == 3 * HOP
    assert not one[: len(quiet)].any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold_db", 3), ("hysteresis_db", -1), ("attack_ms", 501), ("hold_ms", -1), ("gain_db", float("nan"))],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        VoiceGateSettings(**{name: value})
