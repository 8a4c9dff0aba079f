"""A session's surroundings under a virtual clock: a mouth that opens with its sound, a slow renderer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.artefacts.avatar import Avatar
from engine.batching import Work, drive
from engine.budget import Measurement
from engine.care import Care
from engine.clock import NS_PER_MS, VirtualClock
from engine.controls import Face
from engine.engine import Engine
from engine.outlet import AudioBlock, VideoFrame
from engine.pipeline import MotionFrame
from engine.session import Session
from engine.stages.style_mix import NO_STYLE, Steering
from tests.bundles import face_template

LIP = 66
"""The lower inner lip's middle: its displacement is the loudness of the frame's own sound."""


def fake_avatar(name: str = "ada", shade: int = 7) -> Avatar:
    picture = np.full((512, 512, 3), shade, np.uint8)
    camera = np.array([[100, 0, 0, 256], [0, 100, 0, 256], [0, 0, 0, 1]], np.float32)
    return Avatar(
        name=name,
        image=picture,
        matte=np.full((512, 512), 255, np.uint8),
        plate=picture,
        source_points=np.zeros((68, 2), np.float32),
        template=face_template(),
        camera=camera,
        irises=np.ones((2, 3), np.float32),
        mesh=np.zeros((478, 3), np.float32),
    )


AVATAR = fake_avatar()


@dataclass(frozen=True)
class FakeState:
    frame: int = 0
    heard: int = 0
    pending: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class FakePipeline:
    """Frame n shows the loudest sample of its own 1/60 s, and needs the sound that the real one would."""

    def __init__(self, lookahead: int = 0) -> None:
        self.latency_ticks = lookahead * 800 + 1201
        self.steering = NO_STYLE
        self.heard: list[int] = []
        """Frames given, in order."""

    def init_state(self) -> FakeState:
        return FakeState()

    def step(self, block: np.ndarray, state: FakeState) -> tuple[list[MotionFrame], FakeState]:
        pending, frame = np.concatenate([state.pending, block]), state.frame
        heard, frames = state.heard + len(block), []
        while frame * 800 + self.latency_ticks <= heard * 3:
            first = heard - len(pending)
            own = pending[frame * 800 // 3 - first : (frame + 1) * 800 // 3 - first]
            frames.append(motion(frame, float(np.abs(own).max())))
            self.heard.append(frame)
            frame += 1
        first = heard - len(pending)
        return frames, FakeState(frame, heard, pending[max(0, frame * 800 // 3 - first) :])

    def work(
        self, block: np.ndarray, state: FakeState, steering: Steering
    ) -> Work[tuple[list[MotionFrame], FakeState]]:
        self.steering = steering
        yield from ()
        return self.step(block, state)

    def go_back(self, states: Sequence[FakeState], frame: int) -> FakeState:
        return states[0]


def motion(index: int, opening: float = 0.0, **changes: Any) -> MotionFrame:
    displacement = np.zeros((68, 3), np.float32)
    displacement[LIP, 1] = opening
    still = np.zeros(6, np.float32)
    frame = MotionFrame(
        index, face_template() + displacement, displacement, still, still, np.zeros(2, np.float32), 0.0, 1.0
    )
    return replace(frame, **changes)


class InlineLane:
    """Does everything at once, or after ``ms`` of virtual time."""

    def __init__(self, clock: VirtualClock, ms: float = 0.0) -> None:
        self.clock, self.ms, self.closed = clock, ms, False

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.ms:
            await self.clock.sleep_until(self.clock.now_ns() + round(self.ms * NS_PER_MS))
        return function(*arguments)

    async def work(self, work: Work[Any]) -> Any:
        return await self.run(drive, work)

    def close(self) -> None:
        self.closed = True


class FakeRenderer:
    """A picture of one pixel, whose red is the mouth's opening in hundredths; it takes ``ms``, or as told."""

    def __init__(self, clock: VirtualClock, ms: float = 5.0, workers: int = 2) -> None:
        self.clock, self.ms, self.workers = clock, ms, workers
        self.drawn, self.closes, self.running, self.economies = 0, 0, 0, 0
        self.slow: Callable[[int], float] | None = None
        self.fails_at: int | None = None
        self.shade = 0
        self.faces: list[Face] = []

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        self.economies += care is Care.ECONOMY
        number, self.drawn = self.drawn, self.drawn + 1
        if number == self.fails_at:
            raise ValueError("the renderer broke")
        self.faces = [*self.faces[-99:], face]
        self.running += 1
        try:
            ms = self.slow(number) if self.slow else self.ms
            await self.clock.sleep_until(self.clock.now_ns() + round(ms * NS_PER_MS))
        finally:
            self.running -= 1
        opening = face.landmarks[LIP, 1] - face_template()[LIP, 1]
        return np.array([[[round(100 * float(opening)), self.shade, 0]]], np.uint8)

    def close(self) -> None:
        self.closes += 1


