import numpy as np
import pytest

from engine.stages.chunker import Chunker
from engine.stages.log_mel import mel_of_windows
from engine.stages.silence import SilenceGate, level_db


def gate_of(audio: np.ndarray, lookahead: int = 0) -> np.ndarray:
    """Openness of every drawn frame, for whole-recording sound followed by silence."""
    chunker = Chunker(tail_frames=lookahead)
    windows, state = chunker.step(audio.astype(np.float32), chunker.init_state())
    gate = SilenceGate(lookahead)
    gate_state, values = gate.init_state(), []
    for window in np.concatenate([windows, chunker.flush(state)]):
        value, gate_state = gate.step(mel_of_windows(window), gate_state)
        values.append(value)
    assert gate.flush(gate_state) == values[-1]
    return np.array(values[lookahead:])


def noise(seconds: float, dbfs: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(16_000 * seconds)) * 10 ** (dbfs / 20)


def speech_like(seconds: float, dbfs: float = -22) -> np.ndarray:
    """A buzz with syllables at 4 Hz."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * 130 * t)) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t))
    return buzz * 10 ** (dbfs / 20)


def test_level_is_about_dbfs():
    for dbfs in (-20, -40, -60):
        mel = mel_of_windows(noise(0.5, dbfs)[: 267 * 20].reshape(20, 267).astype(np.float32))
        assert abs(level_db(mel) - dbfs) < 2
    assert level_db(np.zeros((2, 80), np.float32)) < -80


@pytest.mark.parametrize("dbfs", [-90, -70, -58, -54])
def test_noise_of_a_room_opens_nothing(dbfs):
    assert gate_of(noise(20, dbfs)).max() == 0


def test_louder_steady_noise_is_learned_and_then_quiet():
    values = gate_of(noise(20, -50))
    assert values[-600:].max() == 0
    assert (np.diff(values) > 0).sum() <= 8


@pytest.mark.parametrize("lookahead", [0, 6, 18])
def test_onset_is_not_cut(lookahead):
    audio = np.concatenate([noise(1, -60), speech_like(2), noise(1, -60)])
    values = gate_of(audio, lookahead)
    assert values[: 60 - lookahead - 1].max() == 0
    # Open at the first frame of speech with lookahead; without, within four frames of it.
    assert values[60 if lookahead else 64] == 1.0


@pytest.mark.parametrize("lookahead", [0, 6, 18])
def test_closes_at_the_same_drawn_frame_whatever_the_lookahead(lookahead):
    audio = np.concatenate([speech_like(1.5), np.zeros(32_000)])
    values = gate_of(audio, lookahead)
    assert values[30:100].min() == 1.0
    assert values[150:].max() == 0.0


def test_noise_after_digital_silence_is_learned_in_seconds():
    """A recording that begins with zeros, then hisses: a floor that crept up would take it for speech."""
    values = gate_of(np.concatenate([np.zeros(16_000), noise(6, -44)]))
    assert values[60 + 180 :].max() == 0


def test_rests_in_the_pauses_of_a_noisy_recording():
    hiss = noise(8, -44)
    hiss[: 16_000 * 3] += speech_like(3)
    hiss[16_000 * 5 : 16_000 * 7] += speech_like(2)
    values = gate_of(hiss)
    assert values[30:180].min() == 1 and values[225:298].max() == 0 and values[310:420].min() == 1


def test_stays_open_through_speech_and_its_short_pauses():
    parts = []
    for _ in range(8):
        parts += [speech_like(0.8), noise(0.25, -60)]
    assert gate_of(np.concatenate(parts))[10:-10].min() == 1.0


def test_long_sung_note_stays_open():
    t = np.arange(16_000 * 20) / 16_000
    note = 0.1 * np.sin(2 * np.pi * 220 * t) + 0.05 * np.sin(2 * np.pi * 440 * t)
    assert gate_of(note)[10:].min() == 1.0


def test_hysteresis_keeps_sound_near_the_threshold_from_chattering():
    level = noise(10, -60)
    swell = 1 + 2.2 * (np.sin(2 * np.pi * 3 * np.arange(len(level)) / 16_000) > 0)
    values = gate_of(level * swell)
    changes = np.flatnonzero(np.diff((values > 0.5).astype(int)))
    # Thirty swells; without hysteresis and hold, most of them would move the mouth.
    assert len(changes) <= 4


def test_causal():
    audio = np.concatenate([noise(0.5, -60), speech_like(0.5)])
    other = np.concatenate([audio[:12_000], np.zeros(4000)])
    frame = 12_000 * 60 // 16_000 - 2
    np.testing.assert_array_equal(gate_of(audio)[:frame], gate_of(other)[:frame])
