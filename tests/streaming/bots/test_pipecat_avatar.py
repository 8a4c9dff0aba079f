"""Mien in Pipecat's own pipelines."""

import asyncio
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.clock import MonotonicClock
from tests.engine.session_fakes import AVATAR
from tests.streaming.serve.serve_fakes import cheap_engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # their own imports
    pytest.importorskip("pipecat.tests.utils", reason="Pipecat's library is not installed (extra [pipecat])")

from pipecat.frames.frames import (
    InterruptionFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from streaming.bots.pipecat_avatar import MienAvatarService

RATE_HZ = 24_000


def speech(ms: int, channels: int = 1) -> list[TTSAudioRawFrame]:
    tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ * ms // 1000) / RATE_HZ)).astype(np.int16)
    parts = np.array_split(np.repeat(tone[:, np.newaxis], channels, axis=1), ms // 50)
    return [TTSAudioRawFrame(part.tobytes(), RATE_HZ, channels) for part in parts]


def play(frames: Sequence[Any]) -> list[Any]:
    """What comes out of a pipeline of the service alone."""

    async def main() -> list[Any]:
        async with (
            cheap_engine(MonotonicClock()) as engine,
            engine.session(avatar=AVATAR, mode="pushed", lookahead=0) as session,
        ):
            service = MienAvatarService(session)
            down, _ = await run_test(service, frames_to_send=frames, start_timeout=20.0)
            return list(down)

    return asyncio.run(main())


def seconds(frames: Sequence[Any]) -> float:
    return sum(frame.num_frames / frame.sample_rate for frame in frames if isinstance(frame, TTSAudioRawFrame))


def kinds(frames: Sequence[Any]) -> list[type]:
    """Kinds of what came, each run told once, without pictures."""
    found: list[type] = []
    for frame in frames:
        if not isinstance(frame, OutputImageRawFrame) and (not found or found[-1] is not type(frame)):
            found.append(type(frame))
    return found


def test_pictures_and_speech_go_on_together_and_the_stop_comes_behind_them() -> None:
    down = play([SleepFrame(0.3), TTSStartedFrame(), *speech(600, channels=2), TTSStoppedFrame(), TextFrame("next")])
    assert kinds(down) == [TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame, TextFrame]
    assert 0.58 <= seconds(down) <= 0.63
    pictures = [frame for frame in down if isinstance(frame, OutputImageRawFrame)]
    assert len(pictures) > 15 and all(frame.sync_with_audio and frame.size == (512, 512) for frame in pictures)
    shades = [frame.image[0] for frame in pictures]
    assert max(shades) > shades[0] + 20, "the mouth opens"
    first, last = (
        [number for number, frame in enumerate(down) if isinstance(frame, TTSAudioRawFrame)][end] for end in (0, -1)
    )
    assert sum(isinstance(frame, OutputImageRawFrame) for frame in down[first:last]) > 10, "pictures among the sound"


def test_an_interruption_drops_the_rest_and_its_stop() -> None:
    down = play([*speech(5000), SleepFrame(1.0), InterruptionFrame(), SleepFrame(0.2), *speech(300), TTSStoppedFrame()])
    cut = next(number for number, frame in enumerate(down) if isinstance(frame, InterruptionFrame))
    assert 0 < seconds(down[:cut]) < 4
    assert 0.27 <= seconds(down[cut:]) <= 0.35
    assert sum(isinstance(frame, TTSStoppedFrame) for frame in down) == 1


def test_a_pipeline_that_ends_lets_it_finish() -> None:
    down = play(speech(400))
    assert 0.38 <= seconds(down) <= 0.43


def test_a_stop_without_speech_passes() -> None:
    assert kinds(play([TTSStoppedFrame()])) == [TTSStoppedFrame]
