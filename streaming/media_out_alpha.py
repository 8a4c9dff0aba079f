"""Videos with a transparent background: WebM (VP8 with alpha, Opus) and MOV (QuickTime Animation, lossless; PCM)."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from engine.errors import ConfigError, OutputError
from models.spec import IMAGE_SIZE, MEDIA_HZ
from streaming.media_errors import reason
from streaming.media_out import check_target, reserve_partial


@dataclass(frozen=True)
class _Format:
    container: str
    video: str
    pixels: str
    options: dict[str, str]
    audio: str
    sound: str
    """FFmpeg's name of the samples' type."""


_FORMATS: Final = {
    # VP8 rather than VP9: both carry alpha in WebM, and VP9 takes five times as long beside a live session.
    ".webm": _Format(
        "webm",
        "libvpx",
        "yuva420p",
        {"deadline": "realtime", "cpu-used": "-6", "crf": "10", "auto-alt-ref": "0"},
        "libopus",
        "s16",
    ),
    # QuickTime Animation rather than ProRes 4444, which takes 60 ms a picture: a live session has no such time.
    ".mov": _Format("mov", "qtrle", "argb", {}, "pcm_s16le", "s16"),
}
_VIDEO_BPS: Final = 6_000_000


def check_alpha_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """As ``streaming.media_out.check_output``, for ``*.webm`` and ``*.mov``."""
    target = check_target(path, inputs)
    if target.suffix.lower() not in _FORMATS:
        raise ConfigError(f"A video with a transparent background must be named *.webm or *.mov, not {path.name}.")
    return target


class AlphaWriter:
    """Writes one such file: ``write_*`` in any sensible order, then ``finish``; frame n is shown at n / fps seconds."""

    def __init__(self, path: Path, *, fps: int) -> None:
        """Open the writer, for mono sound at 48 kHz.

        Args:
            path: The final name, ``*.webm`` or ``*.mov``.
            fps: Frames per second.

        Raises:
            OutputError: The encoders are missing or the folder cannot be written.
        """
        self.path, self._fps = path, fps
        self._format = _FORMATS[path.suffix.lower()]
        for codec in (self._format.video, self._format.audio):
            if codec not in av.codecs_available:
                raise OutputError(
                    f"This build of PyAV cannot encode with {codec}: install the published wheel "
                    "(pip install --force-reinstall --only-binary=av av)."
                )
        self.frames, self.samples, self._done = 0, 0, False
        self._partial = reserve_partial(path)
        try:
            self._open()
        except (FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise self._failed(error) from error

    def _open(self) -> None:
        chosen = self._format
        self._container = av.open(f"file:{self._partial}", mode="w", format=chosen.container)
        video: Any = self._container.add_stream(chosen.video, rate=self._fps, options=dict(chosen.options))
        context = video.codec_context
        context.width = context.height = IMAGE_SIZE
        context.pix_fmt, context.bit_rate = chosen.pixels, _VIDEO_BPS
        context.time_base, context.thread_count = Fraction(1, self._fps), 1
        audio: Any = self._container.add_stream(chosen.audio, rate=MEDIA_HZ, layout="mono")
        self._video, self._audio = video, audio

    def write_frame(self, picture: NDArray[np.uint8]) -> None:
        """Show ``picture`` next.

        Args:
            picture: uint8 (512, 512, 4) RGBA, straight alpha.

        Raises:
            OutputError: It cannot be written.
        """
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgba")
        try:
            frame = frame.reformat(format=self._format.pixels)
            frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
            self._container.mux(self._video.encode(frame))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self.frames += 1

    def write_sound(self, samples: NDArray[np.float32]) -> None:
        """Play ``samples`` next.

        Args:
            samples: float32 (1, n) at 48 kHz.

        Raises:
            OutputError: It cannot be written.
        """
        if samples.shape[1] == 0:
            return
        whole = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(whole, format=self._format.sound, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = MEDIA_HZ, self.samples, Fraction(1, MEDIA_HZ)
        try:
            self._container.mux(self._audio.encode(frame))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self.samples += samples.shape[1]

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            self._container.mux(self._video.encode(None))
            self._container.mux(self._audio.encode(None))
            self._container.close()
            os.replace(self._partial, self.path)
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._done = True

    def abort(self) -> None:
        """Remove what was written; does nothing after ``finish`` or when called again."""
        if self._done:
            return
        self._done = True
        try:
            with contextlib.suppress(FFmpegError, OSError, ValueError, AttributeError):
                self._container.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: BaseException) -> OutputError:
        return OutputError(f"Cannot write {self.path}: {reason(error)}.")
