import numpy as np
import pytest
from clip_fakes import FPS, Counted, face, noise, pictures, speech_like, write_clip

from benchmarks.quality import syncnet
from benchmarks.quality.identity import aligned_face, cosine_similarity, load_embedding
from benchmarks.quality.judges import load_judges
from benchmarks.quality.mfcc import mfcc
from benchmarks.quality.tracks import load_track
from engine.errors import ArtefactError, InputError


def test_cepstra_are_those_of_the_library_that_syncnet_used():
    n = np.arange(4000)
    x = np.rint(8000 * np.sin(2 * np.pi * 440 * n / 16000) + 3000 * np.sin(2 * np.pi * 2500 * n / 16000 + 0.3))
    found = mfcc(x)
    # python_speech_features 0.6, mfcc(x, 16000), on the same signal.
    tenth = "20.6951 5.2739 -16.8348 17.9161 -20.3336 -64.6401 -11.8725 3.1171 -31.003 11.4489 44.0454 2.1902 1.3858"
    last = "20.4638 3.0755 -10.6186 21.2368 -20.6042 -63.3683 -9.6606 6.1305 -28.0004 10.4682 41.8646 1.9875 -0.5267"
    assert found.shape == (24, 13)
    assert found[10] == pytest.approx([float(v) for v in tenth.split()], abs=1e-3)
    assert found[-1] == pytest.approx([float(v) for v in last.split()], abs=1e-3)


def test_lse_is_the_least_distance_and_the_median_above_it():
    assert syncnet.lse(np.array([9.0, 8, 5, 7, 10])) == (5, 3)
    assert syncnet.lse(np.array([9.0, 5, 7, 10])) == (5, 2)


def test_the_distance_is_least_where_the_sound_belongs():
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(60, 16)).astype(np.float32)
    for late in (-4, 0, 9):
        lips = np.roll(sound, late, axis=0)
        # Lips that are late find their sound earlier.
        assert syncnet.offset_distances(lips, sound).argmin() - syncnet.REACH == -late


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talk")
    clip = write_clip(folder / "a.mp4", pictures(speech_like(11)), noise(11 / FPS))
    return clip, load_track(clip, folder, Counted())


def test_crops_are_faces_at_25_pictures_a_second(talk):
    clip, track = talk
    crops = syncnet.face_crops(clip, track)
    assert crops.shape == (11, 224, 224, 3) and crops.dtype == np.uint8
    # The left half of the pictures is grey, of the level of the mouth's opening; the right half has stripes.
    assert crops[3][60:160, 30:90].std() < 10 < crops[3][60:160, 130:200].std()


def test_a_checkpoint_in_the_published_layout_is_run(talk, tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks.quality.syncnet_layers import build_syncnet

    torch.manual_seed(0)
    layers = build_syncnet(1024)
    shapes = {name: tuple(value.shape) for name, value in layers.state_dict().items()}
    # A few of the published checkpoint's names.
    assert shapes["netcnnaud.18.weight"] == (512, 256, 5, 4) and shapes["netfcaud.3.weight"] == (1024, 512)
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7) and shapes["netcnnlip.18.weight"] == (512, 256, 1, 6, 6)
    path = tmp_path / "syncnet_v2.model"
    torch.save(layers.state_dict(), path)
    network = syncnet.load_syncnet(path)
    clip, track = talk
    found = syncnet.judge_sync(network, clip, track)
    assert set(found) == {"lse_d", "lse_c"} and found["lse_d"] > 0 and found["lse_c"] >= 0
    torch.save({"netcnnaud.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ArtefactError, match="layout"):
        syncnet.load_syncnet(path)


def test_a_clip_that_syncnet_cannot_judge_is_one_sentence(talk, tmp_path):
    network = syncnet.SyncNet(lambda x: np.zeros((len(x), 4), np.float32), lambda x: np.zeros((len(x), 4), np.float32))
    mute = write_clip(tmp_path / "mute.mp4", pictures(speech_like(14)))
    with pytest.raises(InputError, match="no sound"):
        syncnet.judge_sync(network, mute, talk[1])
    short = write_clip(tmp_path / "short.mp4", pictures(speech_like(6)), noise(6 / FPS))
    with pytest.raises(InputError, match="too short"):
        syncnet.judge_sync(network, short, load_track(short, tmp_path, Counted()))


def graph(path, ends, outputs):
    """An ONNX file whose outputs are flattened inputs."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Flatten", [name], [out]) for out, name in outputs.items()]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in ends.items()],
            [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    path.write_bytes(model.SerializeToString())
    return path


def test_networks_come_as_onnx_too(tmp_path):
    ends = {"pictures": ["n", 3, 5, 224, 224], "cepstra": ["n", 1, 13, 20]}
    network = syncnet.load_syncnet(graph(tmp_path / "s.onnx", ends, {"a": "pictures", "b": "cepstra"}))
    x = np.arange(260, dtype=np.float32).reshape(1, 1, 13, 20)
    assert (network.sound(x) == x.reshape(1, 260)).all()
    assert network.lips(np.ones((2, 3, 5, 224, 224), np.float32)).shape == (2, 3 * 5 * 224 * 224)
    with pytest.raises(ArtefactError, match="two embeddings"):
        syncnet.load_syncnet(graph(tmp_path / "t.onnx", {"x": ["n", 1, 13, 20]}, {"a": "x"}))

    (judge,) = load_judges(None, graph(tmp_path / "i.onnx", {"x": ["n", 3, 112, 112]}, {"e": "x"}))
    clip = write_clip(tmp_path / "a.mp4", pictures(speech_like(5)))
    track = load_track(clip, tmp_path, Counted())
    assert judge(clip, track, clip, track)["identity"] == pytest.approx(1, abs=0.02)


def test_files_that_are_no_networks_are_one_sentence(tmp_path):
    bad = tmp_path / "x.onnx"
    bad.write_bytes(b"no graph")
    for path, text in ((bad, "no ONNX graph"), (tmp_path / "none.onnx", "cannot be read")):
        with pytest.raises(ArtefactError, match=text):
            load_embedding(path)
        with pytest.raises(ArtefactError, match=text):
            load_syncnet_of(path)
    with pytest.raises(ArtefactError, match="112, 112"):
        load_embedding(graph(tmp_path / "y.onnx", {"x": ["n", 3, 8, 8]}, {"e": "x"}))
    pytest.importorskip("torch")
    for path, text in (
        (tmp_path / "none.model", "cannot be read"),
        (bad.rename(tmp_path / "x.model"), "plain weights"),
    ):
        with pytest.raises(ArtefactError, match=text):
            load_syncnet_of(path)


def load_syncnet_of(path):
    return load_judges(path, None)


def test_faces_are_aligned_by_their_own_landmarks():
    picture = np.zeros((512, 512, 3), np.uint8)
    points = face()
    eye = points[36:42].mean(0)
    picture[int(eye[1]) - 12 : int(eye[1]) + 12, int(eye[0]) - 12 : int(eye[0]) + 12] = 255
    cut = aligned_face(picture, points)
    rows, columns = np.nonzero(cut[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((38.3, 51.7), abs=4)
    assert cosine_similarity(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(2**-0.5)
    assert cosine_similarity(np.zeros(2), np.ones(2)) == 0
