import gc
from contextlib import nullcontext

import numpy as np
import pytest

from engine import shared_networks, styles
from engine.backends.device_network import Bound
from engine.backends.devices import Choice
from engine.backends.slots import Slots
from engine.card_room import CardRenderer
from engine.drawing import Drawing
from engine.shared_networks import SharedNetworks
from tests.engine.renderer.conftest import draw_person
from tests.style_makers import make_style


class Painter:
    def __init__(self):
        self.places = Slots(4)

    def bind(self, source, plate, static=None):
        return Bound(self.places)

    def draw(self, sketches, who):
        return [np.zeros((512, 512, 3), np.uint8) for _ in who]


@pytest.fixture
def opened(monkeypatch):
    """Networks on a machine with a card; what was opened on it."""
    asked = []
    monkeypatch.setattr(shared_networks, "resolve", lambda device: Choice("cuda" if device == "auto" else device))
    monkeypatch.setattr(
        shared_networks, "open_painter", lambda device, network: asked.append((device, network)) or Painter()
    )
    return asked


def test_on_a_card_all_sessions_are_drawn_by_one_painter(opened):
    networks, person = SharedNetworks(None, "auto"), draw_person()
    renderers = [networks.on_card(Drawing(person), False) for _ in range(2)]
    try:
        assert all(isinstance(renderer, CardRenderer) for renderer in renderers)
        assert opened == [("cuda", None)]
    finally:
        for renderer in renderers:
            renderer.close()
        networks.close()
        networks.close()


def test_offered_styles_are_open_before_anybody_puts_one_on(random_bundle, monkeypatch, tmp_path, caplog):
    style = make_style(random_bundle)
    networks = SharedNetworks(random_bundle, offered=[tmp_path / "gone.style", style])
    networks.pipeline(draw_person(), 3, 0, lambda stage: nullcontext())
    assert "gone.style" in caplog.text
    gc.collect()
    monkeypatch.setattr(styles, "open_style", lambda *_: pytest.fail("it was open"))
    assert networks.style(style).name == style.name
    networks.close()


def test_the_processor_draws_where_it_is_asked_to_and_where_there_is_no_background(opened):
    assert SharedNetworks(None).on_card(Drawing(draw_person()), False) is None
    assert SharedNetworks(None, "auto").on_card(Drawing(draw_person()), True) is None
    assert opened == []
