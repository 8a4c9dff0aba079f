import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fakes import click_at

from engine.errors import ConfigError, OutputError
from streaming.media_out import Mp4Writer, check_output


def write(path: Path, fps: int, frames: int, channels: int = 1) -> None:
    """A video whose picture turns white when its sound clicks: half-way."""
    seconds = frames / fps
    sound = np.tile(click_at(seconds / 2, seconds, 48_000), (channels, 1))
    with Mp4Writer(path, fps=fps, channels=channels) as writer:
        for start in range(0, sound.shape[1], 1000):
            writer.write_sound(sound[:, start : start + 1000])
        for index in range(frames):
            writer.write_frame(np.full((512, 512, 3), 255 if 2 * index >= frames else 0, np.uint8))
        writer.finish()


@pytest.mark.parametrize(("fps", "channels"), [(60, 1), (30, 2), (25, 1)])
def test_frames_and_sound_lie_where_they_were_put(tmp_path: Path, fps: int, channels: int) -> None:
    path = tmp_path / "out.mp4"
    write(path, fps, fps, channels)
    assert os.listdir(tmp_path) == ["out.mp4"]
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (512, 512, fps)
        assert (audio.rate, audio.channels) == (48_000, channels)
        assert container.duration == pytest.approx(1_000_000, abs=1)
        pictures = list(container.decode(video))
        assert [picture.pts * picture.time_base for picture in pictures] == [Fraction(n, fps) for n in range(fps)]
        white = next(n for n, picture in enumerate(pictures) if picture.to_ndarray(format="gray").mean() > 128)
        assert white == -(-fps // 2)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        start = float(frames[0].pts * frames[0].time_base)
        assert abs(np.argmax(np.abs(sound) > 0.4) / 48_000 + start - 0.5) < 2e-3


def test_colours_come_back(tmp_path: Path) -> None:
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [224, 172, 105]], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 512, axis=0), 128, axis=1)
    with Mp4Writer(tmp_path / "out.mp4", fps=25, channels=1) as writer:
        writer.write_frame(picture)
        writer.write_sound(np.zeros((1, 1920), np.float32))
        writer.finish()
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        frame = next(container.decode(video=0))
    shown = frame.to_ndarray(format="rgb24")[256, 64::128].astype(int)
    assert np.abs(shown - colours).max() <= 4


def test_the_index_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", 25, 5)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_an_error_leaves_nothing_and_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), Mp4Writer(path, fps=60, channels=1) as writer:
        writer.write_frame(np.zeros((512, 512, 3), np.uint8))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["out.mp4"] and path.read_bytes() == b"old"


def test_a_writer_that_is_never_used_leaves_nothing(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "out.mp4", fps=60, channels=2):
        pass
    assert os.listdir(tmp_path) == []


def test_the_finished_file_has_the_users_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "out.mp4", 25, 1)
    finally:
        os.umask(before)
    assert (tmp_path / "out.mp4").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    child = f"""
import resource, signal
from pathlib import Path
import numpy as np
from engine.errors import OutputError
from streaming.media_out import Mp4Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
try:
    with Mp4Writer(Path({str(tmp_path / "out.mp4")!r}), fps=60, channels=1) as writer:
        for index in range(40):
            writer.write_frame(np.roll(noise, index))
            writer.write_sound(np.zeros((1, 800), np.float32))
        writer.finish()
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Cannot write {tmp_path / 'out.mp4'}: ") and done.stderr == ""
    assert os.listdir(tmp_path) == []


def test_a_target_that_cannot_be_written_is_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (
        tmp_path / "missing" / "out.mp4",
        tmp_path / "file" / "out.mp4",
        tmp_path / "folder.mp4",
        tmp_path / "pipe.mp4",
        tmp_path / ("x" * 5000 + ".mp4"),
    ):
        with pytest.raises(OutputError):
            check_output(path)
    with pytest.raises(ConfigError, match=r"\*\.mp4"):
        check_output(tmp_path / "out.avi")


def test_an_input_is_not_overwritten_under_any_name(tmp_path: Path) -> None:
    speech = tmp_path / "speech.mp4"
    speech.write_bytes(b"sound")
    (tmp_path / "link.mp4").symlink_to(speech)
    for path in (speech, tmp_path / "link.mp4", tmp_path / "." / "speech.mp4"):
        with pytest.raises(ConfigError, match="input"):
            check_output(path, [speech])


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "out.mp4")
    write(check_output(tmp_path / "link.mp4"), 25, 1)
    assert (tmp_path / "link.mp4").is_symlink() and (tmp_path / "real" / "out.mp4").stat().st_size > 0


def test_a_missing_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"aac"})
    with pytest.raises(OutputError, match="libx264"):
        Mp4Writer(tmp_path / "out.mp4", fps=60, channels=1)
    assert os.listdir(tmp_path) == []
