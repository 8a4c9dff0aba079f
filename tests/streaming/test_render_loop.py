import os
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from media_fakes import FakePipeline, FakeRenderer, click_at, tone, write_wav
from numpy.typing import NDArray

from engine.errors import AudioError
from streaming.media_in import SpeechFile
from streaming.media_out import Mp4Writer
from streaming.render_loop import RenderOutcome, render_stream
from streaming.report import StageTimes

HERE = Path(__file__).parent


def make(
    speech: Path, out: Path, fps: int = 60, lookahead: int = 0, renderer: FakeRenderer | None = None
) -> RenderOutcome:
    with SpeechFile(speech) as source, Mp4Writer(out, fps=fps, channels=source.channels) as writer:
        outcome = render_stream(source, FakePipeline(lookahead), renderer or FakeRenderer(), writer, fps=fps)
        writer.finish()
    return outcome


def brightness(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


@pytest.mark.parametrize("fps", [60, 30, 25])
@pytest.mark.parametrize("lookahead", [0, 18])
def test_the_picture_is_in_sync_with_the_sound(tmp_path: Path, fps: int, lookahead: int) -> None:
    write_wav(tmp_path / "a.wav", click_at(0.6, 1.0, 44_100), 44_100)
    outcome = make(tmp_path / "a.wav", tmp_path / "out.mp4", fps, lookahead)
    light = brightness(tmp_path / "out.mp4")
    assert outcome.frames == len(light) == fps
    # The click fills the motion frame of 0.6 s alone; at 25 fps it is seen at 0.6 s too, for 15 * 60 / 25 = 36.
    assert int(np.argmax(light)) == round(0.6 * fps)
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert abs(np.argmax(np.abs(sound) > 0.4) / 48_000 - 0.6) < 2e-3


@pytest.mark.parametrize(
    ("samples", "rate"), [(1, 16_000), (1, 96_000), (100, 8_000), (7_999, 8_000), (16_133, 16_000), (16_134, 16_000)]
)
@pytest.mark.parametrize("fps", [60, 25])
def test_the_video_is_as_long_as_the_sound_to_one_frame(tmp_path: Path, samples: int, rate: int, fps: int) -> None:
    write_wav(tmp_path / "a.wav", tone(1.1, rate)[:samples], rate)
    outcome = make(tmp_path / "a.wav", tmp_path / "out.mp4", fps, 18)
    assert outcome.frames == len(brightness(tmp_path / "out.mp4"))
    assert abs(outcome.frames / fps - samples / rate) <= 1 / fps
    assert outcome.frames == max(1, round(outcome.ticks / 48_000 * fps))


def test_every_stage_is_timed_for_every_frame(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5))
    times = StageTimes()
    with SpeechFile(tmp_path / "a.wav") as source, Mp4Writer(tmp_path / "o.mp4", fps=60, channels=1) as writer:
        render_stream(source, FakePipeline(), FakeRenderer(), writer, fps=60, times=times)
    counts = {name: histogram.count for name, histogram in times.histograms.items()}
    assert counts["render"] == counts["encode"] == 30 and counts["pipeline"] >= 30 and counts["decode"] >= 1


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5))
    calls: list[tuple[int, int | None]] = []
    with SpeechFile(tmp_path / "a.wav") as source, Mp4Writer(tmp_path / "o.mp4", fps=60, channels=1) as writer:
        render_stream(source, FakePipeline(), FakeRenderer(), writer, fps=60, progress=lambda *call: calls.append(call))
    assert calls == [(n, 30) for n in range(1, 31)]


class FailingRenderer(FakeRenderer):
    """Fails at the tenth picture."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0

    def render(
        self,
        landmarks: NDArray[np.float32],
        pose: NDArray[np.float32],
        gaze: NDArray[np.float32],
        torso: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        with self.lock:
            self.count += 1
            if self.count == 10:
                raise ZeroDivisionError("the tenth")
        return super().render(landmarks, pose, gaze, torso)


class FailingSpeech(SpeechFile):
    def blocks(self):  # type: ignore[no-untyped-def]
        yield next(super().blocks())
        raise AudioError("half-way")


def test_a_failure_anywhere_reaches_the_caller_and_ends_every_thread(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(5.0))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "a.wav", tmp_path / "out.mp4", renderer=FailingRenderer())
    with (
        pytest.raises(AudioError, match="half-way"),
        FailingSpeech(tmp_path / "a.wav") as source,
        Mp4Writer(tmp_path / "out.mp4", fps=60, channels=1) as writer,
    ):
        render_stream(source, FakePipeline(), FakeRenderer(), writer, fps=60)
    with (
        pytest.raises(KeyboardInterrupt),
        SpeechFile(tmp_path / "a.wav") as source,
        Mp4Writer(tmp_path / "out.mp4", fps=60, channels=1) as writer,
    ):
        render_stream(source, FakePipeline(), FakeRenderer(), writer, fps=60, progress=interrupt)
    assert threading.active_count() == before
    assert os.listdir(tmp_path) == ["a.wav"]


def interrupt(done: int, total: int | None) -> None:
    if done == 20:
        raise KeyboardInterrupt


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from media_fakes import FakePipeline, FakeRenderer
from streaming import render_loop
from streaming.media_in import SoundBlock

class Generated:
    channels, declared_seconds = 1, None
    def __init__(self, minutes): self.seconds = 60 * minutes
    def blocks(self):
        for _ in range(self.seconds):
            yield SoundBlock(np.zeros(16_000, np.float32), np.zeros((1, 48_000), np.float32))

class Still(FakeRenderer):
    def render(self, *motion):
        return np.zeros((512, 512, 3), np.uint8)

class Counting:
    frames = samples = 0
    def write_frame(self, picture): self.frames += 1
    def write_sound(self, sound): self.samples += sound.shape[1]

writer = Counting()
outcome = render_loop.render_stream(Generated(int(sys.argv[1])), FakePipeline(18), Still(), writer, fps=60)
assert writer.frames == outcome.frames == int(sys.argv[1]) * 3600
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_ten_minutes_take_no_more_memory_than_one() -> None:
    def peak_mb(minutes: int) -> int:
        path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(minutes)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return int(done.stdout)

    assert peak_mb(10) < peak_mb(1) + 50
