"""LSE-D and LSE-C: how far apart SyncNet finds lips and sound, with weights that the user supplies.

Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016; the two figures as Prajwal et al. 2020
(Wav2Lip) define them. For every fifth of a second SyncNet embeds five pictures of the face and the sound beside them;
the mean distance is taken for every offset of up to 15 pictures. LSE-D is the least of those means (lower is better),
LSE-C the median minus the least (higher is better). No weights ship with this project.

The published code cuts faces out with a detector of its own; here the box is made from the landmarks, so figures are
comparable among clips judged here, and with published ones only roughly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.mfcc import mfcc
from benchmarks.quality.networks import open_onnx
from benchmarks.quality.tracks import FaceTrack, read_pictures, read_sound
from engine.errors import ArtefactError, InputError, MissingExtraError
from models.spec import IMAGE_SIZE

FPS: Final = 25
PICTURES: Final = 5
CEPSTRA: Final = 20
"""Frames of 10 ms of sound beside five pictures."""
SIDE_PX: Final = 224
REACH: Final = 15
_CROP_SCALE: Final = 0.4
_GREY: Final = (110, 110, 110)
_BATCH: Final = 20
_EMBEDDING: Final = 1024

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SyncNet:
    """The two halves of the network.

    Attributes:
        lips: From float32 (n, 3, 5, 224, 224) BGR 0..255 to (n, 1024).
        sound: From float32 (n, 1, 13, 20) cepstra to (n, 1024).
    """

    lips: Callable[[Array], Array]
    sound: Callable[[Array], Array]


def load_syncnet(path: Path) -> SyncNet:
    """Load SyncNet from ``*.onnx``, or from a checkpoint in the layout of the authors' ``syncnet_v2.model``.

    An ONNX graph takes a tensor of rank 5 (pictures) and one of rank 4 (cepstra) and gives their embeddings in that
    order. A checkpoint is a state dictionary of the published network; it needs torch.

    Raises:
        ArtefactError: The file is missing, or something else.
        MissingExtraError: It is a checkpoint and torch is not installed.
    """
    if path.suffix.lower() == ".onnx":
        return _from_onnx(path)
    return _from_checkpoint(path)


def lse(distances: NDArray[np.floating]) -> tuple[float, float]:
    """LSE-D and LSE-C from the mean distance at each offset (offsets,)."""
    least = float(distances.min())
    # The lower of the two middle values, as the published code has it.
    return least, float(np.sort(distances)[(len(distances) - 1) // 2]) - least


def offset_distances(lips: Array, sound: Array, reach: int = REACH) -> NDArray[np.float64]:
    """Mean distance of the embeddings at each offset of the sound from -reach to reach pictures: (2 reach + 1,).

    Beyond the clip's ends the sound's embedding counts as zero, as in the published code.
    """
    padded = np.pad(sound, ((reach, reach), (0, 0)))
    count = len(lips)
    # 1e-6 is added by torch's pairwise_distance.
    rows = [np.linalg.norm(lips - padded[k : k + count] + 1e-6, axis=1).mean() for k in range(2 * reach + 1)]
    return np.array(rows, np.float64)


def judge_sync(network: SyncNet, path: Path, track: FaceTrack) -> dict[str, float]:
    """``lse_d`` and ``lse_c`` of a clip with sound.

    Raises:
        InputError: The clip has no sound, or is shorter than half a second.
    """
    samples = read_sound(path)
    if samples is None:
        raise InputError(f"{path} has no sound, without which SyncNet has nothing to judge; leave --syncnet away.")
    faces = face_crops(path, track)
    cepstra = mfcc(np.rint(samples.astype(np.float64) * 32767)).T.astype(np.float32)
    last = min(len(faces), len(samples) // (16_000 // FPS)) - PICTURES
    if last < PICTURES:
        raise InputError(f"{path} is too short for SyncNet; give half a second at least.")
    lips, sound = [], []
    for start in range(0, last, _BATCH):
        frames = range(start, min(last, start + _BATCH))
        stack = np.stack([faces[f : f + PICTURES].transpose(3, 0, 1, 2) for f in frames])
        lips.append(network.lips(stack.astype(np.float32)))
        sound.append(network.sound(np.stack([cepstra[None, :, 4 * f : 4 * f + CEPSTRA] for f in frames])))
    least, confidence = lse(offset_distances(np.concatenate(lips), np.concatenate(sound)))
    return {"lse_d": least, "lse_c": confidence}


def face_crops(path: Path, track: FaceTrack) -> NDArray[np.uint8]:
    """The face at 25 pictures a second: uint8 (n, 224, 224, 3) BGR."""
    scale = max(track.size) / IMAGE_SIZE
    low, high = (track.points * scale).min(axis=1), (track.points * scale).max(axis=1)
    # A detector's box reaches above the brows, to the middle of the forehead.
    low[:, 1] -= 0.2 * (high[:, 1] - low[:, 1])
    half = _smooth((high - low).max(axis=1) / 2)
    x, y = (_smooth(axis) for axis in ((low + high) / 2).T)
    wanted = np.arange(int((track.times[-1] - track.times[0]) * FPS + 1e-6) + 1) / FPS + track.times[0]
    nearest = np.abs(track.times[:, None] - wanted[None]).argmin(axis=0)
    crops: dict[int, NDArray[np.uint8]] = {}
    needed = set(nearest.tolist())
    for index, (_, picture) in enumerate(read_pictures(path)):
        if index in needed:
            crops[index] = _crop(picture, x[index], y[index], half[index])
    return np.stack([crops[index] for index in nearest.tolist() if index in crops])


def _crop(picture: NDArray[np.uint8], x: float, y: float, half: float) -> NDArray[np.uint8]:
    """The square from the box's top to 0.8 of its half below its bottom, as the published pipeline cuts it."""
    side = half * (2 + 2 * _CROP_SCALE)
    ratio = SIDE_PX / side
    matrix = np.array([[ratio, 0, -ratio * (x - side / 2)], [0, ratio, -ratio * (y - half)]])
    cut = cv2.warpAffine(picture, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_CONSTANT, borderValue=_GREY)
    return np.ascontiguousarray(cut[..., ::-1], np.uint8)


