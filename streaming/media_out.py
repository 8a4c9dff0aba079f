"""The MP4 writer: H.264 and AAC, streamed, and under its final name only when complete."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from engine.errors import ConfigError, OutputError
from models.spec import IMAGE_SIZE, MEDIA_HZ
from streaming.media_errors import reason

# About 3 ms a frame of 512x512 on one thread. veryfast is smaller at the same setting, but softer (42.5 dB against
# 43.7 on a rendered talk), and not faster.
_X264 = {"preset": "superfast", "crf": "18"}
_AAC_BITS_PER_CHANNEL = 96_000
_BT709 = 1
"""The code of ITU-R BT.709 in each of the three colour fields of H.264 (ITU-T H.273)."""


def check_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """Refuse a target that cannot be written, before any work begins.

    Args:
        path: Where the video shall lie. A link is followed; an existing file will be replaced.
        inputs: Files that are read and must not be overwritten.

    Returns:
        The target's absolute path.

    Raises:
        ConfigError: The name is not that of an MP4 file, or that of an input.
        OutputError: Its folder is missing or the target is something other than a file.
    """
    target = check_target(path, inputs)
    if target.suffix.lower() not in {".mp4", ".m4v"}:
        raise ConfigError(f"The video {path} must be named *.mp4: that is the one format written.")
    return target


def check_target(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """As ``check_output``, for a file of any kind."""
    try:
        target = path.resolve()
        if target.is_dir():
            raise OutputError(f"{path} is a folder: name the file to write in it.")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is not a regular file and will not be overwritten: choose another name.")
        for source in inputs:
            if target.exists() and source.exists() and target.samefile(source):
                raise ConfigError(f"{path} is also an input: choose another name for the output.")
        if not target.parent.is_dir():
            raise OutputError(f"There is no folder {path.parent} to write {path.name} in: make it first.")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {path.parent} cannot be written: choose another one.")
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(f"Cannot write {path}: {reason(error)}.") from error
    return target


def reserve_partial(target: Path) -> Path:
    """Make an empty file beside ``target`` to write into; its name is hidden, random and ends in ``.part``.

    Raises:
        OutputError: The folder cannot be written.
    """
    partial = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        # Not tempfile: the finished file shall have the permissions that the user's umask gives.
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise OutputError(f"Cannot write in {target.parent}: {reason(error)}.") from error
    return partial


class Mp4Writer:
    """Writes one MP4: ``write_*`` in any sensible order, then ``finish``.

    Frame n is shown at n / fps seconds, sample n heard at n / 48000 seconds: AAC's priming is declared in the
    file's edit list. Unless ``finish`` has returned, leaving the ``with`` block removes all that was written.
    """

    def __init__(self, path: Path, *, fps: int, channels: int) -> None:
        """Open the writer.

        Args:
            path: The final name (see ``check_output``).
            fps: Frames per second.
            channels: 1 or 2, of the sound.

        Raises:
            OutputError: The encoders are missing or the folder cannot be written.
        """
        for codec in ("libx264", "aac"):
            if codec not in av.codecs_available:
                raise OutputError(
                    f"This build of PyAV cannot encode with {codec}: install the published wheel "
                    "(pip install --force-reinstall --only-binary=av av)."
                )
        self.path, self._fps, self._channels = path, fps, channels
        self.frames = 0
        self.samples = 0
        self._done = False
        self._partial = reserve_partial(path)
        try:
            self._open()
        except (FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise self._failed(error) from error
        except BaseException:
            self.abort()
            raise

    def _open(self) -> None:
        self._container = av.open(f"file:{self._partial}", mode="w", format="mp4", options={"movflags": "+faststart"})
        self._video = self._container.add_stream("libx264", rate=self._fps, options=dict(_X264))
        context = self._video.codec_context
        context.width = context.height = IMAGE_SIZE
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self._fps)
        # Rendering runs beside the encoder: more threads here would only trade places with it.
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        layout = "mono" if self._channels == 1 else "stereo"
        self._audio = self._container.add_stream("aac", rate=MEDIA_HZ, layout=layout)
        self._audio.codec_context.bit_rate = _AAC_BITS_PER_CHANNEL * self._channels
        self._layout = layout
        self._reformatter = VideoReformatter()

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
            picture: uint8 (512, 512, 3) RGB.

        Raises:
            OutputError: It cannot be written.
        """
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        try:
            frame = self._reformatter.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
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
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
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
