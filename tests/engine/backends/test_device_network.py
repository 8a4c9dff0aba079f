import gc

import numpy as np
import pytest

from engine.backends.device_network import BUCKETS, DeviceNetwork, bucket_of
from engine.backends.ort_graph import OrtGraph
from engine.backends.slots import DeviceState
from engine.backends.slotted import slotted
from engine.batching import Batcher, NetworkServer, Place
from engine.errors import CapacityError, ConfigError
from engine.snapshot import load_state, save_state
from tests.engine.backends.tiny_graphs import STATES, STATICS, CountingGraph, tiny_step


def counting(**options):
    graph = CountingGraph()
    network = DeviceNetwork(graph, STATES, STATICS, **{"buckets": (1, 2, 4), "capacity": 12, "bound": 4, **options})
    return graph, network, network.bind({"who_is_it": np.zeros((1, 2), np.float32)})


def x_of(*values):
    return {"x": np.array([[value, -value] for value in values], np.float32)}


def test_buckets_hold_what_they_must():
    assert [bucket_of(count) for count in (1, 2, 3, 5, 9, 17, 32)] == [1, 2, 4, 8, 16, 32, 32]
    for count in (0, 33):
        with pytest.raises(ConfigError, match="1 to 32"):
            bucket_of(count)


def test_one_launch_for_all_padded_to_a_bucket():
    graph, network, bound = counting()
    outputs, states = network.run_many(x_of(1, 2, 3), [network.init_state() for _ in range(3)], [bound] * 3)
    assert graph.batches == [4] and network.launches == 1
    assert outputs["y"].shape == (3, 2) and len(states) == 3
    np.testing.assert_allclose(outputs["y"][:, 0], [4, 8, 12])


def test_what_is_too_many_goes_in_further_launches_in_order():
    graph, network, bound = counting()
    outputs, states = network.run_many(x_of(*range(7)), [network.init_state() for _ in range(7)], [bound] * 7)
    assert graph.batches == [4, 4]
    np.testing.assert_allclose(outputs["y"][:, 0], 4 * np.arange(7))
    for number, state in enumerate(states):
        np.testing.assert_allclose(state["flat"][0], [number, -number])


def test_states_never_see_the_host():
    graph, network, bound = counting()
    states = [network.init_state() for _ in range(2)]
    for _ in range(5):
        graph.written.clear()
        graph.reads.clear()
        _, states = network.run_many(x_of(1, 1), states, [bound] * 2)
        # x, who, slots and refresh of 12 places go in, y comes out.
        assert sorted(graph.written) == [16, 16, 16, 96] and graph.reads == [16]


def test_a_state_can_be_gone_on_from_any_number_of_times():
    _, network, bound = counting()
    _, (first,) = network.run_many(x_of(1), [network.init_state()], [bound])
    before = {name: array.copy() for name, array in first.items()}
    ends = [network.run_many(x_of(value), [first], [bound])[0]["y"][0, 0] for value in (1, 2, 1)]
    assert ends == [6.0, 10.0, 6.0]
    for name, array in first.items():
        np.testing.assert_array_equal(array, before[name])


def test_places_are_free_again_when_nobody_holds_their_states():
    _, network, bound = counting()
    state = network.init_state()
    for _ in range(100):
        _, (state,) = network.run_many(x_of(1), [state], [bound])
    gc.collect()
    assert network._slots.free == 10
    del state
    gc.collect()
    assert network._slots.free == 11


def test_more_states_than_places_wait_on_the_host():
    _, network, bound = counting(capacity=6)
    kept, states = [], [network.init_state() for _ in range(3)]
    for step in range(4):
        _, states = network.run_many(x_of(*(step + row for row in range(3))), states, [bound] * 3)
        kept.append(states)
    expected = np.zeros(3)
    for step, rows in enumerate(kept):
        expected = 0.5 * expected + step + np.arange(3)
        for row, state in enumerate(rows):
            np.testing.assert_allclose(state["flat"][0, 0], expected[row])
            np.testing.assert_allclose(state["deep"][:, 0, 0], expected[row])
    outputs, _ = network.run_many(x_of(0, 0, 0), kept[0], [bound] * 3)
    np.testing.assert_allclose(outputs["y"][:, 0], 4 * 0.5 * np.arange(3))


