import numpy as np
import pytest

from engine.errors import AudioError
from engine.stages.voice_gate import VoiceGate, VoiceGateSettings, level_db
from streaming.live.calibrate import SPEECH_DB, Heard, settle

RATE = 16_000


def noise(db: float, seconds: float = 3.0) -> np.ndarray:
    sound = np.random.default_rng(5).standard_normal(round(seconds * RATE))
    return (sound / sound.std() * 10 ** (db / 20)).astype(np.float32)


def speech(db: float) -> np.ndarray:
    """Syllables, with pauses between them; the loudest at ``db``."""
    at = np.arange(5 * RATE) / RATE
    return (noise(db, 5.0) * (np.sin(2 * np.pi * 2 * at) > -0.3)).clip(-1, 1)


def settled(room_db: float, speech_db: float):
    return settle(Heard(noise(room_db), RATE), Heard(speech(speech_db), RATE))


@pytest.mark.parametrize(("room_db", "speech_db"), [(-70, -30), (-50, -20), (-60, -45), (-35, -18)])
def test_speech_is_brought_to_its_level_and_the_gate_lies_between(room_db: float, speech_db: float) -> None:
    found = settled(room_db, speech_db)
    assert speech_db + found.gain_db == pytest.approx(SPEECH_DB, abs=1.5)
    assert room_db + found.gain_db + 4 < found.threshold_db < SPEECH_DB - 4


def test_the_room_then_moves_nothing_and_a_whisper_still_does() -> None:
    found = settled(-65, -20)
    gate = VoiceGate(VoiceGateSettings(threshold_db=found.threshold_db))
    factor = np.float32(10 ** (found.gain_db / 20))
    room, _ = gate.step(noise(-65) * factor, gate.init_state())
    assert not room.any()
    whisper, _ = gate.step(noise(-38) * factor, gate.init_state())
    assert level_db(whisper[RATE:]) == pytest.approx(-38 + found.gain_db, abs=1)


def test_gain_never_lets_a_peak_clip() -> None:
    loud = speech(-40)
    loud[100] = 0.9
    found = settle(Heard(noise(-75), RATE), Heard(loud, RATE))
    assert 0.9 * 10 ** (found.gain_db / 20) < 0.75


def test_a_voice_that_drowns_in_its_room_is_told() -> None:
    with pytest.raises(AudioError, match="come nearer"):
        settled(-30, -28)


def test_a_microphone_that_is_muted_is_told() -> None:
    silence = Heard(np.zeros(3 * RATE, np.float32), RATE)
    with pytest.raises(AudioError, match="not muted"):
        settle(silence, silence)
