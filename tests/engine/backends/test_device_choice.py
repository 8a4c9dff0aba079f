from dataclasses import replace

import pytest

from engine.backends import cards as cards_module
from engine.backends import devices
from engine.backends.cards import Card, parse
from engine.backends.devices import DEVICES, Machine, choose, detect, missing
from engine.backends.ort_graph import CPU, CUDA, TENSORRT
from engine.errors import ConfigError

CARD = Card("NVIDIA H200", "580.159.03", 143771, "9.0")
ALL = {
    "onnx": "1.23",
    "onnxruntime-gpu": "1.31",
    "tensorrt": "10.13",
    "cuda-bindings": "13",
    "torch": "2.13.0+cu130",
    "torch-tensorrt": "2.13",
}
FULL = Machine((CARD,), (TENSORRT, CUDA, CPU), ALL, devices.TORCH)


def without(*names, providers=(CPU,)):
    packages = {name: version for name, version in ALL.items() if name not in names}
    return Machine((CARD,), providers, packages, devices.TORCH)


@pytest.mark.parametrize("device", DEVICES[1:])
def test_what_is_there_is_taken_without_a_word(device):
    assert choose(device, FULL) == devices.Choice(device)


def test_auto_takes_the_fastest_that_is_there():
    assert choose("auto", FULL).device == "tensorrt"
    assert choose("auto", Machine()) == devices.Choice("cpu")
    only_cuda = without("tensorrt", "cuda-bindings", providers=(CUDA, CPU))
    assert choose("auto", only_cuda).device == "cuda"
    assert choose("auto", without("tensorrt", "onnxruntime-gpu")).device == "cuda-graph"


@pytest.mark.parametrize("device", DEVICES[2:])
def test_without_a_card_the_processor_computes_and_it_is_said(device):
    choice = choose(device, Machine(packages=ALL, plugins=devices.TORCH))
    assert choice.device == "cpu" and "NVIDIA card" in choice.sentences[0]
    assert choice.sentences[-1] == "So cpu is used."


@pytest.mark.parametrize(
    ("device", "machine", "taken", "advice"),
    [
        ("cuda", without("onnxruntime-gpu"), "cpu", "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"),
        ("tensorrt", without("tensorrt", providers=(CUDA, CPU)), "cuda", "onnxruntime-gpu"),
        ("tensorrt", without("tensorrt", providers=(TENSORRT, CUDA, CPU)), "cuda", "TensorRT's own libraries"),
        ("native-tensorrt", without("tensorrt", providers=(CUDA, CPU)), "cuda", "pip install 'mien[gpu]'"),
        ("native-tensorrt", without("cuda-bindings", providers=(CUDA, CPU)), "cuda", "cuda-bindings"),
        ("torch-tensorrt", without("torch-tensorrt"), "cuda-graph", "mien[torch-tensorrt]"),
        ("torch-compile", without("torch"), "cpu", "pip install torch"),
        ("cuda", without("onnx", providers=(CUDA, CPU)), "cpu", "package onnx"),
    ],
)
def test_what_is_missing_is_named_with_the_way_to_install_it(device, machine, taken, advice):
    choice = choose(device, machine)
    assert choice.device == taken and advice in choice.sentences[0]
    assert all(sentence.endswith(".") for sentence in choice.sentences)


def test_tensorrt_of_the_system_is_as_good_as_the_package():
    there = replace(without("tensorrt", providers=(TENSORRT, CUDA, CPU)), nvinfer=True)
    assert choose("tensorrt", there) == devices.Choice("tensorrt")


def test_what_was_tried_and_does_not_run_is_passed_over():
    broken = {"tensorrt": "tensorrt does not run here: no libnvinfer.so.10.", "native-tensorrt": "Nor does that."}
    choice = choose("auto", FULL, broken)
    assert choice.device == "cuda"
    assert choice.sentences == (*broken.values(), "So cuda is used.")
    assert choose("cpu", FULL, broken) == devices.Choice("cpu")


def test_two_runtimes_at_once_are_said():
    both = Machine((CARD,), (CUDA, CPU), {**ALL, "onnxruntime": "1.31"}, ())
    assert both.mixed and "both installed" in str(missing("cuda", both))


def test_torch_without_cuda_and_an_unregistered_plugin_are_said():
    plain = Machine((CARD,), (CPU,), {**ALL, "torch": "2.13.0+cpu"}, devices.TORCH)
    assert "processor alone" in str(missing("cuda-graph", plain))
    assert "not registered" in str(missing("cuda-graph", Machine((CARD,), (CPU,), ALL, ())))


def test_no_such_device():
    with pytest.raises(ConfigError, match="one of auto, cpu, cuda"):
        choose("gpu", Machine())


def test_this_machine_can_be_looked_at():
    machine = detect()
    assert CPU in machine.providers
    assert missing("cpu", machine) is None


def test_cards_are_read_from_the_drivers_tool():
    text = "NVIDIA H200, 580.159.03, 143771, 9.0\nnonsense\nTesla T4, 535.1, 15360, 7.5\n"
    assert parse(text) == (CARD, Card("Tesla T4", "535.1", 15360, "7.5"))


def test_a_tool_that_fails_or_is_missing_shows_no_cards(monkeypatch, tmp_path):
    monkeypatch.setattr(cards_module.shutil, "which", lambda _: None)
    assert cards_module.cards() == () and cards_module.watts() is None
    broken = tmp_path / "nvidia-smi"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr(cards_module.shutil, "which", lambda _: str(broken))
    assert cards_module.cards() == () and cards_module.used_mb() is None
    broken.write_text("#!/bin/sh\necho 71.5\n")
    assert cards_module.watts() == 71.5
