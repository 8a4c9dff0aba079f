"""The renderer on MakeHuman's own data, where it lies beside the checkout."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.spec import BROWS, INNER_LIP_PAIRS, LANDMARKS
from training.corpus.heads.assets import Assets
from training.corpus.heads.mask_classes import MaskClass

SHARED = os.environ.get("MIEN_SHARED")
DATA = Path(SHARED or ".") / "assets" / "makehuman"
pytestmark = pytest.mark.skipif(
    not (SHARED and DATA.is_dir()), reason="set MIEN_SHARED to a folder with assets/makehuman to test on real data"
)


@pytest.fixture(scope="module")
def shot(renderer):
    """A person of the real data from the front, mouth wide open: labels, mask and picture."""
    from training.corpus.heads import camera, grading, identity, lighting, looks
    from training.corpus.heads.actor import Actor
    from training.corpus.heads.background import studio_background
    from training.corpus.heads.expression import FaceInput
    from training.corpus.heads.gl_renderer import HeadRenderer
    from training.corpus.heads.studio import Studio

    gl = HeadRenderer(256, 1)
    studio = Studio(Assets(DATA), gl)
    person = identity.average_person()
    actor = Actor(studio, person, looks.neutral_look(person, studio.assets))
    view = camera.frame_face(actor.template, 256, 12.0, 1.0, (0.0, 0.0))
    weights = actor.rig.weights({"jawOpen": 0.6, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4})
    gap = np.full(3, 0.3, np.float32)
    posed = actor.pose(FaceInput(weights, gap, 0.0, np.zeros(3, np.float32)), np.zeros(2), np.zeros(6), np.zeros(6))
    backdrop = gl.texture(studio_background())
    picture = gl.render(posed.bones, view, lighting.studio_light(), grading.plain_grading(), backdrop)
    return posed, view, gl.mask(posed.bones, view), picture


def around(mask, pixel, reach=2):
    column, row = pixel.round().astype(int)
    return set(mask[row - reach : row + reach + 1, column - reach : column + reach + 1].ravel())


def test_the_inner_landmarks_lie_where_the_lips_are_seen_to_end(shot):
    posed, view, mask, _ = shot
    pixels = view.project(posed.landmarks)
    for upper, lower in INNER_LIP_PAIRS:
        for number, kind, last in ((upper, MaskClass.UPPER_LIP, np.max), (lower, MaskClass.LOWER_LIP, np.min)):
            column, row = pixels[number].round().astype(int)
            rows = np.flatnonzero(mask[row - 12 : row + 13, column] == kind) + row - 12
            assert abs(last(rows) - pixels[number, 1]) < 1.6, number


def test_landmarks_lie_on_what_they_name(shot):
    posed, view, mask, _ = shot
    pixels = view.project(posed.landmarks)
    lips = {MaskClass.UPPER_LIP, MaskClass.LOWER_LIP}
    for number in range(48, LANDMARKS):
        assert around(mask, pixels[number]) & lips, number
    for number in range(36, 48):
        assert MaskClass.EYE in around(mask, pixels[number], 4), number
    # Hairs of a brow end before its bone does.
    for number in (*range(BROWS.start + 1, BROWS.start + 5), *range(BROWS.start + 5, BROWS.stop - 1)):
        assert MaskClass.BROW in around(mask, pixels[number], 7), number
    for number in (30, 33):
        assert around(mask, pixels[number]) == {MaskClass.SKIN}


def test_the_open_mouth_shows_teeth_and_opens_as_asked(shot):
    posed, _, mask, _ = shot
    gaps = [posed.landmarks[low, 1] - posed.landmarks[up, 1] for up, low in INNER_LIP_PAIRS]
    # The rig opens the vertices of closed lips' margins; lips roll, and what is seen open is a little less.
    assert gaps == pytest.approx([0.3] * 3, abs=0.025)
    assert (mask == MaskClass.TEETH).sum() > 30


def test_the_picture_is_lit(shot):
    _, _, mask, picture = shot
    skin = picture[mask == MaskClass.SKIN]
    assert 60 < skin.mean() < 220
    assert skin.std() > 8
    red, _, blue = skin.mean(0)
    assert red > blue
