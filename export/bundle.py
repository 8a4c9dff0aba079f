"""Trained networks to a bundle that the engine runs without torch.

A folder of checkpoints holds ``apc.safetensors``, ``motion.safetensors`` and ``headpose.safetensors`` (state_dicts),
``manifold.npz`` (bank: features of the training speech, (N, 512); mel: some of its log-mel, (M, 80)) and
``motion_extras.npz`` (completion (204, 123), mean (123,) and scale (): the motion network's output times scale plus
mean is a displacement in fu).
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from engine.artefacts.bundle import (
    Bundle,
    BundleManifest,
    ManifoldSettings,
    MotionSettings,
    NetworkGeometry,
    PoseSettings,
    graph_shapes,
    save_bundle,
)
from engine.errors import ArtefactError
from export.calibration import calibration_calls
from export.graphs import STEPS_A_CALL, Precision, compress, graph_spec, to_onnx
from export.integer import activation_ranges, expand_recurrent, to_integers
from models.apc import ApcEncoder
from models.headpose import HeadPoseNet
from models.motion import MotionGenerator

DEFAULT_PRECISIONS: Mapping[str, Precision] = {"apc": "w8a8", "motion": "w8a8", "headpose": "w8a8"}
"""A step costs what its weights weigh: integers halve it, for about one percent of error."""


@dataclass(frozen=True)
class Trained:
    """What training leaves: networks in torch and arrays in numpy.

    Attributes:
        apc: The encoder.
        motion: The motion generator.
        headpose: The head pose network.
        bank: (N, 512), the manifold's features.
        mel: (M, 80), log-mel of training speech: what integer arithmetic is scaled to.
        completion: (204, 123), displacements of 68 points for those of 41.
        motion_mean: (123,) fu.
        motion_scale: fu per unit of the motion network's output.
    """

    apc: ApcEncoder
    motion: MotionGenerator
    headpose: HeadPoseNet
    bank: NDArray[np.floating[Any]]
    mel: NDArray[np.floating[Any]]
    completion: NDArray[np.floating[Any]]
    motion_mean: NDArray[np.floating[Any]]
    motion_scale: float

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks by their name in the bundle."""
        return {"apc": self.apc, "motion": self.motion, "headpose": self.headpose}


@dataclass(frozen=True)
class BundleSettings:
    """What a bundle declares beside its weights."""

    name: str = "mien"
    precisions: Mapping[str, Precision] = field(default_factory=lambda: DEFAULT_PRECISIONS)
    manifold: ManifoldSettings = field(default_factory=ManifoldSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    pose: PoseSettings = field(default_factory=PoseSettings)
    provenance: Mapping[str, str] = field(default_factory=dict)


def load_trained(checkpoints: Path) -> Trained:
    """Read a folder of checkpoints.

    Raises:
        ArtefactError: A file is missing, damaged or does not fit its network.
    """
    manifold = _arrays(_find(checkpoints, "manifold.npz"), ("bank", "mel"))
    extras = _arrays(_find(checkpoints, "motion_extras.npz"), ("completion", "mean", "scale"))
    apc, motion, headpose = ApcEncoder(), MotionGenerator(), HeadPoseNet()
    for name, module in (("apc", apc), ("motion", motion), ("headpose", headpose)):
        file = _find(checkpoints, f"{name}.safetensors")
        try:
            module.load_state_dict(load_file(file))
        except FileNotFoundError as error:
            raise ArtefactError(f"There is no checkpoint {file}; train the network first.") from error
        except (SafetensorError, RuntimeError, OSError) as error:
            raise ArtefactError(f"{file} is damaged or of another network; train it again.") from error
        module.eval()
    return Trained(
        apc=apc,
        motion=motion,
        headpose=headpose,
        bank=manifold["bank"],
        mel=manifold["mel"],
        completion=extras["completion"],
        motion_mean=extras["mean"],
        motion_scale=float(extras["scale"]),
    )


def build_bundle(trained: Trained, settings: BundleSettings | None = None) -> Bundle:
    """Export the networks and put them together with the arrays.

    Raises:
        ArtefactError: The arrays' shapes do not fit.
    """
    settings = settings or BundleSettings()
    exact = {name: to_onnx(module) for name, module in trained.modules.items()}
    networks = {}
    for name, module in trained.modules.items():
        spec = graph_spec(module)
        networks[name] = NetworkGeometry(
            file=f"{name}.onnx",
            precision=settings.precisions[name],
            inputs=graph_shapes(spec.inputs),
            state=graph_shapes(spec.state),
            outputs=graph_shapes(spec.outputs),
            dtypes={integer: "int64" for integer in sorted(spec.integers)},
        )
    integers = [name for name, precision in settings.precisions.items() if precision == "w8a8"]
    calls = calibration_calls(exact, networks, trained.mel) if integers else {}
    graphs = {}
    for name, graph in exact.items():
        if name in integers:
            expanded = expand_recurrent(graph, STEPS_A_CALL[name])
            graph = to_integers(expanded, activation_ranges(expanded, calls[name]))
        graphs[name] = compress(graph, settings.precisions[name]).SerializeToString()
    manifest = BundleManifest(
        name=settings.name,
        manifold=settings.manifold,
        motion=settings.motion,
        pose=settings.pose,
        networks=networks,
        provenance={"torch": str(torch.__version__), **settings.provenance},
    )
    return Bundle(
        manifest=manifest,
        graphs=graphs,
        # As it will be stored, so that a bundle in memory equals one that was read.
        bank=trained.bank.astype(np.float16).astype(np.float32),
        completion=trained.completion.astype(np.float32),
        motion_mean=trained.motion_mean.astype(np.float32),
        motion_scale=float(np.float32(trained.motion_scale)),
    )


def export_bundle(checkpoints: Path, out: Path, settings: BundleSettings | None = None) -> Bundle:
    """Checkpoints to a bundle folder.

    Args:
        checkpoints: Folder as described above.
        out: Folder to write; a bundle that is there is replaced.
        settings: Name, precisions and what the bundle declares.

    Raises:
        ArtefactError: A checkpoint is missing or damaged.
        OutputError: ``out`` cannot be written.
    """
    bundle = build_bundle(load_trained(checkpoints), settings)
    save_bundle(bundle, out)
    return bundle


def _find(checkpoints: Path, name: str) -> Path:
    """``name`` in the folder itself or in one of its folders, where each recipe has a folder of its own.

    Raises:
        ArtefactError: Several recipes' folders hold one.
    """
    direct = checkpoints / name
    nested = sorted(checkpoints.glob(f"*/{name}"))
    if direct.exists() or not nested:
        return direct
    if len(nested) > 1:
        places = " and ".join(str(place.parent) for place in nested[:2])
        raise ArtefactError(f"{name} lies in {places}: keep one, or give a folder that holds all of one training.")
    return nested[0]


def _arrays(file: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.floating[Any]]]:
    """Named arrays of an npz."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {name: cast(NDArray[np.floating[Any]], stored[name]) for name in names}
    except FileNotFoundError as error:
        raise ArtefactError(f"There is no {file}; train the motion generator first.") from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{file} is damaged: it must hold {', '.join(names)}.") from error
