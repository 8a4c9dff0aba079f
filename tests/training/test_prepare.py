import numpy as np
import pytest

from engine.stages.log_mel import log_mel
from models.spec import SAMPLE_HZ
from training import prepare as preparation
from training.corpus import espeak, flite, shards
from training.corpus.augment import Augmenter
from training.corpus.utterance import Phone, Utterance
from training.prepare import PrepareConfig, prepare, prepare_utterance
from training.prepared import PreparedData


def utterance(seconds=1.0):
    t = np.arange(round(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    audio = (0.2 * np.sin(2 * np.pi * 140 * t)).astype(np.float32)
    third = seconds / 3
    phones = [Phone("M", 0, third, 0), Phone("AA", third, 2 * third, 1), Phone("B", 2 * third, seconds, 0)]
    return Utterance(audio, phones, "made", "mab")


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.2345])
def test_mel_motion_and_pose_belong_together_frame_by_frame(seconds):
    mel, motion, pose = prepare_utterance(utterance(seconds), Augmenter(), 0.0, np.random.default_rng(0))
    assert len(mel) == 2 * len(motion) == 2 * len(pose)
    assert motion.shape[1] == 204 and pose.shape[1] == 6
    # The vowel is heard and seen at the same frames.
    loud = mel[::2].mean(axis=1) > 0.5 * mel.mean(axis=1).max()
    moved = motion.reshape(-1, 68, 3)
    gap = (moved[:, (67, 66, 65), 1] - moved[:, (61, 62, 63), 1]).mean(axis=1)
    first, last = np.flatnonzero(loud)[[0, -1]]
    assert first < gap.argmax() < last
    assert gap[: max(first - 12, 1)].max() < 0.01


def test_unaugmented_sound_is_heard_as_it_is():
    made = utterance()
    mel, _, _ = prepare_utterance(made, Augmenter(), 0.0, np.random.default_rng(3))
    direct = log_mel(made.audio)
    best = min(np.abs(mel[i : i + 60, :20] - direct[:60, :20]).mean() for i in range(len(mel) - 60))
    assert best < 0.1


def test_the_same_draw_prepares_the_same_data():
    one, two = (prepare_utterance(utterance(), Augmenter(), 1.0, np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(
    not (espeak.espeak_available() and flite.flite_available()), reason="espeak-ng and flite are not installed"
)
def test_interrupted_preparation_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_SECONDS", 4.0)
    monkeypatch.setattr(preparation, "write_shard", lambda out, seed, i: shards.write_shard(out, seed, i, 4.0))
    config = PrepareConfig(out=tmp_path / "data", hours=8.0 / 3600, seed=3)
    assert prepare(config) == 2
    first = PreparedData(tmp_path / "data")
    before = first.read("motion", 0, first.frames)
    for file in (tmp_path / "data" / "00001").iterdir():
        file.unlink()
    (tmp_path / "data" / "00001").rmdir()
    assert prepare(config) == 1 and prepare(config) == 0
    np.testing.assert_array_equal(PreparedData(tmp_path / "data").read("motion", 0, first.frames), before)
