from dataclasses import replace

import numpy as np
import pytest

from engine.renderer.mouth_tones import LUMA, find_tones

SKIN, LIP, WHITE = (210, 165, 135), (190, 70, 70), (235, 232, 225)
"""Of the drawn person."""


def with_lips(person, colour):
    """The person with lips of another colour, and with eyes that show no white."""
    image = person.image.copy()
    image[np.abs(image.astype(int) - LIP).max(-1) < 60] = colour
    image[np.abs(image.astype(int) - WHITE).max(-1) < 25] = SKIN
    return replace(person, image=image)


def brightness(colour):
    return float(np.asarray(colour) @ LUMA)


def test_tones_are_the_portraits_own(person):
    tones = find_tones(person)
    assert np.abs(tones["skin"] - SKIN).max() < 6
    assert np.abs(tones["lip"] - LIP).max() < 40
    assert brightness(tones["skin"]) <= brightness(tones["tooth"])
    assert brightness(tones["dark"]) < 0.3 * brightness(tones["lip"])
    assert tones["tongue"][0] > 1.5 * tones["tongue"][1]


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_between_yellow_lips_teeth_are_brighter_and_the_tongue_darker(person, share):
    colour = share * np.array([200, 150, 55])
    yellow, red = (find_tones(with_lips(person, tuple(lips))) for lips in (colour.astype(int), LIP))
    assert brightness(yellow["tooth"]) > brightness(red["tooth"]) + 10
    assert brightness(yellow["tongue"]) < 0.5 * brightness(yellow["lip"])
    # A redder one would be taken for a lip.
    redder = yellow["tongue"] / yellow["lip"]
    assert 1 < redder[0] / redder[1] < 1.15


def test_from_red_to_yellow_lips_the_tongue_changes_by_little(person):
    lips = [(200, 150, round(150 / ratio)) for ratio in np.linspace(1.3, 2.0, 9)]
    tongues = [brightness(find_tones(with_lips(person, colour))["tongue"]) for colour in lips]
    assert np.abs(np.diff(tongues)).max() < 30 and tongues[0] > 1.3 * tongues[-1]


def test_a_picture_without_blue_has_tones(person):
    tones = find_tones(with_lips(person, (180, 120, 0)))
    assert all(np.isfinite(tone).all() for tone in tones.values())
