import numpy as np
import pytest

from engine.errors import ConfigError
from tests.training.corpus.alone import alone
from tests.training.corpus.timing import SENTENCES, assert_tiles, closure_contrast_db
from training.corpus import flite
from training.corpus.utterance import Utterance

pytestmark = pytest.mark.skipif(not flite.flite_available(), reason="flite is not installed")


@pytest.mark.parametrize("voice", flite.FLITE_VOICES)
def test_closures_are_silent_where_the_phones_say(voice: str) -> None:
    spoken = [flite.speak(text, voice) for text in SENTENCES]
    for utterance in spoken:
        assert_tiles(utterance)
    contrast = {shift: closure_contrast_db(spoken, shift / 1000) for shift in range(-50, 51, 10)}
    best = max(contrast, key=contrast.__getitem__)
    # Voices ring on for about 10 ms after the closure.
    assert 0 <= best <= 20
    assert contrast[best] > 10.0
    assert contrast[10] > max(contrast[-20], contrast[50]) + 4.0


def test_phones_are_the_words_with_stress() -> None:
    phones = [p for p in flite.speak("Bobby may vow.", "slt").phones if p.symbol != "sil"]
    assert [p.symbol for p in phones] == ["B", "AA", "B", "IY", "M", "EI", "IH", "V", "A", "UH"]
    assert phones[1].stress == 1 and phones[3].stress == 0 and phones[0].stress == 0


def _speak_thrice() -> list[Utterance]:
    first = flite.speak("My baby may move.", "slt", f0_hz=200.0, stretch=0.9)
    other = flite.speak("Something else.", "slt", f0_hz=120.0, stretch=1.4, f0_spread=0.3)
    return [first, other, flite.speak("My baby may move.", "slt", f0_hz=200.0, stretch=0.9)]


def test_the_same_call_gives_the_same_samples_whatever_came_before() -> None:
    first, other, again = alone(_speak_thrice)
    assert not np.array_equal(first.audio, other.audio)
    assert np.array_equal(first.audio, again.audio) and first.phones == again.phones


def test_stretch_lengthens_phones_and_audio_alike() -> None:
    usual, slow = flite.speak("My baby may move.", "awb"), flite.speak("My baby may move.", "awb", stretch=1.5)
    assert len(slow.audio) == pytest.approx(1.5 * len(usual.audio), rel=0.05)
    assert_tiles(slow)


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voice 'nobody'"):
        flite.speak("Hello.", "nobody")
