"""A machine that stands still for seconds gives a real-time test no time: then the test is run again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

_TRIES = 3


class StoodStill(Exception):
    """The machine gave the test no time for seconds, and the engine ended the session, as it must."""


def run_again_if_it_stood_still(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine on an event loop of its own; again where it raises ``StoodStill``, and skip at last."""

    async def run() -> None:
        await main()

    for _ in range(_TRIES):
        try:
            return asyncio.run(run())
        except StoodStill:
            continue
    pytest.skip("this machine stands still for seconds at a time")
