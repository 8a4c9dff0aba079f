"""The graph that draws frames on a card: from lattice positions to bytes, the picture network in its midst.

::

    positions (B, 130, 130, 2) ── enlarge ── GridSample ── person (RGBA) ── patches of mouth and eyes put in
                                  bank.source ┘                                   |
                                                            over bank.plate ── frame ── window ── dynamic ─┐
                                                                                 └── window put back ── picture
                                                                                            [the network] ┘

All sessions of a launch go through it together, of any avatars and styles: ``who`` (B,) says whose portrait, background
and encoded style a row has. Portraits lie below each other in one tall picture, so that none is copied to be sampled.
Patches and map lines come as pixels with their places in all frames of the launch, as many as there are.

The inputs, with S the network's size and A the places for avatars:

=============  ======================  ===========================================================================
positions      float32 (B,130,130,2)   see ``engine.renderer.sketch``
patch_places   int32 (M,)              frame * 512 * 512 + row * 512 + column
patch_pixels   uint8 (M, 6)            premultiplied RGBA, mouth, eyes
map_places     int32 (K,)              frame * S * S + row * S + column in the window
map_values     uint8 (K,)
corner         int32 (B, 2)            first row and column of the window
who            int64 (B,)
bank.source    uint8 (4, A,1024,1024)  premultiplied, twice the portrait's resolution
bank.plate     uint8 (A, 3, 512, 512)
bank.static    float32 (A, C, h, w)    what the network computes once
=============  ======================  ===========================================================================

The output is ``frame`` uint8 (B, 512, 512, 3), or ``luma`` (B, 512, 512) and ``chroma`` (B, 256, 256, 2): NV12 as
encoders take it, half the bytes. Needs the ``onnx`` package.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.backends.device_graph import BATCH
from engine.backends.graph_writer import GraphWriter
from engine.backends.slotted import BOUND
from engine.renderer.sketch import NODES, PATCH_CHANNELS
from models.spec import IMAGE_SIZE

PATCHED = "patched"
"""The free length of pixels that are drawn already."""
LINED = "lined"
"""The free length of pixels of the facial map."""
Layout = Literal["rgb", "nv12"]
SOURCE_SIZE = 2 * IMAGE_SIZE
_CELL = 4
_AREA = IMAGE_SIZE * IMAGE_SIZE
# ITU-R BT.601, studio range: what encoders expect of pictures of this size.
_LUMA = (65.481, 128.553, 24.966)
_CHROMA = ((-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))


def frame_graph(network: bytes | None, size: int, static: tuple[int, int, int], layout: Layout = "rgb") -> bytes:
    """Write the graph.

    Args:
        network: A picture network's ONNX file, ``dynamic`` and ``static`` to ``picture``, in float arithmetic; None for
            the geometric renderer's frame alone.
        size: S.
        static: Shape of what the network computes once.
        layout: Of what comes out.

    Raises:
        MissingExtraError: The ``onnx`` package is not installed.
    """
    write = GraphWriter("frame")
    write.input("positions", "float32", (BATCH, NODES, NODES, 2))
    write.input("patch_places", "int32", (PATCHED,))
    write.input("patch_pixels", "uint8", (PATCHED, PATCH_CHANNELS))
    write.input("who", "int64", (BATCH,))
    write.input("bank.source", "uint8", (4, BOUND, SOURCE_SIZE, SOURCE_SIZE))
    write.input("bank.plate", "uint8", (BOUND, 3, IMAGE_SIZE, IMAGE_SIZE))
    person = _person(write)
    pixels = _patched(write, person)
    frame = _over_plate(write, pixels)
    if network is not None:
        write.input("map_places", "int32", (LINED,))
        write.input("map_values", "uint8", (LINED,))
        write.input("corner", "int32", (BATCH, 2))
        write.input("bank.static", "float32", (BOUND, *static))
        frame = _refined(write, frame, pixels, network, size)
    if layout == "rgb":
        shape = write.constant(np.array([-1, IMAGE_SIZE, IMAGE_SIZE, 3]))
        shaped = write("Reshape", frame, shape)
        write.output(write.rounded(shaped), "frame", "uint8", (BATCH, IMAGE_SIZE, IMAGE_SIZE, 3))
    else:
        _as_nv12(write, frame)
    return write.finish()


def _person(write: GraphWriter) -> str:
    """RGBA of the moved person, a row for each pixel of each frame: (B * 512 * 512, 4)."""
    nodes = write("Transpose", "positions", perm=[0, 3, 1, 2])
    scales = write.constant(np.array([1, 1, _CELL, _CELL], np.float32))
    large = write("Resize", nodes, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    edge = write.constant(np.array([_CELL, _CELL]))
    end = write.constant(np.array([_CELL * (NODES - 1)] * 2))
    inner = write("Slice", large, edge, end, write.constant(np.array([2, 3])))
    doubled = write("Clip", write("Mul", inner, write.number(2.0)), write.number(0.0), write.number(SOURCE_SIZE - 1.0))
    column, row = write.split(doubled, 2, axis=1)
    # Portrait k begins at row 1024 k of the tall picture.
    first = write("Mul", write.cast("who", "float32"), write.number(float(SOURCE_SIZE)))
    row = write("Add", row, write("Reshape", first, write.constant(np.array([-1, 1, 1, 1]))))
    tall = write("Reshape", write.cast("bank.source", "float32"), write.constant(np.array([1, 4, -1, SOURCE_SIZE])))
    height = write.cast(write("Gather", write("Shape", tall), write.constant(np.array(2)), axis=0), "float32")
    across = write("Mul", column, write.number(2 / (SOURCE_SIZE - 1)))
    down = write("Div", write("Mul", row, write.number(2.0)), write("Sub", height, write.number(1.0)))
    grid = write("Sub", write("Concat", across, down, axis=1), write.number(1.0))
    grid = write("Transpose", grid, perm=[0, 2, 3, 1])
    grid = write("Reshape", grid, write.constant(np.array([1, -1, IMAGE_SIZE, 2])))
    drawn = write("GridSample", tall, grid, align_corners=1, mode="bilinear", padding_mode="border")
    return write("Reshape", write("Transpose", drawn, perm=[0, 2, 3, 1]), write.constant(np.array([-1, 4])))


def _patched(write: GraphWriter, person: str) -> str:
    """With mouth and eyes put in: (B * 512 * 512, 6), 0..255."""
    nothing = write("Mul", write("Slice", person, *_columns(write, 0, 2)), write.number(0.0))
    blank = write("Concat", person, nothing, axis=1)
    places = write("Unsqueeze", write.cast("patch_places", "int64"), write.constant(np.array([1])))
    return write("ScatterND", blank, places, write.cast("patch_pixels", "float32"))


def _over_plate(write: GraphWriter, pixels: str) -> str:
    """The person before the background: (B * 512 * 512, 3), whole numbers 0..255."""
    colour = write("Slice", pixels, *_columns(write, 0, 3))
    alpha = write("Slice", pixels, *_columns(write, 3, 4))
    plates = write("Transpose", write("Gather", write.cast("bank.plate", "float32"), "who", axis=0), perm=[0, 2, 3, 1])
    behind = write("Reshape", plates, write.constant(np.array([-1, 3])))
    through = write("Sub", write.number(1.0), write("Mul", alpha, write.number(1 / 255)))
    return write.whole(write("Add", colour, write("Mul", behind, through)))


def _refined(write: GraphWriter, frame: str, pixels: str, network: bytes, size: int) -> str:
    """With the network's picture in its window: (B * 512 * 512, 3)."""
    area = size * size
    where = _window_places(write, size)
    marks = write("Slice", pixels, *_columns(write, 4, PATCH_CHANNELS))
    seen = write("Concat", frame, marks, axis=1)
    # A network that draws the whole frame sees all of it, in order.
    window = seen if size == IMAGE_SIZE else write("Gather", seen, where, axis=0)
    nothing = write("Mul", write("Slice", window, *_columns(write, 0, 1)), write.number(0.0))
    lines = write("Unsqueeze", write.cast("map_places", "int64"), write.constant(np.array([1])))
    values = write("Unsqueeze", write.cast("map_values", "float32"), write.constant(np.array([1])))
    stacked = write("Concat", window, write("ScatterND", nothing, lines, values), axis=1)
    planes = write("Reshape", stacked, write.constant(np.array([-1, size, size, 6])))
    dynamic = write.whole(write("Transpose", planes, perm=[0, 3, 1, 2]))
    picture = write.inline(network, {"dynamic": dynamic, "static": write("Gather", "bank.static", "who", axis=0)})[0]
    drawn = write("Transpose", write.cast(picture, "float32"), perm=[0, 2, 3, 1])
    drawn = write("Reshape", drawn, write.constant(np.array([-1, 3])))
    if area == _AREA:
        return drawn
    return write("ScatterND", frame, write("Unsqueeze", where, write.constant(np.array([1]))), drawn)


