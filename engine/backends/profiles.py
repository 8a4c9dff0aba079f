"""The shapes that an engine is built for: smallest, usual and largest of every input."""

from collections.abc import Mapping, Sequence

from engine.backends.device_graph import BATCH, TensorSpec

Shape = tuple[int, ...]
Lengths = Mapping[str, int | tuple[int, int, int]]
"""Free lengths by name: one that does not change, or the smallest, usual and largest."""
Profile = Mapping[str, tuple[Shape, Shape, Shape]]
"""By input, its smallest, usual and largest shape."""


def batches_of(buckets: Sequence[int]) -> tuple[int, int, int]:
    """Smallest, usual and largest batch of some buckets; the usual one is in the middle."""
    return buckets[0], buckets[len(buckets) // 2], buckets[-1]


def profile(inputs: Mapping[str, TensorSpec], batches: tuple[int, int, int], lengths: Lengths | None = None) -> Profile:
    """Shapes of every input for a range of batches.

    Args:
        inputs: As a graph declares them.
        batches: Smallest, usual and largest.
        lengths: The other free lengths.

    Raises:
        KeyError: A shape has a free length that is not given.
    """
    free = {**(lengths or {}), BATCH: batches}

    def at(spec: TensorSpec, which: int) -> Shape:
        return spec.sized(**{name: each if isinstance(each, int) else each[which] for name, each in free.items()})

    return {name: (at(spec, 0), at(spec, 1), at(spec, 2)) for name, spec in inputs.items()}


def as_options(shapes: Profile) -> dict[str, tuple[str, str, str]]:
    """The same as ONNX Runtime writes it: "8x80x512"."""

    def written(shape: Shape) -> str:
        return "x".join(map(str, shape))

    return {name: (written(least), written(usual), written(most)) for name, (least, usual, most) in shapes.items()}
