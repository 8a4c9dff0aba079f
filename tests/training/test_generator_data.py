"""A drawn person who talks, as a corpus holds him, prepared for the image generator."""

import numpy as np
import pytest

from engine.portrait.face_landmarks import Face
from engine.rotation import rotation_matrix
from models.spec import MOUTH
from tests.engine.renderer.conftest import draw_person
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.person_shard import PersonShard, ShardWriter
from training.generator_data import (
    FramesConfig,
    NoPortraitError,
    avatar_of_frame,
    pose_of,
    prepare_frames,
    prepare_person,
    relative_motion,
    rigid,
)

FRAMES = 9


class DrawnTracker:
    """Finds the face where it was drawn."""

    def __init__(self, mesh, blind=False):
        self.mesh, self.blind = mesh, blind

    def detect_all(self, rgb):
        return [] if self.blind else [Face.of_mesh(self.mesh.copy(), 1.0)]


@pytest.fixture(scope="module")
def drawn():
    return draw_person()


@pytest.fixture(scope="module")
def heads(drawn, tmp_path_factory):
    """One person whose frames all show the same face, while the labels say that the head moves a little."""
    folder = tmp_path_factory.mktemp("heads")
    picture = (drawn.image * (drawn.matte[..., None] / 255) + drawn.plate * (1 - drawn.matte[..., None] / 255)).round()
    mask = np.where(drawn.matte > 127, MaskClass.SKIN, MaskClass.BACKGROUND).astype(np.uint8)
    pose = np.zeros((FRAMES, 6), np.float32)
    pose[:, 1] = np.linspace(0, 0.5, FRAMES)
    displacement = np.zeros((FRAMES, 68, 3), np.float32)
    displacement[:, 65:68, 1] = np.linspace(0, 0.1, FRAMES)[:, None]
    displacement[:, 48:60, 0] = np.sin(np.arange(FRAMES))[:, None] * 0.02
    landmarks = np.stack(
        [(drawn.template + d) @ rotation_matrix(p[:3]).T for d, p in zip(displacement, pose, strict=True)]
    ).astype(np.float32)
    labels = {
        "camera": drawn.camera,
        "template": drawn.template,
        "landmarks": landmarks,
        "pixels": drawn.project(landmarks),
        "displacement": displacement,
        "pose": pose,
        "torso": 0.1 * pose,
        "gaze": np.zeros((FRAMES, 2), np.float32),
        "closure": np.zeros(FRAMES, np.float32),
        "kind": np.zeros(FRAMES, np.uint8),
    }
    with ShardWriter(folder / "p00000", 95) as shard:
        for _ in range(FRAMES):
            shard.add(picture.astype(np.uint8), mask)
        shard.finish(labels, np.zeros(160, np.float32), {"name": "p00000", "number": 0, "split": "train", "fps": 10})
    return folder


def config(heads, out, **given):
    return FramesConfig(heads=heads, out=out, other_frames=2, **given)


def test_an_avatar_of_a_frame_is_the_frame(drawn, heads):
    shard = PersonShard(heads / "p00000")
    avatar = avatar_of_frame(shard, 0, DrawnTracker(drawn.mesh))
    assert avatar is not None
    np.testing.assert_allclose(avatar.project(avatar.template), avatar.source_points, atol=0.01)
    share = avatar.matte[..., None] / 255
    composed = avatar.image * share + avatar.plate * (1 - share)
    assert np.abs(composed - shard.frame(0)).mean() < 1.5
    assert avatar_of_frame(shard, 0, DrawnTracker(drawn.mesh, blind=True)) is None
    shard.close()


def test_motion_is_told_against_the_portraits_own(heads):
    shard = PersonShard(heads / "p00000")
    labels = shard.labels
    still, _ = relative_motion(labels, 3, 3)
    np.testing.assert_allclose(still, 0, atol=1e-6)
    head, torso = relative_motion(labels, 2, 6)
    np.testing.assert_allclose(rigid(labels["pose"][2]) @ rigid(head), rigid(labels["pose"][6]), atol=1e-6)
    assert np.linalg.norm(torso[:3]) == pytest.approx(0.1 * np.linalg.norm(head[:3]), rel=1e-3)
    np.testing.assert_allclose(pose_of(rigid(head)), head, atol=1e-6)
    shard.close()


def test_a_prepared_person_lies_in_the_faces_window(drawn, heads, tmp_path):
    folder = prepare_person(heads / "p00000", config(heads, tmp_path), DrawnTracker(drawn.mesh))
    arrays = {file.stem: np.load(file) for file in folder.glob("*.npy")}
    rows = np.load(folder / "rows.npz")
    count = len(rows["frame"])
    assert arrays["dynamic"].shape == (count, 6, 256, 256) and arrays["target"].shape == (count, 3, 256, 256)
    assert arrays["sources"].shape == (2, 4, 256, 256) and arrays["styles"].shape == (4, 3, 512, 512)
    assert arrays["faces"].shape == (FRAMES, 3, 256, 256)
    # Heads turned too far against the portrait are left out.
    assert set(rows["portrait"]) == {0, 1} and max(rows["frame"]) < FRAMES - 1
    first = int(np.flatnonzero((rows["portrait"] == 0) & (rows["frame"] == 0))[0])
    assert np.abs(arrays["dynamic"][first, :3].astype(int) - arrays["target"][first]).mean() < 3
    points = rows["points"][:, MOUTH].mean(1) - rows["corner"][:, ::-1]
    assert ((points > 64) & (points < 192)).all()
    assert (arrays["regions"] == MaskClass.SKIN).any() and (rows["style_distance"] >= 0).all()


def test_frames_are_moved_by_labels_or_by_what_is_measured(drawn, heads, tmp_path):
    def lips(share):
        told = config(heads, tmp_path / str(share), portraits=1, measured_share=share)
        rows = np.load(prepare_person(heads / "p00000", told, DrawnTracker(drawn.mesh)) / "rows.npz")
        return rows["points"][:, 66, 1]

    # Labels say that the lip goes down from frame to frame; the tracker sees the same face in all of them.
    assert (np.diff(lips(0.0)) > 0.2).all()
    np.testing.assert_allclose(np.diff(lips(1.0)), 0, atol=1e-3)
    mixed = lips(0.5)
    assert 0 < np.isclose(mixed, mixed[0], atol=1e-3).sum() < len(mixed)


def test_whole_frames_are_kept_for_the_paper_preset(drawn, heads, tmp_path):
    folder = prepare_person(
        heads / "p00000", config(heads, tmp_path, whole=True, portraits=1), DrawnTracker(drawn.mesh)
    )
    assert np.load(folder / "dynamic.npy", mmap_mode="r").shape[1:] == (6, 512, 512)
    assert np.load(folder / "sources.npy", mmap_mode="r").shape[1:] == (4, 512, 512)
    assert not np.load(folder / "rows.npz")["corner"].any()


def test_preparing_goes_on_and_leaves_out_who_has_no_face(drawn, heads, tmp_path, caplog):
    assert prepare_frames(config(heads, tmp_path), DrawnTracker(drawn.mesh, blind=True)) == 0
    assert "p00000 is left out" in caplog.text
    assert prepare_frames(config(heads, tmp_path), DrawnTracker(drawn.mesh)) == 1
    assert prepare_frames(config(heads, tmp_path), DrawnTracker(drawn.mesh)) == 0
    with pytest.raises(NoPortraitError):
        prepare_person(heads / "p00000", config(heads, tmp_path), DrawnTracker(drawn.mesh, blind=True))
