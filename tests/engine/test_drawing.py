from dataclasses import fields, replace

import numpy as np

from engine.artefacts.avatar import Avatar, MouthPicture
from engine.care import Care
from engine.drawing import Drawing, drawer, in_style, pack, unpack
from engine.renderer.warp import WarpRenderer
from tests.engine.renderer.conftest import draw_person
from tests.picture_networks import tint_network
from tests.style_makers import make_style

REST = (np.zeros(6, np.float32), np.zeros(2, np.float32), np.zeros(6, np.float32))


def assert_same(avatar: Avatar, there: Avatar) -> None:
    for key, value in vars(avatar).items():
        np.testing.assert_array_equal(vars(there)[key], value)


def test_an_avatar_survives_the_journey():
    avatar = replace(draw_person(), provenance={"source": "drawn"})
    there = unpack(pack(Drawing(avatar)))
    assert_same(avatar, there.avatar)
    assert there.network is None and there.patterns is None


def test_its_second_picture_survives_it_too():
    person = draw_person()
    mouth = MouthPicture(person.image, person.source_points, person.template, person.camera, person.mesh)
    again = unpack(pack(Drawing(replace(person, mouth=mouth)))).avatar.mouth
    assert again is not None
    for item in fields(MouthPicture):
        assert np.array_equal(getattr(again, item.name), getattr(mouth, item.name))


def test_a_network_and_a_styles_patterns_survive_it():
    avatar, network = draw_person(), tint_network()
    patterns = np.full((12, 256, 256), 9, np.uint8)
    there = unpack(pack(Drawing(avatar, network, patterns)))
    assert_same(avatar, there.avatar)
    assert there.network is not None and there.patterns is not None
    for key, value in vars(network).items():
        np.testing.assert_array_equal(vars(there.network)[key], value)
    np.testing.assert_array_equal(there.patterns, patterns)


def test_what_draws_without_a_network_is_the_geometric_renderer():
    avatar = draw_person()
    here = WarpRenderer(avatar)
    for care, economy in ((Care.FULL, False), (Care.PLAIN, False), (Care.ECONOMY, True)):
        out = np.empty((512, 512, 3), np.uint8)
        drawer(Drawing(avatar))(avatar.template, *REST, care, out)
        np.testing.assert_array_equal(out, here.render(avatar.template, *REST, economy))


def test_a_styles_pattern_is_given_to_the_network(random_bundle):
    avatar, network = draw_person(), tint_network()
    pictures = np.stack([np.full((256, 256, 3), 50 * number, np.uint8) for number in range(4)])
    plain = make_style(random_bundle, seed=3)
    styled = plain.with_isp(pictures)
    patterns = in_style(avatar, network, styled).patterns
    assert patterns is not None and patterns.shape == (12, 256, 256)
    assert np.abs(patterns[:, 0, 0].astype(int) - np.repeat([0, 50, 100, 150], 3)).max() <= 2
    for none in (in_style(avatar, network, None), in_style(avatar, network, plain), in_style(avatar, None, styled)):
        assert none.patterns is None
