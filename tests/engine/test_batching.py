from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from engine.backend import NetworkState, Tensors
from engine.backend_onnx import open_networks
from engine.batching import Batcher, NetworkServer, Place, Request, Work, drive
from engine.pipeline import MotionFrame, Pipeline, open_manifold
from engine.snapshot import state_arrays
from tests.bundles import face_template


class Doubler:
    """Doubles numbers; it knows what it was asked at once, and cannot double strings."""

    def __init__(self, place: Place = Place.APC) -> None:
        self.place = place
        self.asked: list[list[Any]] = []

    def answer(self, questions: Sequence[Any]) -> Sequence[Any]:
        self.asked.append(list(questions))
        return [2 * question if isinstance(question, int) else question.double for question in questions]


def chain(number: Any, *servers: Doubler) -> Work[Any]:
    for server in servers:
        number = yield Request(server, number)
    return number


def together(*works: Work[Any]) -> list["Future[Any]"]:
    batcher = Batcher()
    futures = [batcher.add(work) for work in works]
    while batcher.busy:
        batcher.advance()
    return futures


class Leaky:
    """A network with the batch on axis 1 of one state and on axis 0 of the other."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def init_state(self, batch: int = 1) -> NetworkState:
        return {"deep": np.zeros((3, batch, 4), np.float32), "flat": np.zeros((batch, 2), np.float32)}

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        x = inputs["x"]
        self.batches.append(len(x))
        deep = 0.5 * state["deep"] + x[None, :, :1]
        flat = state["flat"] + x
        return {"y": flat * deep.sum(axis=(0, 2))[:, None]}, {"deep": deep, "flat": flat}


def test_alone_a_work_is_driven_to_its_end() -> None:
    server = Doubler()
    assert drive(chain(3, server, server)) == 12 and server.asked == [[3], [6]]


def test_what_a_server_raises_is_raised_in_the_work() -> None:
    def careful(server: Doubler) -> Work[str]:
        try:
            yield Request(server, "three")
        except AttributeError:
            return "caught"
        raise AssertionError

    server = Doubler()
    with pytest.raises(AttributeError):
        drive(chain("three", server))
    assert drive(careful(server)) == "caught"
    assert together(careful(server))[0].result() == "caught"


def test_questions_to_one_server_are_put_at_once() -> None:
    first, second = Doubler(Place.APC), Doubler(Place.MOTION)
    futures = together(*(chain(number, first, second) for number in (1, 2, 3)))
    assert [future.result() for future in futures] == [4, 8, 12]
    assert first.asked == [[1, 2, 3]] and second.asked == [[2, 4, 6]]


def test_whoever_comes_late_catches_up_and_goes_along() -> None:
    first, second = Doubler(Place.APC), Doubler(Place.MOTION)
    batcher = Batcher()
    early = batcher.add(chain(1, first, second))
    batcher.advance()
    late = batcher.add(chain(5, first, second))
    batcher.advance()
    batcher.advance()
    assert early.done() and late.done() and not batcher.busy
    assert first.asked == [[1], [5]] and second.asked == [[2, 10]]


def test_many_frames_of_one_keep_nobody_behind_them_for_more_than_one() -> None:
    first, second = Doubler(Place.APC), Doubler(Place.MOTION)
    batcher = Batcher()
    long = batcher.add(chain(1, *(first, second) * 20))
    for _ in range(7):
        batcher.advance()
    short = batcher.add(chain(1, first, second))
    for _ in range(3):
        batcher.advance()
    assert short.done() and not long.done()


def test_a_work_that_never_comes_to_the_last_place_keeps_nobody_there() -> None:
    """As one that hears its lookahead, and has no head to move before that."""
    apc, motion, head_pose, batcher = Doubler(), Doubler(Place.MOTION), Doubler(Place.HEAD_POSE), Batcher()
    hearing = batcher.add(chain(1, *[apc, motion] * 20))
    for _ in range(5):
        batcher.advance()
    frame = batcher.add(chain(7, apc, motion, head_pose))
    advances = 0
    while not frame.done():
        batcher.advance()
        advances += 1
    assert frame.result() == 56 and advances <= 5 and not hearing.done()
    while batcher.busy:
        batcher.advance()
    assert hearing.result() == 2**40


def test_only_the_work_that_asked_amiss_fails() -> None:
    server = Doubler()
    good, bad, other = together(chain(1, server), chain("two", server), chain(3, server))
    assert good.result() == 2 and other.result() == 6
    with pytest.raises(AttributeError):
        bad.result()


def test_a_cancelled_work_is_never_begun() -> None:
    server, future = Doubler(), Future[Any]()
    future.cancel()
    batcher = Batcher()
    batcher.add(chain(1, server), future)
    assert not batcher.busy and server.asked == []


def test_a_network_batches_inputs_and_states_on_their_axes() -> None:
    network, rng = Leaky(), np.random.default_rng(0)
    xs = rng.standard_normal((5, 3, 1, 2)).astype(np.float32)
    alone = [network.init_state() for _ in range(3)]
    shared = list(alone)
    for step in xs:
        # Each session has a server of its own: one network makes them equal.
        futures = together(
            *(NetworkServer(network, Place.APC).ask({"x": x}, s) for x, s in zip(step, shared, strict=True))
        )
        assert network.batches[-1] == 3
        for row, future in enumerate(futures):
            outputs, shared[row] = future.result()
            expected, alone[row] = network.run({"x": step[row]}, alone[row])
            np.testing.assert_allclose(outputs["y"], expected["y"], rtol=1e-5)
            for name, array in shared[row].items():
                np.testing.assert_array_equal(array, alone[row][name])
                assert array.base is None or array.base.size == array.size, "one session's state keeps all alive"
    assert NetworkServer(network, Place.APC) != NetworkServer(Leaky(), Place.APC)


def sound(samples: int, seed: int) -> np.ndarray:
    envelope = 0.1 + 0.1 * np.sin(np.arange(samples) / 700 + seed)
    return (envelope * np.random.default_rng(seed).standard_normal(samples)).clip(-1, 1).astype(np.float32)


def test_sessions_side_by_side_move_as_they_do_alone(random_bundle) -> None:
    """Other sound, other lookaheads, other cuts, and one that comes and goes; float rounding is all that differs."""
    networks, manifold = open_networks(random_bundle), open_manifold(random_bundle)
    pipelines = [
        Pipeline(random_bundle, face_template(), lookahead, seed, networks=networks, manifold=manifold)
        for seed, lookahead in enumerate((0, 3, 6, 18))
    ]
    sounds = [sound(9600, seed) for seed in range(4)]
    states = [pipeline.init_state() for pipeline in pipelines]
    mixed: list[list[MotionFrame]] = [[], [], [], []]
    cuts = [np.linspace(0, 9600, count).astype(int) for count in (25, 25, 19, 25)]
    for turn in range(24):
        going = [number for number in range(4) if turn + 1 < len(cuts[number])]
        blocks = [sounds[number][cuts[number][turn] : cuts[number][turn + 1]] for number in going]
        works = [pipelines[number].work(block, states[number]) for number, block in zip(going, blocks, strict=True)]
        for number, future in zip(going, together(*works), strict=True):
            frames, states[number] = future.result()
            mixed[number] += frames
    for pipeline, speech, frames, state in zip(pipelines, sounds, mixed, states, strict=True):
        alone, end = pipeline.step(speech, pipeline.init_state())
        assert [frame.index for frame in frames] == [frame.index for frame in alone] and len(alone) > 10
        for ours, theirs in zip((*frames, state), (*alone, end), strict=True):
            expected = state_arrays(theirs)
            for name, array in state_arrays(ours).items():
                np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=2e-5, err_msg=name)
