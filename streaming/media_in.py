"""Sound from any audio or video file, as a stream of bounded memory.

One pass over the file yields two renditions of the same stretch of sound side by side: the speech that the
engine listens to (mono, 16 kHz) and the sound that the viewer will hear (mono or stereo, 48 kHz). Time zero
of both is the first sample of the file's best sound track.

With PyAV's own logging left as it is (off), FFmpeg writes nothing to the terminal.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from numpy.typing import NDArray

from engine.errors import AudioError
from models.spec import MEDIA_HZ, SAMPLE_HZ
from streaming.media_errors import reason

MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 1_536_000
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0}
# How much of a channel is heard on the left; the right is its mirror image. The usual fold-down: centre and
# surround channels at -3 dB, no subwoofer. A channel of unknown place is heard on both sides.
_LEFT = {
    "FL": 1.0,
    "FR": 0.0,
    "FC": 0.7071,
    "LFE": 0.0,
    "BL": 0.7071,
    "BR": 0.0,
    "SL": 0.7071,
    "SR": 0.0,
    "FLC": 0.7071,
    "FRC": 0.0,
    "BC": 0.5,
}
_LAYOUTS = {1: "mono", 2: "stereo"}
_MIRROR = {"FL": "FR", "FR": "FL", "BL": "BR", "BR": "BL", "SL": "SR", "SR": "SL", "FLC": "FRC", "FRC": "FLC"}


@dataclass(frozen=True)
class SoundBlock:
    """The same stretch of sound twice.

    Attributes:
        speech: float32 (n,), mono at 16 kHz in [-1, 1], for the engine.
        sound: float32 (channels, m), one or two channels at 48 kHz in [-1, 1], for the viewer.
    """

    speech: NDArray[np.float32]
    sound: NDArray[np.float32]


class SpeechFile:
    """An open sound or video file, read once from start to end.

    Opening decodes the first piece of sound, so a file that cannot be used is refused before any work begins.

    Attributes:
        channels: 1 or 2, the channels of the blocks' ``sound``.
        declared_seconds: The length that the file claims, or None; what it holds may differ.
        warnings: Sentences for the user about what was wrong with the file, complete after the last block.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            AudioError: It is missing, a folder, empty, no sound or video file, without sound, undecodable.
        """
        _refuse_obvious(path)
        self.path = path
        self.warnings: list[str] = []
        try:
            # "file:" keeps a name with a colon from being read as an address, the whitelist keeps a playlist
            # from opening the network, and tags in an unknown alphabet must not stop the sound.
            self._container = av.open(
                f"file:{path.absolute()}",
                mode="r",
                container_options={"protocol_whitelist": "file"},
                metadata_errors="replace",
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise AudioError(f"{path} cannot be read as a sound or video file: {reason(error)}.") from error
        try:
            self._open_track()
        except BaseException:
            self._container.close()
            raise

    def _open_track(self) -> None:
        stream = self._container.streams.best("audio")
        if stream is None:
            raise AudioError(f"{self.path} has no sound: give a recording of speech.")
        if stream.codec_context is None:
            raise AudioError(f"{self.path}: its kind of sound cannot be decoded; convert it to WAV first.")
        self._stream: Any = stream
        self.declared_seconds = self._declared()
        self._damaged_packets = 0
        self._ended_early = False
        self._frames = self._decode()
        try:
            self._first = next(self._frames, None)
        except (FFmpegError, OSError, ValueError, KeyError) as error:
            raise AudioError(f"{self.path} cannot be decoded: {reason(error)}.") from error
        if self._first is None:
            what = "cannot be decoded: its sound is damaged" if self._damaged_packets else "holds no sound at all"
            raise AudioError(f"{self.path} {what}; give another file.")
        self.channels = min(2, self._first.layout.nb_channels)

    def __enter__(self) -> Self:
        """The open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is legal."""
        self._container.close()

    def blocks(self) -> Iterator[SoundBlock]:
        """The file's sound in order, once.

        Yields:
            Blocks of up to a second; either rendition of a block may be empty while the resampler fills. In
            all, each rendition has exactly ``ceil(seconds * rate)`` samples.

        Raises:
            AudioError: The sound changes into something that cannot be decoded.
        """
        speech, sound = _Resampler(SAMPLE_HZ, 1), _Resampler(MEDIA_HZ, self.channels)
        frame, seconds = self._first, Fraction(0)
        try:
            while frame is not None:
                following = next(self._frames, None)
                rate, folded = frame.sample_rate, _fold(frame)
                if following is None:
                    folded = self._without_padding(folded, rate, seconds)
                seconds += Fraction(folded.shape[1], rate)
                mono = folded.mean(axis=0, keepdims=True)
                # A file may change its channels half-way; the viewer's rendition keeps those it began with.
                heard = mono if self.channels == 1 else np.broadcast_to(folded, (2, folded.shape[1]))
                for start in range(0, folded.shape[1], rate):
                    part = slice(start, start + rate)
                    yield SoundBlock(speech.push(mono[:, part], rate)[0], sound.push(heard[:, part], rate))
                frame = following
        except (FFmpegError, OSError, ValueError, KeyError) as error:
            raise AudioError(f"{self.path} cannot be decoded: {reason(error)}.") from error
        yield SoundBlock(speech.finish()[0], sound.finish())
        self._note_damage(float(seconds))

    def _decode(self) -> Iterator[AudioFrame]:
        """Frames that hold samples; damaged packets are counted and skipped, a torn end ends the stream."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError):
                self._ended_early = True
                packet = None
            frames: list[AudioFrame] = []
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.error.EOFError:
                return
            except av.error.InvalidDataError:
                self._damaged_packets += 1
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    self._check(frame)
                    yield frame
            if packet is None or packet.size == 0:
                return

    def _check(self, frame: AudioFrame) -> None:
        if not MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ:
            raise AudioError(
                f"{self.path} has a sample rate of {frame.sample_rate} Hz: convert it to 16000 Hz or more."
            )

    def _without_padding(self, last: NDArray[np.float32], rate_hz: int, before: Fraction) -> NDArray[np.float32]:
        """The last piece without what fills up AAC's last packet.

        MP4 says where the sound ends, and its decoder does not cut there.
        """
        if "mp4" not in self._container.format.name or self.declared_seconds is None:
            return last
        kept = round((self.declared_seconds - float(before)) * rate_hz)
        return last[:, :kept] if 0 < kept < last.shape[1] else last

    def _declared(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else self._container.duration / av.time_base

    def _note_damage(self, heard_seconds: float) -> None:
        declared = self.declared_seconds
        if self._damaged_packets:
            self.warnings.append(f"{self._damaged_packets} damaged pieces of the sound were left out.")
        if self._ended_early or (declared is not None and heard_seconds < 0.9 * declared - 0.1):
            claim = "" if declared is None else f" of the {declared:.2f} s that it claims"
            self.warnings.append(f"The file breaks off: {heard_seconds:.2f} s{claim} could be decoded.")


class _Resampler:
    """Streaming sample-rate conversion of exactly known length.

    libswresample holds back half a filter's length and, for inputs shorter than its filter, everything. So
    silence is fed behind the end and the output cut to ``ceil(samples * rate_out / rate_in)``: every sample
    is heard, where it was.
    """

    def __init__(self, rate_out_hz: int, channels: int) -> None:
        self._rate_out, self._channels = rate_out_hz, channels
        self._rate_in = 0
        self._owed, self._given = Fraction(0), 0
        self._swr: AudioResampler | None = None

    def push(self, samples: NDArray[np.float32], rate_in_hz: int) -> NDArray[np.float32]:
        """Convert float32 (channels, n) at ``rate_in_hz``, which may differ from call to call."""
        before = np.zeros((self._channels, 0), np.float32)
        if rate_in_hz != self._rate_in:
            before = self.finish()
            self._rate_in = rate_in_hz
            if rate_in_hz != self._rate_out:
                self._swr = AudioResampler(format="fltp", layout=_LAYOUTS[self._channels], rate=self._rate_out)
        self._owed += Fraction(samples.shape[1] * self._rate_out, rate_in_hz)
        return np.concatenate([before, self._count(self._convert(samples))], axis=1)

    def finish(self) -> NDArray[np.float32]:
        """What is still owed."""
        tail = np.zeros((self._channels, 0), np.float32)
        if self._swr is not None:
            silence = np.zeros((self._channels, self._rate_in // 8 + 64), np.float32)
            tail = np.concatenate([self._convert(silence), self._received(None)], axis=1)
            self._swr = None
        missing = max(0, math.ceil(self._owed) - self._given)
        tail = tail[:, :missing]
        return self._count(np.pad(tail, ((0, 0), (0, missing - tail.shape[1]))))

    def _convert(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._swr is None:
            return samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=_LAYOUTS[self._channels])
        frame.sample_rate = self._rate_in
        return self._received(frame)

    def _received(self, frame: AudioFrame | None) -> NDArray[np.float32]:
        assert self._swr is not None
        parts = [part.to_ndarray().astype(np.float32, copy=False) for part in self._swr.resample(frame)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self._channels, 0), np.float32)

    def _count(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._given += samples.shape[1]
        return np.clip(samples, -1.0, 1.0)


def _fold(frame: AudioFrame) -> NDArray[np.float32]:
    """A decoded frame as float32 (1 or 2, n) in [-1, 1]; what is not a number becomes silence."""
    raw = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        raw = raw.reshape(-1, channels).T
    samples = raw.astype(np.float32)
    scale = _FULL_SCALE.get(frame.format.name.removesuffix("p"))
    if scale is not None:
        samples /= np.float32(scale)
        if raw.dtype == np.uint8:
            samples -= 1.0
    samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    if channels <= 2:
        return samples
    names = [channel.name for channel in frame.layout.channels]
    left = np.array([_LEFT.get(name, 0.5) for name in names], np.float32)
    right = np.array([_LEFT.get(_MIRROR.get(name, name), 0.5) for name in names], np.float32)
    weights = np.stack([left / max(left.sum(), 1e-6), right / max(right.sum(), 1e-6)])
    return (weights @ samples).astype(np.float32, copy=False)


def _refuse_obvious(path: Path) -> None:
    try:
        if not path.exists():
            raise AudioError(f"There is no file {path}: check the name of the speech file.")
        if path.is_dir():
            raise AudioError(f"{path} is a folder: name one sound or video file in it.")
        if path.is_file() and path.stat().st_size == 0:
            raise AudioError(f"{path} is an empty file: give a recording of speech.")
    except (OSError, ValueError) as error:
        raise AudioError(f"The speech file {path} cannot be read: {reason(error)}.") from error
