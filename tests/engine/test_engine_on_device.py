"""The whole engine with its networks on a device, which is the processor here, and frames drawn by one painter."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("onnx", reason="banks are written with onnx, which is not installed")

from engine import shared_networks
from engine.backends import opening
from engine.backends.device_network import Bound
from engine.backends.devices import Choice
from engine.backends.ort_graph import OrtGraph
from engine.backends.slots import Slots
from engine.budget import Measurement
from engine.engine import Engine
from tests.engine.renderer.conftest import draw_person


class Painter:
    """Draws every frame in the number of its place."""

    def __init__(self):
        self.places = Slots(4)

    def bind(self, source, plate, static=None):
        return Bound(self.places)

    def draw(self, sketches, who):
        assert all(sketch.positions.shape == (130, 130, 2) for sketch in sketches)
        return [np.full((512, 512, 3), each.place, np.uint8) for each in who]


def test_sessions_speak_on_a_device(random_bundle, monkeypatch):
    opened = []
    monkeypatch.setattr(shared_networks, "resolve", lambda device: Choice("cuda"))
    monkeypatch.setattr(shared_networks, "open_painter", lambda device, network: Painter())
    monkeypatch.setattr(opening, "open_graph", lambda device, graph, wanted: opened.append(device) or OrtGraph(graph))

    async def measure(*_):
        return Measurement([200.0] * 60, 0.1)

    async def speak(engine, person, seed):
        async with engine.session(avatar=person, fps=20, mode="pushed", lookahead=0, seed=seed) as session:
            await session.push(np.random.default_rng(seed).normal(0, 0.1, 8000).astype(np.float32), 16_000)
            pictures = []
            async for item in session:
                pictures += [item.picture] if hasattr(item, "picture") else []
                if len(pictures) == 4:
                    return pictures[-1]

    async def main():
        person = draw_person()
        async with Engine(random_bundle, device="auto", measure=measure, cores=8) as engine:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                tasks = [group.create_task(speak(engine, person, seed)) for seed in range(2)]
        return [task.result() for task in tasks]

    shown = {int(picture[0, 0, 0]) for picture in asyncio.run(main())}
    assert shown == {1, 2}, "each session sees its own place on the card"
    assert opened == ["cuda"] * 3, "the networks are opened once for both"
