"""Frames from the card's graph, run on the processor, against those of the renderers that it stands for."""

import gc

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the frame's graph is written with onnx, which is not installed")

from engine.backends.frame_graph import frame_graph
from engine.backends.ort_graph import OrtGraph
from engine.backends.painter import encode_static, open_painter
from engine.errors import CapacityError, ConfigError
from engine.renderer.canvas import PersonCanvas
from engine.renderer.network import NetworkRenderer
from engine.renderer.network_input import source_input
from engine.renderer.sketch import NODES, SketchRenderer, pack_sketch, unpack_sketch
from engine.renderer.warp import WarpRenderer
from tests.engine.renderer.conftest import Motion, draw_person

STILL = np.array([0.05, 0.0], np.float32)


def psnr(ours, theirs):
    error = np.mean((ours.astype(np.float64) - theirs) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.fixture(scope="module")
def people():
    return draw_person(), draw_person(gap=0.1)


@pytest.fixture(scope="module")
def faces(people):
    poses = ((0.05, 0.15, 0.02, 0.03, 0, 0), (-0.04, -0.1, 0.05, 0, 0.02, 0))
    moves = [Motion(person) for person in people]
    return [
        (*move(jaw=jaw, blink=blink, pose=pose), STILL)
        for move, pose, jaw, blink in zip(moves, poses, (0.15, 0.02), (0.0, 0.6), strict=True)
    ]


@pytest.fixture(scope="module")
def sketchers(people):
    return [SketchRenderer(person) for person in people]


@pytest.fixture(scope="module")
def network():
    """The preset ``lite`` with random weights that draw something."""
    torch = pytest.importorskip("torch", reason="the network is exported with torch, which is not installed")
    from export.renderer import Lite, export_generator, picture_network
    from models.generator import LiteGenerator, StaticEncoder

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        drawn = LiteGenerator()
        drawn.outlet.weight.mul_(10)
        drawn.outlet.bias[48:] = 0
        exported = export_generator(Lite(StaticEncoder(), drawn))
    patterns = np.random.default_rng(0).integers(0, 255, (12, 256, 256), np.uint8)
    return picture_network("lite", exported, patterns)


def test_the_card_draws_what_the_geometric_renderer_draws(people, faces, sketchers):
    painter = open_painter("cpu", None, buckets=(1, 2), avatars=3)
    bound = [painter.bind(each.source, person.plate) for each, person in zip(sketchers, people, strict=True)]
    sketches = [sketcher.sketch(*face) for sketcher, face in zip(sketchers, faces, strict=True)]
    # One launch for both, of two people, in another order than they were bound.
    drawn = painter.draw(sketches[::-1], bound[::-1])[::-1]
    assert painter.launches == 1
    for frame, person, face in zip(drawn, people, faces, strict=True):
        expected = WarpRenderer(person).render(*face)
        assert frame.shape == expected.shape and frame.dtype == np.uint8
        assert psnr(frame, expected) > 50
    (alone,) = painter.draw(sketches[:1], bound[:1])
    np.testing.assert_array_equal(alone, drawn[0])


def test_with_the_network_it_draws_what_the_network_renderer_draws(people, faces, sketchers, network):
    painter = open_painter("cpu", network, buckets=(1, 2), avatars=3)
    patterns = [network.patterns, 255 - network.patterns]
    statics = [
        encode_static(network, source_input(person), style) for person, style in zip(people, patterns, strict=True)
    ]
    bound = [
        painter.bind(each.source, person.plate, static)
        for each, person, static in zip(sketchers, people, statics, strict=True)
    ]
    sketches = [sketcher.sketch(*face) for sketcher, face in zip(sketchers, faces, strict=True)]
    drawn = painter.draw(sketches, bound)
    for number, (person, face) in enumerate(zip(people, faces, strict=True)):
        expected = NetworkRenderer(person, network, patterns[number]).render(*face)
        changed = psnr(WarpRenderer(person).render(*face), expected)
        assert psnr(drawn[number], expected) > max(45.0, changed + 15)
    for number in range(2):
        (alone,) = painter.draw([sketches[number]], [bound[number]])
        # Batched and alone: sums in another order, rounded to bytes.
        assert int(np.abs(alone.astype(int) - drawn[number]).max()) <= 1


def test_a_sketch_is_small_and_has_no_pixel_twice(faces, sketchers):
    sketch = sketchers[0].sketch(*faces[0])
    assert sketch.positions.shape == (NODES, NODES, 2) and sketch.positions.dtype == np.float32
    assert len(np.unique(sketch.patch_places)) == len(sketch.patch_places) == len(sketch.patch_pixels)
    sent = sum(array.nbytes for array in vars(sketch).values())
    assert sent < 0.6 * 512 * 512 * 3
    assert (sketch.patch_pixels[:, 4] > 0).any() and (sketch.patch_pixels[:, 5] > 0).any()


def test_a_sketch_goes_through_memory_unchanged(faces, sketchers):
    sketch, memory = sketchers[1].sketch(*faces[1]), np.zeros((512, 512, 3), np.uint8)
    pack_sketch(sketch, memory)
    for name, array in vars(unpack_sketch(memory)).items():
        expected = getattr(sketch, name)
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    with pytest.raises(ConfigError, match="--device cpu"):
        pack_sketch(sketch, np.zeros(1000, np.uint8))


def test_patches_that_overlap_keep_what_was_painted_last(people):
    from engine.renderer.sketch import _SketchCanvas

    canvas, person = _SketchCanvas(), PersonCanvas(np.empty((512, 512, 4), np.uint8))
    rng = np.random.default_rng(0)
    for window in ((slice(8, 20), slice(4, 12)), (slice(16, 28), slice(8, 24)), (slice(0, 12), slice(10, 14))):
        patch = rng.integers(0, 255, (*(line.stop - line.start for line in window), 4), np.uint8)
        canvas.paint(window, patch)
        person.paint(window, patch)
    places, pixels = canvas.patches()
    assert len(np.unique(places)) == len(places)
    result = np.zeros((512 * 512, 4), np.uint8)
    result[places] = pixels[:, :4]
    np.testing.assert_array_equal(result.reshape(512, 512, 4), person.picture)


def test_nv12_is_what_encoders_make_of_the_same_frame(people, faces, sketchers):
    av = pytest.importorskip("av", reason="frames are converted with av, which is not installed")
    graph, sketch = OrtGraph(frame_graph(None, 256, (1, 1, 1), "nv12")), sketchers[0].sketch(*faces[0])
    given = {
        "positions": sketch.positions[None],
        "patch_places": sketch.patch_places,
        "patch_pixels": sketch.patch_pixels,
        "who": np.zeros(1, np.int64),
        "bank.source": sketchers[0].source.transpose(2, 0, 1)[:, None],
        "bank.plate": people[0].plate.transpose(2, 0, 1)[None],
    }
    inputs = {name: graph.buffer(array.shape, array.dtype.name) for name, array in given.items()}
    for name, array in given.items():
        graph.write(inputs[name], array)
    outputs = {name: graph.buffer(spec.sized(batch=1), spec.dtype) for name, spec in graph.outputs.items()}
    graph.execute(inputs, outputs, 0)
    expected = av.VideoFrame.from_ndarray(WarpRenderer(people[0]).render(*faces[0]), format="rgb24")
    planes = expected.reformat(format="nv12").to_ndarray()
    assert psnr(graph.read(outputs["luma"])[0], planes[:512]) > 40
    assert psnr(graph.read(outputs["chroma"])[0].reshape(256, 512), planes[512:]) > 35


def test_no_more_portraits_than_there_is_room_for(people, sketchers):
    painter = open_painter("cpu", None, buckets=(1,), avatars=2)
    handle = painter.bind(sketchers[0].source, people[0].plate)
    with pytest.raises(CapacityError, match="portraits"):
        painter.bind(sketchers[0].source, people[0].plate)
    del handle
    gc.collect()
    painter.bind(sketchers[0].source, people[0].plate)
