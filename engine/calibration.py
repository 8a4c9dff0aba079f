"""How fast a machine is, measured as a session will load it: paced, with every stage, beside whatever else runs."""

import asyncio

import numpy as np

from engine.batching import Work
from engine.budget import Measurement
from engine.clock import NS_PER_MS, Clock, ticks_to_ns
from engine.controls import Face
from engine.errors import SessionError
from engine.hearing import Hearing, MotionPipeline
from engine.lanes import FrameRenderer
from engine.motion_lane import WorkLane
from engine.pacing import motion_index, period_ticks
from models.spec import MEDIA_HZ, SAMPLE_HZ, TICKS_PER_MOTION, TICKS_PER_SAMPLE

SECONDS = 2.0
CHUNK_TICKS = MEDIA_HZ // 50
"""Sound that comes at once: 20 ms, as from WebRTC."""
_SYLLABLES_HZ = 4.0
_SEED = 0


async def calibrate(
    clock: Clock,
    lane: WorkLane,
    pipeline: MotionPipeline,
    renderer: FrameRenderer,
    fps: int,
    *,
    chunk_ticks: int = CHUNK_TICKS,
    seconds: float = SECONDS,
) -> Measurement:
    """Run frames of made-up speech through motion and renderer, as a session does: sound is heard in chunks.

    Args:
        clock: The time.
        lane: Where the networks run.
        pipeline: Sound to motion; no session's state is touched.
        renderer: Draws; it is warmed up first, which is not counted.
        fps: Frames a second.
        chunk_ticks: Sound that is heard at once: what comes at once, or of pushed speech one motion frame.
        seconds: How long to measure.

    Returns:
        What each frame took from the chunk that completed its sound to its picture, waiting for lane and renderer
        included.
    """
    source = _Speaker(pipeline, fps)
    face = await lane.work(source.face(0, source.needed(0)))
    await asyncio.gather(*(renderer.render(face) for _ in range(renderer.workers)))
    begin, chunks = clock.now_ns(), round(seconds * MEDIA_HZ / chunk_ticks)
    compute_ns: list[int] = []
    motion_ns, drawing_ns, number = 0, 0, 1

    async def draw(face: Face, due: int) -> None:
        nonlocal drawing_ns
        began = clock.now_ns()
        await renderer.render(face)
        drawing_ns += clock.now_ns() - began
        compute_ns.append(clock.now_ns() - due)

    async with asyncio.TaskGroup() as group:
        for chunk in range(1, chunks + 1):
            due, arrived = begin + ticks_to_ns(chunk * chunk_ticks), source.needed(0) + chunk * chunk_ticks
            await clock.sleep_until(due)
            began = clock.now_ns()
            while source.needed(number) <= arrived:
                group.create_task(draw(await lane.work(source.face(number, arrived)), due))
                number += 1
            await lane.work(source.listen(arrived))
            motion_ns += clock.now_ns() - began
    return Measurement(
        compute_ms=[duration / NS_PER_MS for duration in compute_ns],
        busy_share=(motion_ns + drawing_ns) / ticks_to_ns(chunks * chunk_ticks),
        motion_ms=motion_ns / NS_PER_MS / (chunks * chunk_ticks / TICKS_PER_MOTION),
    )


class _Speaker:
    """Made-up speech and the faces that it gives; used on the lane alone."""

    def __init__(self, pipeline: MotionPipeline, fps: int) -> None:
        self._hearing = Hearing(pipeline, assumes_silence=False)
        self._period, self._lookahead = period_ticks(fps), pipeline.latency_ticks
        self._rng = np.random.default_rng(_SEED)

    def needed(self, number: int) -> int:
        """Media time up to which frame ``number`` must have heard."""
        return motion_index(number * self._period) * TICKS_PER_MOTION + self._lookahead + TICKS_PER_SAMPLE

    def face(self, number: int, arrived_ticks: int) -> Work[Face]:
        """The face of frame ``number``, of sound up to ``arrived_ticks``; frames come in order."""
        self._hear(arrived_ticks)
        motion = yield from self._hearing.work(motion_index(number * self._period))
        if motion is None:
            raise SessionError("The pipeline asks for more sound than its stages declare; its lookahead is wrong.")
        return Face(motion.landmarks, motion.pose, motion.gaze, motion.torso)

    def listen(self, arrived_ticks: int) -> Work[None]:
        """Hear what no frame has asked for yet."""
        self._hear(arrived_ticks)
        yield from self._hearing.listen()

    def _hear(self, arrived_ticks: int) -> None:
        begin, end = self._hearing.known_ticks // TICKS_PER_SAMPLE, -(-arrived_ticks // TICKS_PER_SAMPLE)
        syllables = 0.1 + 0.1 * np.sin(2 * np.pi * _SYLLABLES_HZ / SAMPLE_HZ * np.arange(begin, end))
        noise = self._rng.standard_normal(max(0, end - begin))
        self._hearing.append((syllables * noise).clip(-1, 1).astype(np.float32))
