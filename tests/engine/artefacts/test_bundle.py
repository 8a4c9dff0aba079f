import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from engine.artefacts.bundle import MAX_FILE_BYTES, default_bundle, load_bundle, pick_renderer, save_bundle
from engine.errors import ArtefactError, ConfigError, OutputError
from tests.picture_networks import tint_network, with_mapping


@pytest.fixture
def folder(random_bundle_folder, tmp_path):
    return shutil.copytree(random_bundle_folder, tmp_path / "bundle")


def edit_manifest(folder, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_round_trip(random_bundle, tmp_path):
    save_bundle(random_bundle, tmp_path / "copy")
    copy = load_bundle(tmp_path / "copy")
    assert copy.manifest == random_bundle.manifest and copy.graphs == random_bundle.graphs
    for name in ("bank", "completion", "motion_mean"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(random_bundle, name))
    assert copy.motion_scale == random_bundle.motion_scale
    assert {file.name for file in (tmp_path / "copy").iterdir()} == {
        "manifest.json",
        "arrays.npz",
        "apc.onnx",
        "motion.onnx",
        "headpose.onnx",
    }


def test_default_bundle_lies_with_the_models():
    assert default_bundle().parts[-3:] == ("models", "pretrained", "bundle")


@pytest.mark.parametrize("file", ["apc.onnx", "motion.onnx", "headpose.onnx", "arrays.npz", "manifest.json"])
def test_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(ArtefactError, match=file):
        load_bundle(folder)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(ArtefactError, match="no folder"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("file", ["apc.onnx", "arrays.npz"])
def test_changed_byte_is_found(folder, file):
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(ArtefactError, match=f"{file} is damaged"):
        load_bundle(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "avatar", "schema_version": 1}'])
def test_no_manifest_of_a_bundle(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match="not a bundle"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(schema_version=2), "version 2"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.pop("networks"), "networks"),
        (lambda m: m["networks"].pop("apc"), "holds the networks"),
        (lambda m: m["mel"].update(bands=64), "log-mel"),
        (lambda m: m.update(motion_hz=50), "rates"),
        (lambda m: m["manifold"].update(strength=1.5), "strength"),
        (lambda m: m["manifold"].update(neighbours=65), "neighbours"),
        (lambda m: m["networks"]["apc"].update(file="../apc.onnx"), "file"),
        (lambda m: m["networks"]["apc"]["inputs"].update(mel=["batch", 2, 40]), "network apc"),
        (lambda m: m["sha256"].pop("apc.onnx"), r"apc\.onnx is damaged"),
    ],
)
def test_manifest_that_does_not_fit_is_refused(folder, change, words):
    edit_manifest(folder, change)
    with pytest.raises(ArtefactError, match=words):
        load_bundle(folder)


def test_huge_file_is_not_read(folder):
    with (folder / "apc.onnx").open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ArtefactError, match="too large"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bank": np.zeros((9, 512), np.float32)}, "bank"),
        ({"bank": np.zeros((50, 256), np.float32)}, "bank"),
        ({"bank": np.full((50, 512), np.nan, np.float32)}, "finite"),
        ({"completion": np.zeros((204, 120), np.float32)}, "completion"),
        ({"motion_mean": np.zeros(123)}, "float32"),
        ({"motion_scale": 0.0}, "scale"),
        ({"motion_scale": float("nan")}, "scale"),
        ({"graphs": {}}, "holds the networks"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(random_bundle, change, words):
    with pytest.raises(ArtefactError, match=words):
        replace(random_bundle, **change)


def test_place_that_cannot_be_written_is_named(random_bundle, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        save_bundle(random_bundle, tmp_path / "file")


def test_half_written_bundle_is_none(random_bundle, tmp_path, monkeypatch):
    save_bundle(random_bundle, tmp_path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OutputError):
        save_bundle(random_bundle, tmp_path)
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        load_bundle(tmp_path)


def with_renderers(bundle, *networks):
    manifest = bundle.manifest.model_copy(update={"renderers": {one.name: one.geometry for one in networks}})
    return replace(bundle, manifest=manifest, renderers={one.name: one for one in networks})


def test_picture_networks_go_with_the_bundle_and_back(random_bundle, tmp_path):
    networks = tint_network(better=True), tint_network("paper", 512)
    full = with_renderers(random_bundle, *networks)
    save_bundle(full, tmp_path / "full")
    copy = load_bundle(tmp_path / "full")
    assert copy.manifest.renderers == full.manifest.renderers
    for network in networks:
        for key, value in vars(network).items():
            np.testing.assert_array_equal(vars(copy.renderers[network.name])[key], value)


@pytest.mark.parametrize("file", ["lite.onnx", "lite_static.onnx", "lite_patterns.npz"])
def test_a_picture_networks_files_are_checked(random_bundle, tmp_path, file):
    save_bundle(with_renderers(random_bundle, tint_network()), tmp_path / "full")
    data = bytearray((tmp_path / "full" / file).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "full" / file).write_bytes(data)
    with pytest.raises(ArtefactError, match=f"{file} is damaged"):
        load_bundle(tmp_path / "full")
    (tmp_path / "full" / file).unlink()
    with pytest.raises(ArtefactError, match=f"{file} is missing"):
        load_bundle(tmp_path / "full")


def test_a_picture_network_that_the_manifest_does_not_know_is_refused(random_bundle):
    with pytest.raises(ArtefactError, match="not those of its manifest"):
        replace(random_bundle, renderers={"lite": tint_network()})


def test_a_renderer_is_picked_by_name_or_by_what_the_bundle_says(random_bundle):
    assert pick_renderer(random_bundle, None) is None
    good, other = tint_network(better=True), tint_network()
    assert pick_renderer(with_renderers(random_bundle, good), None) is good
    assert pick_renderer(with_renderers(random_bundle, other), None) is None
    assert pick_renderer(with_renderers(random_bundle, other), "lite") is other
    assert pick_renderer(with_renderers(random_bundle, good), "warp") is None
    with pytest.raises(ConfigError, match="holds no renderer 'lite': choose warp"):
        pick_renderer(random_bundle, "lite")
    with pytest.raises(ConfigError, match="warp, lite or paper, not 'best'"):
        pick_renderer(random_bundle, "best")


def test_a_style_mapping_survives_and_is_checked(random_bundle, tmp_path):
    full = with_mapping(random_bundle)
    save_bundle(full, tmp_path / "full")
    copy = load_bundle(tmp_path / "full")
    assert copy.style_mapping == full.style_mapping and copy.manifest.style_mapping == full.manifest.style_mapping
    assert random_bundle.style_mapping is None and random_bundle.manifest.style_mapping is None
    (tmp_path / "full" / "style_mapping.onnx").write_bytes(b"other")
    with pytest.raises(ArtefactError, match=r"style_mapping\.onnx is damaged"):
        load_bundle(tmp_path / "full")
    with pytest.raises(ArtefactError, match="not that of its manifest"):
        replace(random_bundle, style_mapping=b"graph")
