"""Calls in a fresh process: synthesisers draw noise from the C library's generator, which all threads share."""

from collections.abc import Callable
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def alone(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``function`` of a module gives in a new process, where no other thread draws."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args, kwargs)
