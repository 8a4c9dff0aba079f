import asyncio
import threading

import numpy as np
import pytest

from engine.artefacts.avatar import load_avatar
from engine.controls import Face
from engine.drawing import Drawing
from engine.errors import ConfigError
from engine.lanes import ThreadLane
from engine.process_renderer import ProcessRenderer
from streaming.avatars import shipped_avatars


def mien_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mien-")]


def test_work_runs_on_named_threads_that_end() -> None:
    async def main() -> None:
        lane = ThreadLane("mien-test")
        assert (await lane.run(lambda: threading.current_thread().name)).startswith("mien-test")
        assert await lane.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 7, 0)
        lane.close()
        lane.close()
        assert mien_threads() == []

    asyncio.run(main())


def test_a_renderer_in_a_process_draws_refuses_and_ends() -> None:
    async def main() -> None:
        avatar = load_avatar(next(iter(shipped_avatars().values())))
        renderer = ProcessRenderer(Drawing(avatar), 1)
        still = np.zeros(6, np.float32)
        try:
            picture = await renderer.render(Face(avatar.template, still, still[:2], still))
            assert picture.shape == (512, 512, 3) and picture.dtype == np.uint8
            with pytest.raises(ConfigError, match="finite landmarks"):
                await renderer.render(Face(avatar.template * np.nan, still, still[:2], still))
        finally:
            renderer.close()
        renderer.close()
        assert mien_threads() == []

    asyncio.run(main())
