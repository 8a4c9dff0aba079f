"""Mien for Pipecat: an avatar service that stands behind the text-to-speech of a pipeline (extra ``[pipecat]``).

::

    Pipeline([transport.input(), stt, llm, tts, MienAvatarService(session), transport.output()])

    in    TTSAudioRawFrame ... TTSStoppedFrame              InterruptionFrame
    out   OutputImageRawFrame and TTSAudioRawFrame, in sync, then TTSStoppedFrame; pictures go on in between

The pictures carry ``sync_with_audio``, so the transport shows each where it stands among the sound. The session paces
both; a transport with ``video_out_enabled`` and ``video_out_width`` and ``video_out_height`` of 512 shows them.
"""

import asyncio
from collections import deque
from typing import Final

import numpy as np

from engine.errors import MienError, MissingExtraError
from engine.outlet import AudioBlock, VideoFrame
from engine.session import Session
from models.spec import MEDIA_HZ
from streaming.bots.utterances import Utterances

try:
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InterruptionFrame,
        OutputImageRawFrame,
        StartFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection
    from pipecat.services.ai_service import AIService
    from pipecat.services.settings import ServiceSettings
except ImportError as error:
    raise MissingExtraError("The avatar for Pipecat needs its library: pip install 'mien[pipecat]'.") from error

_STOPS: Final = 64


class MienAvatarService(AIService):
    """One avatar in a pipeline."""

    def __init__(self, session: Session) -> None:
        """Speak through ``session``, which must be in pushed mode and have begun; it is the caller's to close."""
        super().__init__(settings=ServiceSettings(model="mien"))
        self._said = Utterances(session)
        self._giving: asyncio.Task[None] | None = None
        self._stops: deque[TTSStoppedFrame] = deque(maxlen=_STOPS)
        """Go on when the utterance that they end has been given."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech out of the pipeline, and let everything else through."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            await self._say(frame)
            return
        if isinstance(frame, TTSStoppedFrame):
            self._stops.append(frame)
            if await self._end():
                return
            self._stops.pop()
        elif isinstance(frame, InterruptionFrame):
            self._stops.clear()
            await self._said.clear()
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame) and self._giving is None:
            self._giving = self.create_task(self._give())

    async def stop(self, frame: EndFrame) -> None:
        """Let what is being said be said, and end."""
        await self._end()
        await super().stop(frame)
        await self._stop_giving()

    async def cancel(self, frame: CancelFrame) -> None:
        """End at once."""
        await super().cancel(frame)
        await self._stop_giving()

    async def cleanup(self) -> None:
        """Leave nothing behind."""
        await super().cleanup()
        await self._stop_giving()

    async def _say(self, frame: TTSAudioRawFrame) -> None:
        samples = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
        mono = samples[:, 0] if frame.num_channels == 1 else np.rint(samples.mean(axis=1)).astype(np.int16)
        try:
            await self._said.push(np.ascontiguousarray(mono), frame.sample_rate)
        except MienError as error:
            await self.push_error(error_msg=str(error), exception=error)

    async def _end(self) -> bool:
        """End the utterance, when it was played; whether there was one."""
        try:
            return await self._said.end()
        except MienError as error:
            await self.push_error(error_msg=str(error), exception=error)
            return False

    async def _give(self) -> None:
        """Everything that the session gives, downstream."""
        try:
            async for item in self._said:
                if isinstance(item, VideoFrame):
                    height, width = item.picture.shape[:2]
                    image = OutputImageRawFrame(image=item.picture.tobytes(), size=(width, height), format="RGB")
                    image.sync_with_audio = True
                    await self.push_frame(image)
                elif isinstance(item, AudioBlock):
                    await self.push_frame(TTSAudioRawFrame(item.samples.tobytes(), MEDIA_HZ, 1))
                elif self._stops:
                    await self.push_frame(self._stops.popleft())
        except MienError as error:
            await self.push_error(error_msg=str(error), exception=error)

    async def _stop_giving(self) -> None:
        giving, self._giving = self._giving, None
        if giving is not None:
            await self.cancel_task(giving)
