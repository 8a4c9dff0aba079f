"""A desk on a virtual clock: what is said into it, and what comes out of its cable."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.artefacts.avatar import Avatar
from engine.budget import Measurement
from engine.clock import NS_PER_MS, Clock, VirtualClock
from engine.engine import Engine
from engine.lanes import FrameRenderer
from streaming.live.desk import ROOM, Desk
from streaming.live.live_config import LiveConfig
from streaming.serve.app import Server, create_server
from streaming.serve.commands import COMMAND
from streaming.serve.config import ServeConfig
from tests.engine.session_fakes import FakePipeline, FakeRenderer, InlineLane
from tests.streaming.live.live_fakes import CABLE, MICROPHONE, FakeHost

RATE = 44_100
LEVEL = 0.25


class Studio:
    """A desk, what is said into it, and what comes out of its cable."""

    def __init__(
        self,
        folder: Path,
        *,
        renderer: Callable[[Avatar], FrameRenderer] | None = None,
        pipeline: Callable[[Avatar], FakePipeline] = lambda _: FakePipeline(),
        **changes: Any,
    ) -> None:
        self.clock = VirtualClock()
        self._renderer = renderer or (lambda _: FakeRenderer(self.clock))
        self._pipeline = pipeline
        self.host = FakeHost(MICROPHONE, CABLE)
        self.ending = asyncio.Event()
        self.server = self._serve()
        output = {"voice": "cable", "window": False, "recordings": str(folder), **changes.pop("output", {})}
        self.config = LiveConfig.model_validate(
            {"output": output, "gate": {"on": False}, "lookahead": 0, "fps": 20, **changes}
        )
        self.desk = Desk(
            self.config,
            self.server.rooms,
            self.host,
            clock=self.clock,
            ending=self.ending,
            lane=InlineLane(self.clock),
            files=InlineLane(self.clock),
        )
        self.said = 0
        self.played: list[np.ndarray] = []
        self.heard_at: list[int] = []

    def _serve(self) -> Server:
        def engine(clock: Clock) -> Engine:
            async def measure(*_: Any) -> Measurement:
                return Measurement([20.0] * 60, 0.01)

            return Engine(
                clock=clock,
                cores=8,
                workers=2,
                renderer_factory=self._renderer,
                pipeline_factory=lambda avatar, lookahead, seed: self._pipeline(avatar),
                measure=measure,
                lane=InlineLane(self.clock),
                setup=InlineLane(self.clock),
            )

        return create_server(ServeConfig(), make_engine=engine, clock=self.clock)

    @staticmethod
    def voice(at: np.ndarray) -> np.ndarray:
        """What is said at these seconds: a tone that rises, so that every moment has a sound of its own."""
        return LEVEL * np.sin(2 * np.pi * (150 + 5 * at) * at)

    async def _speak(self) -> None:
        """Blocks of 10 ms from the microphone, and to the cable, on a clock that is the machine's own."""
        begin, number = self.clock.now_ns(), 0
        while True:
            await self.clock.sleep_until(begin + number * 10 * NS_PER_MS)
            at = (self.clock.now_ns() - 10 * NS_PER_MS) / 1e9 + np.arange(441) / RATE
            self.host.hear(np.repeat(self.voice(at)[:, None], 2, axis=1).astype(np.float32), RATE)
            played = self.host.play(480)
            if played is not None:
                self.played.append(played)
                self.heard_at.append(self.clock.now_ns() + 20 * NS_PER_MS)
            number += 1

    def run(self, script: Callable[["Studio"], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                await self.desk.open("ada")
                tasks = [asyncio.create_task(self.desk.run()), asyncio.create_task(self._speak())]
                await script(self)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                for task in tasks:
                    if not task.cancelled():
                        task.result()
            finally:
                await self.desk.close()
                await self.server.close()

        self.clock.run(main())

    async def rest(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + round(seconds * 1e9))

    async def ask(self, **message: Any) -> dict[str, Any]:
        command: Any = COMMAND.validate_python(message)
        return await self.server.rooms.steering(self.server.rooms.get(ROOM)).obey(command)

    def lateness_ms(self, blocks: slice) -> float:
        """By how much the voice in the cable is behind the mouth: where the two agree best, to a tenth of a ms."""
        sound = np.concatenate(self.played[blocks])
        heard = np.concatenate([at / 1e9 + np.arange(480) / 48_000 for at in self.heard_at[blocks]])
        near = self.desk.budget.engine.total_ms + self.desk.budget.hold_ms
        tries = near + np.arange(-20, 20, 0.1)
        return float(tries[np.argmin([np.square(sound - self.voice(heard - late / 1000)).sum() for late in tries])])