def _window_places(write: GraphWriter, size: int) -> str:
    """Row of the pixel table of each pixel of each frame's window: int64 (B * S * S,)."""
    within = np.arange(size)[:, None] * IMAGE_SIZE + np.arange(size)
    corner = write.cast("corner", "int64")
    top, left = write.split(corner, 2, axis=1)
    count = write("Shape", "who")
    zero, one = write.constant(np.array(0)), write.constant(np.array(1))
    numbers = write("Range", zero, write("Squeeze", count, write.constant(np.array([0]))), one)
    frames = write("Mul", write("Unsqueeze", numbers, write.constant(np.array([1]))), write.constant(np.array(_AREA)))
    first = write("Add", write("Add", frames, write("Mul", top, write.constant(np.array(IMAGE_SIZE)))), left)
    table = write("Add", first, write.constant(within.reshape(1, -1)))
    return write("Reshape", table, write.constant(np.array([-1])))


def _as_nv12(write: GraphWriter, frame: str) -> None:
    """The outputs ``luma`` and ``chroma``."""

    def weights(rows: Any) -> NDArray[np.float32]:
        return (np.array(rows, np.float32).reshape(-1, 3, 1, 1) / 255).astype(np.float32)

    planes = write("Reshape", frame, write.constant(np.array([-1, IMAGE_SIZE, IMAGE_SIZE, 3])))
    colours = write("Transpose", planes, perm=[0, 3, 1, 2])
    offset = write.constant(np.array([16], np.float32))
    luma = write("Conv", colours, write.constant(weights(_LUMA)), offset, kernel_shape=[1, 1])
    shape = write.constant(np.array([-1, IMAGE_SIZE, IMAGE_SIZE]))
    write.output(write.rounded(write("Reshape", luma, shape)), "luma", "uint8", (BATCH, IMAGE_SIZE, IMAGE_SIZE))
    middle = write.constant(np.array([128, 128], np.float32))
    halved = write("AveragePool", colours, kernel_shape=[2, 2], strides=[2, 2])
    chroma = write("Conv", halved, write.constant(weights(_CHROMA)), middle, kernel_shape=[1, 1])
    half = IMAGE_SIZE // 2
    pairs = write.rounded(write("Transpose", chroma, perm=[0, 2, 3, 1]))
    write.output(pairs, "chroma", "uint8", (BATCH, half, half, 2))


def _columns(write: GraphWriter, first: int, last: int) -> tuple[str, str, str]:
    """Arguments of a Slice along the second axis."""
    return tuple(write.constant(np.array([value])) for value in (first, last, 1))  # type: ignore[return-value]
