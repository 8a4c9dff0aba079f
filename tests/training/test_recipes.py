import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.errors import ConfigError  # noqa: E402
from models.apc import ApcEncoder  # noqa: E402
from models.spec import MAX_LOOKAHEAD  # noqa: E402
from training.cli import build_config  # noqa: E402
from training.mel_augment import MelAugment  # noqa: E402
from training.motion_loss import DISPLACEMENT_SCALE, delayed_targets, motion_loss  # noqa: E402
from training.prepared import PreparedData  # noqa: E402
from training.recipe import Trainer, choose_device, load_bank, load_weights  # noqa: E402
from training.train_apc import ApcConfig, train_apc  # noqa: E402
from training.train_headpose import HeadPoseConfig, train_headpose  # noqa: E402
from training.train_manifold import ManifoldConfig, project, train_manifold  # noqa: E402
from training.train_motion import MotionConfig, fit_completion, train_motion  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two shards whose mel, motion and pose tell where they come from."""
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    for shard, frames in enumerate((500, 700)):
        place = folder / f"{shard:05d}"
        place.mkdir()
        speech = np.abs(np.sin(np.arange(2 * frames) / 17))[:, None] * rng.uniform(0.2, 0.8, (1, 80))
        np.save(place / "mel.npy", speech.astype(np.float16))
        motion = 0.05 * np.sin(np.arange(frames) / 9)[:, None] * rng.normal(size=(1, 204))
        np.save(place / "motion.npy", motion.astype(np.float16))
        np.save(place / "pose.npy", np.cumsum(rng.normal(0, 1e-3, (frames, 6)), axis=0).astype(np.float32))
    return folder


def config(kind, data, out, **given):
    return kind(data=data, out=out, batch=2, frames=12, steps=given.pop("steps", 4), threads=1, **given)


@pytest.fixture(scope="module")
def encoder(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("apc")
    train_apc(config(ApcConfig, data, out))
    return out / "apc.safetensors"


def test_resumed_losses_equal_unbroken_ones(data, tmp_path, monkeypatch):
    whole = train_apc(config(ApcConfig, data, tmp_path / "whole", steps=6, checkpoint_every=3))
    halves = config(ApcConfig, data, tmp_path / "halves", steps=6, checkpoint_every=3)
    save = Trainer.save

    def save_and_stop(trainer):
        save(trainer)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save", save_and_stop)
        train_apc(halves)
    rest = train_apc(halves)
    assert len(rest) == 3
    np.testing.assert_allclose(rest, whole[3:], rtol=1e-6)


def test_training_lowers_the_loss_and_writes_weights(data, tmp_path):
    history = train_apc(config(ApcConfig, data, tmp_path, steps=25, learning_rate=2e-3, augment=False, warmup_steps=1))
    assert np.mean(history[-5:]) < 0.7 * np.mean(history[:3])
    assert load_file(tmp_path / "apc.safetensors")["gru.weight_hh_l2"].shape == (1536, 512)
    assert (tmp_path / "motion_start.safetensors").exists() and list((tmp_path / "events").iterdir())


def test_pure_predictive_coding_trains_without_motion(data, tmp_path):
    history = train_apc(config(ApcConfig, data, tmp_path, articulation_weight=0))
    assert len(history) == 4 and not (tmp_path / "motion_start.safetensors").exists()


def test_manifold_motion_and_headpose_recipes(data, encoder, tmp_path):
    common = {"data": data, "encoder": encoder, "threads": 1}
    quality = train_manifold(ManifoldConfig(out=tmp_path / "m", size=40, samples=1000, steps=4, **common))
    assert quality[-1] <= quality[0]
    bank = np.load(tmp_path / "m" / "manifold.npz")["bank"]
    assert bank.shape == (40, 512) and bank.dtype == np.float16
    train_motion(
        MotionConfig(
            out=tmp_path / "g", manifold=tmp_path / "m" / "manifold.npz", steps=3, batch=2, frames=12, **common
        )
    )
    extras = np.load(tmp_path / "g" / "motion_extras.npz")
    assert extras["completion"].shape == (204, 123) and float(extras["scale"]) == pytest.approx(DISPLACEMENT_SCALE)
    losses = train_headpose(HeadPoseConfig(out=tmp_path / "h", steps=3, batch=2, frames=12, **common))
    assert np.isfinite(losses).all() and (tmp_path / "h" / "headpose.safetensors").exists()


def test_targets_are_delayed_by_the_lookahead():
    frames = 10
    motion = torch.arange(MAX_LOOKAHEAD + frames).float()[None, :, None].expand(3, -1, 204) * DISPLACEMENT_SCALE
    targets = delayed_targets(motion, torch.tensor([0, 5, 18]), frames)
    # Motion begins 18 frames before the input: input frame n is motion row n + 18.
    for row, lookahead in enumerate((0, 5, 18)):
        np.testing.assert_allclose(targets[row, :, 0], np.arange(frames) + MAX_LOOKAHEAD - lookahead, rtol=1e-5)


def test_loss_counts_what_eye_weighs():
    target = torch.zeros(1, 4, 123)
    assert float(motion_loss(target, target)["motion"]) == 0
    opened = target.clone()
    opened.view(1, 4, 41, 3)[:, :, [40, 39, 38], 1] = 1  # landmarks 67, 66, 65: the lower lip
    parts = motion_loss(opened, target)
    assert float(parts["opening"]) == pytest.approx(1) and float(parts["velocity"]) == 0
    assert float(parts["displacement"]) == pytest.approx(3 / 41)


def test_projection_weights_sum_to_one_and_rebuild_bank_members():
    bank = torch.randn(60, 512, generator=torch.Generator().manual_seed(0))
    rebuilt = project(bank[:5], bank, 4)
    assert (rebuilt - bank[:5]).norm() < 0.1 * bank[:5].norm()
    # Weights that sum to one commute with a shift of feature and bank together.
    np.testing.assert_allclose(project(bank[:5] + 1, bank + 1, 4), rebuilt + 1, atol=1e-2)


def test_completion_is_exact_on_generated_points(data):
    completion = fit_completion(PreparedData(data), samples=500)
    np.testing.assert_array_equal(completion[81:], np.eye(123, dtype=np.float32))
    assert not completion[: 17 * 3, : 21 * 3].any()  # the jaw hears nothing of nose and eyes


def test_stream_wraps_and_continues(data):
    prepared = PreparedData(data)
    assert prepared.frames == 1200
    np.testing.assert_array_equal(
        prepared.read("pose", 1195, 10), np.concatenate([prepared.read("pose", 1195, 5), prepared.read("pose", 0, 5)])
    )
    one, two = prepared.stretch(0, 2, 12, 3), prepared.stretch(1, 2, 12, 3)
    np.testing.assert_array_equal(one.pose[:, -3:], two.pose[:, :3])
    assert one.mel.shape == (2, 24, 80)


def test_augmentation_is_a_function_of_its_generator():
    mel = torch.rand(2, 20, 80, generator=torch.Generator().manual_seed(0))
    draw = lambda seed: MelAugment().apply(mel, [np.random.default_rng((seed, r)) for r in range(2)])  # noqa: E731
    torch.testing.assert_close(draw(1), draw(1))
    assert not torch.allclose(draw(1), draw(2))
    assert draw(3).shape == mel.shape and float(draw(3).min()) >= 0


def test_missing_data_and_wrong_options_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="mien train data"):
        PreparedData(tmp_path)
    with pytest.raises(ConfigError, match="stepz"):
        build_config(ApcConfig, None, ["stepz=3"], data=tmp_path, out=tmp_path)
    with pytest.raises(ConfigError, match="batch"):
        build_config(ApcConfig, None, ["batch=0"], data=tmp_path, out=tmp_path)
    with pytest.raises(ConfigError, match="not available"):
        choose_device("nonsense")


def test_damaged_checkpoint_is_refused(data, tmp_path):
    tmp_path.joinpath("checkpoint.pt").write_bytes(b"PK not a checkpoint")
    with pytest.raises(ConfigError, match="does not fit"):
        train_apc(config(ApcConfig, data, tmp_path))


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_what_another_recipe_should_have_written_is_named(tmp_path, content):
    weights, bank = tmp_path / "apc.safetensors", tmp_path / "manifold.npz"
    for file in (weights, bank):
        if content is not None:
            file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"apc\.safetensors"):
        load_weights(ApcEncoder(), weights)
    with pytest.raises(ConfigError, match=r"manifold\.npz"):
        load_bank(bank, torch.device("cpu"))
