import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ArtefactError
from models.spec import EYE_MIDPOINT, INNER_LIP_PAIRS
from training.corpus.heads.assets import Assets
from training.corpus.heads.base_head import LOWER_TEETH, TONGUE, UPPER_TEETH, load_base_head
from training.corpus.heads.expression import FaceInput, FaceRig
from training.corpus.heads.identity import average_person, draw_person, shape_person
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.obj_file import QuadMesh
from training.corpus.heads.proxy import Proxy
from training.corpus.heads.targets import Targets
from training.corpus.heads.teeth_seat import seat_teeth

UPPER, LOWER = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
FREE = np.full(3, np.nan, np.float32)
STILL = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def rig(makehuman):
    assets = Assets(makehuman)
    base, targets, person = load_base_head(assets), Targets(assets), average_person()
    return FaceRig(base, shape_person(base.points, person, targets), person, targets)


def marks(rig, weights=None, gap=STILL, closure=0.0, tongue=STILL):
    points = rig.move(FaceInput(rig.weights(weights or {}), np.asarray(gap, np.float32), closure, tongue))
    return rig.frame.points(rig.base.landmarks(points))


def opening(points):
    return points[LOWER, 1] - points[UPPER, 1]


def test_face_coordinates_are_those_of_the_spec(rig):
    assert np.linalg.norm(rig.template[45] - rig.template[36]) == pytest.approx(1)
    assert (rig.template[45] + rig.template[36]) / 2 == pytest.approx(EYE_MIDPOINT, abs=1e-5)
    assert rig.template[45, 0] > 0 > rig.template[36, 0]
    assert rig.template[8, 1] > rig.template[33, 1] > rig.template[27, 1]
    assert rig.template[30, 2] < rig.template[0, 2]


@given(st.floats(0, 0.25), st.floats(0.7, 1), st.floats(0.7, 1), st.floats(0, 0.6), st.floats(0, 1))
def test_lips_open_as_wide_as_asked_whatever_the_shapes(rig, middle, right, left, jaw, smile):
    gap = [right * middle, middle, left * middle]
    got = opening(marks(rig, {"jawOpen": jaw, "mouthSmileLeft": smile}, gap))
    # Three landmarks on neighbouring vertices of a coarse sheet: half a millimetre is as near as they come.
    assert got == pytest.approx(gap, abs=0.008)


def test_left_to_the_shapes_the_jaw_opens_and_nothing_crosses(rig):
    assert opening(marks(rig, {"jawOpen": 0.5}, FREE)).min() > 0.1
    # A jaw driven upwards would push the lower lip through the upper one.
    assert opening(marks(rig, {"jawOpen": -0.3}, FREE)).min() > -0.004


def test_a_blink_brings_the_lids_together_and_half_a_blink_half_way(rig):
    pairs = np.array([(37, 41), (38, 40), (43, 47), (44, 46)])

    def gap(closure):
        points = marks(rig, closure=closure)
        return (points[pairs[:, 1], 1] - points[pairs[:, 0], 1]).mean()

    assert gap(1.0) < 0.08 * gap(0.0)
    assert gap(0.5) == pytest.approx((gap(0.0) + gap(1.0)) / 2, rel=0.01)
    assert gap(-0.1) > gap(0.0)


def test_the_tip_of_the_tongue_reaches_the_teeth_from_an_open_jaw(rig):
    def top(jaw, tongue):
        weights = rig.weights({"jawOpen": jaw})
        return rig.move(FaceInput(weights, FREE, 0.0, np.array(tongue, np.float32)))[TONGUE, 1].max()

    ridge = rig.neutral[UPPER_TEETH, 1].min()
    assert top(0.8, [0, 0, 0]) < ridge - 0.15
    assert top(0.8, [1, 0, 0]) > ridge - 0.05
    assert top(0.0, [0, 0, 1]) > top(0.0, [0, 0, 0])


@pytest.mark.parametrize("show", [0.0, 0.03])
def test_teeth_reach_below_the_lip_as_far_as_asked(rig, show):
    # Two teeth, upper and lower, hanging on a helper vertex each.
    anchors = np.array([[UPPER_TEETH.start] * 3, [LOWER_TEETH.start] * 3])
    first = np.tile(np.array([1, 0, 0], np.float32), (2, 1))
    mesh = QuadMesh(np.zeros((2, 3), np.float32), np.zeros((1, 2), np.float32), *[np.zeros((1, 4), np.int32)] * 2)
    teeth = Proxy("teeth", mesh, anchors, first, np.zeros((2, 3), np.float32), (None,) * 3, np.zeros(0, bool))
    seated = seat_teeth(rig.neutral, rig.base, teeth, show)
    upper, lower = teeth.fit(seated, teeth.scale(rig.neutral))[:, 1]
    lip = rig.base.landmarks(rig.neutral)[62, 1]
    assert lip - upper == pytest.approx(show, abs=1e-5)
    assert 0 < lower - upper < 0.02
    moved = (seated != rig.neutral).any(1)
    assert not moved[: TONGUE.start].any()
    assert moved[TONGUE].all()


def test_shapes_have_names(rig):
    assert {"jawOpen", "viseme_FF", "unit-mouth-retraction"} <= set(rig.shapes)
    with pytest.raises(KeyError):
        rig.weights({"wiggleEars": 1.0})


def test_the_mesh_is_sorted_into_classes(rig):
    kinds = {MaskClass(kind) for kind in rig.base.surface.classes}
    assert kinds == {
        MaskClass.SKIN,
        MaskClass.UPPER_LIP,
        MaskClass.LOWER_LIP,
        MaskClass.INNER_MOUTH,
        MaskClass.NECK,
    }
    # All landmarks turn with the skull.
    turning = rig.base.shares[rig.base.index.vertices][17:, 3]
    assert turning == pytest.approx(1)


def test_people_differ_and_repeat(makehuman):
    targets = Targets(Assets(makehuman))
    first, again, other = (draw_person(np.random.default_rng(seed), targets) for seed in (1, 1, 2))
    assert first == again != other
    assert sum(first.ancestry) == pytest.approx(1)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("landmarks68.json", '{"vertices": [1]}', "is damaged"),
        (
            "landmarks68.json",
            '{"vertices": [1], "lip_faces_upper": [], "lip_faces_lower": [], "inner_mouth_faces": []}',
            "takes 68",
        ),
        ("3dobjs/base.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n", "take MakeHuman's hm08"),
        ("rigs/default_weights.mhw", '{"weights": {"head": [["x", 1]]}}', "do not fit the base mesh"),
    ],
)
def test_damaged_base_data_is_refused(makehuman, tmp_path, file, text, why):
    for name in ("3dobjs/base.obj", "landmarks68.json", "rigs/default_weights.mhw", "rigs/default.mhskel"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if name == file else (makehuman / name).read_text())
    with pytest.raises(ArtefactError, match=why):
        load_base_head(Assets(tmp_path))
