import numpy as np
import pytest

from tests.training.corpus.alone import alone
from tests.training.corpus.timing import assert_tiles
from training.corpus.espeak import espeak_available
from training.corpus.flite import flite_available
from training.corpus.phones import unknown_symbols
from training.corpus.speech import SpeechSource
from training.corpus.utterance import Utterance

pytestmark = pytest.mark.skipif(
    not (espeak_available() and flite_available()), reason="espeak-ng and flite are not both installed"
)


def _draw(indices: list[int]) -> dict[int, Utterance]:
    source = SpeechSource(7)
    return {index: source.utterance(index) for index in indices}


def test_an_utterance_does_not_depend_on_what_was_drawn_before() -> None:
    drawn, backward = alone(_draw, list(range(8))), alone(_draw, list(reversed(range(8))))
    for index, again in backward.items():
        assert np.array_equal(again.audio, drawn[index].audio)
        assert (again.phones, again.voice, again.text) == (
            drawn[index].phones,
            drawn[index].voice,
            drawn[index].text,
        )


def test_utterances_are_whole_and_of_many_voices() -> None:
    unknown_symbols.clear()
    source = SpeechSource(8)
    drawn = [source.utterance(index) for index in range(24)]
    for utterance in drawn:
        assert_tiles(utterance)
        assert 0.0 < np.abs(utterance.audio).max() <= 1.0
    assert len({utterance.voice for utterance in drawn}) >= 10
    assert {utterance.voice.split(":")[0] for utterance in drawn} == {"flite", "espeak"}
    assert not unknown_symbols


def test_seeds_differ() -> None:
    assert SpeechSource(1).utterance(0).text != SpeechSource(2).utterance(0).text
