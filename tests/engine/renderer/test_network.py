from dataclasses import replace

import numpy as np
import pytest

from engine.artefacts.picture_network import PATTERNS_SHAPE
from engine.care import Care
from engine.errors import ArtefactError
from engine.renderer.network import NetworkRenderer
from engine.renderer.network_input import face_window
from engine.renderer.warp import WarpRenderer
from tests.engine.renderer.conftest import draw_person
from tests.picture_networks import tint_network

STILL = np.zeros(6, np.float32)
AHEAD = np.zeros(2, np.float32)
CHIN = [5, 6, 7, 8, 9, 10, 11, 55, 56, 57, 58, 59, 65, 66, 67]


@pytest.fixture(scope="module")
def person():
    return draw_person()


@pytest.fixture(scope="module")
def speaking(person):
    """Landmarks with the mouth open."""
    landmarks = person.template.copy()
    landmarks[CHIN, 1] += 0.15
    return landmarks


@pytest.fixture(scope="module")
def warp(person):
    return WarpRenderer(person)


@pytest.fixture(scope="module")
def renderer(person):
    return NetworkRenderer(person, tint_network())


def test_the_network_paints_in_the_frame_where_it_is_told(person, speaking, warp, renderer):
    layers = warp.render_layers(speaking, STILL, AHEAD)
    plain, drawn = (one.render(speaking, STILL, AHEAD).astype(int) for one in (warp, renderer))
    inside = layers.mouth == 255
    red = person.image[..., 0][face_window(person.source_points)].mean() / 255
    assert inside.sum() > 300
    assert np.abs(drawn[inside] - (40 + red)).max() <= 1
    untouched = (layers.mouth == 0) & (layers.eyes == 0)
    np.testing.assert_array_equal(drawn[untouched], plain[untouched])


def test_it_paints_on_the_person_alone_as_over_the_background(person, speaking, renderer):
    out = np.empty((512, 512, 4), np.uint8)
    assert renderer.render(speaking, STILL, AHEAD, out=out) is out
    share = out[..., 3:] / 255
    assert (out[..., :3] <= out[..., 3:]).all()
    over = out[..., :3] + person.plate * (1 - share)
    assert np.abs(over - renderer.render(speaking, STILL, AHEAD)).max() <= 2
    np.testing.assert_array_equal(renderer.render_layers(speaking, STILL, AHEAD).person, out)
    assert renderer.render_rgba(speaking, STILL, AHEAD).shape == (512, 512, 4)


def test_a_half_seen_person_is_half_painted(speaking):
    person = draw_person()
    person = replace(person, matte=(person.matte // 2).astype(np.uint8))
    renderer, plain = NetworkRenderer(person, tint_network()), WarpRenderer(person)
    inside = plain.render_layers(speaking, STILL, AHEAD).mouth == 255
    out, before = (np.empty((512, 512, 4), np.uint8) for _ in range(2))
    renderer.render(speaking, STILL, AHEAD, out=out)
    plain.render(speaking, STILL, AHEAD, out=before)
    np.testing.assert_array_equal(out[..., 3], before[..., 3])
    over = out[..., :3] + person.plate * (1 - out[..., 3:] / 255)
    assert np.abs(over - renderer.render(speaking, STILL, AHEAD))[inside].max() <= 2


@pytest.mark.parametrize(("care", "economy"), [(Care.PLAIN, False), (Care.ECONOMY, True)])
def test_with_less_care_the_geometric_renderer_draws_alone(speaking, warp, renderer, care, economy):
    drawn = renderer.render(speaking, STILL, AHEAD, None, care)
    np.testing.assert_array_equal(drawn, warp.render(speaking, STILL, AHEAD, economy=economy))


def test_a_styles_patterns_take_the_place_of_the_neutral_ones(person, speaking, warp):
    patterns = np.full(PATTERNS_SHAPE, 200, np.uint8)
    drawn = NetworkRenderer(person, tint_network(), patterns).render(speaking, STILL, AHEAD)
    inside = warp.render_layers(speaking, STILL, AHEAD).mouth == 255
    assert np.abs(drawn[inside].astype(int) - 200).max() <= 2
    with pytest.raises(ArtefactError, match="patterns are uint8"):
        NetworkRenderer(person, tint_network(), patterns[:3])


def test_frames_do_not_see_each_other(person, speaking, renderer):
    rest = renderer.render(person.template, STILL, AHEAD)
    first = renderer.render(speaking, STILL, AHEAD)
    np.testing.assert_array_equal(renderer.render(person.template, STILL, AHEAD), rest)
    np.testing.assert_array_equal(renderer.render(speaking, STILL, AHEAD), first)


def test_a_network_of_the_whole_frame_runs_as_well(person, speaking, renderer):
    whole = NetworkRenderer(person, tint_network("paper", 512))
    drawn, window = whole.render(speaking, STILL, AHEAD).astype(int), renderer.render(speaking, STILL, AHEAD)
    assert np.abs(drawn - window).max() <= 2


def test_a_graph_that_is_another_is_refused(person, speaking):
    network = tint_network()
    with pytest.raises(ArtefactError, match=r"lite_static.onnx is not the one"):
        NetworkRenderer(person, replace(network, static_graph=network.graph))
    with pytest.raises(ArtefactError, match=r"lite.onnx cannot be loaded"):
        NetworkRenderer(person, replace(network, graph=b"no graph"))
    other = NetworkRenderer(person, replace(network, graph=network.static_graph))
    with pytest.raises(ArtefactError, match=r"lite.onnx is not the one"):
        other.render(speaking, STILL, AHEAD)
