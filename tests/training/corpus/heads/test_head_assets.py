import pytest

from engine.errors import ArtefactError, OutputError
from training.corpus.heads.assets import Assets, write_pack
from training.corpus.heads.speech_pool import UTTERANCES_A_PERSON, RecordedSpeech


def test_a_pack_holds_what_is_read_and_reads_the_same(makehuman, makehuman_pack):
    folder, pack = Assets(makehuman), Assets(makehuman_pack)
    assert set(folder.names("")) - set(pack.names("")) == {"clothes/female_suit/suit_normal.png"}
    for name in folder.names("targets/arkit/jaw"):
        assert pack.text(name) == folder.text(name)


def test_the_same_files_give_the_same_pack(makehuman, tmp_path):
    for name in ("a", "b"):
        write_pack(Assets(makehuman), tmp_path / name, {"speech/x": b"1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_recorded_speech_comes_back(makehuman_pack):
    pool = RecordedSpeech(Assets(makehuman_pack))
    first, second, again = pool.utterance(0), pool.utterance(1), pool.utterance(2)
    assert (first.voice, second.voice, again.voice) == ("tone 0", "tone 1", "tone 0")
    assert pool.utterance(UTTERANCES_A_PERSON).voice == "tone 1"
    assert len(first.audio) == 16000
    assert [p.symbol for p in first.phones][:3] == ["sil", "M", "AA"]


def test_what_is_no_data_is_refused(tmp_path, makehuman):
    (tmp_path / "file").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    for name, why in (("file", "neither"), ("empty", r"holds no 3dobjs/base\.obj"), ("nowhere", "holds no")):
        with pytest.raises(ArtefactError, match=why):
            Assets(tmp_path / name)
    with pytest.raises(ArtefactError, match="holds no speech"):
        RecordedSpeech(Assets(makehuman))
    with pytest.raises(ArtefactError, match=r"holds no hair/none"):
        Assets(makehuman).read("hair/none")


def test_damaged_files_are_named(tmp_path):
    for name, data in (("3dobjs/base.obj", b""), ("a.target.gz", b"\x1f\x8bx"), ("b.json", b"{")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assets = Assets(tmp_path)
    with pytest.raises(ArtefactError, match=r"a\.target\.gz .* is damaged"):
        assets.text("a.target.gz")
    with pytest.raises(ArtefactError, match=r"b\.json .* is not JSON"):
        assets.json("b.json")
    with pytest.raises(OutputError, match="Cannot write"):
        write_pack(assets, tmp_path / "nowhere" / "pack", {})
