"""Styles of a live session, under a virtual clock; the pipeline is a fake that says what it was told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.artefacts.style import save_style
from engine.errors import ArtefactError, ConfigError, SessionError
from engine.session import Session
from engine.styles import Styled
from tests.engine.session_fakes import AVATAR, FakePipeline, Log, Stage, fake_avatar, speak
from tests.style_makers import make_style


@pytest.fixture(scope="module")
def style(random_bundle):
    return make_style(random_bundle)


@pytest.fixture(scope="module")
def rap(random_bundle):
    return make_style(random_bundle, name="rap")


@pytest.fixture
def play(random_bundle) -> Callable[..., Log]:
    """Play a script on a stage whose engine has the bundle."""

    def run(script: Callable[[Session, Log, Stage], Awaitable[None]], **options: Any) -> Log:
        stage = Stage()
        engine = stage.engine
        stage.engine = lambda **changes: engine(bundle=random_bundle, **changes)  # type: ignore[method-assign]
        return stage.play(lambda session, log: script(session, log, stage), lookahead=0, **options)

    return run


def worn(pipeline: FakePipeline) -> tuple[str | None, float]:
    """Name and intensity of the style that the last block was heard in."""
    steering = pipeline.steering
    slot = steering.slots[steering.current]
    return slot.style.name if slot else None, steering.intensity


def test_a_session_begins_and_goes_on_in_its_style(play, style, rap, tmp_path: Path) -> None:
    save_style(rap, tmp_path / "rap.style")

    async def script(session: Session, log: Log, stage: Stage) -> None:
        (pipeline,) = stage.pipelines
        await speak(session, log.clock, 200)
        assert worn(pipeline) == ("ballad", 0.5)
        session.set(intensity=1.2)
        await speak(session, log.clock, 200)
        assert worn(pipeline) == ("ballad", 1.2)
        await session.change_style(tmp_path / "rap.style", 0.8)
        await speak(session, log.clock, 200)
        assert worn(pipeline) == ("rap", 0.8)
        await session.change_style(None)
        await speak(session, log.clock, 200)
        assert worn(pipeline) == (None, 0.8)

    log = play(script, style=style, intensity=0.5)
    assert log.session.stats().missed == 0


def test_two_styles_are_mixed_and_a_third_follows(play, style, rap) -> None:
    async def script(session: Session, log: Log, stage: Stage) -> None:
        (pipeline,) = stage.pipelines
        await speak(session, log.clock, 200)
        await session.change_style(rap, second=style, part=0.3)
        await speak(session, log.clock, 200)
        steering = pipeline.steering
        goals = {slot.style.name: steering.goal(number) for number, slot in enumerate(steering.slots)}
        assert goals == pytest.approx({"rap": 0.7, "ballad": 0.3})
        for wrong in ({"second": style, "part": 1.1}, {"second": style, "part": float("nan")}):
            with pytest.raises(ConfigError, match="0 to 1"):
                await session.change_style(rap, **wrong)
        with pytest.raises(ConfigError, match="two styles"):
            await session.change_style(None, second=style)
        await session.change_style(None)
        await speak(session, log.clock, 200)
        assert all(pipeline.steering.goal(slot) == 0 for slot in (0, 1))

    log = play(script, style=style)
    assert log.session.stats().missed == 0


def test_the_style_stays_when_the_avatar_changes(play, style) -> None:
    async def script(session: Session, log: Log, stage: Stage) -> None:
        await speak(session, log.clock, 200)
        await session.change_style(style)
        await session.change_avatar(fake_avatar("ravi", 9))
        await speak(session, log.clock, 200)
        assert len(stage.pipelines) == 2 and worn(stage.pipelines[1]) == ("ballad", 1.0)

    play(script)


def test_what_cannot_be_worn_is_refused_and_the_session_goes_on(play, style, random_bundle, tmp_path: Path) -> None:
    foreign = make_style(replace(random_bundle, motion_scale=0.5))

    async def script(session: Session, log: Log, stage: Stage) -> None:
        await speak(session, log.clock, 200)
        with pytest.raises(ArtefactError, match="another bundle"):
            await session.change_style(foreign)
        with pytest.raises(ArtefactError, match="no style"):
            await session.change_style(tmp_path / "none.style")
        for wrong in (-0.1, 1.6, float("nan")):
            with pytest.raises(ConfigError, match=r"intensity must be 0 to 1\.5"):
                await session.change_style(None, wrong)
        await speak(session, log.clock, 200)
        assert worn(stage.pipelines[0]) == ("ballad", 1.0)

    log = play(script, style=style)
    assert log.session.stats().missed == 0
    with pytest.raises(SessionError, match="ended"):
        asyncio.run(log.session.change_style(style))


def test_changes_keep_the_order_of_their_calls(play, style, rap) -> None:
    """Opening a style takes its time; a quick change to none must not be overtaken by it."""

    async def script(session: Session, log: Log, stage: Stage) -> None:
        await speak(session, log.clock, 200)
        stage.setup.ms = 80.0
        changes = [asyncio.create_task(session.change_style(worn)) for worn in (rap, style, None, rap)]
        await speak(session, log.clock, 600)
        await asyncio.gather(*changes)
        assert worn(stage.pipelines[0]) == ("rap", 1.0)

    play(script)


def test_a_session_that_ends_while_its_style_is_opened_says_so(play, style) -> None:
    async def script(session: Session, log: Log, stage: Stage) -> None:
        stage.setup.ms = 200.0
        change = asyncio.create_task(session.change_style(style))
        await log.wait(50)
        await session.close()
        with pytest.raises(SessionError, match="ended"):
            await change

    play(script)


def test_a_session_is_measured_in_its_style_and_refused_with_it(random_bundle, style) -> None:
    stage, measured = Stage(), []
    foreign = make_style(replace(random_bundle, motion_scale=0.5))

    async def measure(pipeline: Any, *_: Any) -> Any:
        measured.append(pipeline)
        raise ConfigError("measured")

    async def main() -> None:
        async with stage.engine(bundle=random_bundle, measure=measure) as engine:
            with pytest.raises(ConfigError, match="measured"):
                await engine.session(avatar=AVATAR, style=style).__aenter__()
            with pytest.raises(ArtefactError, match="another bundle"):
                await engine.session(avatar=AVATAR, style=foreign).__aenter__()
            with pytest.raises(ConfigError, match="intensity must be"):
                engine.session(avatar=AVATAR, style=style, intensity=2.0)
            assert engine.sessions == 0 and all(renderer.closes == 1 for renderer in stage.renderers)

    stage.clock.run(main())
    assert [type(pipeline) for pipeline in measured] == [Styled]
