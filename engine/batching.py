r"""Network calls of several sessions, run as one.

A *work* is a generator: it yields requests to servers (a network, the manifold), is sent their answers, and returns
its result. Alone it is driven by ``drive``, one question at a time. A ``Batcher`` carries on any number of works and
puts to a server, at once, what all of them ask of it::

    session A   hears ... [apc] . [manifold] . [motion] . [head pose] ... face
    session B        hears ... .. [manifold] . [motion] . [head pose] ... face
                                   \________ one call for both ________/

Of those on the same way through the signal path the earliest place is served first, so whoever comes late catches up
and goes along. A work that has many frames to make goes that way many times, and nobody begins it again before all
have come to its end: it never keeps one that has few frames behind it for more than one of its own, wherever it asks.
What a server answers does not depend on who else asked, but for the rounding of sums in another order. Sans-IO.
"""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Protocol, TypeVar

import numpy as np

from engine.backend import GathersStates, Network, NetworkState, Tensors

T = TypeVar("T")


class Place(IntEnum):
    """Where in the signal path a server is asked."""

    APC = auto()
    MANIFOLD = auto()
    MOTION = auto()
    STYLE_MOTION = auto()
    HEAD_POSE = auto()
    STYLE_HEAD_POSE = auto()


class Server(Protocol):
    """Answers questions. Servers that are equal have the same weights, so their questions may be put together."""

    @property
    def place(self) -> Place:
        """Where in the signal path it is asked."""
        ...

    def answer(self, questions: Sequence[Any]) -> Sequence[Any]:
        """One answer a question, in order, each as if it had been asked alone."""
        ...


@dataclass(frozen=True)
class Request:
    """A question to a server."""

    server: Server
    question: Any


Work = Generator[Request, Any, T]
"""Yields requests, is sent answers, returns a result."""


class NetworkServer:
    """A network that any number of sessions ask, each with inputs and a state of batch 1.

    A question is (inputs, state), its answer (outputs, next state). Inputs and outputs carry the batch on axis 0,
    a state where the network's own ``init_state`` has it.
    """

    def __init__(self, network: Network, place: Place) -> None:
        """Set up.

        Args:
            network: The weights. Servers of one network are equal.
            place: Where in the signal path it is asked.
        """
        self.network, self.place = network, place
        self._axes = {} if isinstance(network, GathersStates) else _batch_axes(network)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkServer) and other.network is self.network

    def __hash__(self) -> int:
        return hash(id(self.network))

    def ask(self, inputs: Tensors, state: NetworkState) -> Work[tuple[Tensors, NetworkState]]:
        """One step of the network for one session: outputs and the next state."""
        answer: tuple[Tensors, NetworkState] = yield Request(self, (inputs, state))
        return answer

    def answer(self, questions: Sequence[tuple[Tensors, NetworkState]]) -> Sequence[tuple[Tensors, NetworkState]]:
        """Run all steps in one call."""
        if len(questions) == 1:
            return [self.network.run(*questions[0])]
        inputs = _stack([inputs for inputs, _ in questions], {})
        if isinstance(self.network, GathersStates):
            outputs, handles = self.network.run_many(inputs, [state for _, state in questions])
            return [
                ({name: array[row : row + 1] for name, array in outputs.items()}, handle)
                for row, handle in enumerate(handles)
            ]
        states = _stack([state for _, state in questions], self._axes)
        outputs, following = self.network.run(inputs, states)
        # Copies: a view would keep the states of all alive for as long as one session keeps its own.
        return [
            (
                {name: array[row : row + 1] for name, array in outputs.items()},
                {name: array.take([row], self._axes[name]) for name, array in following.items()},
            )
            for row in range(len(questions))
        ]


def drive(work: Work[T]) -> T:
    """Carry a work to its end alone.

    Raises:
        Exception: What a server or the work itself raises.
    """
    try:
        request = next(work)
        while True:
            try:
                answer = request.server.answer([request.question])[0]
            except Exception as error:
                request = work.throw(error)
            else:
                request = work.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


@dataclass
class _Member:
    """A work on its way, what it has asked, and how often it has gone through the signal path."""

    work: Work[Any]
    future: "Future[Any]"
    lap: int
    request: Request | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Whoever has the least is served."""
        return self.lap, 0 if self.request is None else self.request.server.place


class Batcher:
    """Carries works on, all that ask the same server together. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[_Member] = []
        """In the order of their questions."""

    @property
    def busy(self) -> bool:
        """Whether a work is not at its end."""
        return bool(self._waiting)

    def add(self, work: Work[T], future: "Future[T] | None" = None) -> "Future[T]":
        """Begin a work.

        Args:
            work: Not begun.
            future: Gets its result or its exception; where it has been cancelled, the work is dropped.

        Returns:
            ``future``, or one of its own.
        """
        future = Future() if future is None else future
        if future.set_running_or_notify_cancel():
            self._go_on(_Member(work, future, min((member.lap for member in self._waiting), default=0)), None, None)
        else:
            work.close()
        return future

    def advance(self) -> None:
        """Put one server's questions, all of them at once, and carry on the works that asked. Never raises."""
        if not self._waiting:
            return
        asked = [(member, member.request) for member in self._waiting if member.request is not None]
        server = min(asked, key=lambda each: each[0].order)[1].server
        group = [(member, request) for member, request in asked if request.server == server]
        served = {id(member) for member, _ in group}
        self._waiting = [member for member in self._waiting if id(member) not in served]
        answers = _answers(server, [request.question for _, request in group])
        for (member, _), (answer, error) in zip(group, answers, strict=True):
            self._go_on(member, answer, error)

    def _go_on(self, member: _Member, answer: Any, error: Exception | None) -> None:
        """Carry one work on to its next question, or to its end."""
        before = member.order
        try:
            member.request = member.work.send(answer) if error is None else member.work.throw(error)
        except StopIteration as end:
            member.future.set_result(end.value)
        except BaseException as failure:
            # Whatever it is, it belongs to whoever waits for this work, and to nobody else.
            member.future.set_exception(failure)
        else:
            # Where it asks no later than it did before, it has begun again.
            member.lap += member.order <= before
            self._waiting.append(member)


def _answers(server: Server, questions: Sequence[Any]) -> list[tuple[Any, Exception | None]]:
    """Answer or error of each question."""
    try:
        return [(answer, None) for answer in server.answer(questions)]
    except Exception as error:
        if len(questions) == 1:
            return [(None, error)]
    # One of them cannot be answered: alone, only that one fails.
    return [_answers(server, [question])[0] for question in questions]


def _stack(rows: Sequence[Tensors], axes: Mapping[str, int]) -> Tensors:
    """Arrays of batch 1 as one of batch n, on their axis (0 if none is given)."""
    return {name: np.concatenate([row[name] for row in rows], axes.get(name, 0)) for name in rows[0]}


def _batch_axes(network: Network) -> dict[str, int]:
    """Where each state of a network has the batch."""
    one, two = network.init_state(1), network.init_state(2)
    return {name: _first_difference(one[name].shape, two[name].shape) for name in one}


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    return next(axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
