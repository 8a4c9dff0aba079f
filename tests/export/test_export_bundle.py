import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from safetensors.torch import save_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from engine.artefacts.bundle import load_bundle  # noqa: E402
from engine.errors import ArtefactError, ConfigError  # noqa: E402
from export.bundle import BundleSettings, export_bundle, load_trained  # noqa: E402
from export.cli import app  # noqa: E402
from tests.bundles import random_trained  # noqa: E402


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder, trained = tmp_path_factory.mktemp("checkpoints"), random_trained(seed=5)
    for name, module in trained.modules.items():
        save_file(module.state_dict(), folder / f"{name}.safetensors")
    np.savez(folder / "manifold.npz", bank=trained.bank.astype(np.float16), mel=trained.mel)
    np.savez(
        folder / "motion_extras.npz",
        completion=trained.completion,
        mean=trained.motion_mean.astype(np.float32),
        scale=np.float32(trained.motion_scale),
    )
    return folder


@pytest.fixture
def copy(checkpoints, tmp_path):
    """The checkpoints as links, to be damaged one by one."""
    for file in checkpoints.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def test_checkpoints_become_a_bundle_that_the_engine_runs(checkpoints, tmp_path):
    from engine.pipeline import Pipeline
    from tests.bundles import face_template

    settings = BundleSettings(name="five", provenance={"speech": "synthesised"})
    export_bundle(checkpoints, tmp_path / "bundle", settings)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.name == "five" and bundle.manifest.provenance["speech"] == "synthesised"
    assert bundle.manifest.networks["headpose"].precision == "w8a8"
    trained = load_trained(checkpoints)
    np.testing.assert_array_equal(bundle.bank, trained.bank.astype(np.float32))
    np.testing.assert_array_equal(bundle.completion, trained.completion)
    pipeline = Pipeline(bundle, face_template(), 0)
    frames, _ = pipeline.step(np.full(1600, 0.1, np.float32), pipeline.init_state())
    assert len(frames) == 6


@pytest.mark.parametrize(
    "file", ["apc.safetensors", "motion.safetensors", "headpose.safetensors", "manifold.npz", "motion_extras.npz"]
)
@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_checkpoint_that_is_missing_or_damaged_is_named(copy, file, damage):
    (copy / file).unlink()
    if damage == "garbage":
        (copy / file).write_bytes(b"\x00garbage")
    with pytest.raises(ArtefactError, match=file.replace(".", r"\.")):
        load_trained(copy)


def test_checkpoint_of_another_network_is_named(copy):
    (copy / "apc.safetensors").unlink()
    (copy / "apc.safetensors").symlink_to((copy / "motion.safetensors").resolve())
    with pytest.raises(ArtefactError, match="another network"):
        load_trained(copy)


def test_commands_export_and_verify(checkpoints, tmp_path):
    runner, out, report = CliRunner(), tmp_path / "bundle", tmp_path / "parity.json"
    arguments = ["--checkpoints", str(checkpoints), "--out", str(out), "--provenance", "licence=CC0"]
    chosen = ["--manifold-strength", "0.5", "--heard-frames", "7", "--motion-smoothing", "1.5", "--head-smoothing", "4"]
    result = runner.invoke(app, ["bundle", *arguments, "--apc", "int8", *chosen])
    assert result.exit_code == 0 and "MB" in result.output
    manifest = load_bundle(out).manifest
    assert (manifest.motion.heard_frames, manifest.motion.smoothing_frames) == (7, 1.5)
    assert manifest.pose.smoothing_frames == 4
    assert manifest.networks["apc"].precision == "int8" and manifest.manifold.strength == 0.5
    assert manifest.provenance["licence"] == "CC0"
    verify = ["verify", str(out), "--checkpoints", str(checkpoints), "--steps", "20", "--json", str(report)]
    result = runner.invoke(app, verify)
    assert result.exit_code == 0 and "headpose" in result.output
    figures = json.loads(report.read_text())
    assert all(figures[name]["holds"] and figures[name]["steps"] == 20 for name in ("apc", "motion", "headpose"))


def test_verify_fails_for_other_checkpoints(checkpoints, tmp_path, random_bundle_folder):
    result = CliRunner().invoke(
        app, ["verify", str(random_bundle_folder), "--checkpoints", str(checkpoints), "--steps", "5"]
    )
    assert isinstance(result.exception, ArtefactError) and "strays" in str(result.exception)


@pytest.mark.parametrize("option", [("--apc", "fp8"), ("--provenance", "nothing")])
def test_options_that_mean_nothing_are_refused(checkpoints, tmp_path, option):
    arguments = ["bundle", "--checkpoints", str(checkpoints), "--out", str(tmp_path), *option]
    assert isinstance(CliRunner().invoke(app, arguments).exception, ConfigError)
