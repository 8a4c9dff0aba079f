import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.errors import ConfigError, OutputError
from engine.rotation import rotation_matrix
from training.cli import app
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.person_shard import PersonShard
from training.corpus.heads.script import STILL

heads = pytest.importorskip("training.render_heads", reason="moderngl is not installed", exc_type=Exception)


@pytest.fixture(scope="module")
def config(makehuman_pack, renderer, tmp_path_factory):
    return heads.HeadsConfig(
        assets=makehuman_pack,
        out=tmp_path_factory.mktemp("heads"),
        people=2,
        seconds=0.5,
        fps=10,
        stills=19,
        size=64,
        samples=1,
    )


@pytest.fixture(scope="module")
def people(config):
    assert heads.render_heads(config) == 3
    return {folder.name: PersonShard(folder) for folder in sorted(config.out.iterdir())}


def test_people_lie_in_their_folders(people):
    assert list(people) == ["neutral", "p00000", "p00001"]
    for shard in people.values():
        assert len(shard) == 24
        assert shard.manifest["talking_frames"] == 5
        assert len(shard.audio()) == 8000
        assert shard.frame(0).shape == (64, 64, 3)
        assert (shard.labels["kind"][5:] == STILL).all()
    assert people["p00000"].manifest["person"] != people["p00001"].manifest["person"]
    assert (people["p00000"].frame(0) != people["p00001"].frame(0)).any()


def test_landmarks_follow_from_template_displacement_pose_and_camera(people):
    labels = people["p00001"].labels
    turns = np.stack([rotation_matrix(pose[:3]) for pose in labels["pose"]])
    face = labels["template"] + labels["displacement"]
    posed = np.einsum("nij,nkj->nki", turns, face) + labels["pose"][:, None, 3:]
    assert labels["landmarks"] == pytest.approx(posed, abs=1e-5)
    flat = labels["landmarks"] @ labels["camera"][:, :3].T + labels["camera"][:, 3]
    assert labels["pixels"] == pytest.approx(flat[..., :2] / flat[..., 2:], abs=1e-3)


def test_masks_show_what_the_labels_say(people):
    shard = people["p00000"]
    labels = shard.labels
    gap = (labels["template"] + labels["displacement"])[:, [66, 62], 1]
    wide = int(np.argmax(gap[:, 0] - gap[:, 1]))
    assert {MaskClass.SKIN, MaskClass.UPPER_LIP, MaskClass.BACKGROUND} <= set(shard.mask(0).ravel())
    inside = [MaskClass.INNER_MOUTH, MaskClass.TEETH, MaskClass.TONGUE]
    middle = labels["pixels"][wide][[62, 66]].mean(0).round().astype(int)
    assert shard.mask(wide)[middle[1], middle[0]] in inside
    sealed = int(np.argmin(np.abs(gap[:, 0] - gap[:, 1])))
    assert not np.isin(shard.mask(sealed), inside[1:]).any()


def test_an_interrupted_run_goes_on_and_gives_the_same(config, people):
    before = {path.name: path.read_bytes() for path in (config.out / "p00001").iterdir()}
    shutil.rmtree(config.out / "p00001")
    assert heads.render_heads(config) == 1
    after = {path.name: path.read_bytes() for path in (config.out / "p00001").iterdir()}
    assert after == before
    assert heads.render_heads(config) == 0
    assert not list(config.out.glob(".*"))


def test_people_of_other_options_are_not_mixed_in(config, people):
    with pytest.raises(ConfigError, match="another fps, size"):
        heads.render_heads(config.model_copy(update={"size": 96, "fps": 15}))


def test_the_seed_decides_who_is_kept_out(config):
    splits = [heads.split_of(config, number) for number in range(400)]
    assert splits == [heads.split_of(config, number) for number in range(400)]
    assert 0.05 < splits.count("test") / 400 < 0.16
    other = config.model_copy(update={"seed": 1})
    assert splits != [heads.split_of(other, number) for number in range(400)]
    assert heads.split_of(config, heads.NEUTRAL) == "train"


def test_a_folder_that_cannot_be_made_is_said(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        heads.render_heads(config.model_copy(update={"out": tmp_path / "file" / "heads"}))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--assets", "nowhere", "--out", "x"], "holds no 3dobjs/base.obj"),
        (["--assets", "nowhere"], "--out DIR"),
        (["--assets", "nowhere", "--out", "x", "--set", "fps=7"], "must divide 60"),
        (["--assets", "nowhere", "--pack", "x"], "holds no 3dobjs/base.obj"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments, why):
    result = CliRunner().invoke(app, ["heads", *arguments])
    assert result.exit_code != 0
    assert why in str(result.exception)
