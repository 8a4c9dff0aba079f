import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch, which is not installed")
onnx = pytest.importorskip("onnx", reason="export needs onnx, which is not installed")

import onnxruntime  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from engine.artefacts.bundle import load_bundle, pick_renderer  # noqa: E402
from engine.backends import opening, painter  # noqa: E402
from engine.backends.cards import Card  # noqa: E402
from engine.backends.device_network import DeviceNetwork  # noqa: E402
from engine.backends.engine_cache import graph_digest  # noqa: E402
from engine.backends.float_graph import to_floats  # noqa: E402
from engine.backends.painter import painting_graph  # noqa: E402
from engine.errors import ArtefactError, ConfigError, MissingExtraError  # noqa: E402
from export import batched, device_export, verify  # noqa: E402
from export.cli import app  # noqa: E402
from export.device_export import DeviceSettings, device_graphs, export_for_device, parse_batch  # noqa: E402
from export.operators import unreadable  # noqa: E402
from export.picture_frames import read_portraits  # noqa: E402
from export.picture_integers import quantise  # noqa: E402
from export.untrained import untrained_network  # noqa: E402
from export.verify import PictureQuality, StepParity, verify_pictures, verify_steps  # noqa: E402

CPU_ONLY = {"MatMulInteger", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"}


def operators(graph):
    return {node.op_type for node in onnx.ModelProto.FromString(graph).graph.node}


@pytest.fixture(scope="module")
def lite():
    return untrained_network("lite")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_graphs_hold_what_cards_have_and_are_in_their_precision(random_bundle, lite, precision):
    graphs = device_graphs(random_bundle, DeviceSettings(precision=precision), lite)
    assert set(graphs) == {"apc", "motion", "headpose", "frame"}
    for name, graph in graphs.items():
        assert not operators(graph) & CPU_ONLY
        model = onnx.ModelProto.FromString(graph)
        assert unreadable(model, types=precision != "bf16") == []
        kinds = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) > 4000}
        expected = {"fp32": 1, "fp16": 10, "bf16": 16}[precision]
        assert expected in kinds, name
        # What leaves is as it was: states and outputs in float32, frames in bytes.
        assert {value.type.tensor_type.elem_type for value in model.graph.output} <= {1, 2}


@pytest.fixture(scope="module")
def frames(lite):
    from export.device_int8 import calibration_set

    return calibration_set(lite, each=1)


def drawn_by(graph, frame):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (picture,) = session.run(["picture"], {"dynamic": frame[0][None], "static": frame[1][None]})
    return picture.astype(int)


def test_int8_is_scaled_by_the_avatars_that_ship_and_read_by_cards(lite, frames, monkeypatch):
    from export import device_int8

    assert len(frames) >= 3 and frames[0][0].shape == (6, 256, 256) and frames[0][1].shape == lite.geometry.static
    assert any((one[0] != frames[0][0]).any() for one in frames[1:])
    monkeypatch.setattr(device_int8, "calibration_set", lambda network, portraits: frames[:2])
    drawn = device_int8.with_integers(lite)
    assert drawn.geometry.precision == "int8"
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(drawn.graph)
    assert unreadable(onnx.ModelProto.FromString(painting_graph(drawn, "int8"))) == []


def test_the_network_that_ships_in_integers_is_written_in_the_cards(monkeypatch):
    """From one form of integers to floats and to the other: names must not meet."""
    from export import device_int8

    network = pick_renderer(load_bundle(), "lite")
    monkeypatch.setattr(device_int8, "read_portraits", lambda folder, read=read_portraits: read(folder)[:1])
    drawn = device_int8.with_integers(replace(network, graph=to_floats(network.graph)))
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(drawn.graph)
    assert unreadable(onnx.ModelProto.FromString(painting_graph(drawn, "int8"))) == []


def test_networks_in_the_processors_integers_are_floats_on_cards(lite, frames):
    """What the rounding of weights cost is all that stays."""
    integers = quantise(onnx.ModelProto.FromString(lite.graph), frames[:2]).SerializeToString()
    floats = to_floats(integers)
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(integers)
    assert not {"QuantizeLinear", "DequantizeLinear"} & operators(floats)
    assert unreadable(onnx.ModelProto.FromString(painting_graph(replace(lite, graph=integers)))) == []
    exact, ours = drawn_by(lite.graph, frames[2]), drawn_by(floats, frames[2])
    assert 0 < np.abs(ours - exact).mean() < 1.0


