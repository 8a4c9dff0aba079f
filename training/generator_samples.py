"""What the recipes of the image generator read: prepared people, cut, varied and put into batches."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import ConfigError
from models.spec import EYES, MOUTH
from training.corpus.heads.person_shard import MANIFEST
from training.generator_augment import Look, Placement, shade
from training.generator_data import ROWS

ISP: Final = "isp.npy"
_FAR_STYLE_PX: Final = 6.0
"""Distance from which a matched style image says nothing and is not read."""
_FOCUS: Final = (0.65, 0.17)
"""Shares of samples cut around the mouth and around the eyes; the rest lies anywhere in the window."""
_NO_PATTERNS: Final = 0.3
"""Share of samples without style patterns, so that the network can do without."""
_LAYER_GAIN: Final = 0.1
"""Deviation of the brightness of the drawn inside of the mouth, for no rule of tinting is right for every portrait."""

Split = Literal["train", "test"]


class PersonFrames:
    """One prepared person (``training.generator_data``), mapped into memory.

    Attributes:
        rows: Arrays by name: ``portrait``, ``frame``, ``corner``, ``points``, and ``style``, ``style_corner``,
            ``style_distance`` of every row; ``face_pose``, ``face_displacement``, ``face_closure``, ``face_pixels`` of
            every frame; ``style_frames`` of every style reference image.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder of `mien train frames`."""
        self.folder = folder
        with np.load(folder / ROWS, allow_pickle=False) as arrays:
            self.rows: dict[str, NDArray[Any]] = {name: arrays[name] for name in arrays.files}
        names = ("dynamic", "target", "regions", "sources", "faces", "styles")
        self.dynamic, self.target, self.regions, self.sources, self.faces, self.styles = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in names
        )

    def __len__(self) -> int:
        return len(self.dynamic)

    def patterns(self) -> NDArray[np.uint8]:
        """The four style patterns uint8 (12, 256, 256); zeros if none were drawn yet."""
        file = self.folder / ISP
        return np.load(file) if file.exists() else np.zeros((12, 256, 256), np.uint8)


def open_people(folder: Path, split: Split | None = None) -> list[PersonFrames]:
    """The prepared people of a split, in order of their names; None for all.

    Raises:
        ConfigError: There are none.
    """
    found = []
    for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
        told = json.loads(manifest.read_text())
        if told.get("kind") == "frames" and split in (None, told["split"]):
            found.append(PersonFrames(manifest.parent))
    if not found:
        raise ConfigError(f"{folder} holds no prepared people for {split or 'any'}: run `mien train frames` first.")
    return found


@dataclass(frozen=True)
class Batch:
    """Samples; all float32 and 0..1 unless said otherwise.

    Attributes:
        dynamic: (B, 6, S, S), as ``engine.renderer.network_input``.
        source: (B, 4, S, S), the portrait and its facial map, cut like the frame.
        isp: (B, 12, P, P), zeros where there are no patterns.
        target: (B, 3, S, S), the true frame.
        regions: int64 (B, S, S), ``MaskClass`` of the true frame.
        style: (B, 3, S, S), the matched style image over the frame's face; the true frame where it is too far.
        style_distance: (B,) px.
    """

    dynamic: Tensor
    source: Tensor
    isp: Tensor
    target: Tensor
    regions: Tensor
    style: Tensor
    style_distance: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class FrameSamples:
    """Draws batches from prepared people."""

    def __init__(
        self,
        people: list[PersonFrames],
        size: int,
        patterns: bool = True,
        augment: bool = True,
        pattern_size: int = 256,
    ) -> None:
        """Keep the people.

        Args:
            people: As from ``open_people``.
            size: Side of the samples in px, a multiple of 32, at most that of the prepared frames.
            patterns: Read the style patterns; without, all are zeros.
            pattern_size: Side to which the patterns are reduced, by means; it divides 256.
            augment: Cut anywhere and vary the look; else the middle of the window as it is.

        Raises:
            ConfigError: ``size`` does not fit.
        """
        whole = people[0].dynamic.shape[-1]
        if size % 32 or not 32 <= size <= whole:
            raise ConfigError(f"Samples have a side of 32, 64 ... {whole} px, not {size}.")
        self._people, self._size, self._augment, self._window = people, size, augment, whole
        self._rows = [(who, row) for who, person in enumerate(people) for row in range(len(person))]
        self._patterns = [_reduced(person.patterns() * np.uint8(patterns), pattern_size) for person in people]

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """``count`` random samples."""
        return self.batch(rng.integers(len(self._rows), size=count), rng)

    def batch(self, indices: NDArray[np.integer[Any]], rng: np.random.Generator) -> Batch:
        """The samples of these indices; ``rng`` decides where they are cut and how they look."""
        samples = [self._sample(int(index), rng) for index in indices]
        tensors = [torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)]
        return Batch(*(tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor for tensor in tensors))

    def _sample(self, index: int, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
        who, row = self._rows[index]
        person = self._people[who]
        distance = np.float32(person.rows["style_distance"][row])
        place = self._place(person, row, rng)
        dynamic, target = place.cut(person.dynamic[row]), place.cut(person.target[row])
        source = place.cut(person.sources[person.rows["portrait"][row]])
        regions = place.cut(person.regions[row][None], labels=True)[0]
        pictures = [dynamic[:3], target, source[:3]]
        if distance < _FAR_STYLE_PX:
            pictures.append(place.cut(self._style(person, row)))
        isp = self._patterns[who]
        if self._augment:
            if rng.random() < _NO_PATTERNS:
                isp = np.zeros_like(isp)
            pictures[0] = _with_layer_gain(dynamic, float(np.exp(rng.normal(0, _LAYER_GAIN))))
            seen = Look.draw(rng).apply(np.stack(pictures))
            shade(seen[:2], rng)
        else:
            seen = np.stack(pictures).astype(np.float32) / np.float32(255)
        frame, true, portrait, style = (*seen, seen[1])[:4]
        rest = [channels.astype(np.float32) / np.float32(255) for channels in (dynamic[3:], source[3:])]
        arrays: tuple[NDArray[Any], ...] = (
            np.concatenate([frame, rest[0]]),
            np.concatenate([portrait, rest[1]]),
            isp,
            true,
            regions.astype(np.int64),
            style,
            np.asarray(distance),
        )
        return arrays

    def _place(self, person: PersonFrames, row: int, rng: np.random.Generator) -> Placement:
        if not self._augment or self._size == self._window:
            corner = (self._window - self._size) / 2
            middle = np.array([corner + (self._size - 1) / 2] * 2)
            if self._augment:
                return Placement.draw(rng, middle, self._size, self._window)
            return Placement(np.array([[1, 0, corner], [0, 1, corner]]), self._size, True)
        points = person.rows["points"][row] - person.rows["corner"][row][::-1]
        choice = rng.random()
        if choice < _FOCUS[0]:
            focus = points[MOUTH].mean(0) + rng.normal(0, 12, 2)
        elif choice < sum(_FOCUS):
            focus = points[EYES].mean(0) + rng.normal(0, 12, 2)
        else:
            focus = rng.uniform(self._size / 2, self._window - self._size / 2, 2)
        return Placement.draw(rng, focus, self._size, self._window)

    def _style(self, person: PersonFrames, row: int) -> NDArray[np.uint8]:
        y, x = person.rows["style_corner"][row]
        image = person.styles[person.rows["style"][row]]
        return np.asarray(image[:, y : y + self._window, x : x + self._window])


def _reduced(patterns: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Patterns uint8 (12, H, H) to (12, size, size)."""
    step = patterns.shape[-1] // size
    means = patterns.reshape(len(patterns), size, step, size, step).mean((2, 4), dtype=np.float32)
    result: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return result


def _with_layer_gain(dynamic: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    """The drawn frame with the inside of the mouth made brighter or darker."""
    share = dynamic[3].astype(np.float32) / np.float32(255)
    if not share.any():
        return np.asarray(dynamic[:3], np.uint8)
    result: NDArray[np.uint8] = np.minimum(np.rint(dynamic[:3] * (1 + (gain - 1) * share)), 255).astype(np.uint8)
    return result
