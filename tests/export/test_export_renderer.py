import json

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from engine.artefacts.picture_network import PATTERNS_SHAPE  # noqa: E402
from engine.errors import ConfigError  # noqa: E402
from engine.renderer.network import NetworkRenderer  # noqa: E402
from engine.renderer.network_input import border  # noqa: E402
from export.renderer import Lite, Paper, export_generator, picture_network  # noqa: E402
from export.renderer_parity import measure_picture_parity  # noqa: E402
from models.generator import LiteGenerator, PaperGenerator, StaticEncoder, refined  # noqa: E402
from tests.engine.renderer.conftest import draw_person  # noqa: E402

PATTERNS = np.random.default_rng(1).integers(0, 256, PATTERNS_SHAPE, np.uint8)


def loud(module):
    """Weights with which the picture really changes, as after a training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = 1.2 / max(1, parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.fixture(scope="module")
def lite():
    return loud(Lite(StaticEncoder(), LiteGenerator()))


@pytest.fixture(scope="module")
def exported(lite):
    return export_generator(lite)


def drawn_by_torch(generator, dynamic, source):
    with torch.inference_mode():
        static = generator.encode(torch.tensor(source[None]) / 255, torch.tensor(PATTERNS[None]) / 255)
        seen = torch.tensor(dynamic[None]) / 255
        residual, mask = generator(seen, static)
        picture = refined(seen[:, :3], residual, torch.tensor(border(generator.size)) * mask)
    return static[0].numpy(), np.rint(255 * picture[0].numpy()).astype(np.uint8)


def run(graph: onnx.ModelProto, feed):
    import onnxruntime

    return onnxruntime.InferenceSession(graph.SerializeToString()).run(None, feed)[0]


def test_the_graphs_draw_what_torch_draws(lite, exported):
    rng = np.random.default_rng(0)
    dynamic, source = rng.integers(0, 256, (6, 256, 256), np.uint8), rng.integers(0, 256, (4, 256, 256), np.uint8)
    static, picture = drawn_by_torch(lite, dynamic, source)
    found = run(exported.static, {"source": source[None], "patterns": PATTERNS[None]})
    assert found.shape == (1, *exported.static_shape) == (1, 16, 64, 64)
    np.testing.assert_allclose(found[0], static, atol=1e-4)
    both = {"dynamic": np.stack([dynamic, dynamic[:, ::-1]]), "static": np.concatenate([found, found])}
    drawn = run(exported.frame, both)
    assert drawn.shape == (2, 3, 256, 256) and drawn.dtype == np.uint8
    assert np.abs(drawn[0].astype(int) - picture).max() <= 1
    assert np.abs(drawn[0].astype(int) - dynamic[:3]).mean() > 3, "nothing was drawn: the test shows nothing"
    np.testing.assert_array_equal(drawn[:, :, 0], both["dynamic"][:, :3, 0])


def test_graphs_are_of_the_opset_that_all_backends_know(exported):
    for graph in (exported.frame, exported.static):
        assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [17]
        assert all(node.domain == "" for node in graph.graph.node)


@pytest.mark.parametrize("alignment", ["warp", "raw"])
def test_the_papers_layers_run_through_the_same_renderer(alignment):
    generator = loud(Paper(PaperGenerator(alignment, channels=(4, 4, 4))))
    network = picture_network("paper", export_generator(generator), PATTERNS)
    assert network.geometry.static == (12 if alignment == "warp" else 15, 512, 512)
    person, still = draw_person(), np.zeros(6, np.float32)
    picture = NetworkRenderer(person, network).render(person.template, still, still[:2])
    assert picture.shape == (512, 512, 3)
    parity = measure_picture_parity(generator, network, frames=1)
    assert parity.psnr_db > 45 and parity.changed > 1


@pytest.mark.parametrize(("precision", "least_db"), [("fp32", 55), ("fp16", 45), ("int8", 22)])
def test_parity_by_precision(lite, exported, precision, least_db):
    rng = np.random.default_rng(2)
    frames = []
    for _ in range(4):
        coarse = rng.integers(0, 256, (6, 32, 32), np.uint8).repeat(8, 1).repeat(8, 2)
        static, _ = drawn_by_torch(lite, coarse, coarse[:4])
        frames.append((coarse, static))
    network = picture_network("lite", exported, PATTERNS, precision=precision, frames=frames)
    parity = measure_picture_parity(lite, network, frames=2)
    assert parity.psnr_db > least_db and parity.changed > 1
    if precision != "fp32":
        whole = picture_network("lite", exported, PATTERNS)
        assert len(network.graph) < 0.6 * len(whole.graph)


def test_integers_need_frames(exported):
    with pytest.raises(ConfigError, match="give the calibration at least one"):
        picture_network("lite", exported, PATTERNS, precision="int8")


def test_a_checkpoint_becomes_a_renderer_of_a_bundle(lite, random_bundle_folder, tmp_path, monkeypatch):
    from safetensors.torch import save_file
    from typer.testing import CliRunner

    from engine.artefacts.avatar import save_avatar
    from engine.artefacts.bundle import load_bundle
    from export import renderer_bundle
    from export.cli import app

    monkeypatch.setattr(renderer_bundle, "FRAMES_EACH", 2)
    save_avatar(draw_person(), tmp_path / "drawn.avatar")
    save_file(lite.generator.state_dict(), tmp_path / "renderer.safetensors")
    save_file(lite.encoder.state_dict(), tmp_path / "renderer_static.safetensors")
    np.save(tmp_path / "isp.npy", PATTERNS)
    common = [
        "--bundle",
        str(random_bundle_folder),
        "--out",
        str(tmp_path / "out"),
        "--better",
        "--portraits",
        str(tmp_path),
    ]
    figures = tmp_path / "parity.json"
    done = CliRunner().invoke(app, ["renderer", str(tmp_path), *common, "--json", str(figures)])
    assert done.exit_code == 0, done.output
    bundle = load_bundle(tmp_path / "out")
    network = bundle.renderers["lite"]
    assert network.geometry.better and network.geometry.precision == "fp32"
    np.testing.assert_array_equal(network.patterns, PATTERNS)
    assert bundle.graphs == load_bundle(random_bundle_folder).graphs
    assert json.loads(figures.read_text())["psnr_db"] > 50


def test_a_checkpoint_that_is_none_is_refused(random_bundle_folder, tmp_path):
    from engine.errors import ArtefactError
    from export.renderer import load_generator

    with pytest.raises(ArtefactError, match=r"no checkpoint .*renderer\.safetensors"):
        load_generator(tmp_path, "lite")
    (tmp_path / "renderer.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtefactError, match="damaged or of another network"):
        load_generator(tmp_path, "lite")
