"""Videos with a transparent background: WebM (VP8 with alpha, Opus) and MOV (QuickTime Animation, lossless; PCM)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from engine.errors import ConfigError
from streaming.media_writer import MediaWriter
from streaming.output_files import check_target


@dataclass(frozen=True)
class _Format:
    container: str
    video: str
    pixels: str
    options: dict[str, str]
    audio: str


_FORMATS: Final = {
    # VP8 rather than VP9: both carry alpha in WebM, and VP9 takes five times as long beside a live session.
    ".webm": _Format(
        "webm",
        "libvpx",
        "yuva420p",
        {"deadline": "realtime", "cpu-used": "-6", "crf": "10", "auto-alt-ref": "0"},
        "libopus",
    ),
    # QuickTime Animation rather than ProRes 4444, which takes 60 ms a picture: a live session has no such time.
    ".mov": _Format("mov", "qtrle", "argb", {}, "pcm_s16le"),
}
_VIDEO_BPS: Final = 6_000_000


def check_alpha_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """As ``streaming.media_out.check_output``, for ``*.webm`` and ``*.mov``."""
    target = check_target(path, inputs)
    if target.suffix.lower() not in _FORMATS:
        raise ConfigError(f"A video with a transparent background must be named *.webm or *.mov, not {path.name}.")
    return target


class AlphaWriter(MediaWriter):
    """Writes one such file, with mono sound; its pictures are uint8 (512, 512, 4) RGBA, straight alpha."""

    def __init__(self, path: Path, *, fps: int) -> None:
        """Open the writer.

        Args:
            path: The final name, ``*.webm`` or ``*.mov``.
            fps: Frames per second.

        Raises:
            OutputError: The encoders are missing or the folder cannot be written.
        """
        self._format = chosen = _FORMATS[path.suffix.lower()]
        super().__init__(
            path, fps=fps, layout="mono", container=chosen.container, video=chosen.video, audio=chosen.audio
        )

    def _video_options(self) -> dict[str, str]:
        return dict(self._format.options)

    def _set_up(self, video: Any, audio: Any) -> None:
        video.pix_fmt, video.bit_rate = self._format.pixels, _VIDEO_BPS

    def _picture(self, picture: NDArray[np.uint8]) -> VideoFrame:
        frame = VideoFrame.from_ndarray(picture, format="rgba")
        return self._reformatter.reformat(frame, format=self._format.pixels, threads=1)

    def _sound(self, samples: NDArray[np.float32]) -> AudioFrame:
        whole = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
        return AudioFrame.from_ndarray(whole, format="s16", layout=self._layout)
