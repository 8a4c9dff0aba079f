"""Every key of the desk, pressed, and looked for in the pictures that are drawn: by the renderer that ships."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from engine.artefacts.avatar import Avatar, load_avatar
from engine.care import Care
from engine.controls import Face
from engine.pipeline import MotionFrame
from engine.portrait.preview import composed
from engine.renderer.warp import WarpRenderer
from streaming.avatars import shipped_avatars
from streaming.live.desk import ROOM
from streaming.live.hotkeys import DEFAULT_KEYS
from tests.engine.session_fakes import FakePipeline
from tests.streaming.live.studio import Studio

ADA = load_avatar(shipped_avatars()["ada"])
RIGHT_EYE, LEFT_EYE, BROWS, CORNERS, LIPS = [37, 40], [43, 46], [19, 20, 23, 24], [48, 54], [51, 57, 62]
GAZE = np.array([0.16, 0.05], np.float32)
"""Eyes that look aside by themselves."""


class Drawn:
    """The renderer, in this process: the person alone, premultiplied."""

    workers = 1

    def __init__(self, avatar: Avatar) -> None:
        self._renderer = WarpRenderer(avatar)

    async def render(self, face: Face, care: Care = Care.FULL) -> np.ndarray:
        return self._renderer.render_layers(*face).person.copy()

    def close(self) -> None:
        pass


class Person(FakePipeline):
    """Frames of an avatar whose head may sway, and whose mouth opens with the sound, by a third of it."""

    def __init__(self, avatar: Avatar, sway: float = 0.0) -> None:
        super().__init__()
        self._template, self._sway = avatar.template, sway

    def step(self, block: np.ndarray, state: Any) -> tuple[list[MotionFrame], Any]:
        frames, after = super().step(block, state)
        return [self._posed(frame) for frame in frames], after

    def _posed(self, frame: MotionFrame) -> MotionFrame:
        displacement = frame.displacement / 3
        pose = np.array([0, self._sway * np.sin(frame.index / 15), 0, 0, 0, 0], np.float32)
        return replace(frame, displacement=displacement, landmarks=self._template + displacement, pose=pose, gaze=GAZE)


class Stage(Studio):
    """A desk whose pictures can be looked at."""

    def __init__(self, folder: Path, sway: float = 0.0, **changes: Any) -> None:
        super().__init__(folder, renderer=Drawn, pipeline=lambda avatar: Person(avatar, sway), **changes)
        self.silent = True

    def voice(self, at: np.ndarray) -> np.ndarray:
        return super().voice(at) * (not self.silent)

    async def pictures(self, count: int) -> list[np.ndarray]:
        """The next pictures, as the desk shows them: int, RGB."""
        room = self.server.rooms.get(ROOM)
        feed = room.watch()
        try:
            frames = [await feed.frame() for _ in range(count)]
        finally:
            feed.close()
        return [room.backdrop.lay(frame.picture, frame.ticks).astype(int) for frame in frames]

    async def press(self, key: str) -> np.ndarray:
        """Press and release a key; what is seen when its effect is there."""
        await self.ask(type="key", key=key, down=True)
        await self.ask(type="key", key=key, down=False)
        await self.rest(0.9)
        return (await self.pictures(1))[0]


def around(change: np.ndarray, points: list[int]) -> list[float]:
    """Mean change, summed over colours, of the 17x17 px about each point."""
    places = np.rint(ADA.source_points[points]).astype(int)
    return [float(change[y - 8 : y + 9, x - 8 : x + 9].sum(2).mean()) for x, y in places]


def play(folder: Path, script: Callable[[Stage], Awaitable[None]], **changes: Any) -> None:
    async def run(stage: Studio) -> None:
        assert isinstance(stage, Stage)
        await stage.rest(0.6)
        await script(stage)

    Stage(folder, **changes).run(run)


def test_every_preset_is_seen_where_it_belongs_and_taken_off_again(tmp_path: Path) -> None:
    presets = {
        "1": ("smile", CORNERS, BROWS),
        "2": ("frown", BROWS, []),
        "3": ("surprise", [*BROWS, *LIPS], []),
        "4": ("wink", RIGHT_EYE, LEFT_EYE),
    }

    async def script(stage: Stage) -> None:
        (plain,) = await stage.pictures(1)
        for key, (name, seen, unseen) in presets.items():
            change = np.abs(await stage.press(key) - plain)
            assert min(around(change, seen)) > 12, (name, around(change, seen))
            assert max([0, *around(change, unseen)]) < 0.5 * min(around(change, seen)), name
            assert change[:40].max() <= 6, f"{name}: hair and background stay"
            assert np.abs(await stage.press(key) - plain).max() <= 6, f"{name} again takes it off"
        await stage.press("1")
        assert np.abs(await stage.press("0") - plain).max() <= 6, "no expression"

    play(tmp_path, script)


def test_eyes_go_where_they_are_sent_and_blink(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        (plain,) = await stage.pictures(1)
        camera, away = await stage.press("c"), await stage.press("v")
        for one, other in ((plain, camera), (camera, away)):
            change = np.abs(one - other)
            assert min(around(change, RIGHT_EYE + LEFT_EYE)) > 8
            assert max(around(change, [*CORNERS, *LIPS, 30])) < 2, "the eyes alone"
        assert np.abs(await stage.press("x") - plain).max() <= 6, "they look about again"
        await stage.ask(type="key", key="b", down=True)
        lids = [min(around(np.abs(seen - plain), RIGHT_EYE + LEFT_EYE)) for seen in await stage.pictures(12)]
        assert max(lids) > 25 and lids[-1] < 2, "shut once, and open again"

    play(tmp_path, script)


def test_a_frozen_face_is_one_picture(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        def steps(pictures: list[np.ndarray]) -> list[float]:
            return [float(np.abs(b - a).mean()) for a, b in pairwise(pictures)]

        assert sum(steps(await stage.pictures(4))) > 0.5, "the head moves"
        await stage.press("f")
        assert max(steps(await stage.pictures(4))) == 0
        await stage.press("f")
        assert sum(steps(await stage.pictures(4))) > 0.5

    play(tmp_path, script, sway=0.1)


def test_mute_and_push_to_talk_shut_the_mouth(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        async def mouth() -> float:
            await stage.rest(0.9)
            return float(np.mean([around(np.abs(seen - plain), [57, 66]) for seen in await stage.pictures(3)]))

        (plain,) = await stage.pictures(1)
        stage.silent = False
        assert await mouth() > 12, "it speaks"
        await stage.press("m")
        assert await mouth() < 1
        await stage.press("m")
        await stage.press("p")
        assert await mouth() < 1
        await stage.ask(type="key", key="space", down=True)
        assert await mouth() > 12, "heard while the key is down"
        await stage.ask(type="key", key="space", down=False)
        assert await mouth() < 1

    play(tmp_path, script)


def test_avatars_and_backgrounds_by_key(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        (plain,) = await stage.pictures(1)
        blue = await stage.press("f2")
        outside = ADA.matte == 0
        assert (blue[outside] == [0, 0, 255]).all() and np.abs(blue - plain)[ADA.matte == 255].mean() < 1
        green = await stage.press("f3")
        assert (green[outside] == [0, 255, 0]).all(), "nothing is green where it must be opaque"
        assert np.abs(await stage.press("f4") - plain).max() <= 6
        ravi = await stage.press("f1")
        truth = load_avatar(shipped_avatars()["ravi"])
        assert np.abs(ravi - composed(truth)).mean() < 2 < np.abs(ravi - plain).mean()

    keys = {
        "f1": "avatar ravi",
        "f2": "background #0000ff",
        "f3": "background transparent",
        "f4": "background original",
    }
    play(tmp_path, script, hotkeys=keys)


def test_no_key_is_left_out() -> None:
    """Those that are not seen in a picture are tested in ``test_desk`` and ``test_recording``."""
    pressed = {"1", "2", "3", "4", "0", "c", "v", "x", "b", "f", "m", "space", "p"}
    assert set(DEFAULT_KEYS) - pressed == {"r", "escape"}
