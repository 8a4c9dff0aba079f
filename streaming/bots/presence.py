"""Staying in a call: joined, lost, joined again. One loop for every kind of call."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from engine.clock import NS_PER_S, Clock
from streaming.bots.backoff import Backoff
from streaming.bots.bot_errors import JoinUnavailable

logger = logging.getLogger(__name__)

_STEADY_NS: Final = 10 * NS_PER_S
"""A call that stood for so long was no accident: the waits begin anew."""


class Stay(Protocol):
    """One time in a call."""

    async def until_lost(self) -> None:
        """Wait until the call has ended without our doing.

        Raises:
            JoinRefused: We are not to come back.
        """
        ...


class Call(Protocol):
    """A call that can be joined any number of times."""

    def join(self) -> AbstractAsyncContextManager[Stay]:
        """Enter the call; leaving the context leaves the call.

        Raises:
            JoinRefused: There is no use in trying again.
            JoinUnavailable: There may be.
        """
        ...


class Presence:
    """Keeps us in a call.

    Attributes:
        joined: Set while we are in the call.
        stays: Times that it was joined.
    """

    def __init__(
        self,
        call: Call,
        clock: Clock,
        *,
        patience_s: float = 60.0,
        rng: random.Random | None = None,
        on_joined: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            call: What to be in.
            clock: The time.
            patience_s: When it could not be joined for so long, it is given up.
            rng: Of the waits between attempts.
            on_joined: Told each time that the call was joined.
        """
        self._call, self._clock, self._patience_ns = call, clock, round(patience_s * NS_PER_S)
        self._backoff, self._on_joined = Backoff(rng or random.Random()), on_joined
        self.joined = asyncio.Event()
        self.stays = 0

    async def keep(self) -> None:
        """Be in the call until cancelled.

        Raises:
            JoinRefused: The other side will not have us.
            JoinUnavailable: It could not be joined for too long.
        """
        since = began = self._clock.now_ns()
        while True:
            asked_s = None
            try:
                async with self._call.join() as stay:
                    began = self._clock.now_ns()
                    self.stays += 1
                    self.joined.set()
                    self._on_joined()
                    await stay.until_lost()
                logger.warning("the call was lost: joining again")
            except JoinUnavailable as error:
                logger.warning("%s: joining again", str(error).rstrip("."))
                asked_s = error.retry_after_s
                if not self.joined.is_set() and self._clock.now_ns() - since >= self._patience_ns:
                    raise
            finally:
                lasted = self._clock.now_ns() - began if self.joined.is_set() else 0
                self.joined.clear()
            if lasted:
                since = self._clock.now_ns()
            if lasted >= _STEADY_NS:
                self._backoff.reset()
            await self._clock.sleep_until(self._clock.now_ns() + round(self._backoff.next_s(asked_s) * NS_PER_S))
