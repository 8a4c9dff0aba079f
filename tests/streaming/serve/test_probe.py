import numpy as np
import pytest

from engine.outlet import AudioBlock, VideoFrame
from streaming.serve.media.encoders import VideoEncoder, video_stamp
from streaming.serve.probe import NONE, Onsets, Probe, mark, read_marks

GREY = np.full((512, 512, 3), 128, np.uint8)


@pytest.mark.parametrize("ms", [0, 1, 1234, 65_535, 65_536 + 77])
def test_codes_are_read_back(ms: int) -> None:
    assert read_marks(mark(VideoFrame(0, 48 * ms, GREY, False), onset=ms // 2 % 65_536)) == (
        ms % 65_536,
        ms // 2 % 65_536,
    )
    assert (GREY == 128).all()


def test_codes_survive_vp8_at_its_lowest_rate() -> None:
    from aiortc.codecs import depayload, get_decoder
    from aiortc.jitterbuffer import JitterFrame
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters

    described = RTCRtpCodecParameters("video/VP8", 90_000)
    encoder, decoder = VideoEncoder("VP8", 30, 350_000), get_decoder(described)
    noise = np.random.default_rng(1).integers(0, 255, (512, 512, 3), np.uint8)
    for number in range(20):
        ticks = 1600 * number + 48 * 30_000
        payloads = encoder.encode(mark(VideoFrame(number, ticks, np.roll(noise, number, 0), False), 777), ticks)
        data = b"".join(depayload(described, payload) for payload in payloads)
        for shown in decoder.decode(JitterFrame(data, video_stamp(ticks))):
            assert read_marks(shown.to_ndarray(format="rgb24")) == (ticks // 48 % 65_536, 777)


def test_a_damaged_code_is_not_read() -> None:
    picture = mark(VideoFrame(0, 48, GREY, False))
    picture[0:16, 64:96] = 255 - picture[0:16, 64:96]
    assert read_marks(picture) == (None, NONE)


def test_an_onset_is_the_first_loud_sample_after_a_pause() -> None:
    onsets, loud = Onsets(), np.zeros(960, np.int16)
    loud[100:] = 8000
    for number in range(100):
        beeps = number in (20, 21, 40)
        onsets.hear(AudioBlock(960 * number, loud if beeps else np.full(960, 1000, np.int16)))
        if number == 30:
            assert onsets.last(960 * 31) == 960 * 20 + 100
    assert onsets.last(960 * 100) == 960 * 40 + 100
    assert onsets.last(960 * 40) == 960 * 20 + 100, "a frame knows no onset that is later than itself"
    assert onsets.last(960 * 20) is None


def test_a_session_is_marked_frame_by_frame() -> None:
    probe = Probe()
    first = probe(VideoFrame(0, 0, GREY, False))
    block = AudioBlock(960, np.full(960, -9000, np.int16))
    assert probe(block) is block
    second = probe(VideoFrame(1, 1600, GREY, False))
    assert isinstance(first, VideoFrame) and read_marks(first.picture) == (0, NONE)
    assert isinstance(second, VideoFrame) and read_marks(second.picture) == (33, 20)
