"""Small compressed files, written for the tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

RATE = 24_000


def write_audio(path: Path, seconds: float, hertz: float, codec: str) -> None:
    """A tone that begins at once; skips the test where the encoder is missing."""
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no {codec} encoder")
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_video(path: Path, pictures: np.ndarray, fps: int = 25) -> None:
    """Pictures uint8 (frames, height, width, 3) as an mp4 without sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
