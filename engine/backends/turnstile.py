"""Who may use a card while a call is recorded on it: nobody else.

A recording (CUDA graph) breaks off where another thread allocates memory, copies synchronously or waits for the whole
card meanwhile. ONNX Runtime records so, and torch waits for the card before it records. So threads pass together as a
rule, and whoever records is alone.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Many pass at once, or one is alone; whoever wants to be alone goes before those who come later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passing = 0
        self._taken = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Be there together with others."""
        with self._changed:
            while self._taken:
                self._changed.wait()
            self._passing += 1
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be there when all others have gone. Not from within either of both."""
        with self._changed:
            while self._taken:
                self._changed.wait()
            self._taken = True
            while self._passing:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


CARD = Turnstile()
"""That of the card which this process uses."""