def _smooth(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median over 13 pictures."""
    padded = np.pad(np.asarray(values, np.float64), 6, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 13), axis=1))


def _from_onnx(path: Path) -> SyncNet:
    session = open_onnx(path, "SyncNet")
    by_rank = {len(end.shape): end.name for end in session.get_inputs()}
    outputs = [end.name for end in session.get_outputs()]
    if by_rank.keys() != {4, 5} or len(outputs) != 2:
        raise ArtefactError(
            f"SyncNet: {path} must take pictures (n, 3, 5, 224, 224) and cepstra (n, 1, 13, 20) and give two "
            "embeddings; export both halves into one graph."
        )
    pictures, cepstra = by_rank[5], by_rank[4]

    # Each half is asked for alone; the other's input is a blank that does not reach it.
    def lips(x: Array) -> Array:
        blank = np.zeros((len(x), 1, 13, CEPSTRA), np.float32)
        return np.asarray(session.run(outputs[:1], {pictures: x, cepstra: blank})[0], np.float32)

    def sound(x: Array) -> Array:
        blank = np.zeros((len(x), 3, PICTURES, SIDE_PX, SIDE_PX), np.float32)
        return np.asarray(session.run(outputs[1:], {pictures: blank, cepstra: x})[0], np.float32)

    return SyncNet(lips, sound)


def _from_checkpoint(path: Path) -> SyncNet:
    try:
        import torch

        from benchmarks.quality.syncnet_layers import build_syncnet
    except ImportError as error:
        raise MissingExtraError(
            "A SyncNet checkpoint needs torch: pip install 'mien[train]', or give the network as an ONNX file."
        ) from error
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ArtefactError(f"SyncNet: {path} cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # torch raises whatever unpickling meets
        raise ArtefactError(f"SyncNet: {path} is no checkpoint of plain weights; give syncnet_v2.model.") from error
    halves = build_syncnet(_EMBEDDING)
    try:
        halves.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ArtefactError(f"SyncNet: {path} is not in the layout of syncnet_v2.model.") from error
    halves.eval()

    def run(*names: str) -> Callable[[Array], Array]:
        first, second = (getattr(halves, name) for name in names)

        def embed(x: Array) -> Array:
            with torch.inference_mode():
                features: Any = first(torch.from_numpy(np.ascontiguousarray(x))).flatten(1)
                return np.asarray(second(features).numpy(), np.float32)

        return embed

    return SyncNet(run("netcnnlip", "netfclip"), run("netcnnaud", "netfcaud"))
