import numpy as np
import pytest

from benchmarks.quality.reenact_heads import reenact_heads
from benchmarks.quality.tps_renderer import TpsRenderer
from engine.errors import InputError
from engine.portrait.face_mesh import IBUG_INDEX
from engine.renderer.warp import WarpRenderer
from engine.rotation import rotation_matrix
from tests.engine.renderer.conftest import draw_person
from training.corpus.heads.person_shard import ShardWriter

LOWER = [5, 6, 7, 8, 9, 10, 11, 55, 56, 57, 58, 59, 65, 66, 67]
TALKING = 6


def write_person(folder, avatar, split):
    """The drawn person as if it were rendered: six frames of talk, a still, and one turned away, made by ``warp``."""
    renderer, frames, labels = WarpRenderer(avatar), [], {}
    poses = np.zeros((8, 6), np.float32)
    poses[3, 1], poses[7, 1] = 0.05, 0.5
    displacement = np.zeros((8, 68, 3), np.float32)
    for frame, opening in enumerate((0, 0.05, 0.12, 0.15, 0.1, 0.02, 0.2, 0)):
        displacement[frame, LOWER, 1] = opening
    displaced = avatar.template + displacement
    turned = [face @ rotation_matrix(pose[:3]).T + pose[3:] for face, pose in zip(displaced, poses, strict=True)]
    landmarks = np.asarray(turned, np.float32)
    for face, pose in zip(landmarks, poses, strict=True):
        frames.append(renderer.render(face, pose, pose[:2] * 0))
    labels = {
        "template": avatar.template,
        "displacement": displacement,
        "landmarks": landmarks,
        "pixels": avatar.project(landmarks),
        "pose": poses,
        "torso": poses * 0,
        "gaze": np.zeros((8, 2), np.float32),
        "closure": np.array([0, 0, 0, 0, 0, 0.9, 0, 0], np.float32),
    }
    with ShardWriter(folder, 95) as writer:
        for frame in frames:
            writer.add(frame, np.zeros((512, 512), np.uint8))
        manifest = {"name": folder.name, "split": split, "talking_frames": TALKING}
        writer.finish(labels, np.zeros(1600, np.float32), manifest)
    return labels


def tracker_of(avatar, labels):
    """Finds the exact landmarks, by telling frames apart; None on what it has never seen."""
    renderer, given = WarpRenderer(avatar), (labels[name] for name in ("landmarks", "pose", "gaze"))
    seen = [renderer.render(*face) for face in zip(*given, strict=True)]

    def make():
        def measure(picture):
            nearest = int(np.argmin([np.abs(picture.astype(int) - one).mean() for one in seen]))
            mesh = avatar.mesh.copy()
            mesh[IBUG_INDEX, :2] = labels["pixels"][nearest]
            return mesh

        return measure

    return make


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder, avatar = tmp_path_factory.mktemp("heads"), draw_person()
    labels = write_person(folder / "p00001", avatar, "test")
    write_person(folder / "p00002", avatar, "train")
    return folder, avatar, labels


def test_people_kept_out_of_training_are_reenacted(heads, tmp_path):
    folder, avatar, labels = heads
    told = []
    results, skipped = reenact_heads(
        folder,
        tmp_path,
        {"warp": WarpRenderer, "tps": TpsRenderer},
        sheets=2,
        progress=lambda done, total: told.append((done, total)),
        make_avatar=lambda shard, frame: avatar if frame == 0 else None,
        make_measure=tracker_of(avatar, labels),
    )
    assert [result.name for result in results] == ["p00001"] and not skipped and told == [(1, 1)]
    (person,) = results
    # The portrait itself and the head that is turned away are not judged; the lips of frame 5 all but touch.
    assert (person.open_frames, person.closed_frames, person.missing) == (5, 1, 0)
    # The people were drawn by ``warp``, which gives them again but for the compression of their pictures.
    assert person.opened["warp"]["inside_l1"] < 3 < person.opened["tps"]["inside_l1"]
    assert person.opened["warp"]["lmd"] == pytest.approx(0, abs=1e-6)
    assert person.opened["warp"]["flicker_ratio"] == pytest.approx(1, abs=0.1)
    assert len(list((tmp_path / "sheets" / "p00001").glob("*.png"))) == 2


def test_a_folder_without_such_people_is_refused(heads, tmp_path):
    folder, _, _ = heads
    with pytest.raises(InputError, match="no rendered people of the split 'test'"):
        reenact_heads(tmp_path, tmp_path, {}, make_avatar=lambda shard, frame: None)
    with pytest.raises(InputError, match="p00001 is left out: no frame of this person can serve"):
        reenact_heads(folder, tmp_path, {}, make_avatar=lambda shard, frame: None)
