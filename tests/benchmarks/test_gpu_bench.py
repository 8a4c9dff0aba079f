import asyncio

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are measured with onnx, which is not installed")
pytest.importorskip("torch", reason="the benchmark imports export, which needs torch")

from rich.console import Console  # noqa: E402

from benchmarks import gpu_bench  # noqa: E402
from benchmarks.gpu_bench import GpuSettings, _by_throughput, _sessions, gpu, gpu_table, measure_gpu  # noqa: E402
from benchmarks.gpu_limits import measure_limits, multiplications  # noqa: E402
from engine.backends.graph_writer import GraphWriter  # noqa: E402
from engine.backends.ort_graph import OrtGraph  # noqa: E402
from engine.controls import Face  # noqa: E402
from engine.errors import ConfigError, MienError  # noqa: E402
from tests.engine.renderer.conftest import Motion, draw_person  # noqa: E402


@pytest.fixture(scope="module")
def face():
    landmarks, pose = Motion(draw_person())(jaw=0.1)
    return Face(landmarks, pose, np.zeros(2, np.float32), np.zeros(6, np.float32))


@pytest.fixture(scope="module")
def found(random_bundle, face):
    settings = GpuSettings("cpu", "warp", "fp32", most=1, seconds=0.01, live_s=0)
    return gpu(random_bundle, draw_person(), [face], None, settings)


def test_every_stage_and_batch_is_measured(found):
    rows = [(row["stage"], row["batch"]) for row in found["stages"]]
    assert rows == [
        *[(name, 1) for name in ("apc", "motion", "headpose")],
        ("sketch (processor)", 1),
        ("warp and compose", 1),
    ]
    for row in found["stages"]:
        assert 0 < row["ms"]["p50"] <= row["ms"]["p95"] and row["per_s"] > 0 and row["runs"] >= 3
    assert all(0 < row["copy_share"] for row in found["stages"] if row["stage"] == "warp and compose")
    assert found["card"] is None and found["watts"] is None and found["live"] == []
    assert all(value > 0 for value in found["limits"].values())


def test_the_table_says_what_was_measured_and_what_was_not(found):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))
    console.print(gpu_table(found))
    text = console.export_text()
    assert "warp in fp32" in text and "nvidia-smi is not here" in text and "TFLOP/s" in text
    console.file.close()


def test_multiplications_are_those_of_the_convolutions():
    write = GraphWriter("two")
    write.input("x", "float32", ("batch", 3, 8, 8))
    made = write("Conv", "x", write.constant(np.ones((4, 3, 3, 3), np.float32)), pads=[1, 1, 1, 1], strides=[2, 2])
    made = write("Conv", made, write.constant(np.ones((2, 4, 1, 1), np.float32)))
    write.output(made, "y", "float32", ("batch", 2, 4, 4))
    assert multiplications(write.finish()) == 4 * 16 * 27 + 2 * 16 * 4


def test_limits_are_measured_on_what_runs_graphs():
    limits = measure_limits(OrtGraph, "fp32", side=16, megabytes=1, seconds=0.01)
    assert min(vars(limits).values()) > 0


def test_sessions_by_throughput_are_those_whose_launches_are_in_time():
    rows = [
        {"stage": stage, "batch": batch, "ms": {"p95": ms}}
        for stage, batch, ms in (
            ("warp and compose", 32, 1.0),
            ("whole frame", 1, 4.0),
            ("whole frame", 8, 16.0),
            ("whole frame", 16, 17.0),
        )
    ]
    assert _by_throughput(rows) == 8 and _by_throughput(rows[:1]) == 32 and _by_throughput([]) == 0


def test_sessions_side_by_side_are_timed_from_when_a_frame_was_due(face):
    class Renderer:
        workers = 2

        async def render(self, face):
            await asyncio.sleep(0)

        def close(self):
            pass

    late = asyncio.run(_sessions([Renderer()] * 3, [face], 0.05))
    assert len(late) == 9 and min(late) >= 0


def test_what_cannot_be_measured_is_refused(random_bundle, monkeypatch):
    with pytest.raises(ConfigError, match="batches of up to"):
        measure_gpu("cpu", "warp", "fp32", 3, 0.01, 0, None, random_bundle)
    with pytest.raises(ConfigError):
        measure_gpu("fast", "warp", "fp32", 1, 0.01, 0, None, random_bundle)
    monkeypatch.setattr(gpu_bench, "_untrained", lambda preset: (_ for _ in ()).throw(MienError(preset)))
    with pytest.raises(MienError, match="paper"):
        measure_gpu("cpu", "paper", "fp32", 1, 0.01, 0, None, random_bundle)
