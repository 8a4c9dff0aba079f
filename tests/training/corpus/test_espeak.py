import numpy as np
import pytest

from engine.errors import ConfigError, MienError
from tests.training.corpus.alone import alone
from tests.training.corpus.timing import SENTENCES, assert_tiles, closure_contrast_db
from training.corpus import espeak
from training.corpus.phones import PHONES, unknown_symbols
from training.corpus.speech import ESPEAK_ACCENTS, ESPEAK_VARIANTS
from training.corpus.utterance import Utterance
from training.corpus.vocabulary import FOREIGN

pytestmark = pytest.mark.skipif(not espeak.espeak_available(), reason="espeak-ng is not installed")


def test_phones_tile_the_audio_and_are_the_words() -> None:
    spoken = espeak.speak("Bobby may vow.", "en-us+m3")
    assert_tiles(spoken)
    symbols = [p.symbol for p in spoken.phones if p.symbol != "sil"]
    assert symbols == ["B", "AA", "B", "IY", "M", "EI", "IH", "V", "A", "UH"]


def test_closures_are_silent_where_the_phones_say() -> None:
    spoken = [espeak.speak(text, f"en-us+{v}") for text in SENTENCES for v in ("m3", "f2", "klatt")]
    at_zero = closure_contrast_db(spoken)
    assert at_zero > 25.0
    assert at_zero > closure_contrast_db(spoken, -0.03) + 6.0
    assert at_zero > closure_contrast_db(spoken, 0.03) + 6.0


def test_stress_comes_with_the_vowels() -> None:
    phones = espeak.speak("Banana", "en-us").phones
    assert [p.stress for p in phones if PHONES[p.symbol].manner == "vowel"] == [0, 1, 0]
    assert all(p.stress == 0 for p in phones if p.symbol in ("B", "N", "sil"))


def _speak_thrice() -> list[Utterance]:
    first = espeak.speak(SENTENCES[0], "en-us+f3")
    other = espeak.speak("Something else, quickly!", "de+m5", rate_wpm=260)
    return [first, other, espeak.speak(SENTENCES[0], "en-us+f3")]


def test_the_same_call_gives_the_same_samples_whatever_came_before() -> None:
    first, other, again = alone(_speak_thrice)
    assert not np.array_equal(first.audio, other.audio)
    assert np.array_equal(first.audio, again.audio) and first.phones == again.phones


def test_rate_pitch_and_range_are_heard() -> None:
    usual = espeak.speak(SENTENCES[0], "en-us")
    assert len(espeak.speak(SENTENCES[0], "en-us", rate_wpm=120).audio) > 1.2 * len(usual.audio)
    assert not np.array_equal(espeak.speak(SENTENCES[0], "en-us", pitch=90).audio, usual.audio)
    assert not np.array_equal(espeak.speak(SENTENCES[0], "en-us", pitch_range=0).audio, usual.audio)


@pytest.mark.parametrize("voice", sorted({*ESPEAK_ACCENTS, *FOREIGN}))
def test_all_symbols_of_every_language_are_mapped(voice: str) -> None:
    unknown_symbols.clear()
    text = " ".join(FOREIGN.get(voice, (*SENTENCES, "The quick judge of Bath mixed five vague, azure, young whims.")))
    spoken = espeak.speak(text, voice)
    assert_tiles(spoken)
    assert len(spoken.phones) > 20
    assert not unknown_symbols


def test_variants_exist_and_differ() -> None:
    spoken = {espeak.speak("Mama.", f"en-us+{variant}").audio.tobytes() for variant in ESPEAK_VARIANTS}
    assert len(spoken) == len(ESPEAK_VARIANTS) >= 60


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voice 'xx-nowhere'"):
        espeak.speak("Hello.", "xx-nowhere")
    # The library was left in a usable state.
    assert len(espeak.speak("Hello.", "en-us").audio) > 3000


def test_a_library_in_use_is_refused_and_does_not_hang() -> None:
    import _ctypes
    import ctypes

    held = ctypes.CDLL("libespeak-ng.so.1")
    try:
        with pytest.raises(MienError, match="already in use"):
            espeak.speak("Hello.", "en-us")
    finally:
        _ctypes.dlclose(held._handle)


def test_empty_text_is_silence() -> None:
    spoken = espeak.speak("", "en-us")
    assert_tiles(spoken)
    assert [p.symbol for p in spoken.phones] == ["sil"]
