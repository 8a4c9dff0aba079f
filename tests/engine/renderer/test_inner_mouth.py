import json

import numpy as np
import pytest

from engine.errors import ArtefactError
from engine.images import encode_png
from engine.renderer.inner_mouth import InnerMouth, jaw_angle, with_jaw
from engine.renderer.lip_line import find_lip_line
from engine.renderer.mouth_layers import load_mouth_layers

REST, STILL = np.zeros(6, np.float32), np.zeros((68, 3), np.float32)
UNIT_PX = 120.0


def inner_mouth(avatar):
    return InnerMouth(avatar, load_mouth_layers(), find_lip_line(avatar, UNIT_PX), UNIT_PX)


def look(inner, corner, below, gap, motion=STILL):
    """What is seen at ``corner`` where pixels lie ``below`` the upper lip."""
    height, width = below.shape
    source = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32) + corner
    return inner.draw(corner, source.astype(np.float32), below, gap - below, REST, motion)


def test_shipped_layers_are_small_and_whole():
    layers = load_mouth_layers()
    assert set(layers.parts) == {"upper", "lower", "tongue"}
    for part in layers.parts.values():
        assert part.colour.shape[:2] == part.alpha.shape
        assert not part.alpha[[0, -1]].any()
        assert part.alpha.max() == 255
    assert layers.parts["upper"].origin[1] < layers.parts["lower"].origin[1]


@pytest.mark.parametrize("damage", ["missing", "json", "version", "picture", "size"])
def test_damaged_layers_are_refused(tmp_path, damage):
    if damage != "missing":
        entry = {"origin": [0, 0], "pixel": 0.002, "depth": [0, 0, 0]}
        manifest = {
            "kind": "mouth_layers",
            "schema_version": 99 if damage == "version" else 1,
            "seam": [0, 0, 0],
            "mouth_width": 0.5,
            "layers": {name: entry for name in ("upper", "lower", "tongue")},
        }
        (tmp_path / "layers.json").write_text("{" if damage == "json" else json.dumps(manifest))
        for name in ("upper", "lower", "tongue"):
            colour = encode_png(np.zeros((4, 6, 3), np.uint8))
            (tmp_path / f"{name}.png").write_bytes(b"no png" if damage == "picture" else colour)
            (tmp_path / f"{name}_alpha.png").write_bytes(encode_png(np.zeros((4, 5), np.uint8)))
    with pytest.raises(ArtefactError):
        load_mouth_layers(tmp_path)


def test_the_jaw_turns_about_its_hinge():
    chin = np.array([[0.0, 0.72, -0.95]])
    turned = with_jaw(chin, 0.2, 0.03)
    assert turned[0, 0] == pytest.approx(0.03)
    assert turned[0, 1] > 0.72
    assert turned[0, 2] > -0.95
    assert jaw_angle((turned - chin)[0]) == pytest.approx(np.sin(0.2), rel=0.05)
    hinge = np.array([[0.1, -0.25, -0.10]])
    assert with_jaw(hinge, 0.3, 0.0) == pytest.approx(hinge)


def test_little_light_falls_through_a_narrow_opening(person):
    inner = inner_mouth(person)
    below = np.tile(np.arange(3, dtype=np.float32)[:, None], (1, 20))
    corner = (246, 298)
    narrow = look(inner, corner, below, 2)
    wide = look(inner, corner, below + 10, 60)
    assert (narrow.shape, narrow.dtype) == ((3, 20, 4), np.uint8)
    assert (narrow[..., 3] == 255).all()
    assert narrow[..., :3].mean() < 0.7 * wide[..., :3].mean()


def test_teeth_take_the_tone_of_the_portrait(person, make_person):
    dim = make_person()
    object.__setattr__(dim, "image", (dim.image * 0.5).astype(np.uint8))
    below = np.tile(np.arange(8, dtype=np.float32)[:, None] + 2, (1, 30))
    bright, dark = (look(inner_mouth(who), (241, 292), below, 30) for who in (person, dim))
    assert dark[..., :3].mean() == pytest.approx(0.5 * bright[..., :3].mean(), rel=0.25)


def test_rounded_lips_and_a_dropped_jaw_darken_the_inside(person):
    inner = inner_mouth(person)
    below = np.tile(np.arange(10, 40, dtype=np.float32)[:, None], (1, 20))
    rounded, spread, dropped = STILL.copy(), STILL.copy(), STILL.copy()
    rounded[[60, 64], 0] = 0.05, -0.05
    spread[[60, 64], 0] = -0.05, 0.05
    dropped[7:10, 1] = 0.1
    # Where neither teeth nor tongue lie, only the light changes.
    dark, light, deep, usual = (look(inner, (246, 150), below, 60, m) for m in (rounded, spread, dropped, STILL))
    ratio = dark[..., :3].mean() / usual[..., :3].mean()
    assert 0.5 < ratio < 0.9
    assert light[..., :3].mean() > 1.05 * usual[..., :3].mean()
    assert deep[..., :3].mean() < 0.97 * usual[..., :3].mean()
