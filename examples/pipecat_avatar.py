"""A Pipecat pipeline whose speech has a face: a recording stands in for the text-to-speech, and frames are counted.

    pip install 'mien[pipecat]'
    python examples/pipecat_avatar.py speech.wav --avatar ada

In a bot of your own the service stands behind the text-to-speech, and a transport with ``video_out_enabled=True`` and
512x512 behind it:

    Pipeline([transport.input(), stt, llm, tts, MienAvatarService(session), transport.output()])
"""

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from engine.engine import Engine
from engine.errors import MienError
from models.spec import MEDIA_HZ
from streaming.avatars import resolve_avatar
from streaming.bots.pipecat_avatar import MienAvatarService
from streaming.media_in import SpeechFile


class Counter(FrameProcessor):
    """Stands in the place of a transport: counts what would be shown and played."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.seconds = 0, 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Count, and let it through."""
        await super().process_frame(frame, direction)
        self.pictures += isinstance(frame, OutputImageRawFrame)
        if isinstance(frame, TTSAudioRawFrame):
            self.seconds += frame.num_frames / frame.sample_rate
        elif isinstance(frame, TTSStoppedFrame):
            print(f"spoken: {self.seconds:.2f} s of sound, {self.pictures} pictures so far")
        await self.push_frame(frame, direction)


async def speak(path: Path, avatar: str, fps: int) -> None:
    """Send a recording through the pipeline as text-to-speech would."""
    face = await asyncio.to_thread(resolve_avatar, avatar)
    speech = await asyncio.to_thread(SpeechFile, path)
    async with Engine() as engine, engine.session(avatar=face, mode="pushed", fps=fps) as session:
        print(session.budget.table())
        worker = PipelineWorker(Pipeline([MienAvatarService(session), Counter()]), cancel_on_idle_timeout=False)
        runner = WorkerRunner()
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await worker.queue_frame(TTSStartedFrame())
        for block in speech.blocks():
            pcm = np.rint(block.sound.mean(axis=0) * 32767).astype(np.int16)
            if len(pcm):
                await worker.queue_frame(TTSAudioRawFrame(pcm.tobytes(), MEDIA_HZ, 1))
        await worker.queue_frames([TTSStoppedFrame(), EndFrame()])
        await running
    speech.close()


def main() -> int:
    """Read the command line and speak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="a sound or video file")
    parser.add_argument("--avatar", default="ada", help="a shipped avatar's name, an .avatar file, or a picture")
    parser.add_argument("--fps", type=int, default=30, help="60, 30, 25 or 20")
    given = parser.parse_args()
    try:
        asyncio.run(speak(given.speech, given.avatar, given.fps))
    except MienError as error:
        print(f"pipecat_avatar: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
