"""The whole transfer on a bundle with random weights and a clip of five seconds."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.artefacts.bundle import Bundle  # noqa: E402
from engine.artefacts.style import load_style, save_style  # noqa: E402
from engine.errors import MissingExtraError  # noqa: E402
from models.spec import SAMPLE_HZ  # noqa: E402
from tests.picture_networks import with_mapping  # noqa: E402
from training import style_cli, style_life, style_transfer  # noqa: E402
from training.reference_motion import ReferenceMotion, with_references  # noqa: E402
from training.style_motion import styled_motion  # noqa: E402
from training.style_report import write_report  # noqa: E402
from training.style_transfer import StyleSettings, Transfer, transfer  # noqa: E402

TINY = {"steps": 2, "head_steps": 2, "speech_s": 5, "batch": 2, "threads": 1}


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    samples = round(seconds * SAMPLE_HZ)
    level = 0.1 + 0.1 * np.sin(np.arange(samples) / 900)
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32).clip(-1, 1)


def reference(sound: bool = True) -> ReferenceMotion:
    """Somebody who opens the mouth wide, nods on a beat and keeps the eyes shut most of the time."""
    time = np.arange(300) / 60
    displacement, pose = np.zeros((300, 68, 3)), np.zeros((300, 6))
    displacement[:, [56, 57, 58, 65, 66, 67], 1] = (0.1 - 0.1 * np.cos(2 * np.pi * 2 * time))[:, None]
    pose[:, 0] = 0.08 * np.sin(2 * np.pi * 2 * time)
    closure = (time % 2.5 > 0.8).astype(float)
    return ReferenceMotion.from_arrays("clip", displacement, pose, closure, speech(5.0) if sound else None)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """No synthesiser, and everything that is watched or tried out is watched and tried less long."""
    patch.setattr(style_transfer, "speech_sample", lambda seconds, seed: [speech(2.0, 1), speech(2.0, 2)])
    patch.setattr(style_transfer, "_SAMPLED_S", 5)
    patch.setattr(style_transfer, "SMOOTHINGS", (0.0, 3.0))
    patch.setattr(style_transfer, "STEPS_PER_EPOCH", 1)
    patch.setattr(style_life, "_USUAL_S", 30)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    hurry(monkeypatch)


@pytest.fixture(scope="module")
def made(random_bundle: Bundle) -> Transfer:
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        shown = with_references(reference(), lambda frame: np.full((256, 256, 3), 90, np.uint8))
        return transfer(shown, with_mapping(random_bundle), StyleSettings(name="nod", **TINY))


def test_a_style_holds_what_the_clip_shows(made, random_bundle):
    manifest = made.style.manifest
    assert manifest.name == "nod" and manifest.life.shut_share == pytest.approx(0.68, abs=0.05)
    assert manifest.pose.rhythm[0].hz == pytest.approx(2.0, abs=0.05)
    assert manifest.figures["clip_mouth_range"] == pytest.approx(0.2, abs=0.01)
    made.style.check_fits(random_bundle)
    assert made.after.shut_share > 0.3 and made.before.shut_share == 0
    assert abs(made.after.head_speed - made.reference.head_speed) < abs(
        made.before.head_speed - made.reference.head_speed
    )


def test_a_style_holds_the_patterns_of_the_bundles_style_mapping(made, random_bundle):
    patterns = made.style.isp_images()
    assert patterns is not None and np.abs(patterns.astype(int) - (255 - 90)).max() <= 2
    assert made.style.manifest.provenance["preset"] == "strong"


def test_a_style_is_small_and_moves_alike_from_disk(made, random_bundle, tmp_path):
    save_style(made.style, tmp_path / "nod.style")
    assert (tmp_path / "nod.style").stat().st_size < 700_000
    sound = speech(0.4, 3)
    one, other = (
        styled_motion(random_bundle, style, sound) for style in (made.style, load_style(tmp_path / "nod.style"))
    )
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    none = styled_motion(random_bundle, made.style, sound, intensity=0.0)
    np.testing.assert_array_equal(none.landmarks, styled_motion(random_bundle, None, sound).landmarks)


def test_foreign_sound_teaches_no_lips_and_is_noted(made):
    assert made.sync is not None and not made.sync.holds
    assert "does not go with its lips" in made.notes[0] and made.style.manifest.provenance["sound"] == "not used"


def test_without_sound_or_synthesiser_it_still_learns(random_bundle, monkeypatch):
    def missing(seconds: float, seed: int) -> list[np.ndarray]:
        raise MissingExtraError("none")

    monkeypatch.setattr(style_transfer, "speech_sample", missing)
    monkeypatch.setattr(style_transfer, "read_audio", lambda path: speech(3.0))
    found = transfer(reference(sound=False), random_bundle, StyleSettings(preset="paper", **TINY))
    assert found.sync is None and "demonstration" in found.notes[0] and not found.style.isp
    assert len(found.losses) == 6 * style_transfer.STEPS_PER_EPOCH, "one epoch of f and five of all"
    # Its rate is far below what eight bits can hold (docs/styles.md).
    assert found.style.manifest.pose.rhythm == ()


def test_the_report_shows_all_and_needs_nothing_beside_itself(made, tmp_path):
    page = write_report(made, reference(), tmp_path / "report").read_text()
    for words in ("The style nod", "Mouth opening", "Lids, 1 shut", "Brows, upwards", "Head, nod", "clip</text>"):
        assert words in page
    assert "http" not in page and "<script" not in page and page.count("<svg") == 9


def test_the_command_writes_style_and_report(random_bundle_folder, tmp_path, monkeypatch, capsys):
    from training import reference_motion

    monkeypatch.setattr(reference_motion, "read_reference", lambda path, progress: reference())
    style_cli.create(
        Path("clip.mp4"),
        out=tmp_path / "nod.style",
        bundle=random_bundle_folder,
        report=tmp_path / "report",
        threads=1,
        steps=2,
        settings=["head_steps=2", "speech_s=5", "batch=2"],
        name=None,
        preset="strong",
        seed=0,
    )
    printed = capsys.readouterr().out
    assert "Blinks" in printed and "Head, deviation" in printed and "KB" in printed
    assert load_style(tmp_path / "nod.style").name == "nod" and (tmp_path / "report" / "index.html").exists()
    style_cli.show(tmp_path / "nod.style")
    assert "rhythm" in capsys.readouterr().out
