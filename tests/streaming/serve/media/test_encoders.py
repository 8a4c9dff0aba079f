from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from aiortc.codecs import depayload, get_decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from streaming.serve.media.encoders import VideoCodec, VideoEncoder, video_stamp


def moving(count: int) -> Iterator[np.ndarray]:
    yy, xx = np.mgrid[:512, :512]
    for number in range(count):
        face = (np.hypot(xx - 256, yy - 256 - 3 * number) < 120)[..., None] * np.array([200, 150, 120])
        yield (face + (xx // 4)[..., None]).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_pictures_come_back_and_a_whole_one_comes_when_asked(codec: VideoCodec) -> None:
    encoder, described = VideoEncoder(codec, 30, 2_500_000), RTCRtpCodecParameters(f"video/{codec}", 90_000)
    decoder, sizes, shown = get_decoder(described), [], []
    pictures = list(moving(30))
    for number, picture in enumerate(pictures):
        payloads = encoder.encode(picture, 1600 * number, keyframe=number == 20)
        assert payloads and max(map(len, payloads)) <= 1300
        sizes.append(sum(map(len, payloads)))
        data = b"".join(depayload(described, payload) for payload in payloads)
        shown += decoder.decode(JitterFrame(data, video_stamp(1600 * number)))
    assert len(shown) >= 28
    last = shown[-1].to_ndarray(format="rgb24").astype(float)
    index = len(shown) - 1
    assert np.abs(last - pictures[index]).mean() < 6
    assert min(sizes[0], sizes[20]) > 3 * np.median(sizes) and max(sizes[5:20]) < sizes[20]


def test_another_rate_opens_the_codec_anew_and_only_then() -> None:
    encoder = VideoEncoder("VP8", 30, 2_500_000)
    sizes = [
        sum(map(len, encoder.encode(picture, 1600 * number, bits_per_second=2_500_000 if number < 5 else 350_000)))
        for number, picture in enumerate(moving(8))
    ]
    assert max(sizes[1:5]) < sizes[0] and sizes[5] > max(sizes[1:5] + sizes[6:])


def test_pictures_bring_no_threads_of_their_own() -> None:
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        pytest.skip("only Linux lists a process's threads")
    before = len(list(tasks.iterdir()))
    encoder = VideoEncoder("VP8", 30, 2_500_000)
    for number, picture in enumerate(moving(2)):
        encoder.encode(picture, 1600 * number)
    assert len(list(tasks.iterdir())) <= before


def test_stamps_are_exact_for_every_rate() -> None:
    assert all(video_stamp(48_000 // fps * 7) == 90_000 // fps * 7 for fps in (60, 30, 25, 20))
