"""What the writers of videos have in common: pictures and sound in any order, and a file only when it is whole."""

import contextlib
import os
from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from engine.errors import OutputError
from models.spec import IMAGE_SIZE, MEDIA_HZ
from streaming.media_errors import reason
from streaming.output_files import reserve_partial


class MediaWriter(ABC):
    """Writes one file: ``write_*`` in any sensible order, then ``finish``.

    Frame n is shown at n / fps seconds, sample n heard at n / 48000 seconds. Unless ``finish`` has returned, leaving
    the ``with`` block removes all that was written.

    Attributes:
        path: The final name.
        frames: Written so far.
        samples: Written so far.
    """

    def __init__(self, path: Path, *, fps: int, layout: str, container: str, video: str, audio: str) -> None:
        """Open the writer.

        Args:
            path: The final name (see ``streaming.output_files.check_target``).
            fps: Frames per second.
            layout: Of the sound, as FFmpeg calls it.
            container: FFmpeg's name of the format.
            video: FFmpeg's name of the pictures' encoder.
            audio: Of the sound's.

        Raises:
            OutputError: The encoders are missing or the folder cannot be written.
        """
        for codec in (video, audio):
            if codec not in av.codecs_available:
                raise OutputError(
                    f"This build of PyAV cannot encode with {codec}: install the published wheel "
                    "(pip install --force-reinstall --only-binary=av av)."
                )
        self.path, self._fps, self._layout = path, fps, layout
        self.frames, self.samples = 0, 0
        self._reformatter = VideoReformatter()
        self._done = False
        self._partial = reserve_partial(path)
        try:
            self._container = av.open(
                f"file:{self._partial}", mode="w", format=container, options=self._container_options()
            )
            # By names that are known when it runs, PyAV's types cannot tell what kind of stream it is.
            self._video: Any = self._container.add_stream(video, rate=fps, options=self._video_options())
            context: Any = self._video.codec_context
            context.width = context.height = IMAGE_SIZE
            context.time_base = Fraction(1, fps)
            # Rendering runs beside the encoder: more threads here would only trade places with it.
            context.thread_count = 1
            self._audio: Any = self._container.add_stream(audio, rate=MEDIA_HZ, layout=layout)
            self._set_up(context, self._audio.codec_context)
        except (FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise self._failed(error) from error
        except BaseException:
            self.abort()
            raise

    def _container_options(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def _video_options(self) -> dict[str, str]:
        """Of the pictures' encoder."""

    @abstractmethod
    def _set_up(self, video: Any, audio: Any) -> None:
        """Set the encoders' contexts, before anything is written."""

    @abstractmethod
    def _picture(self, picture: NDArray[np.uint8]) -> VideoFrame:
        """A picture in the encoder's own format."""

    @abstractmethod
    def _sound(self, samples: NDArray[np.float32]) -> AudioFrame:
        """Samples in the encoder's own format."""

    def __enter__(self) -> Self:
        """The open writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was written, unless it is finished."""
        self.abort()

    def write_frame(self, picture: NDArray[np.uint8]) -> None:
        """Show ``picture`` next.

        Args:
            picture: uint8 (512, 512, 3) RGB, or (512, 512, 4) RGBA with straight alpha where the format has alpha.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            frame = self._picture(np.ascontiguousarray(picture))
            frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
            self._container.mux(self._video.encode(frame))
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self.frames += 1

    def write_sound(self, samples: NDArray[np.float32]) -> None:
        """Play ``samples`` next.

        Args:
            samples: float32 (channels, n) at 48 kHz; n may be 0.

        Raises:
            OutputError: It cannot be written.
        """
        if samples.shape[1] == 0:
            return
        frame = self._sound(samples)
        frame.sample_rate = MEDIA_HZ
        frame.pts, frame.time_base = self.samples, Fraction(1, MEDIA_HZ)
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
            # Closing a container that failed reports the failure again, or that it was never opened.
            with contextlib.suppress(FFmpegError, OSError, ValueError, AttributeError):
                self._container.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: BaseException) -> OutputError:
        return OutputError(f"Cannot write {self.path}: {reason(error)}.")
