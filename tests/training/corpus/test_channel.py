from collections.abc import Callable

import numpy as np
import pytest

from models.spec import SAMPLE_HZ
from training.corpus import channel

Effect = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def speech_like(seconds: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(4)
    syllables = np.repeat(rng.random(int(seconds * 8) + 1) ** 2, SAMPLE_HZ // 8)[: int(seconds * SAMPLE_HZ)]
    return (0.2 * syllables * rng.standard_normal(len(syllables))).astype(np.float32)


def lag(a: np.ndarray, b: np.ndarray) -> int:
    size = 1 << 18
    correlation = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    return int(np.argmax(np.roll(correlation, 800)[:1600])) - 800


EFFECTS: dict[str, Effect] = {
    "reverb": lambda x, rng: channel.reverberate(x, rng, 0.5, 0.0),
    **{band: (lambda x, rng, band=band: channel.limit_band(x, band)) for band in channel.BANDS},
    "equaliser": lambda x, rng: channel.random_equaliser(x, rng, 8.0),
    "drift": lambda x, rng: channel.drift_gain(x, rng, 8.0),
    "agc": lambda x, rng: channel.level_automatically(x, 0.9),
    "clip": lambda x, rng: channel.clip_softly(x, 5.0),
    "gate": lambda x, rng: channel.gate(x, 30.0),
    "loss": lambda x, rng: channel.drop_packets(x, rng, 0.1, conceal=True),
    "mute": lambda x, rng: channel.mute(x, [(0.5, 0.8)]),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_length_and_time_stay(name: str) -> None:
    audio = speech_like()
    before = audio.copy()
    changed = EFFECTS[name](audio, np.random.default_rng(1))
    assert changed.shape == audio.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
    assert np.array_equal(audio, before)
    assert not np.array_equal(changed, audio)
    assert lag(audio, changed) == 0
    assert np.array_equal(changed, EFFECTS[name](audio, np.random.default_rng(1)))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("count", [0, 1, 300])
def test_short_and_silent_inputs_are_legal(name: str, count: int) -> None:
    silence = np.zeros(count, np.float32)
    assert np.array_equal(EFFECTS[name](silence, np.random.default_rng(1)), silence)


def test_reverb_decays_by_60_db_in_its_time() -> None:
    impulse = np.zeros(SAMPLE_HZ, np.float32)
    impulse[100] = 1.0
    wet = channel.reverberate(impulse, np.random.default_rng(3), 0.4, 0.0)
    assert wet[100] == pytest.approx(1.0, abs=1e-5) and not np.abs(wet[:100]).max() > 1e-5
    assert np.sum(wet[101:] ** 2) == pytest.approx(1.0, rel=0.01)
    early, late = (np.mean(wet[100 + int(t * SAMPLE_HZ) :][:800] ** 2) for t in (0.1, 0.3))
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.2 / 0.4, abs=4.0)


def test_telephone_takes_bass_and_treble() -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLE_HZ).astype(np.float32)
    power = np.abs(np.fft.rfft(channel.limit_band(noise, "telephone"))) ** 2
    passed = power[500:3000].mean()
    assert power[:100].mean() < 0.02 * passed and power[4000:].mean() < 0.001 * passed


def test_agc_brings_loud_and_quiet_together() -> None:
    tone = np.sin(np.arange(6 * SAMPLE_HZ) * 0.3).astype(np.float32)
    tone[: 3 * SAMPLE_HZ] *= 0.1
    levelled = channel.level_automatically(tone, 0.9)

    def spread(x: np.ndarray) -> float:
        return float(np.std(x[5 * SAMPLE_HZ :]) / np.std(x[2 * SAMPLE_HZ : 3 * SAMPLE_HZ]))

    assert spread(levelled) < 0.5 * spread(tone)


def test_gate_silences_the_background_alone() -> None:
    audio = 0.001 * np.random.default_rng(0).standard_normal(2 * SAMPLE_HZ).astype(np.float32)
    audio[SAMPLE_HZ:] += 0.3 * np.sin(np.arange(SAMPLE_HZ) * 0.3).astype(np.float32)
    gated = channel.gate(audio, 30.0)
    assert not gated[: SAMPLE_HZ // 2].any()
    assert np.array_equal(gated[SAMPLE_HZ + 1600 : -1600], audio[SAMPLE_HZ + 1600 : -1600])


@pytest.mark.parametrize("loss", [0.02, 0.1])
def test_lost_packets_are_whole_and_as_many_as_asked(loss: float) -> None:
    audio = np.ones(channel.PACKET * 4000, np.float32)
    dropped = channel.drop_packets(audio, np.random.default_rng(5), loss, conceal=False)
    packets = dropped.reshape(-1, channel.PACKET)
    lost = (packets == 0.0).all(1)
    assert (packets[~lost] == 1.0).all()
    assert lost.mean() == pytest.approx(loss, rel=0.3)
    concealed = channel.drop_packets(audio, np.random.default_rng(5), loss, conceal=True).reshape(packets.shape)
    assert concealed[lost].mean() > 0.2 and (concealed[~lost] == 1.0).all()
