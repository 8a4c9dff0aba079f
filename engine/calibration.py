"""How fast a machine is, measured as a session will load it: paced, with every stage, beside whatever else runs."""

import asyncio

import numpy as np

from engine.budget import Measurement
from engine.clock import NS_PER_MS, NS_PER_S, Clock
from engine.controls import Face
from engine.errors import SessionError
from engine.hearing import Hearing, MotionPipeline
from engine.lanes import FrameRenderer, Lane
from engine.pacing import motion_index, period_ticks
from models.spec import SAMPLE_HZ, TICKS_PER_MOTION, TICKS_PER_SAMPLE

SECONDS = 2.0
_SYLLABLES_HZ = 4.0
_SEED = 0


async def calibrate(
    clock: Clock, lane: Lane, pipeline: MotionPipeline, renderer: FrameRenderer, fps: int, seconds: float = SECONDS
) -> Measurement:
    """Run frames of made-up speech through motion and renderer, each at its time.

    Args:
        clock: The time.
        lane: Where the networks run.
        pipeline: Sound to motion; no session's state is touched.
        renderer: Draws; it is warmed up first, which is not counted.
        fps: Frames a second.
        seconds: How long to measure.

    Returns:
        What each frame took from its time to its picture, waiting for lane and renderer included.
    """
    source = _Speaker(pipeline, fps)
    face = await lane.run(source.face, 0)
    await asyncio.gather(*(renderer.render(face) for _ in range(renderer.workers)))
    begin, frames = clock.now_ns(), max(2, round(seconds * fps))
    motion_ns: list[int] = []
    compute_ns: list[int] = []

    async def draw(number: int) -> None:
        due = begin + number * NS_PER_S // fps
        await clock.sleep_until(due)
        drawn = await lane.run(source.face, number + 1)
        motion_ns.append(clock.now_ns() - due)
        await renderer.render(drawn)
        compute_ns.append(clock.now_ns() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(frames):
            group.create_task(draw(number))
    return Measurement(
        compute_ms=[duration / NS_PER_MS for duration in compute_ns],
        busy_share=sum(compute_ns) * fps / (frames * NS_PER_S),
        motion_ms=sum(motion_ns) / frames / NS_PER_MS / (period_ticks(fps) / TICKS_PER_MOTION),
    )


class _Speaker:
    """Made-up speech and the faces that it gives; used on the lane alone."""

    def __init__(self, pipeline: MotionPipeline, fps: int) -> None:
        self._hearing = Hearing(pipeline, assumes_silence=False)
        self._period, self._lookahead = period_ticks(fps), pipeline.latency_ticks
        self._rng = np.random.default_rng(_SEED)

    def face(self, number: int) -> Face:
        """The face of frame ``number``; frames come in order."""
        index = motion_index(number * self._period)
        needed = index * TICKS_PER_MOTION + self._lookahead + TICKS_PER_SAMPLE
        begin, end = self._hearing.known_ticks // TICKS_PER_SAMPLE, -(-needed // TICKS_PER_SAMPLE)
        syllables = 0.1 + 0.1 * np.sin(2 * np.pi * _SYLLABLES_HZ / SAMPLE_HZ * np.arange(begin, end))
        self._hearing.append((syllables * self._rng.standard_normal(end - begin)).clip(-1, 1).astype(np.float32))
        motion = self._hearing.motion(index)
        if motion is None:
            raise SessionError("The pipeline asks for more sound than its stages declare; its lookahead is wrong.")
        return Face(motion.landmarks, motion.pose, motion.gaze, motion.torso)
