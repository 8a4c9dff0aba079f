"""Which device computes: what was asked for, what this machine has, and what is taken instead where that is missing.

==================  ================================================================================
``auto``            the first of the cards' ways that can be used here, else the processor
``cpu``             ONNX Runtime on the processor
``cuda``            ONNX Runtime on an NVIDIA card
``tensorrt``        the same, with TensorRT for what it can take
``native-tensorrt`` TensorRT alone, without ONNX Runtime
others              plug-ins (entry points of the group ``mien.backends``), such as those on torch
==================  ================================================================================
"""

import ctypes.util
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from engine.backends import ort_graph
from engine.backends.cards import Card, cards
from engine.errors import ConfigError

PLUGINS = "mien.backends"
"""Group of entry points: a callable that opens a graph, as ``engine.backends.opening.GraphOpener``."""
TORCH = ("torch-tensorrt", "torch-compile", "cuda-graph")
Device = Literal["auto", "cpu", "cuda", "tensorrt", "native-tensorrt", "torch-tensorrt", "torch-compile", "cuda-graph"]
DEVICES: tuple[str, ...] = get_args(Device)
_AUTO = ("tensorrt", "native-tensorrt", "cuda", "cuda-graph", "cpu")
_NEXT: Mapping[str, tuple[str, ...]] = {
    "cpu": (),
    "cuda": ("cpu",),
    "tensorrt": ("native-tensorrt", "cuda", "cpu"),
    "native-tensorrt": ("tensorrt", "cuda", "cpu"),
    "torch-tensorrt": ("cuda-graph", "cuda", "cpu"),
    "torch-compile": ("cuda-graph", "cuda", "cpu"),
    "cuda-graph": ("cuda", "cpu"),
}
_SWAP = "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"


@dataclass(frozen=True)
class Machine:
    """What there is to compute with.

    Attributes:
        cards: The graphics cards.
        providers: Those of the onnxruntime that is installed.
        packages: Version by name of the packages that matter here, as far as they are installed.
        plugins: Names of the plug-ins that are installed.
        nvinfer: Whether the system itself has TensorRT's library, beside Python's packages.
    """

    cards: tuple[Card, ...] = ()
    providers: tuple[str, ...] = (ort_graph.CPU,)
    packages: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    nvinfer: bool = False

    @property
    def mixed(self) -> bool:
        """Whether both onnxruntimes are installed, which overwrite each other."""
        return "onnxruntime" in self.packages and "onnxruntime-gpu" in self.packages


@dataclass(frozen=True)
class Choice:
    """What computes.

    Attributes:
        device: One of ``DEVICES`` but ``auto``.
        sentences: Why it is not what was asked for, and what to install; empty where it is.
    """

    device: str
    sentences: tuple[str, ...] = ()


def detect() -> Machine:
    """What this machine has. Libraries are looked for, not loaded."""
    names = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "cuda-bindings", "onnx", "torch", "torch-tensorrt")
    return Machine(
        cards(),
        tuple(ort_graph.available()),
        {name: version for name in names if (version := _version(name)) is not None},
        tuple(sorted(entry.name for entry in importlib.metadata.entry_points(group=PLUGINS))),
        ctypes.util.find_library("nvinfer") is not None,
    )


def missing(device: str, machine: Machine) -> str | None:
    """Why a device cannot be used on a machine and what to do, in one sentence; None where it can."""
    if device == "cpu":
        return None
    if not machine.cards:
        return f"{device} needs an NVIDIA card, and no driver here shows one (nvidia-smi)."
    if "onnx" not in machine.packages:
        return f"{device} needs the package onnx: pip install 'mien[gpu]'."
    if device in ("cuda", "tensorrt"):
        if machine.mixed:
            return f"onnxruntime and onnxruntime-gpu are both installed and overwrite each other: {_SWAP} again."
        provider = ort_graph.CUDA if device == "cuda" else ort_graph.TENSORRT
        if provider not in machine.providers:
            return f"{device} needs the package onnxruntime-gpu in place of onnxruntime: {_SWAP}."
        # Every onnxruntime-gpu names TensorRT's provider; the libraries that it needs are not in it.
        if device == "tensorrt" and "tensorrt" not in machine.packages and not machine.nvinfer:
            return "tensorrt needs TensorRT's own libraries: pip install 'mien[gpu]'."
    if device == "native-tensorrt":
        for name in ("tensorrt", "cuda-bindings"):
            if name not in machine.packages:
                return f"native-tensorrt needs the package {name}: pip install 'mien[gpu]'."
    if device in TORCH:
        return _missing_torch(device, machine)
    return None


def choose(device: str, machine: Machine, broken: Mapping[str, str] | None = None) -> Choice:
    """Take what was asked for, or the next best.

    Args:
        device: One of ``DEVICES``.
        machine: As from ``detect``.
        broken: Devices that were tried and do not run although all is installed, with the reason in a sentence.

    Raises:
        ConfigError: There is no such device.
    """
    if device not in DEVICES:
        raise ConfigError(f"A device is one of {', '.join(DEVICES)}, not {device!r}.")
    if not machine.cards:
        reason = None if device == "auto" else missing(device, machine)
        return Choice("cpu", () if reason is None else (reason, "So cpu is used."))
    devices = _AUTO if device == "auto" else (device, *_NEXT[device])
    return _first(devices, machine, broken or {})


def _first(devices: tuple[str, ...], machine: Machine, broken: Mapping[str, str]) -> Choice:
    """The first that can be used, and why those before it cannot."""
    reasons: list[str] = []
    for device in devices:
        reason = missing(device, machine) or broken.get(device)
        if reason is None:
            return Choice(device, (*reasons, f"So {device} is used.") if reasons else ())
        if reason not in reasons:
            reasons.append(reason)
    raise AssertionError("the processor can always be used")


def _missing_torch(device: str, machine: Machine) -> str | None:
    if "torch" not in machine.packages:
        return f"{device} needs torch with CUDA: pip install torch (see pytorch.org for the build of your driver)."
    if "+cpu" in machine.packages["torch"]:
        return f"{device} needs torch with CUDA, and the one installed computes on the processor alone."
    if device == "torch-tensorrt" and "torch-tensorrt" not in machine.packages:
        return "torch-tensorrt needs the package torch-tensorrt: pip install 'mien[torch-tensorrt]'."
    if device not in machine.plugins:
        return f"{device} is a plug-in of Mien that is not registered: install Mien again (pip install -e .)."
    return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
