import json

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.errors import ConfigError
from models.spec import SAMPLE_HZ
from training.cli import app, build_config
from training.corpus import flite
from training.corpus.media import read_audio, read_video

manners = pytest.importorskip("training.render_manners", reason="moderngl is not installed", exc_type=Exception)
pytestmark = pytest.mark.skipif(not flite.flite_available(), reason="flite is not installed")


@pytest.fixture(scope="module")
def config(makehuman_pack, renderer, tmp_path_factory):
    return manners.MannersConfig(
        assets=makehuman_pack,
        out=tmp_path_factory.mktemp("manners"),
        manners="rap",
        seconds=1.2,
        kept_out_seconds=1.0,
        fps=10,
        size=64,
        samples=1,
    )


@pytest.fixture(scope="module")
def clips(config):
    assert manners.render_manners(config) == 2
    return config.out


def test_each_manner_has_a_clip_to_learn_from_and_one_kept_out(clips):
    about = {}
    for which, pictures in (("learn", 12), ("kept_out", 10)):
        path = clips / which / "rap.mp4"
        assert sum(1 for _ in read_video(path)) == pictures
        assert len(read_audio(path)) == pytest.approx(pictures / 10 * SAMPLE_HZ, abs=1500)
        with av.open(str(path)) as container:
            assert float(container.streams.video[0].average_rate) == 10
        with np.load(path.with_suffix(".npz")) as labels:
            assert labels["pixels"].shape == (pictures, 68, 2) and labels["pose"].shape == (pictures, 6)
        about[which] = json.loads(path.with_suffix(".json").read_text())
    assert all(about["learn"][key] != about["kept_out"][key] for key in ("person", "voice", "text"))


def test_what_is_there_is_not_made_again(config, clips):
    target = clips / "learn" / "rap.mp4"
    before = target.read_bytes()
    target.unlink()
    assert manners.render_manners(config) == 1
    assert target.read_bytes() == before


def test_wrong_options_are_refused(tmp_path):
    given = {"out": tmp_path, "assets": tmp_path}
    with pytest.raises(ConfigError, match="no manner 'polka'"):
        manners.MannersConfig(**given, manners="polka")
    with pytest.raises(ConfigError, match="fps"):
        build_config(manners.MannersConfig, None, ["fps=25"], **given)


def test_the_command_says_what_it_made(config, clips):
    options = [f"--set={key}={getattr(config, key)}" for key in ("manners", "kept_out_seconds", "fps", "size")]
    arguments = ["manners", "--assets", str(config.assets), "--out", str(clips), "--seconds", "1.2", *options]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert "0 clips rendered" in ran.output
