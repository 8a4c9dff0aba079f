from pathlib import Path

import numpy as np
import pytest

from engine.errors import ArtefactError, ConfigError
from training.corpus import shards
from training.corpus.utterance import Utterance, tile_phones


class FakeSource:
    """A second and a half of tone for every index."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def utterance(self, index: int) -> Utterance:
        rng = np.random.default_rng([self._seed, index])
        audio = (0.5 * np.sin(np.arange(24_000) * rng.uniform(0.01, 0.3))).astype(np.float32)
        parts = [("sil", 0.0, 0), ("UW", float(rng.uniform(0.1, 0.7)), 1), ("P", 0.9, 0)]
        return Utterance(audio, tile_phones(parts, 1.5), f"fake:{index}", f"tone {index}")


@pytest.fixture(autouse=True)
def fake_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SpeechSource", FakeSource)


def test_a_shard_comes_back_exactly(tmp_path: Path) -> None:
    path = shards.write_shard(tmp_path, 3, 2, seconds=4.0)
    back = shards.read_shard(path)
    source = FakeSource(3)
    assert len(back) == 3
    for k, utterance in enumerate(back):
        expected = source.utterance(2_000_000 + k)
        assert utterance.phones == expected.phones
        assert (utterance.voice, utterance.text) == (expected.voice, expected.text)
        assert utterance.audio == pytest.approx(expected.audio, abs=0.6 / 32767)


def test_a_shard_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = shards.write_shard(tmp_path, 3, 1, seconds=4.0).read_bytes()
    assert shards.write_shard(tmp_path / "again", 3, 1, seconds=4.0).read_bytes() == first
    assert shards.write_shard(tmp_path, 3, 0, seconds=4.0).read_bytes() != first
    assert shards.write_shard(tmp_path, 4, 1, seconds=4.0).read_bytes() != first


def test_an_interrupted_corpus_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = shards.write_shards(tmp_path, 0.3, seed=1)
    assert [path.name for path in paths] == ["speech_00000.npz", "speech_00001.npz"]
    kept, lost = paths[0].stat().st_mtime_ns, paths[1].read_bytes()
    paths[1].unlink()
    shards.write_shards(tmp_path, 0.3, seed=1)
    assert paths[0].stat().st_mtime_ns == kept and paths[1].read_bytes() == lost
    assert sorted(tmp_path.iterdir()) == paths


def test_damage_and_nonsense_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "speech_00000.npz"
    broken.write_bytes(b"PK\x03\x04 nothing")
    for path in (broken, tmp_path / "missing.npz"):
        with pytest.raises(ArtefactError, match="damaged"):
            shards.read_shard(path)
    with pytest.raises(ConfigError):
        shards.write_shards(tmp_path, 0.0, seed=1)
