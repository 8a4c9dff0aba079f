import heapq
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.serve.media.voice_buffer import Heard, Lost, Piece, VoiceBuffer

PACKET = 960
MS = 48
ALLOWANCE = 40 * MS
NETWORK = 5 * MS
"""The way of a packet that does not wait."""


def payload(number: int) -> bytes:
    return number.to_bytes(4, "big")


def deliver(
    packets: int,
    waits: Callable[[int], float | None],
    *,
    first_stamp: int = 0,
    buffer: VoiceBuffer | None = None,
    until: int | None = None,
) -> tuple[VoiceBuffer, list[tuple[float, Piece]]]:
    """Packets through a buffer whose owner is punctual.

    Args:
        packets: How many are sent, one every 20 ms.
        waits: What packet n waits on its way, in ticks; None if it is lost.

    Returns:
        The buffer, and what it gave, with the time.
    """
    buffer = buffer or VoiceBuffer()
    arrivals = [
        ((number + 1) * PACKET + NETWORK + wait, number)
        for number in range(packets)
        if (wait := waits(number)) is not None
    ]
    heapq.heapify(arrivals)
    given: list[tuple[float, Piece]] = []
    end = (packets + 5) * PACKET if until is None else until
    now = 0.0
    while True:
        due = buffer.deadline_ticks(now)
        arrival = arrivals[0][0] if arrivals else float("inf")
        now = max(now, min(arrival, float("inf") if due is None else due))
        if now > end:
            return buffer, given
        if arrivals and arrivals[0][0] <= now:
            _, number = heapq.heappop(arrivals)
            buffer.insert((first_stamp + number * PACKET) % 2**32, payload(number), PACKET, now)
        given += [(now, piece) for piece in buffer.take(now)]


def places(given: list[tuple[float, Piece]]) -> list[int | None]:
    """Numbers of the packets as they were given, None where one was lost."""
    return [int.from_bytes(piece.payload, "big") if isinstance(piece, Heard) else None for _, piece in given]


def test_packets_in_order_go_on_when_they_come() -> None:
    _, given = deliver(50, lambda number: 0)
    assert places(given)[:50] == list(range(50))
    assert [now for now, _ in given[:50]] == [(number + 1) * PACKET + NETWORK for number in range(50)]


def test_a_packet_that_was_overtaken_is_waited_for() -> None:
    _, given = deliver(20, lambda number: 25 * MS if number == 9 else 0)
    assert places(given)[:20] == list(range(20))


def test_a_lost_packet_is_given_up_in_time_and_delays_nothing_after_it() -> None:
    buffer, given = deliver(20, lambda number: None if number == 9 else 0)
    assert places(given)[:20] == [*range(9), None, *range(10, 20)]
    given_up, piece = given[9]
    assert piece == Lost(PACKET, payload(10))
    assert 10 * PACKET + NETWORK < given_up <= 10 * PACKET + NETWORK + ALLOWANCE
    # From the second packet after it on, all is as if nothing had been lost.
    assert [now for now, _ in given[12:20]] == [(number + 1) * PACKET + NETWORK for number in range(12, 20)]
    assert buffer.stats.lost_ticks % PACKET == 0


def test_loss_and_jitter_never_move_the_delay_for_good() -> None:
    """3 % loss and 30 ms of jitter for ten minutes."""
    chance = random.Random(3)
    packets = 30_000
    lost = {number for number in range(packets) if chance.random() < 0.03}
    buffer, given = deliver(packets, lambda number: None if number in lost else chance.uniform(0, 30 * MS))
    numbers = places(given)[:packets]
    assert [number for number in numbers if number is not None] == [n for n in range(packets) if n not in lost]
    delays = [now - (place + 1) * PACKET - NETWORK for place, (now, _) in enumerate(given[:packets])]
    assert max(delays) <= ALLOWANCE and min(delays) >= 0
    minutes = [sorted(delays[start : start + 3000])[1500] for start in range(0, packets, 3000)]
    assert max(minutes) - min(minutes) < 3 * MS
    assert buffer.stats.late == buffer.stats.restarts == 0


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    buffer, given = deliver(10, lambda number: 0)
    for number in (9, 3):
        buffer.insert(number * PACKET, payload(number), PACKET, 20 * PACKET)
    assert buffer.stats.duplicates == 2
    assert places(given)[:10] == list(range(10))


def test_time_stamps_wrap() -> None:
    _, given = deliver(40, lambda number: None if number == 15 else 0, first_stamp=2**32 - 20 * PACKET)
    assert places(given)[:40] == [*range(15), None, *range(16, 40)]


def test_a_sender_that_pauses_is_made_up_for_a_second_and_then_begins_anew() -> None:
    buffer, given = deliver(200, lambda number: None if 20 <= number < 150 else 0)
    heard = [number for number in places(given) if number is not None]
    assert heard == [*range(20), *range(150, 200)]
    concealed = sum(piece.ticks for _, piece in given if isinstance(piece, Lost))
    assert 48_000 <= concealed < 60_000 and buffer.stats.restarts == 1
    last = [now for now, piece in given if isinstance(piece, Heard)][-1]
    assert last == 200 * PACKET + NETWORK


def test_a_network_whose_delay_grows_for_good_is_followed() -> None:
    buffer, given = deliver(200, lambda number: 0 if number < 50 else 150 * MS, until=220 * PACKET)
    heard = [number for number in places(given) if number is not None]
    assert heard[-100:] == list(range(100, 200)) and buffer.stats.restarts >= 1
    assert buffer.stats.late <= 12


def test_a_shorter_way_is_used_at_once() -> None:
    _, given = deliver(100, lambda number: 100 * MS if number < 50 else 0)
    tail = [(now, number) for (now, _), number in zip(given, places(given), strict=True) if number is not None][-30:]
    assert all(now == (number + 1) * PACKET + NETWORK for now, number in tail)


def test_a_flood_of_overlapping_packets_is_bounded_and_survived() -> None:
    buffer = VoiceBuffer()
    buffer.insert(0, b"x", PACKET, 0.0)
    for number in range(2, 5000):
        buffer.insert(number * 48, b"x", PACKET, 1.0)
    assert sum(piece.ticks for piece in buffer.take(1.0)) <= 6 * 48_000
    _, given = deliver(100, lambda number: 0, buffer=buffer, first_stamp=10**6)
    assert [number for number in places(given) if number is not None] == list(range(100))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5760), st.integers(0, 9600)), max_size=60))
def test_any_stamps_in_any_order_are_survived(packets: list[tuple[int, int, int]]) -> None:
    buffer, now = VoiceBuffer(), 0
    for stamp, ticks, later in packets:
        now += later
        buffer.insert(stamp, b"x", ticks, now)
        assert all(piece.ticks > 0 for piece in buffer.take(now))
        due = buffer.deadline_ticks(now)
        assert due is None or due > now


@pytest.mark.parametrize("allowance_ms", [0.0, 8.0, 20.0, 100.0])
def test_the_allowance_bounds_what_a_loss_costs(allowance_ms: float) -> None:
    _, given = deliver(20, lambda number: None if number == 9 else 0, buffer=VoiceBuffer(allowance_ms))
    assert given[9][0] - 10 * PACKET - NETWORK <= allowance_ms * MS
