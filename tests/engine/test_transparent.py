"""A session that draws the person alone, in real processes."""

from typing import Any

import numpy as np

from engine.artefacts.avatar import load_avatar
from engine.budget import Measurement
from engine.engine import Engine
from engine.errors import SessionError
from engine.outlet import VideoFrame
from streaming.avatars import shipped_avatars
from tests.engine.session_fakes import FakePipeline
from tests.standstill import StoodStill, run_again_if_it_stood_still

ADA, OTHER = (load_avatar(path) for path in list(shipped_avatars().values())[:2])


async def measure(*_: Any) -> Measurement:
    return Measurement([200.0], 0.1)


async def first_drawn(session: Any, wanted: Any) -> np.ndarray:
    """The first picture for which ``wanted`` holds."""
    async for item in session:
        if isinstance(item, VideoFrame):
            assert item.picture.shape == (512, 512, 4) and item.picture.dtype == np.uint8
            if wanted(item.picture):
                return item.picture
    raise AssertionError("the session ended")


def play(script: Any) -> None:
    """Run a script with a session; again, if the machine stood still meanwhile."""

    async def main() -> None:
        async with Engine(
            workers=1, pipeline_factory=lambda avatar, lookahead, seed: FakePipeline(lookahead), measure=measure
        ) as engine:
            async with engine.session(avatar=ADA, fps=20, lookahead=0, transparent=True) as session:
                await script(session)

    async def attempt() -> None:
        try:
            await main()
        except SessionError as error:
            if "stood still" in str(error):
                raise StoodStill from error
            raise

    run_again_if_it_stood_still(attempt)


def test_pictures_are_the_person_and_nothing_else() -> None:
    async def script(session: Any) -> None:
        picture = await first_drawn(session, lambda picture: picture.any())
        alpha = picture[..., 3].astype(int)
        assert np.abs(alpha - ADA.matte).mean() < 1
        assert (picture[..., :3] <= picture[..., 3:]).all(), "premultiplied"

    play(script)


def test_another_avatar_is_drawn_alone_too() -> None:
    async def script(session: Any) -> None:
        await first_drawn(session, lambda picture: picture.any())
        await session.change_avatar(OTHER)
        await first_drawn(session, lambda picture: np.abs(picture[..., 3].astype(int) - OTHER.matte).mean() < 1)

    play(script)
