import numpy as np
import pytest

from engine.crossfade import FADE_TICKS
from engine.errors import ConfigError
from streaming.serve.media.backdrop import Backdrop

PLATE = np.full((512, 512, 3), 40, np.uint8)


def person() -> np.ndarray:
    """Nobody above, half there in the middle, whole below; premultiplied."""
    picture = np.zeros((512, 512, 4), np.uint8)
    picture[200:300] = (100, 50, 0, 128)
    picture[300:] = (200, 100, 0, 255)
    return picture


@pytest.mark.parametrize(
    ("background", "behind"),
    [("original", (40, 40, 40)), ("#0080ff", (0, 128, 255)), ("image", (9, 9, 9)), ("transparent", (0, 255, 0))],
)
def test_what_is_chosen_is_seen_where_nobody_is(background: str, behind: tuple[int, int, int]) -> None:
    laid = Backdrop(PLATE, background, np.full_like(PLATE, 9)).lay(person(), 0)
    assert laid.shape == (512, 512, 3)
    assert tuple(laid[0, 0]) == behind and tuple(laid[400, 0]) == (200, 100, 0)
    np.testing.assert_allclose(laid[250, 0], np.array([100, 50, 0]) + np.array(behind) * 127 / 255, atol=1)


def test_stacked_alpha_is_colour_above_opacity_whatever_the_background() -> None:
    for background in ("transparent", "original"):
        stacked = Backdrop(PLATE, background).stack(person(), 0)
        np.testing.assert_array_equal(stacked[:512], person()[..., :3])
        np.testing.assert_array_equal(stacked[512:], np.repeat(person()[..., 3:], 3, axis=2))


def test_an_opaque_picture_stays_as_it_is() -> None:
    picture, backdrop = np.full((512, 512, 3), 77, np.uint8), Backdrop(PLATE, "#ffffff")
    assert backdrop.lay(picture, 0) is picture and backdrop.layer("original")(picture, 0) is picture
    assert (backdrop.stack(picture, 0)[512:] == 255).all()


def test_another_avatars_background_takes_over_smoothly() -> None:
    backdrop = Backdrop(PLATE)
    backdrop.become(np.full_like(PLATE, 240), 48_000)
    shades = [int(backdrop.lay(person(), 48_000 + FADE_TICKS * n // 4)[0, 0, 0]) for n in range(-1, 6)]
    assert shades == [40, 40, 90, 140, 190, 240, 240]


def test_no_such_background_is_refused_and_the_last_one_stays() -> None:
    backdrop = Backdrop(PLATE, "#010203")
    for wrong in ("pink", "#12345", "#gggggg", "image"):
        with pytest.raises(ConfigError):
            backdrop.change(wrong)
    assert backdrop.background == "#010203"