def test_a_state_that_was_saved_goes_on():
    _, network, bound = counting()
    _, (state,) = network.run_many(x_of(3), [network.init_state()], [bound])
    restored = load_state(save_state(state), {name: array for name, array in network.init_state().items()})
    assert not isinstance(restored, DeviceState)
    ours, (after,) = network.run_many(x_of(1), [state], [bound])
    theirs, (again,) = network.run_many(x_of(1), [restored], [bound])
    np.testing.assert_array_equal(ours["y"], theirs["y"])
    np.testing.assert_array_equal(after["deep"], again["deep"])


def test_a_state_of_another_network_is_taken_as_numbers():
    _, network, bound = counting()
    _, other, elsewhere = counting()
    _, (state,) = network.run_many(x_of(3), [network.init_state()], [bound])
    mine, _ = network.run_many(x_of(1), [state], [bound])
    theirs, _ = other.run_many(x_of(1), [state], [elsewhere])
    np.testing.assert_array_equal(mine["y"], theirs["y"])


def test_no_more_is_bound_than_there_is_room_for():
    _, network, bound = counting()
    more = [network.bind({"who_is_it": np.ones((1, 2), np.float32)}) for _ in range(2)]
    with pytest.raises(CapacityError, match="avatars"):
        network.bind({"who_is_it": np.ones((1, 2), np.float32)})
    del more[0]
    gc.collect()
    network.bind({"who_is_it": np.ones((1, 2), np.float32)})
    assert bound.place == 1


@pytest.mark.parametrize("options", [{"buckets": ()}, {"buckets": (2, 1)}, {"buckets": (1, 8), "capacity": 8}])
def test_sizes_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError):
        counting(**options)


def test_batched_equals_single_for_mixed_avatars_and_styles_over_500_steps():
    """Two styles' weights, four avatars' arrays, sessions that come and go, and one that steps twice."""
    rng = np.random.default_rng(3)
    styles = [tiny_step(seed) for seed in range(2)]
    avatars = rng.standard_normal((4, 1, 3)).astype(np.float32)

    def opened(graph, buckets):
        device = OrtGraph(slotted(graph, STATES, STATICS))
        network = DeviceNetwork(device, STATES, STATICS, buckets=buckets, capacity=14, bound=5)
        return network, [network.bind({"who_is_it": array}) for array in avatars]

    together = [opened(graph, (1, 2, 4)) for graph in styles]
    alone = [opened(graph, (1,)) for graph in styles]
    wears = [0, 1, 0, 1, 0, 0, 1]
    batched = [together[style][0].init_state() for style in wears]
    single = [alone[style][0].init_state() for style in wears]
    worst = 0.0
    for _ in range(500):
        due = [number for number in range(len(wears)) if rng.random() < 0.8]
        xs = rng.standard_normal((len(wears), 1, 4)).astype(np.float32)
        for style, (network, bound) in enumerate(together):
            group = [number for number in due if wears[number] == style]
            if not group:
                continue
            inputs = {"x": np.concatenate([xs[number] for number in group])}
            who = [bound[number % 4] for number in group]
            outputs, after = network.run_many(inputs, [batched[number] for number in group], who)
            for row, number in enumerate(group):
                batched[number] = after[row]
                lone, places = alone[style]
                expected, (single[number],) = lone.run_many({"x": xs[number]}, [single[number]], [places[number % 4]])
                worst = max(worst, float(np.abs(outputs["y"][row] - expected["y"][0]).max()))
    assert worst < 1e-5
    for ours, theirs in zip(batched, single, strict=True):
        for name, array in theirs.items():
            np.testing.assert_allclose(ours[name], array, atol=1e-5)
    assert together[0][0].launches < 0.6 * alone[0][0].launches


def test_a_server_hands_its_sessions_to_a_device_at_once():
    graph = CountingGraph()
    for name in ("who", "bank.who_is_it"):
        del graph.inputs[name]
    graph.execute = lambda inputs, outputs, call: graph.batches.append(len(inputs["x"]))
    network = DeviceNetwork(graph, STATES, buckets=(1, 2, 4), capacity=12)
    batcher, server = Batcher(), NetworkServer(network, Place.APC)
    futures = [batcher.add(server.ask(x_of(value), network.init_state())) for value in range(3)]
    while batcher.busy:
        batcher.advance()
    assert graph.batches == [4]
    assert all(isinstance(future.result()[1], DeviceState) for future in futures)


def test_buckets_of_the_engine_go_up_to_32():
    assert BUCKETS[0] == 1 and BUCKETS[-1] == 32
