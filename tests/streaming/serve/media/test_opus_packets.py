import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AudioError
from streaming.serve.media.encoders import VoiceEncoder
from streaming.serve.media.opus_packets import MAX_PACKET_TICKS, OpusDecoder, packet_ticks

TONE = (8000 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)).astype(np.int16)


def coded(blocks: int) -> list[bytes]:
    encoder = VoiceEncoder()
    return [
        payload
        for block in range(blocks)
        for payload in encoder.encode(TONE[960 * (block % 50) :][:960], 960 * block)[0]
    ]


def test_what_we_send_lasts_20_ms_and_comes_back() -> None:
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in coded(25)])
    assert {packet_ticks(packet) for packet in coded(25)} == {960} and len(heard) == 25 * 960
    spectrum = np.abs(np.fft.rfft(heard[9600:19200].astype(float)))
    assert np.argmax(spectrum) == 300 * 9600 // 48_000 and np.abs(heard[9600:]).max() == pytest.approx(8000, rel=0.15)


def test_the_time_stamps_tell_what_the_codec_hears_ahead() -> None:
    """The decoder plays 312 samples (6.5 ms) of warm-up first: the first payload begins before the first sample."""
    _, stamp = VoiceEncoder().encode(TONE[:960], 48_000)
    assert stamp == 48_000 - 312


def test_a_lost_packet_is_made_up_for_and_long_loss_fades() -> None:
    decoder = OpusDecoder()
    for packet in coded(25):
        decoder.decode(packet)
    levels = [np.abs(decoder.conceal(960).astype(float)).max() for _ in range(20)]
    assert levels[0] > 2000 and levels[10:] == [0.0] * 10
    assert abs(int(decoder.decode(coded(1)[0])[0])) < 200


def test_a_copy_in_the_follower_is_used() -> None:
    """Where the follower has a copy, what is made of it is nearer to what was lost than concealment is."""
    rng = np.random.default_rng(5)
    # Vowels of changing pitch: concealment, which goes on as it was, is wrong about them.
    pitch = np.repeat(rng.uniform(100, 400, 75), 960)
    voice = np.zeros(len(pitch))
    for harmonic in range(1, 9):
        voice += np.sin(2 * np.pi * harmonic * np.cumsum(pitch) / 48_000) / harmonic
    encoder = VoiceEncoder()
    blocks = (4000 * voice).astype(np.int16).reshape(-1, 960)
    packets = [encoder.encode(block, 960 * number)[0][0] for number, block in enumerate(blocks)]
    carrying = [number for number in range(20, 74) if OpusDecoder().carries_copy(packets[number + 1])]
    assert len(carrying) > 10
    better = 0
    for lost in carrying:
        copied, made_up, whole = OpusDecoder(), OpusDecoder(), OpusDecoder()
        for decoder in (copied, made_up, whole):
            for packet in packets[:lost]:
                decoder.decode(packet)
        truth = whole.decode(packets[lost]).astype(float)
        with_copy = np.abs(copied.conceal(960, packets[lost + 1]) - truth).mean()
        better += with_copy < np.abs(made_up.conceal(960) - truth).mean()
    assert better > 0.7 * len(carrying)


@pytest.mark.parametrize("ticks", [1, 119, 480, 960, 1000, MAX_PACKET_TICKS])
def test_any_length_is_concealed(ticks: int) -> None:
    assert len(OpusDecoder().conceal(ticks)) == ticks


def test_closing_twice_is_legal_and_ends_it() -> None:
    decoder = OpusDecoder()
    decoder.close()
    decoder.close()
    with pytest.raises(AudioError, match="closed"):
        decoder.conceal(960)


@given(st.binary(max_size=200))
def test_what_is_no_opus_is_refused_and_the_decoder_goes_on(data: bytes) -> None:
    decoder = OpusDecoder()
    try:
        assert 0 < packet_ticks(data) <= MAX_PACKET_TICKS
        decoder.decode(data)
    except AudioError as error:
        assert str(error).endswith((".", ")."))
    assert len(decoder.decode(coded(1)[0])) == 960
    decoder.close()
