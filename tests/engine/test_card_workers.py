"""A recording's frames drawn by the card's graph, which runs on the processor here."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the frame's graph is written with onnx, which is not installed")

from engine.card_workers import CardWorkers
from engine.drawing import Drawing
from engine.errors import ConfigError
from engine.renderer.warp import WarpRenderer
from tests.engine.renderer.conftest import Motion, draw_person


def test_threads_get_the_frames_that_they_asked_for():
    person = draw_person()
    move, still = Motion(person), np.zeros(6, np.float32)
    faces = [(*move(jaw=jaw), still[:2], still) for jaw in (0.0, 0.1, 0.2)]
    with CardWorkers("cpu", Drawing(person), 1) as workers, ThreadPoolExecutor(3) as threads:
        drawn = list(threads.map(lambda face: workers.render(*face), faces))
        with pytest.raises(ConfigError, match=r"\(68, 3\) is needed"):
            workers.render(faces[0][0][:5], *faces[0][1:])
    workers.close()
    alone = WarpRenderer(person)
    for ours, face in zip(drawn, faces, strict=True):
        expected = alone.render(*face)
        error = np.mean((ours.astype(np.float64) - expected) ** 2)
        assert ours.shape == (512, 512, 3) and 10 * np.log10(255**2 / max(error, 1e-9)) > 50
    assert np.abs(drawn[0].astype(int) - drawn[2]).max() > 20
