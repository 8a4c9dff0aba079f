import threading
import time

from engine.backends.turnstile import Turnstile


def test_many_pass_at_once():
    turnstile, met = Turnstile(), threading.Barrier(3)

    def use():
        with turnstile.passing():
            met.wait(10)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not met.broken


def test_whoever_is_alone_is_alone():
    turnstile, inside, seen = Turnstile(), [], []

    def enter(way, name):
        with way():
            inside.append(name)
            time.sleep(0.002)
            seen.append(tuple(inside))
            inside.remove(name)

    threads = [
        threading.Thread(target=enter, args=(turnstile.alone if number % 3 == 0 else turnstile.passing, number))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    alone = {number for number in range(12) if number % 3 == 0}
    assert len(seen) == 12
    assert all(len(names) == 1 for names in seen if alone & set(names))


def test_a_failure_lets_the_next_one_in():
    turnstile = Turnstile()
    for way in (turnstile.alone, turnstile.passing, turnstile.alone):
        try:
            with way():
                raise ValueError
        except ValueError:
            continue
    with turnstile.alone():
        pass
