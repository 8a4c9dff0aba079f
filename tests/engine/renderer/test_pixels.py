import numpy as np
import pytest

from engine.renderer.pixels import (
    blend,
    double,
    enlarge,
    extent,
    join,
    over,
    planes,
    remap,
    rounded,
    soften,
    unpremultiply,
)


def test_doubling_keeps_every_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (31, 20, 3), dtype=np.uint8)
    twice = double(picture)
    assert twice.shape == (62, 40, 3)
    assert np.array_equal(twice[::2, ::2], picture)


def test_doubling_continues_a_ramp():
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (12, 1))
    assert double(ramp)[6, 9:31].tolist() == list(range(45, 155, 5))


def test_remap_takes_whole_and_half_pixels_and_repeats_the_edge():
    picture = np.array([[0, 10, 20], [0, 10, 20]], np.float32)
    where = np.array([[[1, 0], [0.5, 1], [9, 0]]], np.float32)
    assert remap(picture, where)[0].tolist() == [10, 5, 20]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_remap_by_identity_changes_nothing(channels):
    field = np.random.default_rng(1).normal(size=(60, 80, channels)).astype(np.float32)
    where = np.stack(np.meshgrid(np.arange(80, dtype=np.float32), np.arange(60, dtype=np.float32)), -1)
    assert np.array_equal(remap(field, where).reshape(field.shape), field)


def test_rounding_goes_to_the_nearest_and_stays_in_range():
    values = np.array([[[-3.0, 0.4, 0.6], [127.49, 254.8, 300.0]]], np.float32)
    assert rounded(values).ravel().tolist() == [0, 0, 1, 127, 255, 255]


def test_a_blend_is_a_weighted_mean():
    one, other = np.full((1, 3, 4), 200, np.uint8), np.full((1, 3, 4), 100, np.uint8)
    shares = np.array([[1, 0.5, 0]], np.float32), np.array([[0, 0.5, 0.25]], np.float32)
    assert blend(one, other, *shares)[0, :, 0].tolist() == [200, 150, 100]


def test_the_extent_of_a_mask():
    mask = np.zeros((6, 9), bool)
    assert extent(mask) is None
    mask[2, 3] = mask[4, 7] = True
    assert extent(mask) == (slice(2, 5), slice(3, 8))


def test_softening_leaves_nothing_that_every_other_pixel_would_miss():
    stripes = np.tile(np.array([0, 200], np.uint8), (6, 5))
    assert set(soften(stripes)[:, 1:-1].ravel().tolist()) == {100}
    flat = np.full((5, 7, 4), 37, np.uint8)
    assert np.array_equal(soften(flat), flat)


def test_enlarging_puts_nodes_in_the_middle_of_their_cell():
    nodes = np.array([[[0.0], [4.0]], [[0.0], [4.0]]], np.float32)
    assert enlarge(nodes, 8, 8)[4].ravel().tolist() == [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]


def test_planes_and_join_are_inverse():
    field = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    assert np.array_equal(join(*planes(field)), field)


def test_premultiplied_over_and_back():
    foreground = np.zeros((1, 3, 4), np.uint8)
    foreground[0, 1] = (60, 30, 0, 128)
    foreground[0, 2] = (200, 100, 50, 255)
    background = np.full((1, 3, 3), 100, np.uint8)
    assert over(foreground, background)[0].tolist() == [[100, 100, 100], [110, 80, 50], [200, 100, 50]]
    canvas = np.zeros((4, 5, 3), np.uint8)
    over(foreground, background, canvas[2:3, 1:4])
    assert canvas[2, 1:4].tolist() == [[100, 100, 100], [110, 80, 50], [200, 100, 50]]
    assert not canvas[:2].any()
    assert unpremultiply(foreground)[0].tolist() == [[0, 0, 0, 0], [120, 60, 0, 128], [200, 100, 50, 255]]
