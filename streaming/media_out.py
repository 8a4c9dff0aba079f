"""The MP4 writer: H.264 and AAC, streamed, and under its final name only when complete."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from engine.errors import ConfigError
from streaming.media_writer import MediaWriter
from streaming.output_files import check_target

# About 3 ms a frame of 512x512 on one thread. veryfast is smaller at the same setting, but softer (42.5 dB against
# 43.7 on a rendered talk), and not faster.
_X264 = {"preset": "superfast", "crf": "18"}
_AAC_BITS_PER_CHANNEL = 96_000
_BT709 = 1
"""The code of ITU-R BT.709 in each of the three colour fields of H.264 (ITU-T H.273)."""


def check_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """As ``check_target``, for a video.

    Raises:
        ConfigError: The name is not that of an MP4 file, or that of an input.
        OutputError: See ``check_target``.
    """
    target = check_target(path, inputs)
    if target.suffix.lower() not in {".mp4", ".m4v"}:
        raise ConfigError(f"The video {path} must be named *.mp4: that is the one format written.")
    return target


class Mp4Writer(MediaWriter):
    """Writes one MP4; AAC's priming is declared in the file's edit list."""

    def __init__(self, path: Path, *, fps: int, channels: int) -> None:
        """Open the writer.

        Args:
            path: The final name (see ``check_output``).
            fps: Frames per second.
            channels: 1 or 2, of the sound.

        Raises:
            OutputError: The encoders are missing or the folder cannot be written.
        """
        self._channels = channels
        layout = "mono" if channels == 1 else "stereo"
        super().__init__(path, fps=fps, layout=layout, container="mp4", video="libx264", audio="aac")

    def _container_options(self) -> dict[str, str]:
        return {"movflags": "+faststart"}

    def _video_options(self) -> dict[str, str]:
        return dict(_X264)

    def _set_up(self, video: Any, audio: Any) -> None:
        video.pix_fmt = "yuv420p"
        video.colorspace = video.color_primaries = video.color_trc = _BT709
        video.color_range = ColorRange.MPEG
        audio.bit_rate = _AAC_BITS_PER_CHANNEL * self._channels

    def _picture(self, picture: NDArray[np.uint8]) -> VideoFrame:
        return self._reformatter.reformat(
            VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def _sound(self, samples: NDArray[np.float32]) -> AudioFrame:
        return AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
