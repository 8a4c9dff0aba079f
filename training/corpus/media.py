"""The one door to PyAV for training data: compressed sound and picture in, an Opus round trip.

Times follow the container's time stamps, so that sound and picture of one file stay together.
"""

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final, cast

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from scipy.signal import resample_poly

from engine.errors import AudioError, InputError, OutputError
from models.spec import SAMPLE_HZ

Audio = NDArray[np.float32]

_OPUS_FRAME: Final = SAMPLE_HZ // 50
_FLAC_FRAME: Final = 4096
_CLIP_HZ: Final = 48_000


def read_audio(path: Path | BinaryIO) -> Audio:
    """The first audio stream of a file as float32 (samples,), 16 kHz mono.

    Raises:
        AudioError: There is no such file, it holds no sound, or it cannot be decoded.
    """
    try:
        with av.open(str(path) if isinstance(path, Path) else path, "r") as container:
            if not container.streams.audio:
                raise AudioError(f"{path} holds no sound; check the file.")
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_HZ)
            chunks = [f.to_ndarray()[0] for frame in container.decode(audio=0) for f in resampler.resample(frame)]
            chunks += [f.to_ndarray()[0] for f in resampler.resample(None)]
    except (FFmpegError, OSError, ValueError) as error:
        raise AudioError(f"Cannot read {path} as sound: {_reason(error)}.") from error
    if not chunks or not sum(map(len, chunks)):
        raise AudioError(f"{path} holds no sound; check the file.")
    return cast(Audio, np.concatenate(chunks).astype(np.float32))


def read_video(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Frames of the first video stream: (time in s from its first frame, uint8 (height, width, 3) RGB).

    Raises:
        InputError: There is no such file, it holds no picture, or it cannot be decoded.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no picture; check the file.")
            first: float | None = None
            for frame in container.decode(video=0):
                time = float(frame.time or 0.0)
                first = time if first is None else first
                yield time - first, frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"Cannot read {path} as video: {_reason(error)}.") from error


def encode_flac(audio: Audio) -> bytes:
    """Sound float32 (samples,) in [-1, 1], 16 kHz mono, as a FLAC file of 16 bits."""
    file = io.BytesIO()
    samples = np.rint(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_HZ)
        stream.format, stream.layout = "s16", "mono"
        for start in range(0, len(samples), _FLAC_FRAME):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + _FLAC_FRAME], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_HZ, start, Fraction(1, SAMPLE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def write_clip(path: Path, pictures: Iterable[NDArray[np.uint8]], audio: Audio, fps: int) -> int:
    """Write a talking clip as MP4 (H.264 and AAC); it appears under its name when it is complete.

    Args:
        path: Where.
        pictures: uint8 (height, width, 3) RGB each, of one even size; picture k is shown at k / ``fps`` s.
        audio: float32 (samples,), 16 kHz mono.
        fps: Pictures a second.

    Returns:
        How many pictures there were.

    Raises:
        OutputError: It cannot be written.
    """
    partial, count = path.with_name(f".{path.name}.part"), 0
    try:
        with av.open(str(partial), "w", format="mp4") as container:
            video = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "17"})
            video.pix_fmt = "yuv420p"
            sound = container.add_stream("aac", rate=_CLIP_HZ, layout="mono")
            for picture in pictures:
                if not count:
                    video.height, video.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = count, Fraction(1, fps)
                container.mux(video.encode(frame))
                count += 1
            container.mux(video.encode(None))
            samples = resample_poly(audio, _CLIP_HZ // SAMPLE_HZ, 1).astype(np.float32)[None]
            heard = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1), format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = _CLIP_HZ, 0, Fraction(1, _CLIP_HZ)
            container.mux(sound.encode(heard))
            container.mux(sound.encode(None))
        partial.replace(path)
    except (FFmpegError, OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"Cannot write {path}: {_reason(error)}.") from error
    return count


def opus_round_trip(audio: Audio, bit_rate: int, application: str = "voip") -> Audio:
    """Encode with Opus (libopus, 20 ms frames) and decode again; the codec's delay is compensated.

    Args:
        audio: float32 (samples,), 16 kHz mono.
        bit_rate: Bits a second, 6000..64000.
        application: ``voip``, ``audio`` or ``lowdelay``.

    Returns:
        float32 of the same length, lag 0 (the decoder removes the encoder's declared pre-skip).
    """
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_HZ, "mono", "s16"
    encoder.bit_rate = bit_rate
    encoder.options = {"application": application, "frame_duration": "20", "compression_level": "3"}
    encoder.open()
    decoder = av.CodecContext.create("opus", "r")
    decoder.extradata = encoder.extradata
    decoder.layout = "mono"
    # Two frames more than the audio push out what the encoder holds back.
    frames = -(-len(audio) // _OPUS_FRAME) + 2
    padded = np.zeros(frames * _OPUS_FRAME, np.int16)
    padded[: len(audio)] = np.rint(np.clip(audio, -1.0, 1.0) * 32767.0)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_HZ)
    decoded: list[NDArray[np.float32]] = []
    for index in range(frames):
        samples = padded[index * _OPUS_FRAME : (index + 1) * _OPUS_FRAME]
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_HZ, index * _OPUS_FRAME, Fraction(1, SAMPLE_HZ)
        for packet in encoder.encode(frame):
            for output in decoder.decode(packet):
                output.pts = None
                decoded += [f.to_ndarray()[0] for f in resampler.resample(output)]
    result = np.concatenate(decoded) if decoded else np.zeros(0, np.float32)
    return np.pad(result, (0, max(0, len(audio) - len(result))))[: len(audio)].astype(np.float32)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".")
