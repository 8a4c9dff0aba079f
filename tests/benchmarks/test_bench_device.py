"""``mien bench`` measures sessions on what ``--device`` names."""

import asyncio

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("rich", reason="the benchmarks' command line is not installed")

from benchmarks import bench_cli
from benchmarks.bench_cli import Bench, app
from engine.backends.device_network import Bound
from engine.backends.slots import Slots
from engine.card_room import CardRenderer


class Painter:
    def __init__(self):
        self.places = Slots(3)

    def bind(self, source, plate, static=None):
        return Bound(self.places)

    def draw(self, sketches, who):
        return [np.zeros((512, 512, 3), np.uint8) for _ in who]


def test_on_a_card_all_sessions_of_a_measurement_are_drawn_in_one_room(monkeypatch):
    opened, engines = [], []

    class Engine:
        def __init__(self, bundle, **options):
            engines.append(options)

        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            pass

    async def scenario(open_session):
        renderers = [bench._renderer(bench._avatar) for _ in range(2)]
        assert all(isinstance(each, CardRenderer) for each in renderers)
        for each in renderers:
            each.close()
        await asyncio.sleep(0)
        return {}

    monkeypatch.setattr(bench_cli, "Engine", Engine)
    monkeypatch.setattr(bench_cli, "choose_device", lambda wanted: {"auto": "cuda"}[wanted])
    monkeypatch.setattr(bench_cli, "open_painter", lambda device, network: opened.append(device) or Painter())
    bench = Bench(None, "ada", device="auto", renderer="warp")
    assert bench.run(scenario) == {}
    assert opened == ["cuda"] and engines[0]["device"] == "cuda"


@pytest.mark.parametrize("command", ["latency", "lookahead", "throughput", "styles", "pushed", "soak", "gpu"])
def test_every_measurement_of_sessions_takes_a_device(command):
    said = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"]).output
    assert "--device" in said and "cuda-graph" in said
