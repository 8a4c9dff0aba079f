import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from engine.artefacts.avatar import Avatar, load_avatar
from engine.care import Care
from engine.drawing import Drawing
from engine.errors import ConfigError, MienError
from engine.render_workers import WorkerRenderer
from engine.renderer.warp import WarpRenderer
from engine.scheduling import NICENESS
from streaming.avatars import shipped_avatars

REST = (np.zeros(6, np.float32), np.zeros(2, np.float32), np.zeros(6, np.float32))


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return load_avatar(next(iter(shipped_avatars().values())))


@pytest.fixture(scope="module")
def workers(avatar: Avatar) -> Iterator[WorkerRenderer]:
    with WorkerRenderer(Drawing(avatar), 2) as renderer:
        yield renderer


@pytest.fixture(scope="module")
def here(avatar: Avatar) -> WarpRenderer:
    return WarpRenderer(avatar)


def test_a_worker_draws_what_the_renderer_draws(avatar: Avatar, workers: WorkerRenderer, here: WarpRenderer) -> None:
    frames = [avatar.template + np.float32(0.01 * n) for n in range(6)]
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda landmarks: workers.render(landmarks, *REST), frames))
    for landmarks, picture in zip(frames, drawn, strict=True):
        assert picture.dtype == np.uint8 and picture.shape == (512, 512, 3)
        np.testing.assert_array_equal(picture, here.render(landmarks, *REST))


def test_a_picture_stays_when_the_next_is_drawn(avatar: Avatar, workers: WorkerRenderer) -> None:
    first = workers.render(avatar.template, *REST)
    kept = first.copy()
    for _ in workers._workers:  # until it was the same worker's turn
        assert not np.array_equal(workers.render(avatar.template + np.float32(0.05), *REST), kept)
    np.testing.assert_array_equal(first, kept)


def test_economy_reaches_the_worker(avatar: Avatar, workers: WorkerRenderer, here: WarpRenderer) -> None:
    drawn = workers.render(avatar.template, *REST, Care.ECONOMY)
    np.testing.assert_array_equal(drawn, here.render(avatar.template, *REST, economy=True))


def test_workers_step_back_within_their_parents_session(workers: WorkerRenderer, avatar: Avatar) -> None:
    with ThreadPoolExecutor(2) as pool:  # a worker that has drawn has settled
        list(pool.map(lambda _: workers.render(avatar.template, *REST), range(8)))
    drawn = [worker._process.pid for worker in workers._workers if worker._setup is None]
    assert drawn
    for pid in drawn:
        assert os.getsid(pid) == os.getsid(0)
        assert os.getpgid(pid) == pid != os.getpgid(0)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)


def test_without_anonymous_memory_a_deleted_file_will_do(
    avatar: Avatar, here: WarpRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with WorkerRenderer(Drawing(avatar), 1) as renderer:
        drawn = renderer.render(avatar.template, *REST)
    np.testing.assert_array_equal(drawn, here.render(avatar.template, *REST))


def test_a_face_of_the_wrong_shape_never_reaches_a_worker(avatar: Avatar, workers: WorkerRenderer) -> None:
    with pytest.raises(ConfigError, match=r"\(67, 3\)"):
        workers.render(avatar.template[1:], *REST)
    workers.render(avatar.template, *REST)


def test_a_workers_error_is_the_callers_and_it_goes_on(avatar: Avatar, workers: WorkerRenderer) -> None:
    for _ in range(4):
        with pytest.raises(ConfigError, match="finite landmarks"):
            workers.render(np.full((68, 3), np.nan, np.float32), *REST)
    workers.render(avatar.template, *REST)


def test_an_avatar_that_cannot_be_drawn_is_told(avatar: Avatar) -> None:
    broken = replace(avatar, camera=np.zeros((3, 4), np.float32))
    with WorkerRenderer(Drawing(broken), 1) as renderer, pytest.raises((MienError, RuntimeError)) as caught:
        renderer.render(broken.template, *REST)
    assert str(caught.value)


def test_a_worker_that_dies_is_an_error(avatar: Avatar) -> None:
    with WorkerRenderer(Drawing(avatar), 1) as renderer:
        renderer.render(avatar.template, *REST)
        os.kill(renderer._workers[0]._process.pid, signal.SIGKILL)
        with pytest.raises(MienError, match="ended before its time"):
            renderer.render(avatar.template, *REST)


def test_workers_end_with_their_owner(avatar: Avatar) -> None:
    renderer = WorkerRenderer(Drawing(avatar), 1)
    process = renderer._workers[0]._process
    process.stdin.close()  # as the system does when the owner is killed
    for _ in range(200):
        if process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() == 0
    renderer.close()
    renderer.close()
