import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from clip_fakes import write_clip

from benchmarks.quality import reenact, reenact_judge, reenact_metrics
from benchmarks.quality.framing import FramedClip
from benchmarks.quality.reenact_report import notes, reenact_table
from benchmarks.quality.tps_renderer import TpsRenderer, border_points
from engine.errors import ConfigError, InputError
from engine.portrait.face_mesh import IBUG_INDEX, LEFT_IRIS, RIGHT_IRIS
from engine.renderer.lids import EYEBALL_RADIUS
from engine.renderer.warp import WarpRenderer
from engine.rotation import rotation_matrix
from training.measured_drive import Drive, base_landmarks, unit_px

DRAWN = Path(__file__).parents[2] / "engine" / "renderer" / "conftest.py"


@pytest.fixture(scope="module")
def drawn():
    """The drawn person of the renderer's tests, and its mesh with the landmarks where the tracker has them."""
    spec = importlib.util.spec_from_file_location("drawn_person", DRAWN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    avatar = module.draw_person()
    return avatar, mesh_of(avatar, avatar.template)


def mesh_of(avatar, points):
    """A mesh (478, 3) px whose 68 landmarks are those points (68, 3) fu."""
    mesh = avatar.mesh.copy()
    pixels = avatar.project(points)
    mesh[IBUG_INDEX] = np.column_stack([pixels, 110.5 * points[:, 2]])
    return mesh


def square(low, high):
    return np.array([[low, low], [high, low], [high, high], [low, high]], float)


def lips(gap):
    """Landmarks whose outer lips are a square of 40 px and whose inner lips are ``gap`` px high, 20 px wide."""
    points = np.full((68, 2), 60.0)
    points[:48:2] = (10.0, 10.0)
    points[48:60] = np.repeat(square(40, 80), 3, axis=0)
    low, high = 60 - gap / 2, 60 + gap / 2
    points[60:68] = [(50, 60), (55, low), (60, low), (65, low), (70, 60), (65, high), (60, high), (55, high)]
    return points


def test_the_opening_is_the_mean_height_of_the_inner_lips():
    assert reenact_metrics.opening(lips(10), 100.0) == pytest.approx(0.1)


def test_regions_are_where_the_truth_has_them():
    shape = (128, 128)
    inside, ring = (mask(lips(10), shape) for mask in (reenact_metrics.inside_mask, reenact_metrics.lip_mask))
    assert inside[60, 60] and not inside[54, 60] and not inside[70, 60] and not (inside & ring).any()
    assert inside[60].sum() == 19 and ring.sum() + inside.sum() == 41 * 41
    assert not reenact_metrics.inside_mask(lips(0), shape).any()
    points = lips(0)
    points[36:42] = [(20, 30), (24, 28), (28, 28), (32, 30), (28, 32), (24, 32)]
    points[42:48] = points[36:42] + np.array([60, 0])
    eyes = reenact_metrics.eyes_mask(points, shape)
    assert eyes[30, 17] and eyes[30, 95] and not eyes[30, 14] and not eyes[30, 56] and not eyes[35, 26]
    face = reenact_metrics.face_mask(points, shape)
    assert face[40, 40] and not face[80, 20]
    assert reenact_metrics.mouth_window(lips(10), shape) == (slice(28, 92), slice(28, 92))


def test_l1_and_gradient_by_hand():
    truth, other = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    other[0, 0] = (3, 6, 9)
    mask = np.array([[True, True], [False, False]])
    assert reenact_metrics.l1(truth, other) == pytest.approx(1.5)
    assert reenact_metrics.l1(truth, other, mask) == pytest.approx(3.0)
    assert reenact_metrics.l1(truth, other, ~mask & mask) is None
    slope = np.tile(np.arange(8, dtype=np.uint8) * 4, (8, 1))
    assert reenact_metrics.gradient(slope) == pytest.approx(4.0)
    assert reenact_metrics.gradient(slope + slope.T // 4 * 3) == pytest.approx(5.0)


def test_ratios_are_of_sums_and_what_is_missing_is_none():
    tally = reenact_judge.Tally()
    tally.ratio("sharpness", 1.0, 1.0)
    tally.ratio("sharpness", 2.0, 5.0)
    tally.add("lmd", 4.0)
    tally.add("lmd", None)
    figures = tally.figures()
    assert figures["sharpness"] == pytest.approx(0.5) and figures["lmd"] == 4.0 and figures["inside_l1"] is None
    other = {**figures, "lmd": 8.0, "sharpness": None}
    means = reenact.mean_figures([{"tps": figures}, {"tps": other}])["tps"]
    assert means["lmd"] == 6.0 and means["sharpness"] == pytest.approx(0.5) and means["inside_l1"] is None


def test_a_renderer_that_is_not_there_is_one_sentence():
    assert list(reenact.pick_renderers("warp, tps,warp")) == ["warp", "tps"]
    with pytest.raises(ConfigError, match=r"no renderer 'lite'; choose from warp, tps .lite and paper would come with"):
        reenact.pick_renderers("tps,lite")
    with pytest.raises(ConfigError, match="No renderer is named"):
        reenact.pick_renderers(" ,")


def test_the_portraits_frame_gives_the_template_and_its_picture(drawn):
    avatar, mesh = drawn
    shifted = mesh.copy()
    shifted[IBUG_INDEX[62], 1] -= 2  # lips that touch are measured a little apart
    driven = Drive(avatar, shifted).step(shifted)
    assert driven.landmarks == pytest.approx(base_landmarks(avatar), abs=1e-4)
    assert driven.pose == pytest.approx(np.zeros(6), abs=1e-4) and not driven.gaze.any()
    share = avatar.matte[..., None] / 255
    portrait = avatar.image * share + avatar.plate * (1 - share)
    for make in (WarpRenderer, TpsRenderer):
        picture = make(avatar).render(driven.landmarks, driven.pose, driven.gaze)
        assert np.abs(picture - portrait).mean() < 1.0


def test_a_pose_and_an_opening_are_found_again(drawn):
    avatar, mesh = drawn
    pose = np.array([0.04, -0.1, 0.03, 0.05, -0.03, 0.1])
    points = avatar.template.astype(np.float64)
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += 0.1
    posed = points @ rotation_matrix(pose[:3]).T + pose[3:]
    driven = Drive(avatar, mesh).step(mesh_of(avatar, posed))
    # The camera is 12 fu away: weak perspective is wrong by a fraction of a degree.
    assert driven.pose == pytest.approx(pose, abs=0.03)
    assert avatar.project(driven.landmarks) == pytest.approx(avatar.project(posed), abs=0.01)
    opened = (driven.landmarks[66, 1] - driven.landmarks[62, 1]) - (posed[66, 1] - posed[62, 1])
    assert abs(opened) < 0.01


def test_the_gaze_is_the_irises_way_between_the_corners(drawn):
    avatar, mesh = drawn
    mesh = mesh.copy()
    for iris, eye in ((RIGHT_IRIS, slice(36, 42)), (LEFT_IRIS, slice(42, 48))):
        mesh[iris, :2] = avatar.source_points[eye].mean(0)
    looking = mesh.copy()
    looking[468:478, :2] += (4.0, -2.0)
    gaze = Drive(avatar, mesh).step(looking).gaze
    assert np.sin(gaze) * EYEBALL_RADIUS * unit_px(avatar) == pytest.approx([4.0, -2.0], abs=0.05)


def test_the_plain_warp_moves_its_points_and_keeps_its_border(drawn):
    avatar, _ = drawn
    renderer = TpsRenderer(avatar)
    rest = renderer.render(avatar.template, np.zeros(6), np.zeros(2))
    moved = renderer.render(avatar.template + np.float32([0.1, 0, 0]), np.zeros(6), np.zeros(2))
    shift = avatar.project(avatar.template + np.float32([0.1, 0, 0])) - avatar.project(avatar.template)
    irises = [picture[..., 1].astype(int) - picture[..., 0] > 90 for picture in (rest, moved)]
    places = [np.argwhere(green)[:, 1].mean() for green in irises]
    assert places[1] - places[0] == pytest.approx(shift[36:48, 0].mean(), abs=1.0)
    assert np.abs(moved[:2].astype(int) - rest[:2]).max() <= 2 and len(border_points()) == 16
    with pytest.raises(ConfigError, match="finite landmarks"):
        renderer.render(np.full((68, 3), np.nan), np.zeros(6), np.zeros(2))


class Meshes:
    """Gives mesh functions that know the mouth by how bright the picture's corner is; a black one has no face."""

    def __init__(self, avatar):
        self.avatar = avatar

    def mesh(self, level):
        points = self.avatar.template.copy()
        points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += max(0.0, level - 60) / 800
        return mesh_of(self.avatar, points)

    def __call__(self):
        def measure(rgb):
            level = float(rgb[4:28, 4:28].mean())
            return None if level < 30 else self.mesh(level)

        return measure


def test_a_clip_is_reenacted_and_reported(drawn, tmp_path):
    avatar, _ = drawn
    levels = [60, 60, 60, 140, 140, 140, 0, 140]
    shown = []
    for level in levels:
        picture = WarpRenderer(avatar).render(ibug_landmarks(avatar, level), np.zeros(6), np.zeros(2))
        picture[:32, :32] = level
        shown.append(picture)

    def framer(video, sound, target, name):
        if name == "bad":
            raise InputError("it has no sound.")
        return FramedClip(name, video, avatar, 25, len(shown))

    clips = tmp_path / "clips"
    write_clip(clips / "bad.mp4", shown[:2])
    write_clip(clips / "good.mp4", shown)
    calls = []
    results, skipped = reenact.reenact_clips(
        clips,
        tmp_path / "out",
        reenact.pick_renderers("tps,warp"),
        sheets=1,
        progress=lambda done, total: calls.append((done, total)),
        framer=framer,
        make_measure=Meshes(avatar),
    )
    (result,) = results
    assert (result.open_frames, result.closed_frames, result.missing) == (4, 3, 1)
    assert skipped == ["bad.mp4 is left out: it has no sound."] and calls[-1] == (16, 16)
    assert len(list((tmp_path / "out" / "sheets" / "good").glob("*.png"))) == 1
    # The clip is drawn by ``warp``: it is nearly itself again, and the plain warp has no inside of the mouth.
    opened = result.opened
    assert opened["warp"]["inside_l1"] < 0.5 * opened["tps"]["inside_l1"]
    assert opened["warp"]["mouth_ssim"] > opened["tps"]["mouth_ssim"]
    assert opened["warp"]["sharpness"] == pytest.approx(1, abs=0.1)
    assert result.closed["warp"]["inside_l1"] is None and result.closed["warp"]["face_l1"] < 5
    report = json.loads(json.dumps(reenact.reenact_json(results, skipped, 1), allow_nan=False))
    assert set(report["renderers"]["tps"]) == set(report["closed"]["warp"]) == set(reenact_judge.FIGURES)
    assert report["clips"][0]["missing_faces"] == 1 and report["clips"][0]["renderers"] == report["renderers"]
    assert notes(results)[0] == "good: no face in 1 frames of the clip; they are left out."
    table = reenact_table(results, closed=False)
    assert table.row_count == 4 and "4 frames" in str(table.title)


def ibug_landmarks(avatar, level):
    """The landmarks (68, 3) fu that the fake tracker sees at a level."""
    points = avatar.template.copy()
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += max(0, level - 60) / 800
    return points


def test_a_folder_of_which_nothing_can_be_used_is_one_sentence(drawn, tmp_path):
    avatar, _ = drawn
    write_clip(tmp_path / "clips" / "dark.mp4", [np.zeros((64, 64, 3), np.uint8)] * 2)
    with pytest.raises(InputError, match=r"No clip .* can be used. dark.mp4 is left out: No face is found"):
        reenact.reenact_clips(
            tmp_path / "clips",
            tmp_path / "out",
            reenact.pick_renderers("tps"),
            framer=lambda video, sound, target, name: FramedClip(name, video, avatar, 25, 2),
            make_measure=Meshes(avatar),
        )
