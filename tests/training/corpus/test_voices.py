import numpy as np
import pytest

from models.spec import SAMPLE_HZ
from training.corpus.utterance import Phone, Utterance, tile_phones
from training.corpus.voices import VoiceChange, equalise, set_level, shift_formants, transform, wander

BOUNDARIES = (0.2, 0.5, 0.71, 1.1, 1.6)


def clicks() -> Utterance:
    """A short blip at every phone boundary."""
    audio = np.zeros(2 * SAMPLE_HZ, np.float32)
    blip = np.hanning(17).astype(np.float32)
    for boundary in BOUNDARIES:
        centre = round(boundary * SAMPLE_HZ)
        audio[centre - 8 : centre + 9] = blip
    parts = [("sil", 0.0, 0), *(("AA", boundary, 1) for boundary in BOUNDARIES)]
    return Utterance(audio, tile_phones(parts, 2.0), "test", "")


def peaks_s(audio: np.ndarray, phones: list[Phone]) -> list[float]:
    found = []
    for phone in phones[1:]:
        start = round((phone.start_s - 0.05) * SAMPLE_HZ)
        found.append((start + int(np.argmax(np.abs(audio[start : start + SAMPLE_HZ // 10])))) / SAMPLE_HZ)
    return found


@pytest.mark.parametrize("tract", [0.8, 0.95, 1.05, 1.25])
def test_phone_times_follow_resampling(tract: float) -> None:
    audio, phones = shift_formants(clicks().audio, clicks().phones, tract)
    assert len(audio) == pytest.approx(2 * SAMPLE_HZ / tract, abs=1)
    assert phones[-1].end_s == len(audio) / SAMPLE_HZ
    assert peaks_s(audio, phones) == pytest.approx([p.start_s for p in phones[1:]], abs=1.5 / SAMPLE_HZ)


def test_phone_times_follow_the_wander() -> None:
    source = clicks()
    audio, phones = wander(source.audio, source.phones, 0.05, np.random.default_rng(1))
    moved = [p.start_s for p in phones[1:]]
    assert len(audio) == len(source.audio)
    assert max(abs(a - b) for a, b in zip(moved, BOUNDARIES, strict=True)) > 2.0 / SAMPLE_HZ
    assert peaks_s(audio, phones) == pytest.approx(moved, abs=1.5 / SAMPLE_HZ)


def test_a_whole_change_keeps_time_and_is_repeatable() -> None:
    change = VoiceChange(0.9, (3.0, -6.0, 2.0, 4.0, 0.0, -3.0, 1.0, 0.0, -9.0), 0.02, 0.03, 4.0, 0.1)
    first, again = (transform(clicks(), change, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.audio, again.audio) and first.phones == again.phones
    assert first.audio.dtype == np.float32
    assert peaks_s(first.audio, first.phones) == pytest.approx([p.start_s for p in first.phones[1:]], abs=0.0005)


def test_equaliser_has_no_delay_and_its_gains() -> None:
    t = np.arange(SAMPLE_HZ) / SAMPLE_HZ
    tone = np.sin(2 * np.pi * 2000 * t).astype(np.float32)
    louder = equalise(tone, (6.0,) * 9)
    middle = slice(2000, 14000)
    assert louder[middle] == pytest.approx(tone[middle] * 10 ** (6.0 / 20.0), abs=0.01)
    assert len(equalise(tone[:40], (6.0,) * 9)) == 40 and len(equalise(tone[:0], (6.0,) * 9)) == 0


def test_level_is_that_of_the_speaking_parts() -> None:
    audio = np.concatenate([np.zeros(8000), 0.3 * np.sin(np.arange(8000) * 0.3)]).astype(np.float32)
    scaled = set_level(audio, 0.08)
    assert np.sqrt(np.mean(scaled[8000:] ** 2)) == pytest.approx(0.08, rel=0.02)
    assert not set_level(np.zeros(10, np.float32), 0.08).any()


def test_tiling_joins_silences_and_drops_what_has_no_length() -> None:
    parts = [("P", 0.1, 0), ("AA", 0.1, 1), ("sil", 0.3, 0), ("sil", 0.4, 0)]
    phones = tile_phones(parts, 0.5)
    assert phones == [Phone("sil", 0.0, 0.1), Phone("AA", 0.1, 0.3, 1), Phone("sil", 0.3, 0.5)]
    assert tile_phones([], 1.0) == [Phone("sil", 0.0, 1.0)]
