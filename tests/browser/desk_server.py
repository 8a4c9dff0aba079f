"""The pages of a live desk, on an engine that costs nothing: the shipped portrait, cut out and standing still."""

import asyncio
from collections.abc import Callable

import numpy as np

from engine.artefacts.avatar import Avatar
from engine.care import Care
from engine.clock import Clock
from engine.controls import Face
from engine.engine import Engine
from engine.lanes import FrameRenderer
from streaming.live.live_config import LiveConfig
from streaming.live.run_desk import run_desk
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from tests.browser.light_server import measure
from tests.engine.session_fakes import FakePipeline
from tests.streaming.live.live_fakes import MICROPHONE, FakeHost


class CutOut:
    """A renderer that draws the person alone, as premultiplied RGBA."""

    workers = 1

    def __init__(self, avatar: Avatar) -> None:
        share = avatar.matte[..., None] / 255
        self.picture = np.dstack([np.rint(avatar.image * share), avatar.matte]).astype(np.uint8)

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        return self.picture.copy()

    def close(self) -> None:
        pass


def make(renderer: Callable[[Avatar], FrameRenderer]) -> Callable[[ServeConfig, Clock], Server]:
    def engine(clock: Clock) -> Engine:
        return Engine(
            clock=clock,
            renderer_factory=renderer,
            pipeline_factory=lambda avatar, lookahead, seed: FakePipeline(lookahead),
            measure=measure,
        )

    return lambda config, clock: create_server(config, make_engine=engine, clock=clock)


class Silence(FakeHost):
    """A microphone whose stream never seems to die, though nobody speaks."""

    def open_input(self, device, on_sound):
        stream = super().open_input(device, on_sound)
        stream.beats = Endless()
        return stream


class Endless:
    """A count that has always grown since it was last looked at."""

    def __gt__(self, other: object) -> bool:
        return True


def main(avatar: str = "ada", renderer: Callable[[Avatar], FrameRenderer] = CutOut) -> None:
    config = LiveConfig.model_validate({"avatar": avatar, "port": 0, "fps": 20, "output": {"window": False}})

    def say(text: str) -> None:
        if text.startswith("Desk:"):
            print(text, flush=True)

    asyncio.run(run_desk(config, lambda: Silence(MICROPHONE), say, make=make(renderer)))
