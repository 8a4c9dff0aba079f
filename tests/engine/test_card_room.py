import asyncio
import gc
import threading

import numpy as np
import pytest

from engine.backends.device_network import Bound
from engine.backends.slots import Slots
from engine.card_room import CardRoom, pick
from engine.controls import Face
from engine.errors import ConfigError, MienError, SessionError
from tests.engine.renderer.conftest import Motion, draw_person


class CountingPainter:
    """Draws nothing, one launch at a time, when it is let."""

    def __init__(self):
        self.places, self.launches, self.go = Slots(40), [], threading.Semaphore(0)
        self.fails, self.drawing = False, threading.Event()

    def bind(self, source, plate, static=None):
        assert source.shape == (1024, 1024, 4) and plate.shape == (512, 512, 3) and static is None
        return Bound(self.places)

    def draw(self, sketches, who):
        self.drawing.set()
        self.go.acquire()
        self.launches.append([each.place for each in who])
        if self.fails:
            raise MienError("The card refused a call.")
        return [np.full((2, 2, 3), each.place, np.uint8) for each in who]


@pytest.fixture
def painter():
    return CountingPainter()


@pytest.fixture
def room(painter):
    opened = CardRoom(painter, None, most=4)
    yield opened
    for _ in range(100):
        painter.go.release()
    opened.close()


@pytest.fixture(scope="module")
def person():
    return draw_person()


@pytest.fixture(scope="module")
def face(person):
    landmarks, pose = Motion(person)(jaw=0.1)
    return Face(landmarks, pose, np.zeros(2, np.float32), np.zeros(6, np.float32))


def test_everybodys_first_frame_goes_before_anybodys_second():
    assert pick("aaaabcd", 4) == [0, 4, 5, 6]
    assert pick("aaaab", 4) == [0, 4, 1, 2]
    assert pick("ab", 4) == [0, 1] and pick("", 4) == []
    assert pick("bacaba", 4) == [0, 1, 2, 3]
    assert pick("abcd", 2, {"a": 9, "b": 3, "d": 1}) == [2, 3]


def test_overload_is_shared_out():
    """One session asks for three times what the others do, and all get as much until they have enough."""
    waiting, served, rng = list[str](), dict.fromkeys("abcdef", 0), np.random.default_rng(0)
    lately = dict[str, int]()
    for _ in range(300):
        waiting += [name for name in "aaabcdef" if rng.random() < 0.9]
        chosen = pick(waiting, 4, lately)
        for number in chosen:
            served[waiting[number]] += 1
            lately[waiting[number]] = sum(served.values())
        waiting = [name for number, name in enumerate(waiting) if number not in chosen]
    assert max(served.values()) - min(served.values()) <= 6
    assert sum(served.values()) >= 1195


def test_what_waits_while_the_card_draws_goes_in_one_launch(room, painter):
    async def main():
        handles = [painter.bind(np.empty((1024, 1024, 4)), np.empty((512, 512, 3))) for _ in range(5)]
        first = room.draw("a", None, handles[0])
        await asyncio.to_thread(painter.drawing.wait)
        others = [room.draw(number, None, handle) for number, handle in enumerate(handles[1:])]
        for _ in range(2):
            painter.go.release()
        pictures = await asyncio.gather(*map(asyncio.wrap_future, [first, *others]))
        assert [int(picture[0, 0, 0]) for picture in pictures] == [1, 2, 3, 4, 5]

    asyncio.run(main())
    assert painter.launches == [[1], [2, 3, 4, 5]]


def test_a_session_sketches_and_is_drawn_until_it_is_closed(room, painter, person, face):
    async def main():
        renderer = await asyncio.to_thread(room.renderer, person)
        assert renderer.workers == 2
        painter.go.release()
        assert (await renderer.render(face)).shape == (2, 2, 3)
        free = painter.places.free
        renderer.close()
        renderer.close()
        gc.collect()
        assert painter.places.free == free + 1
        with pytest.raises(MienError, match="closed"):
            await renderer.render(face)
        other = await asyncio.to_thread(room.renderer, person)
        with pytest.raises(ConfigError, match=r"\(68, 3\) is needed"):
            await other.render(face._replace(landmarks=face.landmarks[:5]))
        painter.fails = True
        painter.go.release()
        with pytest.raises(MienError, match="refused"):
            await other.render(face)
        other.close()

    asyncio.run(main())


def test_a_room_that_is_closed_takes_nobody(painter, person):
    room = CardRoom(painter, None)
    room.close()
    room.close()
    with pytest.raises(SessionError):
        room.renderer(person)
    with pytest.raises(SessionError):
        room.draw("a", None, None)
