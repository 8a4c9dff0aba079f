from pathlib import Path

import numpy as np
import pytest

from engine.errors import AudioError, InputError
from models.spec import SAMPLE_HZ
from tests.training.corpus.clips import write_audio, write_video
from tests.training.corpus.test_channel import lag, speech_like
from training.corpus.media import opus_round_trip, read_audio, read_video


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac")])
def test_audio_is_16_khz_mono_of_its_length_and_pitch(tmp_path: Path, name: str, codec: str) -> None:
    write_audio(tmp_path / name, 1.0, 440.0, codec)
    audio = read_audio(tmp_path / name)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert len(audio) == pytest.approx(SAMPLE_HZ, rel=0.08)
    spectrum = np.abs(np.fft.rfft(audio[4000:12000]))
    assert np.argmax(spectrum) * SAMPLE_HZ / 8000 == pytest.approx(440.0, abs=4.0)


def test_video_frames_come_with_their_times(tmp_path: Path) -> None:
    pictures = np.zeros((5, 48, 64, 3), np.uint8)
    pictures[:] = np.linspace(20, 220, 5).astype(np.uint8)[:, None, None, None]
    write_video(tmp_path / "v.mp4", pictures)
    frames = list(read_video(tmp_path / "v.mp4"))
    assert [time for time, _ in frames] == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])
    assert all(picture.shape == (48, 64, 3) and picture.dtype == np.uint8 for _, picture in frames)
    assert [float(picture.mean()) for _, picture in frames] == pytest.approx([20, 70, 120, 170, 220], abs=4)


def test_what_is_no_media_is_refused_in_one_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp3"
    text.write_text("not sound")
    for path in (text, tmp_path / "missing.mp3"):
        with pytest.raises(AudioError, match=r"Cannot read .* as sound"):
            read_audio(path)
        with pytest.raises(InputError, match=r"Cannot read .* as video"):
            list(read_video(path))
    write_video(tmp_path / "silent.mp4", np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(AudioError, match="holds no sound"):
        read_audio(tmp_path / "silent.mp4")
    write_audio(tmp_path / "dark.m4a", 0.2, 300.0, "aac")
    with pytest.raises(InputError, match="holds no picture"):
        list(read_video(tmp_path / "dark.m4a"))


@pytest.mark.parametrize("application", ["voip", "audio", "lowdelay"])
def test_opus_keeps_length_and_time(application: str) -> None:
    audio = speech_like(2.0)[:31_234]
    heard = opus_round_trip(audio, 24_000, application)
    assert heard.shape == audio.shape and heard.dtype == np.float32
    assert abs(lag(audio, heard)) <= 1
    assert 0.5 < np.corrcoef(audio, heard)[0, 1] < 0.99999
