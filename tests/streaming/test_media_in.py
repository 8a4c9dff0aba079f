import wave
from pathlib import Path

import av
import numpy as np
import pytest
from media_fakes import click_at, tone, write_flac, write_wav
from numpy.typing import NDArray

from engine.errors import AudioError
from streaming.media_in import SpeechFile


def read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    with SpeechFile(path) as source:
        blocks = list(source.blocks())
        warnings = source.warnings
    speech = np.concatenate([block.speech for block in blocks])
    sound = np.concatenate([block.sound for block in blocks], axis=1)
    assert speech.dtype == sound.dtype == np.float32
    assert max(len(block.speech) for block in blocks) <= 16_000 + 64
    return speech, sound, warnings


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_lengths_and_times_hold_at_any_rate(tmp_path: Path, rate: int) -> None:
    length = 1.2345
    speech, sound, warnings = read(write_wav(tmp_path / "a.wav", click_at(0.5, length, rate), rate))
    samples = round(length * rate)
    assert len(speech) == -(-samples * 16_000 // rate)
    assert sound.shape == (1, -(-samples * 48_000 // rate))
    for heard, out_rate in ((speech, 16_000), (sound[0], 48_000)):
        onset = np.argmax(np.abs(heard) > 0.4) / out_rate
        assert abs(onset - 0.5) < 0.5e-3
    assert warnings == []


def test_the_resampled_tone_is_the_tone(tmp_path: Path) -> None:
    speech, sound, _ = read(write_wav(tmp_path / "a.wav", tone(1.0, 44_100), 44_100, "pcm_f32le"))
    assert np.abs(speech - tone(1.0, 16_000))[200:-200].max() < 1e-3
    assert np.abs(sound[0] - tone(1.0, 48_000))[600:-600].max() < 1e-3


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_format_has_the_same_level(tmp_path: Path, codec: str) -> None:
    speech, _, _ = read(write_wav(tmp_path / "a.wav", tone(0.5), 16_000, codec))
    assert np.abs(speech - tone(0.5)).max() < (0.01 if codec == "pcm_u8" else 1e-4)


def test_stereo_stays_for_the_viewer_and_is_folded_for_the_engine(tmp_path: Path) -> None:
    left = tone(0.5, 48_000)
    speech, sound, _ = read(write_wav(tmp_path / "a.wav", np.stack([left, 0 * left]), 48_000, "pcm_f32le"))
    assert np.abs(sound - np.stack([left, 0 * left])).max() < 1e-6
    assert np.abs(speech - 0.5 * tone(0.5, 16_000))[100:-100].max() < 1e-3


def test_six_channels_fold_to_two_without_the_subwoofer(tmp_path: Path) -> None:
    channels = np.zeros((6, 24_000), np.float32)
    channels[2] = tone(0.5, 48_000)  # centre: where films put speech
    channels[3] = 0.9
    speech, sound, _ = read(write_wav(tmp_path / "a.wav", channels, 48_000, "pcm_f32le"))
    assert sound.shape[0] == 2
    assert np.abs(sound[0] - sound[1]).max() == 0
    assert 0.05 < np.abs(speech[200:-200]).max() < 0.3
    assert abs(float(speech[200:-200].mean())) < 1e-3


@pytest.mark.parametrize("rate", [8_000, 16_000, 96_000])
def test_one_sample_is_a_sound(tmp_path: Path, rate: int) -> None:
    speech, sound, _ = read(write_wav(tmp_path / "a.wav", np.full(1, 0.5, np.float32), rate))
    assert len(speech) == -(-16_000 // rate)
    assert sound.shape == (1, -(-48_000 // rate))


def test_numbers_that_are_no_sound_become_silence_and_full_scale(tmp_path: Path) -> None:
    samples = tone(0.1)
    samples[100:200] = np.nan
    samples[300], samples[400] = np.inf, -np.inf
    samples[500:600] = 7.0
    speech, sound, _ = read(write_wav(tmp_path / "a.wav", samples, 16_000, "pcm_f32le"))
    assert np.isfinite(speech).all() and np.isfinite(sound).all()
    assert np.abs(speech).max() <= 1 and np.abs(sound).max() <= 1
    assert (speech[100:200] == 0).all() and (speech[500:600] == 1).all()


def test_only_the_sound_of_a_video_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=44_100, layout="mono")
        for _ in range(25):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(click_at(0.5, 1.0, 44_100)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44_100, 0
        container.mux(audio.encode(frame))
        container.mux([*video.encode(None), *audio.encode(None)])
    speech, _, warnings = read(path)
    assert len(speech) == 16_000  # what fills AAC's last packet is not part of the sound
    assert abs(np.argmax(np.abs(speech) > 0.3) / 16_000 - 0.5) < 2e-3
    assert warnings == []


def test_a_torn_file_gives_what_it_holds_and_a_warning(tmp_path: Path) -> None:
    whole = tmp_path / "whole.flac"
    rng = np.random.default_rng(0)
    write_flac(whole, rng.uniform(-0.1, 0.1, 32_000))
    torn = tmp_path / "torn.flac"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    speech, _, warnings = read(torn)
    assert 0.5 < len(speech) / 16_000 < 1.5
    assert any("breaks off" in warning for warning in warnings)


def test_damage_in_the_middle_is_skipped_and_told(tmp_path: Path) -> None:
    path = write_flac(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.1, 0.1, 48_000))
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    path.write_bytes(data)
    speech, _, warnings = read(path)
    assert 1.0 < len(speech) / 16_000 < 2.9
    assert warnings


def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0))
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    speech, _, _ = read(path)
    assert len(speech) == 16_000


def test_a_very_long_header_is_passed_over(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0))
    data = path.read_bytes()
    junk = b"JUNK" + (3_000_000).to_bytes(4, "little") + bytes(3_000_000)
    path.write_bytes(data[:12] + junk + data[12:])
    speech, _, _ = read(path)
    assert len(speech) == 16_000


def test_tags_in_an_unknown_alphabet_do_no_harm(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(0.2))
    data = path.read_bytes()
    name = b"INAM" + (4).to_bytes(4, "little") + b"\xff\xfe\xe9\x00"
    tags = b"LIST" + (4 + len(name)).to_bytes(4, "little") + b"INFO" + name
    at = data.index(b"data")
    path.write_bytes(data[:at] + tags + data[at:])
    assert len(read(path)[0]) == 3_200


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    assert len(read(write_wav(tmp_path / "http:speech.wav", tone(0.2)))[0]) == 3_200


def picture(path: Path) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux([*video.encode(frame), *video.encode(None)])


def header_only(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)


def slow(path: Path) -> None:
    data = bytearray(write_wav(path, tone(0.1), 8_000).read_bytes())
    at = data.index(b"fmt ") + 12
    data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_bytes(bytes(range(256)) * 64), "cannot be read"),
        (lambda path: path.write_text("Not a sound.\n" * 50), "cannot be read|no sound"),
        (lambda path: path.write_bytes(b"RIFF"), "cannot be read"),
        (lambda path: header_only(path), "no sound"),
        (lambda path: slow(path), "sample rate"),
    ],
)
def test_what_is_no_speech_is_refused_in_one_sentence(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "speech.wav"
    make(path)
    with pytest.raises(AudioError, match=words) as caught:
        SpeechFile(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.mp4")
    with pytest.raises(AudioError, match="has no sound"):
        SpeechFile(tmp_path / "a.mp4")


def test_a_playlist_cannot_open_the_network(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError):
        SpeechFile(path)
