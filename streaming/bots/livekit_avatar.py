"""Mien for LiveKit Agents: a ``VideoGenerator`` for their ``AvatarRunner`` (extra ``[livekit]``).

::

    async with Engine() as engine, engine.session(avatar=avatar, mode="pushed") as session:
        generator = MienVideoGenerator(session)
        runner = AvatarRunner(room, audio_recv=receiver, video_gen=generator, options=avatar_options(fps=30))
        await runner.start()

The runner paces what it is given once more, by its own clock; a session gives at the same rate, so its queues stay as
full as they were. ``examples/livekit_avatar.py`` is a whole worker.
"""

from collections.abc import AsyncIterator

import numpy as np

from engine.errors import MissingExtraError
from engine.outlet import AudioBlock, VideoFrame
from engine.session import Session
from models.spec import MEDIA_HZ
from streaming.bots.utterances import Utterances

try:
    from livekit import rtc
    from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator
except ImportError as error:
    raise MissingExtraError("The avatar for LiveKit needs its agents library: pip install 'mien[livekit]'.") from error

SIDE = 512


class MienVideoGenerator(VideoGenerator):
    """One avatar: the agent's speech in, its picture and voice out."""

    def __init__(self, session: Session) -> None:
        """Speak through ``session``, which must be in pushed mode and have begun; it is the caller's to close."""
        self._said = Utterances(session)

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Say more; a segment's end waits until the segment was played.

        Args:
            frame: int16 at any sample rate from 8000 to 96000 Hz; several channels are mixed down to one.

        Raises:
            AudioError: That is no such sound.
            SessionError: The session has ended.
        """
        if isinstance(frame, AudioSegmentEnd):
            await self._said.end()
            return
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        if frame.num_channels > 1:
            samples = np.rint(samples.mean(axis=1)).astype(np.int16)[:, np.newaxis]
        await self._said.push(np.ascontiguousarray(samples[:, 0]), frame.sample_rate)

    async def clear_buffer(self) -> None:
        """Break off (barge-in): what waits is forgotten and the mouth closes."""
        await self._said.clear()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Pictures throughout; sound, mono at 48 kHz, while something is said; the end of each segment."""
        async for item in self._said:
            if isinstance(item, VideoFrame):
                height, width = item.picture.shape[:2]
                yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, item.picture.tobytes())
            elif isinstance(item, AudioBlock):
                yield rtc.AudioFrame(item.samples.tobytes(), MEDIA_HZ, 1, len(item.samples))
            else:
                yield AudioSegmentEnd()


def avatar_options(fps: int) -> AvatarOptions:
    """What the runner must know of a session at ``fps``."""
    return AvatarOptions(
        video_width=SIDE, video_height=SIDE, video_fps=fps, audio_sample_rate=MEDIA_HZ, audio_channels=1
    )
