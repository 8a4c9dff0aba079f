"""What an engine draws with: the bundle's network, another that was asked for, or none where there is no room."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engine import engine as engine_module
from engine.artefacts.bundle import Bundle
from engine.budget import Measurement
from engine.care import Care
from engine.drawing import Drawing
from engine.errors import ConfigError
from tests.engine.session_fakes import AVATAR, FakeRenderer, Stage, speak
from tests.picture_networks import tint_network

REFINED_MS, PLAIN_MS = 15.0, 5.0


class Studio:
    """An engine on a bundle with a network; notes what its renderers are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bundle: Bundle, busy: float = 0.1) -> None:
        self.stage, self.made = Stage(), list[tuple[Drawing, FakeRenderer]]()
        self.bundle = bundle
        monkeypatch.setattr(engine_module, "ProcessRenderer", self.renderer)
        self.busy = busy

    def renderer(self, drawing: Drawing, workers: int, *, transparent: bool) -> FakeRenderer:
        made = FakeRenderer(self.stage.clock, PLAIN_MS if drawing.network is None else REFINED_MS)
        self.made.append((drawing, made))
        return made

    async def measure(self, pipeline: Any, renderer: FakeRenderer, *_: Any) -> Measurement:
        return Measurement([renderer.ms + 5] * 60, self.busy * renderer.ms / PLAIN_MS)

    @property
    def drawn_by(self) -> list[str | None]:
        return [None if drawing.network is None else drawing.network.name for drawing, _ in self.made]

    def open(self, **options: Any) -> Any:
        async def main() -> Any:
            engine_options = {"renderer_factory": None, "measure": self.measure, "bundle": self.bundle}
            async with self.stage.engine(**engine_options) as engine:
                async with engine.session(avatar=AVATAR, lookahead=0, **options) as session:
                    return session.budget

        return self.stage.clock.run(main())


def with_lite(bundle: Bundle, better: bool) -> Bundle:
    network = tint_network(better=better)
    manifest = bundle.manifest.model_copy(update={"renderers": {"lite": network.geometry}})
    return replace(bundle, manifest=manifest, renderers={"lite": network})


@pytest.mark.parametrize(
    ("better", "asked", "drawn_by"),
    [(True, None, "lite"), (False, None, None), (False, "lite", "lite"), (True, "warp", None)],
)
def test_the_bundle_says_what_draws_unless_somebody_else_does(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, better: bool, asked: str | None, drawn_by: str | None
) -> None:
    studio = Studio(monkeypatch, with_lite(random_bundle, better))
    budget = studio.open(renderer=asked)
    assert studio.drawn_by == [drawn_by]
    # What is measured is what is drawn.
    assert budget.compute_ms == (28 if drawn_by else 14)


def test_a_renderer_that_the_bundle_does_not_hold_is_refused(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(monkeypatch, random_bundle)
    with pytest.raises(ConfigError, match="holds no renderer 'lite'"):
        studio.open(renderer="lite")
    assert not studio.made


def test_where_there_is_no_room_for_the_network_it_is_left_out_by_default_alone(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(monkeypatch, with_lite(random_bundle, True), busy=0.7)
    studio.open()
    assert studio.drawn_by == ["lite", None] and [made.closes for _, made in studio.made] == [1, 1]
    asked = Studio(monkeypatch, with_lite(random_bundle, True), busy=0.7)
    asked.open(renderer="lite")
    assert asked.drawn_by == ["lite"]


def test_a_latency_that_only_the_plain_renderer_holds_is_held_with_it(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(monkeypatch, with_lite(random_bundle, True))
    plain = studio.open(renderer="warp").total_ms
    assert studio.open(latency=plain + 2).total_ms == pytest.approx(plain + 2)
    assert studio.drawn_by == [None, "lite", None]
    with pytest.raises(ConfigError, match="cannot be held"):
        studio.open(latency=plain - 2)


def test_another_avatar_is_drawn_by_the_same_network_and_overload_takes_it_first(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio, cares = Studio(monkeypatch, with_lite(random_bundle, True)), list[Care]()

    async def main() -> None:
        options = {"renderer_factory": None, "measure": studio.measure, "bundle": studio.bundle}
        async with studio.stage.engine(**options) as engine:
            async with engine.session(avatar=AVATAR, lookahead=0, fps=60) as session:

                async def consume() -> None:
                    async for _ in session:
                        pass

                consumer = asyncio.create_task(consume())
                await session.change_avatar(AVATAR)
                renderer = studio.made[1][1]
                draw = renderer.render

                async def slow(face: Any, care: Care = Care.FULL) -> Any:
                    cares.append(care)
                    renderer.ms = 60.0 if care is Care.FULL else PLAIN_MS
                    return await draw(face, care)

                monkeypatch.setattr(renderer, "render", slow)
                await speak(session, studio.stage.clock, 3000)
                assert session.stats().fps == 60 and not session.stats().economy
                await session.close()
                await consumer

    studio.stage.clock.run(main())
    assert studio.drawn_by == ["lite", "lite"]
    assert cares[0] is Care.FULL and cares[-1] is Care.PLAIN
