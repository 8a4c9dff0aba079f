import numpy as np
import pytest

from models.spec import INNER_LIPS, MOTION_HZ, SAMPLE_HZ
from training.corpus.articulation import close_lips, displace, lip_opening, perform
from training.corpus.face_basis import load_face_basis
from training.corpus.phones import PHONES
from training.corpus.speaker import Speaker
from training.corpus.utterance import Phone

BASIS = load_face_basis()


def speak(*symbols, each=0.12, speaker=None):
    phones = [Phone(s, i * each, (i + 1) * each, int(PHONES[s].manner == "vowel")) for i, s in enumerate(symbols)]
    samples = round(len(symbols) * each * SAMPLE_HZ)
    audio = 0.1 * np.sin(2 * np.pi * 150 * np.arange(samples) / SAMPLE_HZ).astype(np.float32)
    performance = perform(phones, audio, speaker or Speaker(), np.random.default_rng(0))
    return phones, performance


def opening_during(phone, performance):
    first, last = round(phone.start_s * MOTION_HZ), round(phone.end_s * MOTION_HZ)
    d = performance.displacement
    gap = (d[:, (67, 66, 65), 1] - d[:, (61, 62, 63), 1]).mean(axis=1)
    return gap[first : last + 1]


@pytest.mark.parametrize("consonant", ["P", "B", "M"])
@pytest.mark.parametrize("each", [0.045, 0.12])
def test_lips_meet_on_every_bilabial_however_fast(consonant, each):
    for seed in range(5):
        speaker = Speaker.draw(np.random.default_rng(seed))
        phones, performance = speak("sil", "AA", consonant, "AA", "sil", each=each, speaker=speaker)
        assert opening_during(phones[2], performance).min() < 0.003
        assert opening_during(phones[1], performance).max() > 0.03


@pytest.mark.parametrize("consonant", ["F", "V"])
def test_lower_lip_reaches_the_teeth_on_labiodentals(consonant):
    phones, performance = speak("sil", "AA", consonant, "AA", "sil")
    assert opening_during(phones[2], performance).min() < 0.25 * opening_during(phones[1], performance).max()


def test_open_vowels_open_wider_than_close_ones():
    size = {}
    for vowel in ("AA", "EH", "UW"):
        phones, performance = speak("sil", "K", vowel, "K", "sil")
        size[vowel] = opening_during(phones[2], performance).max()
    assert size["AA"] > 1.15 * size["EH"] > 1.3 * size["UW"]


def test_rounding_narrows_the_mouth_and_protrudes_without_opening_it():
    _, rounded = speak("sil", "UW", "UW", "UW", "sil")
    _, spread = speak("sil", "IY", "IY", "IY", "sil")
    width = lambda p: p.displacement[:, 54, 0] - p.displacement[:, 48, 0]  # noqa: E731
    assert width(rounded).min() < -0.05 < 0.02 < width(spread).max()


def test_silence_closes_the_mouth_and_keeps_it_closed():
    phones, performance = speak("AA", "sil", "sil", "sil", "sil", each=0.3)
    still = opening_during(phones[3], performance)
    assert np.abs(still).max() < 0.003


def test_lips_never_cross():
    rng = np.random.default_rng(1)
    points = BASIS.neutral + rng.normal(0, 0.05, (50, 68, 3)).astype(np.float32)
    closed = close_lips(points, rng.uniform(0, 1, 50).astype(np.float32))
    assert (closed[:, (67, 66, 65), 1] - closed[:, (61, 62, 63), 1]).min() >= -1e-6
    untouched = [i for i in range(60) if i not in (50, 51, 52, 56, 57, 58)]
    np.testing.assert_array_equal(closed[:, untouched], points[:, untouched])


def test_louder_vowels_open_wider():
    each, symbols = 0.2, ("sil", "AA", "K", "AA", "sil")
    phones = [Phone(s, i * each, (i + 1) * each, int(s == "AA")) for i, s in enumerate(symbols)]
    t = np.arange(round(1.0 * SAMPLE_HZ)) / SAMPLE_HZ
    loudness = np.where(t < 0.5, 0.03, 0.3)
    audio = (loudness * np.sin(2 * np.pi * 150 * t)).astype(np.float32)
    performance = perform(phones, audio, Speaker(), np.random.default_rng(0))
    assert opening_during(phones[3], performance).max() > 1.1 * opening_during(phones[1], performance).max()


def test_frame_count_and_smoothness_of_the_head():
    _, performance = speak(*["AA", "T"] * 40, each=0.1)
    assert performance.displacement.shape == (480, 68, 3) and performance.pose.shape == (480, 6)
    assert np.abs(np.diff(performance.pose, axis=0)).max() < 0.03
    assert 0.002 < performance.pose[:, :3].std() < 0.2
    # Streams join utterances: none begins or ends away from the centre.
    assert np.abs(performance.pose[[0, -1]]).max() < 0.005


def test_speakers_differ_and_same_seed_repeats():
    a = speak("M", "AA", "IY", speaker=Speaker.draw(np.random.default_rng(1)))[1].displacement
    b = speak("M", "AA", "IY", speaker=Speaker.draw(np.random.default_rng(2)))[1].displacement
    c = speak("M", "AA", "IY", speaker=Speaker.draw(np.random.default_rng(1)))[1].displacement
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_array_equal(a, c)


def test_every_phone_of_the_inventory_can_be_performed():
    for symbol in PHONES:
        _, performance = speak("sil", symbol, "sil")
        assert np.isfinite(performance.displacement).all()


def test_lip_opening_is_the_mean_inner_gap():
    points = np.zeros((1, 68, 3))
    points[0, (67, 66, 65), 1] = (1, 2, 3)
    assert lip_opening(points)[0] == pytest.approx(2)
    assert INNER_LIPS == slice(60, 68)


def test_controls_at_rest_do_not_move_the_face():
    zero = np.zeros(3)
    names = ("jaw", "part", "wide", "round", "protrude", "close", "labiodental", "brow", "frown", "nose")
    rest = displace({name: zero for name in names}, Speaker(), BASIS)
    assert np.abs(rest).max() < 0.012
