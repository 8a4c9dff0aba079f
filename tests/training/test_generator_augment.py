import numpy as np
import pytest

from training.generator_augment import Look, Placement, shade


def picture():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)


def placement(plain):
    """The first drawn that is plain, or not."""
    return next(
        place
        for seed in range(50)
        if (place := Placement.draw(np.random.default_rng(seed), np.array([30.0, 34.0]), 32, 64)).plain is plain
    )


def test_a_plain_cut_is_the_windows_own_pixels():
    channels = picture()
    cut = placement(plain=True).cut(channels)
    windows = np.lib.stride_tricks.sliding_window_view(channels, (32, 32), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    same = [(windows == other).all((2, 3, 4)).any() for other in (cut, cut[:, :, ::-1])]
    assert cut.shape == (3, 32, 32) and any(same)


def test_other_cuts_do_not_mix_labels():
    labels = np.where(np.arange(64) < 32, 3, 9).astype(np.uint8)[None, None].repeat(64, 1)
    cut = placement(plain=False).cut(labels, labels=True)
    assert set(np.unique(cut)) == {3, 9}


def test_flips_and_turns_move_all_channels_alike():
    channels = picture()
    for plain in (True, False):
        place = placement(plain)
        np.testing.assert_array_equal(place.cut(channels)[1], place.cut(channels[1:2])[0])


@pytest.mark.parametrize("seed", range(6))
def test_a_look_is_the_same_for_all_pictures_of_a_face(seed):
    channels = picture()
    look = Look.draw(np.random.default_rng(seed))
    one, two = look.apply(np.stack([channels, channels]))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, look.apply(channels[None])[0], atol=1e-6)
    assert one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1


def test_looks_differ():
    channels = picture()[None]
    made = [Look.draw(np.random.default_rng(seed)).apply(channels).mean() for seed in range(8)]
    assert np.std(made) > 0.02


def test_a_patch_of_shade_is_the_same_in_all_pictures_and_soft():
    pictures = np.full((2, 3, 64, 64), 0.4, np.float32)
    pictures[1] *= 0.5
    shade(pictures, np.random.default_rng(3))
    assert np.allclose(pictures[1], 0.5 * pictures[0], atol=1e-6)
    assert np.abs(pictures[0] - 0.4).max() > 0.01
    assert np.abs(np.diff(pictures[0], axis=-1)).max() < 0.01
    assert pictures.min() >= 0
    assert pictures.max() <= 1