def test_folder_says_what_it_holds(random_bundle_folder, tmp_path):
    arguments = ["--to", "onnx", "--preset", "warp", "--precision", "fp32", "--batch", "1..8"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "o"), "--bundle", str(random_bundle_folder)])
    assert result.exit_code == 0, result.exception
    said = json.loads((tmp_path / "o" / "device.json").read_text())
    assert said["buckets"] == [1, 2, 4, 8] and said["precision"] == "fp32" and said["card"] is None
    assert {path.name for path in (tmp_path / "o").iterdir()} == {*said["sha256"], "device.json"}
    assert "apc.onnx" in result.output and "MB" in result.output


def test_engines_are_built_on_the_card_alone(random_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(device_export, "cards", lambda: ())
    for target in ("tensorrt", "torch-tensorrt"):
        with pytest.raises(MissingExtraError, match="no driver here shows one"):
            export_for_device(random_bundle, tmp_path / "o", DeviceSettings(to=target, preset="warp"))
    assert not (tmp_path / "o").exists()
    built = []
    monkeypatch.setattr(device_export, "cards", lambda: (Card("NVIDIA L4", "550", 23034, "8.9"),))
    monkeypatch.setattr(
        device_export, "engine_for", lambda graph, shapes, precision, card, cache: built.append(shapes) or b"engine"
    )
    sizes = export_for_device(random_bundle, tmp_path / "o", DeviceSettings(to="tensorrt", preset="warp", most=4))
    assert sizes["frame engine"] == 6 and len(built) == 4
    assert built[3]["positions"][2] == (4, 130, 130, 2) and built[3]["bank.plate"][0] == (17, 3, 512, 512)
    assert built[0]["bank.hidden"] == ((3, 160, 512),) * 3


def test_engines_that_were_built_are_those_that_are_opened(random_bundle, lite, tmp_path, monkeypatch):
    """The graph, its shapes and its precision, by which an engine is found again."""
    asked = []

    def engine_for(graph, shapes, precision, card, cache):
        asked.append((graph_digest(graph), shapes, precision, cache))
        return b"engine"

    for module in (device_export, opening):
        monkeypatch.setattr(module, "cards", lambda: (Card("NVIDIA L4", "550", 23034, "8.9"),))
        monkeypatch.setattr(module, "engine_for", engine_for)
    monkeypatch.setattr(opening, "TensorRtGraph", lambda plan, free: None)
    monkeypatch.setattr(painter, "Painter", lambda graph, **_: None)
    monkeypatch.setattr(opening, "DeviceNetwork", lambda graph, *_, **__: None)
    export_for_device(random_bundle, tmp_path, DeviceSettings(to="tensorrt", precision="fp16"), lite)
    painter.open_painter("native-tensorrt", lite, cache=tmp_path)
    assert asked[-1] == asked[3]
    asked.clear()
    export_for_device(random_bundle, tmp_path, DeviceSettings(to="tensorrt", preset="warp", precision="fp32"))
    opening.open_networks_on("native-tensorrt", random_bundle, cache=tmp_path)
    assert asked[4:] == asked[:3]


@pytest.mark.parametrize(
    "settings", [{"to": "coreml"}, {"precision": "fp8"}, {"most": 3}, {"preset": "paper"}, {"preset": "sketch"}]
)
def test_what_is_not_there_is_refused(random_bundle, settings):
    with pytest.raises(ConfigError):
        device_graphs(random_bundle, DeviceSettings(**settings))


def test_batches_are_read():
    assert parse_batch("32") == parse_batch("1..32") == 32
    for text in ("2..8", "many", "", "1.."):
        with pytest.raises(ConfigError, match="largest batch"):
            parse_batch(text)


def test_without_a_command_or_a_target_help_is_named():
    result = CliRunner().invoke(app, ["--precision", "fp32"])
    assert isinstance(result.exception, ConfigError) and "--help" in str(result.exception)


def test_untrained_networks_are_for_presets():
    assert untrained_network("warp") is None
    with pytest.raises(ConfigError, match="lite, paper or warp"):
        untrained_network("tiny")


def test_networks_are_verified_step_after_step(random_bundle):
    for device, precision, least in (("cpu", "fp32", 0.0), ("torch", "fp16", 1e-5)):
        found = verify_steps(random_bundle, device, precision, 5)
        assert set(found) == {"apc", "motion", "headpose"}
        assert all(parity.holds and parity.worst > least for parity in found.values()), found
    with pytest.raises(ConfigError, match="processor computes in fp32"):
        verify_steps(random_bundle, "cpu", "fp16", 1)


def test_pictures_are_verified(random_bundle, monkeypatch):
    monkeypatch.setattr(verify, "read_portraits", lambda folder, read=verify.read_portraits: read(folder)[:1])
    pictures = verify_pictures(random_bundle, "warp", "cpu", "fp32", each=1)
    assert pictures.holds and pictures.frames == 1 and pictures.face_psnr_db > 60


def test_batched_equals_single_for_mixed_avatars_and_styles_over_500_steps(monkeypatch):
    """The networks and the picture network that ship, three avatars, a style and none; who is due changes."""
    monkeypatch.setattr(batched, "CAST", ((0, "ballad"), (1, None), (2, "ballad")))
    found = batched.verify_batched(load_bundle(), "lite", "cpu", "fp32")
    assert found.holds and found.steps == 500
    assert found.worst < 1e-6 and found.levels <= 1 and found.pictures == 3
    assert 0 < found.worst, "nothing was compared"
    assert found.launches < 0.6


def test_a_session_that_gets_anothers_rows_is_found_out(monkeypatch):
    real = DeviceNetwork.run_many

    def mixed(self, inputs, states, who=()):
        outputs, after = real(self, inputs, states, who)
        return outputs, after[::-1]

    monkeypatch.setattr(DeviceNetwork, "run_many", mixed)
    monkeypatch.setattr(batched, "_NETWORKS", ("motion",))
    monkeypatch.setattr(batched, "CAST", ((0, None), (1, None)))
    monkeypatch.setattr(batched, "_draw", lambda *_: 0)
    found = batched.verify_batched(load_bundle(), "warp", "cpu", "fp32", 10)
    assert not found.holds and found.worst > 0.01


def test_integers_are_verified_against_the_floats_that_they_stand_for(lite, frames, monkeypatch):
    monkeypatch.setattr(verify, "read_portraits", lambda folder, read=verify.read_portraits: read(folder)[:1])
    monkeypatch.setattr("export.device_int8.calibration_set", lambda network, portraits: frames)
    pictures = verify_pictures(load_bundle(), "lite", "cpu", "int8", each=1, network=lite)
    assert pictures.holds and pictures.face_psnr_db < 80, "integers that lose nothing were not integers"
    assert [verify.step_precision(device, "int8") for device in ("cpu", "cuda")] == ["fp32", "fp16"]
    assert verify.step_precision("cuda", "bf16") == "bf16"


@pytest.mark.parametrize("worst", [0.001, 0.5])
def test_the_command_fails_where_a_device_says_something_else(random_bundle_folder, tmp_path, monkeypatch, worst):
    report = tmp_path / "figures.json"
    monkeypatch.setattr(verify, "verify_steps", lambda *_: {"motion": StepParity("fp16", 500, worst)})
    monkeypatch.setattr(verify, "verify_pictures", lambda *_, network: PictureQuality("fp16", 6, 60.0, 50.0))
    result = CliRunner().invoke(
        app, ["verify-device", str(random_bundle_folder), "--device", "torch", "--json", str(report)]
    )
    assert json.loads(report.read_text())["motion"]["steps"] == 500 and "500 steps" in result.output
    if worst < 0.01:
        assert result.exit_code == 0
    else:
        assert isinstance(result.exception, ArtefactError) and "strays from torch in motion" in str(result.exception)


def test_tolerances_name_every_precision():
    assert set(verify.TOLERANCES) == set(verify.LEAST_PSNR_DB) == {"fp32", "fp16", "bf16", "int8"}
