"""The recipes of the image generator, on made-up people, small."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.errors import ConfigError  # noqa: E402
from engine.images import decode_png  # noqa: E402
from models.generator import LiteGenerator, StaticEncoder  # noqa: E402
from training.corpus.heads.mask_classes import MaskClass  # noqa: E402
from training.generator_samples import FrameSamples, open_people  # noqa: E402
from training.recipe import Trainer  # noqa: E402
from training.train_generator import GeneratorConfig, figures, train_generator, true_or_drawn  # noqa: E402
from training.train_stylemap import StyleMapConfig, train_stylemap  # noqa: E402

WINDOW, ROWS, FRAMES = 256, 4, 6


def write_person(folder, split, seed, side=WINDOW):
    """A person of noise whose true frames are brighter than drawn ones."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    target = rng.integers(40, 200, (ROWS, 3, side, side), np.uint8)
    inside = np.zeros((ROWS, side, side), np.uint8)
    inside[:, side // 2 : side // 2 + 40, side // 2 - 30 : side // 2 + 30] = 1
    drawn = np.where(inside[:, None] > 0, 20, 0.6 * target).astype(np.uint8)
    rest = np.stack([255 * inside, 0 * inside, 0 * inside], 1)
    regions = np.where(inside > 0, MaskClass.TEETH, MaskClass.SKIN).astype(np.uint8)
    regions[:, : side // 8] = MaskClass.BACKGROUND
    points = np.full((ROWS, 68, 2), side / 2, np.float32) + rng.normal(0, 10, (68, 2)).astype(np.float32)
    arrays = {
        "dynamic": np.concatenate([drawn, rest], 1).astype(np.uint8),
        "target": target,
        "regions": regions,
        "sources": rng.integers(0, 256, (1, 4, side, side), np.uint8),
        "faces": rng.integers(0, 256, (FRAMES, 3, WINDOW, WINDOW), np.uint8),
        "styles": rng.integers(0, 256, (4, 3, 512, 512), np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(
        folder / "rows.npz",
        portrait=np.zeros(ROWS, int),
        frame=np.arange(ROWS),
        corner=np.zeros((ROWS, 2), int),
        points=points,
        style=np.arange(ROWS) % 4,
        style_corner=np.full((ROWS, 2), 512 - side if side < 512 else 0),
        style_distance=np.linspace(0, 9, ROWS).astype(np.float32),
        style_frames=np.arange(4),
        face_pose=rng.normal(0, 0.1, (FRAMES, 6)).astype(np.float32),
        face_displacement=rng.normal(0, 0.1, (FRAMES, 68, 3)).astype(np.float32),
        face_closure=np.zeros(FRAMES, np.float32),
        face_pixels=rng.uniform(0, 512, (FRAMES, 68, 2)).astype(np.float32),
    )
    (folder / "manifest.json").write_text(json.dumps({"kind": "frames", "split": split}))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    for number, (name, split) in enumerate((("neutral", "train"), ("p00000", "train"), ("p00001", "test"))):
        write_person(folder / name, split, number)
    return folder


def config(people, out, **given):
    small = {
        "size": 64,
        "batch": 2,
        "steps": 4,
        "threads": 1,
        "figures": 2,
        "warmup_steps": 1,
        "discriminator_width": 4,
    }
    return GeneratorConfig(data=people, out=out, **(small | given))


def test_lite_learns_and_writes_weights(people, tmp_path):
    history = train_generator(config(people, tmp_path, steps=10, adversarial=0, learning_rate=4e-3, average=0.5))
    assert np.mean(history[-3:]) < np.mean(history[:3])
    LiteGenerator().load_state_dict(load_file(tmp_path / "renderer.safetensors"))
    StaticEncoder().load_state_dict(load_file(tmp_path / "renderer_static.safetensors"))
    assert list((tmp_path / "events").iterdir())


def test_an_adversarial_run_resumes_exactly(people, tmp_path, monkeypatch):
    given = {"steps": 4, "checkpoint_every": 2, "adversarial_from": 0.25}
    whole = train_generator(config(people, tmp_path / "whole", **given))
    save = Trainer.save

    def save_and_stop(trainer):
        save(trainer)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save", save_and_stop)
        train_generator(config(people, tmp_path / "halves", **given))
    rest = train_generator(config(people, tmp_path / "halves", **given))
    np.testing.assert_allclose(rest, whole[2:], rtol=1e-6)
    one, other = (torch.load(tmp_path / name / "checkpoint.pt")["rivals"] for name in ("whole", "halves"))
    for key, value in one["discriminator"].items():
        torch.testing.assert_close(value, other["discriminator"][key])


@pytest.mark.parametrize("alignment", ["warp", "raw"])
def test_the_papers_preset_trains(people, tmp_path, alignment):
    given = {"preset": "paper", "alignment": alignment, "paper_channels": (4, 4, 4), "steps": 1}
    assert np.isfinite(train_generator(config(people, tmp_path, **given))).all()


def test_style_mapping_draws_everybodys_patterns(people, tmp_path):
    small = {"size": 64, "width": 12, "keypoints": 3, "batch": 2, "steps": 2, "threads": 1, "discriminator_width": 4}
    history = train_stylemap(StyleMapConfig(data=people, out=tmp_path, adversarial_from=0.5, **small))
    assert np.isfinite(history).all() and (tmp_path / "stylemap.safetensors").exists()
    assert decode_png((tmp_path / "neutral.png").read_bytes()).shape == (64, 64, 3)
    for person in open_people(people):
        assert person.patterns().shape == (12, 256, 256) and person.patterns().any()
        (person.folder / "isp.npy").unlink()


def test_nothing_is_asked_for_where_nobody_is(people):
    batch = FrameSamples(open_people(people, "test"), 256, augment=False).batch(np.arange(2), np.random.default_rng(0))
    target = true_or_drawn(batch, GeneratorConfig(data=people, out=people, tone_share=0))
    assert torch.equal(target[:, :, :32], batch.dynamic[:, :3, :32])
    assert torch.equal(target[:, :, 32:], batch.target[:, :, 32:])
    found = figures(batch.target, batch)
    assert found["inside"] == 0 < found["warp inside"] and found["skin"] == 0 < found["warp skin"]


def test_the_inside_is_wanted_as_bright_as_it_was_drawn(people):
    batch = FrameSamples(open_people(people, "test"), 256, augment=False).batch(np.arange(2), np.random.default_rng(0))
    inside, dark = batch.dynamic[:, 3:4] > 0, batch.target.clone()
    dark[inside.expand_as(dark)] *= 0.5
    config = GeneratorConfig(data=people, out=people, tone_share=1)
    frame = torch.cat([batch.dynamic[:, :3].where(~inside, batch.target), batch.dynamic[:, 3:]], 1)
    target = true_or_drawn(replace(batch, dynamic=frame, target=dark), config)
    middle = (slice(None), slice(None), slice(135, 160), slice(105, 150))
    assert float((target[middle] - batch.target[middle]).abs().max()) < 0.02


def test_samples_are_a_function_of_their_generator(people):
    samples = FrameSamples(open_people(people, "train"), 64)
    draw = lambda seed: samples.draw(np.random.default_rng(seed), 3)  # noqa: E731
    assert torch.equal(draw(1).dynamic, draw(1).dynamic) and not torch.equal(draw(1).target, draw(2).target)
    assert draw(1).dynamic.shape == (3, 6, 64, 64) and draw(1).regions.dtype == torch.int64


def test_what_does_not_fit_is_one_sentence(people, tmp_path):
    with pytest.raises(ConfigError, match="mien train frames"):
        open_people(tmp_path)
    with pytest.raises(ConfigError, match="32, 64"):
        FrameSamples(open_people(people), 40)
    with pytest.raises(ConfigError, match="64, 128 or 256"):
        train_stylemap(StyleMapConfig(data=people, out=tmp_path, size=100))
