import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.artefacts import style as style_file
from engine.artefacts.style import Style, bundle_digest, load_style, save_style
from engine.artefacts.style_arrays import pack_arrays
from engine.errors import ArtefactError, OutputError
from tests.style_makers import make_style


@pytest.fixture(scope="module")
def style(random_bundle) -> Style:
    return make_style(random_bundle, seed=3, pictures=4)


@pytest.fixture
def folder(style, tmp_path) -> Path:
    save_style(style, tmp_path / "style")
    return tmp_path / "style"


def packed(folder: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder.with_suffix(".style")
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def edit_manifest(folder: Path, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["a.style", "folder"])
def test_round_trip(style, random_bundle, tmp_path, name):
    save_style(style, tmp_path / "new" / name)
    copy = load_style(tmp_path / "new" / name)
    assert (copy.packed, copy.references, copy.isp) == (style.packed, style.references, ()) and copy.name == "ballad"
    assert copy.manifest == style.manifest.model_copy(update={"sha256": copy.manifest.sha256})
    copy.check_fits(random_bundle)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [name], "nothing half-written is left"


def test_a_packed_folder_is_a_style(folder, style, random_bundle):
    assert load_style(packed(folder)).graphs(random_bundle) == style.graphs(random_bundle)


def test_reference_images_and_pattern_come_back(style, tmp_path):
    pattern = np.stack([np.full((256, 256, 3), 50 * k, np.uint8) for k in range(4)])
    save_style(style.with_isp(pattern), tmp_path / "a.style")
    copy = load_style(tmp_path / "a.style")
    assert np.abs(copy.isp_images().astype(int) - pattern).max() <= 2
    assert [picture.shape for picture in copy.reference_images()] == [(32, 32, 3)] * 4
    assert style.isp_images() is None


def test_a_pattern_of_another_size_is_refused(style):
    with pytest.raises(ArtefactError, match="not 256x256"):
        replace(style, isp=style.references).isp_images()
    with pytest.raises(ArtefactError, match="or none"):
        replace(style, isp=style.references[:3])


def test_arrays_of_something_else_are_refused(style):
    with pytest.raises(ArtefactError, match="arrays are damaged"):
        replace(style, packed=b"PK")


@pytest.mark.parametrize("file", ["arrays.npz", "reference_2.jpg", "manifest.json"])
@pytest.mark.parametrize("pack", [False, True])
def test_missing_and_changed_files_are_named(folder, file, pack):
    kept = (folder / file).read_bytes()
    (folder / file).unlink()
    with pytest.raises(ArtefactError, match=file):
        load_style(packed(folder) if pack else folder)
    (folder / file).write_bytes(kept[:-7])
    with pytest.raises(ArtefactError, match=r"damaged"):
        load_style(packed(folder) if pack else folder)


def test_nothing_there(tmp_path):
    with pytest.raises(ArtefactError, match="There is no style"):
        load_style(tmp_path / "none.style")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "bundle", "schema_version": 1}', "[" * 100_000])
def test_no_manifest_of_a_style(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match="not a style"):
        load_style(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(schema_version=1), "version 1.*mien style create"),
        (lambda m: m.update(schema_version=3), "version 3"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(name=""), "name"),
        (lambda m: m.update(name="x" * 101), "name"),
        (lambda m: m.update(bundle_sha256="../../etc"), "bundle_sha256"),
        (lambda m: m["pose"].update(temperature=float("nan")), "temperature"),
        (lambda m: m["pose"].update(limits=[0.1] * 5), "limits"),
        (lambda m: m["pose"].update(limits=[0.1] * 5 + [3.0]), "limits"),
        (lambda m: m["life"].update(blink_rate=0), "blink_rate"),
        (lambda m: m["pose"].update(centre=[0.0] * 5 + [0.5]), "centre"),
        (lambda m: m["pose"].update(rhythm=[{"hz": 9, "cosine": [0] * 6, "sine": [0] * 6}]), "rhythm"),
        (lambda m: m["life"].update(shut_share=1.0), "shut_share"),
        (lambda m: m["sha256"].update({"../../etc": "0"}), "missing or damaged"),
        (lambda m: m.pop("sha256"), "missing or damaged"),
    ],
)
def test_manifest_is_held_to_its_schema(folder, change, words):
    edit_manifest(folder, change)
    with pytest.raises(ArtefactError, match=words):
        load_style(folder)


@pytest.mark.parametrize("pack", [False, True])
def test_what_is_too_large_is_not_read(folder, monkeypatch, pack):
    path = packed(folder) if pack else folder
    monkeypatch.setitem(style_file._FILES, "arrays.npz", 1000)
    with pytest.raises(ArtefactError, match=r"arrays\.npz is too large"):
        load_style(path)


def test_a_huge_file_is_not_opened(tmp_path):
    with (tmp_path / "huge.style").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ArtefactError, match="too large"):
        load_style(tmp_path / "huge.style")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_file_twice_is_refused(folder):
    path = packed(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("arrays.npz", b"another")
    with pytest.raises(ArtefactError, match="twice"):
        load_style(path)


@pytest.mark.parametrize("place", [0.001, 0.3, 0.6, 0.9999])
def test_a_damaged_zip_is_refused(folder, place):
    data = bytearray(packed(folder).read_bytes())
    begin = int(place * len(data))
    data[begin : begin + 40] = bytes(255 - byte for byte in data[begin : begin + 40])
    folder.with_suffix(".style").write_bytes(data)
    with pytest.raises(ArtefactError):
        load_style(folder.with_suffix(".style"))
    folder.with_suffix(".style").write_bytes(data[:begin])
    with pytest.raises(ArtefactError, match="not a style"):
        load_style(folder.with_suffix(".style"))


def test_a_style_belongs_to_one_bundle(style, random_bundle):
    other = replace(random_bundle, motion_scale=0.3)
    assert bundle_digest(random_bundle) == bundle_digest(replace(random_bundle)) != bundle_digest(other)
    with pytest.raises(ArtefactError, match="another bundle"):
        style.check_fits(other)


def test_a_change_of_what_is_not_there_is_refused(style, random_bundle):
    arrays = style.arrays
    (first, *others) = arrays.changes["motion"]
    for wrong, words in (
        (replace(first, tensor="nowhere"), "no weight 'nowhere'"),
        (replace(first, left=first.left[:-1]), "train the style again"),
    ):
        changed = replace(arrays, changes={**arrays.changes, "motion": (wrong, *others)})
        with pytest.raises(ArtefactError, match=words):
            replace(style, packed=pack_arrays(changed)).graphs(random_bundle)


def test_a_place_that_cannot_be_written(style, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write the style"):
        save_style(style, tmp_path / "file" / "a.style")


def test_a_folder_that_is_overwritten_is_whole_or_no_style(style, folder, monkeypatch):
    write = Path.write_bytes

    def failing(path: Path, data: bytes) -> int:
        if path.name == "reference_1.jpg":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(OutputError, match="No space left"):
        save_style(style, folder)
    with pytest.raises(ArtefactError, match="no manifest"):
        load_style(folder)
