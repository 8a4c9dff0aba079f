import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")

from safetensors.torch import save_file  # noqa: E402
from torch.nn import functional  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from engine.artefacts.bundle import load_bundle  # noqa: E402
from engine.backend_onnx import draw_patterns  # noqa: E402
from engine.errors import ArtefactError, ConfigError  # noqa: E402
from engine.images import encode_png  # noqa: E402
from export.cli import app  # noqa: E402
from export.style_mapping import CUT, area_weights, export_style_mapping, load_pattern_graph, pattern_onnx  # noqa: E402
from models.style_mapping import StyleMapping  # noqa: E402

NEUTRAL = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small mapping whose references matter, as after a training, and its neutral person."""
    torch.manual_seed(0)
    mapping = StyleMapping(width=12, keypoints=3)
    with torch.no_grad():
        for layer in (mapping.state.pose, mapping.state.expression):
            layer.weight.normal_(std=2.0)
    folder = tmp_path_factory.mktemp("stylemap")
    save_file(mapping.state_dict(), folder / "stylemap.safetensors")
    (folder / "neutral.png").write_bytes(encode_png(NEUTRAL))
    return folder, mapping.eval()


@pytest.fixture(scope="module")
def references():
    coarse = np.random.default_rng(2).integers(0, 256, (4, 3, 16, 16), np.uint8)
    return coarse.repeat(16, 2).repeat(16, 3)


def drawn_by_torch(mapping, references):
    top, left, side = CUT
    cut = torch.from_numpy(references[:, :, top : top + side, left : left + side]).float() / 255
    # Each pixel four by four, for means over 180 / 64 pixels are means over 45 / 16 of them.
    small = functional.avg_pool2d(cut.repeat_interleave(16, 2).repeat_interleave(16, 3), 45)
    neutral = torch.from_numpy(NEUTRAL.transpose(2, 0, 1).copy()).float()[None].expand(4, -1, -1, -1) / 255
    with torch.inference_mode():
        made = mapping(neutral, small)[0]
        large = functional.interpolate(made, (256, 256), mode="bicubic", align_corners=False).clamp(0, 1)
    return (255 * large).round().numpy().reshape(12, 256, 256)


@pytest.mark.parametrize(("precision", "levels"), [("fp32", 1), ("fp16", 4)])
def test_the_graph_draws_what_torch_draws(trained, references, precision, levels):
    folder, mapping = trained
    graph = pattern_onnx(load_pattern_graph(folder / "stylemap.safetensors", folder / "neutral.png"), precision)
    found, wanted = draw_patterns(graph, references), drawn_by_torch(mapping, references)
    assert np.abs(found - wanted).max() <= levels
    split = found.reshape(4, 3, 256, 256).astype(int)
    assert np.abs(split[0] - split[1]).max() > 20, "the references say nothing: the test shows nothing"


def test_means_over_areas():
    weights = area_weights(10, 180, 64)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert not weights[:, :10].any() and not weights[:, 190:].any()
    # Of a ramp each mean is about the middle of its area; a pixel counts as flat.
    np.testing.assert_allclose(weights @ np.arange(256), 10 + (np.arange(64) + 0.5) * 180 / 64 - 0.5, atol=0.05)


def test_a_mapping_goes_into_a_bundle(trained, random_bundle_folder, references, tmp_path):
    folder, mapping = trained
    out, weights = tmp_path / "out", folder / "stylemap.safetensors"
    common = ["--bundle", str(random_bundle_folder), "--out", str(out), "--provenance", "data=none"]
    done = CliRunner().invoke(app, ["stylemap", str(weights), *common])
    assert done.exit_code == 0 and "grey levels of torch" in done.output, done.output
    bundle, before = load_bundle(out), load_bundle(random_bundle_folder)
    told = bundle.manifest.style_mapping
    assert told is not None and told.precision == "fp16" and told.provenance["data"] == "none"
    assert bundle.style_mapping is not None and bundle.graphs == before.graphs and before.style_mapping is None
    assert np.abs(draw_patterns(bundle.style_mapping, references) - drawn_by_torch(mapping, references)).max() <= 4


def test_what_is_no_mapping_is_refused(trained, random_bundle, tmp_path):
    folder, _ = trained
    weights, neutral = folder / "stylemap.safetensors", folder / "neutral.png"
    with pytest.raises(ArtefactError, match=r"There is no file .*none\.safetensors"):
        load_pattern_graph(tmp_path / "none.safetensors", neutral)
    with pytest.raises(ArtefactError, match="damaged or of another network"):
        load_pattern_graph(neutral, neutral)
    with pytest.raises(ArtefactError, match="missing or no PNG"):
        load_pattern_graph(weights, tmp_path / "none.png")
    with pytest.raises(ArtefactError, match="missing or no PNG"):
        load_pattern_graph(weights, weights)
    (tmp_path / "wide.png").write_bytes(encode_png(NEUTRAL[:32]))
    with pytest.raises(ArtefactError, match="must be square"):
        load_pattern_graph(weights, tmp_path / "wide.png")
    with pytest.raises(ConfigError, match="fp32 or fp16"):
        export_style_mapping(weights, random_bundle, tmp_path, precision="int8")