@dataclass
class Stage:
    """One engine with one kind of session, ready to play on."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(10**12 + 7))
    compute_ms: float = 10.0
    busy: float = 0.1
    render_ms: float = 5.0
    cores: int = 2
    pipelines: list[FakePipeline] = field(default_factory=list)
    renderers: list[FakeRenderer] = field(default_factory=list)

    def engine(self, **options: Any) -> Engine:
        def renderer(avatar: Avatar) -> FakeRenderer:
            made = FakeRenderer(self.clock, self.render_ms)
            made.shade = int(avatar.image[0, 0, 0])
            self.renderers.append(made)
            return made

        def pipeline(avatar: Avatar, lookahead: int, seed: int) -> FakePipeline:
            self.pipelines.append(FakePipeline(lookahead))
            return self.pipelines[-1]

        async def measure(*_: Any) -> Measurement:
            return Measurement([self.compute_ms] * 60, self.busy)

        self.lane, self.setup = InlineLane(self.clock), InlineLane(self.clock)
        return Engine(
            clock=self.clock,
            cores=self.cores,
            workers=2,
            pipeline_factory=pipeline,
            **{"renderer_factory": renderer, "measure": measure, "lane": self.lane, "setup": self.setup, **options},
        )

    def play(self, script: Callable[[Session, "Log"], Awaitable[None]], **options: Any) -> "Log":
        """Run ``script`` beside a session that is being consumed, then close; what came out, and when."""

        async def main() -> Log:
            async with self.engine() as engine, engine.session(**{"avatar": AVATAR, **options}) as session:
                log = Log(session, self.clock)
                consumer = asyncio.create_task(log.consume())
                await script(session, log)
                await session.close()
                await consumer
                return log

        return self.clock.run(main())


@dataclass(repr=False)
class Log:
    """What a session gave, with the time at which it came."""

    session: Session
    clock: VirtualClock
    frames: list[tuple[int, VideoFrame]] = field(default_factory=list)
    blocks: list[tuple[int, AudioBlock]] = field(default_factory=list)

    async def consume(self) -> None:
        async for item in self.session:
            if isinstance(item, VideoFrame):
                self.frames.append((self.clock.now_ns(), item))
            else:
                self.blocks.append((self.clock.now_ns(), item))

    async def wait(self, ms: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + round(ms * NS_PER_MS))

    def openings(self) -> dict[int, int]:
        """Red of the pictures shown, by media ticks; without the portrait that stands for what was never drawn."""
        return {frame.ticks: int(frame.picture[0, 0, 0]) for _, frame in self.frames if frame.picture.shape[0] == 1}


async def speak(
    session: Session, clock: VirtualClock, ms: int, *, level: float = 0.5, chunk_ms: int = 20, ppm: float = 0.0
) -> None:
    """Push ``ms`` of a square wave as a microphone would, chunk by chunk, on a clock that is ``ppm`` fast."""
    chunk = np.where(np.arange(chunk_ms * 16) % 40 < 20, level, -level).astype(np.float32)
    begin = clock.now_ns()
    for number in range(ms // chunk_ms):
        await clock.sleep_until(begin + round((number + 1) * chunk_ms * NS_PER_MS / (1 + ppm / 1e6)))
        await session.push(chunk, 16_000)
