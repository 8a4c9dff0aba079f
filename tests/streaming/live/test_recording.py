from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import OutputError
from engine.outlet import AudioBlock, VideoFrame
from streaming.live.live_config import OutputConfig
from streaming.live.recorder import Recorder
from streaming.live.recording import Recording


class Kept:
    """A writer that keeps what it is given."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.frames: list[int] = []
        self.sound = np.zeros(0, np.float32)
        self.finished, self.aborted = False, False
        self.fails_at = fails_at

    def write_frame(self, picture: np.ndarray) -> None:
        if len(self.frames) == self.fails_at:
            raise OutputError("The disk is full.")
        self.frames.append(int(picture.flat[0]))

    def write_sound(self, samples: np.ndarray) -> None:
        assert samples.shape[0] == 1
        self.sound = np.concatenate([self.sound, samples[0]])

    def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        self.aborted = True


def frame(number: int, shade: int, fps: int = 30) -> VideoFrame:
    return VideoFrame(number, 48_000 * number // fps, np.full((1, 1, 3), shade, np.uint8), False)


def block(number: int, value: int) -> AudioBlock:
    return AudioBlock(960 * number, np.full(960, value, np.int16))


def record(*items: VideoFrame | AudioBlock, writer: Kept | None = None) -> tuple[Kept, Recording]:
    kept = writer or Kept()
    recording = Recording(Path("talk.mp4"), kept, 30, lambda picture, ticks: picture)
    for item in items:
        recording.put(item)
    recording.finish()
    recording.finish()
    return kept, recording


def test_everything_lies_where_its_media_time_says() -> None:
    # It begins in the middle of a session, at frame 10: media tick 16000.
    kept, recording = record(frame(10, 1), block(16, 99), block(17, 5), frame(11, 2), frame(14, 3), block(20, 7))
    assert kept.frames == [1, 2, 2, 2, 3] and kept.finished and recording.error == ""
    begin = 17 * 960 - 16_000
    assert kept.sound[:begin].tolist() == [99 / 32768] * begin
    assert set(kept.sound[begin : begin + 960]) == {np.float32(5 / 32768)}
    assert not kept.sound[begin + 960 : begin + 4 * 960 - 960].any()
    assert set(kept.sound[begin + 3 * 960 :]) == {np.float32(7 / 32768)}


def test_a_session_that_draws_less_often_still_fills_the_file() -> None:
    kept, _ = record(*(frame(n, n, fps=20) for n in range(6)))
    assert len(kept.frames) == 8 or len(kept.frames) == 9


def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    kept, recording = record(*(frame(n, n) for n in range(9)), writer=Kept(fails_at=3))
    assert recording.error == "The disk is full." and kept.aborted and not kept.finished


def test_nothing_shown_is_no_file() -> None:
    kept, recording = record(block(0, 1))
    assert kept.aborted and "nothing was shown" in recording.error


@pytest.mark.parametrize("kind", ["mp4", "webm", "mov"])
def test_each_format_is_a_file_with_picture_and_sound(tmp_path: Path, kind: str) -> None:
    output = OutputConfig.model_validate({"recordings": tmp_path, "format": kind})
    recorder = Recorder(output, 30, lambda picture, ticks: picture[..., :3])
    recorder.begin()
    picture = np.zeros((512, 512, 4), np.uint8)
    picture[128:384, 128:384] = (200, 60, 30, 255)
    for n in range(12):
        recorder.put(VideoFrame(n, 1600 * n, picture, False))
        recorder.put(AudioBlock(960 * n, np.zeros(960, np.int16)))
    assert recorder.running
    recorder.close()
    (path,) = tmp_path.iterdir()
    assert recorder.view() == {"on": False, "seconds": 0.0, "file": str(path), "dropped": 0, "error": ""}
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == 12
