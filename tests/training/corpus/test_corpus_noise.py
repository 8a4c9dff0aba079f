import numpy as np
import pytest

from models.spec import SAMPLE_HZ
from training.corpus.noise import NOISES, add_at_snr, coloured_noise, make_noise


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("count", [1, 777, 3 * SAMPLE_HZ])
def test_noises_have_their_length_and_level(kind: str, count: int) -> None:
    sound = make_noise(kind, count, np.random.default_rng(1))
    assert sound.shape == (count,) and sound.dtype == np.float32 and np.isfinite(sound).all()
    if count == 3 * SAMPLE_HZ:
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(1.0, rel=1e-3)
    assert np.array_equal(sound, make_noise(kind, count, np.random.default_rng(1)))


def test_slopes_are_3_db_an_octave_and_power() -> None:
    for slope in (0.0, 1.0, 2.0):
        power = np.abs(np.fft.rfft(coloured_noise(1 << 17, np.random.default_rng(0), slope))) ** 2
        low, high = (power[f * (1 << 17) // SAMPLE_HZ :][: 500 * (1 << 17) // SAMPLE_HZ].mean() for f in (1000, 4000))
        octaves = np.log2(4240 / 1240)
        assert 10 * np.log10(low / high) == pytest.approx(3.01 * slope * octaves, abs=0.4)


def test_babble_is_made_of_the_voices() -> None:
    voice = np.sin(np.arange(5000) * 0.2).astype(np.float32)
    sound = make_noise("babble", 20_000, np.random.default_rng(2), [voice])
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    peak = int(0.2 / (2 * np.pi) * len(sound))
    assert spectrum[peak - 20 : peak + 20].sum() > 0.9 * spectrum.sum()


def test_snr_is_of_the_speaking_parts() -> None:
    tone = 0.2 * np.sin(np.arange(16_000) * 0.3).astype(np.float32)
    audio = np.concatenate([np.zeros(16_000, np.float32), tone])
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    added = add_at_snr(audio, noise, 12.0) - audio
    ratio = np.sqrt(np.mean(tone**2)) / np.sqrt(np.mean(added**2))
    assert 20 * np.log10(ratio) == pytest.approx(12.0, abs=0.3)
    silent = np.zeros(100, np.float32)
    assert np.array_equal(add_at_snr(silent, noise[:100], 0.0), silent)
