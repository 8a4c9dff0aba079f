"""The server on an engine that costs next to nothing: a mouth that opens with the sound, painted on the portrait.

So a machine that is busy with other tests still keeps up with a call, and what the page shows is the page's doing.
"""

import asyncio

import cv2
import numpy as np

from engine.artefacts.avatar import Avatar
from engine.budget import Measurement
from engine.care import Care
from engine.clock import Clock
from engine.controls import Face
from engine.engine import Engine
from streaming.serve.app import Server, create_server
from streaming.serve.config import ServeConfig
from streaming.serve.run import serve
from tests.bundles import face_template
from tests.engine.session_fakes import LIP, FakePipeline

COMPUTE_MS = 250.0
"""Generous, for a loaded machine."""
MOUTH = (256, 272)


class PaintedMouth:
    """A renderer that draws an ellipse as tall as the sound is loud."""

    workers = 1

    def __init__(self, avatar: Avatar) -> None:
        self.portrait = avatar.image

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        opening = float(face.landmarks[LIP, 1] - face_template()[LIP, 1])
        picture = self.portrait.copy()
        cv2.ellipse(picture, MOUTH, (28, 3 + round(30 * min(1.0, max(0.0, opening)))), 0, 0, 360, (60, 20, 20), -1)
        return picture

    def close(self) -> None:
        pass


async def measure(*_: object) -> Measurement:
    return Measurement([COMPUTE_MS], busy_share=0.3)


def make(config: ServeConfig) -> Server:
    def engine(clock: Clock) -> Engine:
        return Engine(
            clock=clock,
            renderer_factory=PaintedMouth,
            pipeline_factory=lambda avatar, lookahead, seed: FakePipeline(lookahead),
            measure=measure,
        )

    return create_server(config, make_engine=engine)


def main() -> None:
    asyncio.run(serve(ServeConfig(port=0, drain_s=0), make=make))
