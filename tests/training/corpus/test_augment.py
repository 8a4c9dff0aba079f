import numpy as np
import pytest
from pydantic import ValidationError

from models.spec import SAMPLE_HZ
from tests.training.corpus.test_channel import lag, speech_like
from training.corpus.augment import AugmentConfig, Augmenter, insert_silence
from training.corpus.utterance import Utterance, tile_phones

NEVER = dict.fromkeys(
    "clean reverb noise second_noise music_bed equaliser band drift agc overload gate opus loss".split(), 0.0
)


def test_length_and_time_stay_and_the_generator_decides() -> None:
    audio = speech_like()
    before = audio.copy()
    augmenter = Augmenter(babble=[speech_like(1.0)])
    for seed in range(25):
        heard = augmenter.apply(audio, np.random.default_rng(seed))
        assert heard.shape == audio.shape and heard.dtype == np.float32
        assert np.isfinite(heard).all() and np.abs(heard).max() <= 1.0
        # Opus at 6 kbit/s smears by up to a fifth of a millisecond.
        assert abs(lag(audio, heard)) <= 3
        assert np.array_equal(heard, augmenter.apply(audio, np.random.default_rng(seed)))
    assert np.array_equal(audio, before)


def test_results_differ_between_draws() -> None:
    audio = speech_like(1.0)
    heard = {Augmenter().apply(audio, np.random.default_rng(seed)).tobytes() for seed in range(10)}
    assert len(heard) == 10


@pytest.mark.parametrize("name", [name for name in NEVER if name != "clean"])
def test_each_disturbance_alone_changes_the_sound(name: str) -> None:
    audio = speech_like(2.0)
    audio[-12_000:] *= 0.001
    quiet = AugmentConfig(**NEVER, gain_db=(0.0, 0.0))
    assert np.array_equal(Augmenter(quiet).apply(audio, np.random.default_rng(0)), audio)
    alone = AugmentConfig(**{**NEVER, name: 1.0}, gain_db=(0.0, 0.0))
    assert not np.array_equal(Augmenter(alone).apply(audio, np.random.default_rng(0)), audio)


def test_gain_alone_is_a_gain() -> None:
    audio = speech_like(1.0)
    config = AugmentConfig(**{**NEVER, "clean": 1.0}, gain_db=(-6.0, -6.0))
    assert Augmenter(config).apply(audio, np.random.default_rng(0)) == pytest.approx(audio * 0.5012, abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_short_and_silent_inputs_are_legal(count: int) -> None:
    for seed in range(20):
        heard = Augmenter().apply(np.zeros(count, np.float32), np.random.default_rng(seed))
        assert heard.shape == (count,) and np.isfinite(heard).all()


def test_config_refuses_unknown_keys_and_impossible_probabilities() -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(reverbs=0.3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        AugmentConfig(reverb=1.5)


def test_inserted_silence_moves_the_phones_along() -> None:
    audio = np.zeros(2 * SAMPLE_HZ, np.float32)
    audio[SAMPLE_HZ // 2 : SAMPLE_HZ] = 0.5
    audio[3 * SAMPLE_HZ // 2 : 7 * SAMPLE_HZ // 4] = -0.5
    parts = [("sil", 0.0, 0), ("AA", 0.5, 1), ("sil", 1.0, 0), ("M", 1.5, 0), ("sil", 1.75, 0)]
    spoken = Utterance(audio, tile_phones(parts, 2.0), "test", "")
    for seed in range(5):
        longer = insert_silence(spoken, np.random.default_rng(seed))
        assert len(longer.audio) > len(audio)
        assert [p.symbol for p in longer.phones] == ["sil", "AA", "sil", "M", "sil"]
        assert longer.phones[0].start_s == 0.0
        assert longer.phones[-1].end_s == len(longer.audio) / SAMPLE_HZ
        for phone, value in ((longer.phones[1], 0.5), (longer.phones[3], -0.5)):
            start, end = round(phone.start_s * SAMPLE_HZ), round(phone.end_s * SAMPLE_HZ)
            assert (longer.audio[start:end] == value).all()
            assert longer.audio[start - 1] == 0.0 and longer.audio[end] == 0.0
