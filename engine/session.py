"""A live avatar as its user sees it: sound pushed in from any task or thread, frames and the delayed sound out.

::

    async with engine.session(avatar=avatar) as session:
        await session.push(samples, 48_000)         # from any task; push_threadsafe from any thread
        async for item in session:                  # VideoFrame and AudioBlock, each at origin + ticks + L
            ...

This file is the door and the life cycle; ``engine.session_core`` is what runs inside.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.style import Style
from engine.budget import Budget
from engine.controls import Controls
from engine.errors import ConfigError, SessionError
from engine.hearing import MotionPipeline
from engine.instruments import Instruments
from engine.intake import as_sound
from engine.lanes import FrameRenderer, Lane
from engine.outlet import Item, Outlet
from engine.session_core import Core
from engine.session_parts import Equipment, SessionOptions, SessionStats
from engine.stages.style_mix import OpenStyle

Adopt = Callable[[Avatar], Awaitable[tuple[MotionPipeline, FrameRenderer]]]
Dress = Callable[[Style | Path | None], Awaitable[OpenStyle | None]]


class Session:
    """An async context manager and an async iterator of ``VideoFrame`` and ``AudioBlock``; from ``Engine.session``."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        equip: Callable[[], Awaitable[Equipment]],
        adopt: Adopt,
        dress: Dress,
        release: Callable[[], None],
        instruments: Instruments,
    ) -> None:
        """Prepare; nothing runs before ``async with``.

        Args:
            options: What was asked for.
            equip: Gives what the session runs on, or refuses.
            adopt: Gives pipeline and renderer for another avatar.
            dress: Makes a style ready to run.
            release: Called once, when an equipped session has ended.
            instruments: Told of each piece of work.
        """
        self._options, self._equip, self._adopt, self._dress = options, equip, adopt, dress
        self._dressing = asyncio.Lock()
        self._release, self._instruments = release, instruments
        self._outlet = Outlet(options.queue_ms, options.fps)
        self._core: Core | None = None
        self._setup: Lane | None = None
        self._main: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun, self._closing = False, False

    async def __aenter__(self) -> Self:
        """Open what the session runs on, and begin: frame 0 is due L later.

        Raises:
            ConfigError: The latency cannot be held on this machine; the message says what can.
            CapacityError: The engine cannot carry another session.
            SessionError: It was begun or closed before.
        """
        if self._begun or self._closing:
            raise SessionError("A session begins once: ask the engine for a new one.")
        self._begun = True
        self._loop = asyncio.get_running_loop()
        equipment = await self._equip()
        self._setup = equipment.setup
        self._core = Core(self._options, equipment, self._outlet, self._instruments)
        self._main = asyncio.create_task(self._live(self._core, equipment.setup), name="mien-session")
        self._main.add_done_callback(self._ended)
        if self._closing:
            await self.close()
            raise SessionError("The session was closed before it began: ask the engine for a new one.")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an error that ended the session and that nobody met is raised here."""
        await self.close()
        untold = self._outlet.untold_error
        if error is None and untold is not None:
            raise untold

    def __aiter__(self) -> AsyncIterator[Item]:
        """Frames and sound as they fall due, for one consumer."""
        return self

    async def __anext__(self) -> Item:
        """The next frame or block of sound.

        Raises:
            StopAsyncIteration: The session was closed.
            Exception: What ended the session, once; ``MienError`` if it was foreseen.
        """
        return await self._outlet.get()

    @property
    def budget(self) -> Budget:
        """What the latency is made of; known once the session has begun."""
        return self._started().budget

    @property
    def sound_ahead_ticks(self) -> int:
        """By how much sound leaves before the picture of its time; known once the session has begun."""
        return self._started().sound_ahead_ticks

    @property
    def origin_ns(self) -> int:
        """When media time 0 was, on the engine's clock: an item is due at origin + ticks + L."""
        return self._started().origin_ns

    @property
    def label(self) -> str:
        """What the session is called in the engine's metrics and trace."""
        return self._instruments.label

    @property
    def instruments(self) -> Instruments:
        """How long its stages take; whoever carries its frames on may add stages of their own."""
        return self._instruments

    @property
    def closed(self) -> bool:
        """Whether the session has ended, of itself or by ``close``."""
        return self._outlet.closed

    async def push(self, samples: NDArray[Any], rate_hz: int) -> None:
        """Hand in sound. In pushed mode waits while the queue is full.

        Args:
            samples: float32 in [-1, 1] or int16, (n,) mono, any number of samples.
            rate_hz: Their sample rate, 8000 to 96000.

        Raises:
            AudioError: That is not such sound; the session goes on.
            SessionError: The session has not begun or has ended.
        """
        core = self._running()
        await core.push(samples, rate_hz, core.now_ns())

    def push_threadsafe(self, samples: NDArray[Any], rate_hz: int) -> Future[None]:
        """As ``push``, from any thread; the sound counts as arrived now, however busy the event loop is.

        Returns:
            Done when the sound was taken in; it carries ``push``'s other errors.

        Raises:
            AudioError: That is no sound.
            SessionError: The session has not begun or has ended.
        """
        core = self._running()
        assert self._loop is not None
        heard, arrived = as_sound(samples), core.arrival_ns()
        return asyncio.run_coroutine_threadsafe(core.push(heard, rate_hz, arrived), self._loop)

    async def flush(self) -> None:
        """End the utterance, and wait until all that was pushed has left the session.

        Raises:
            SessionError: The session has not begun or has ended.
        """
        await self._running().flush()

    async def interrupt(self) -> None:
        """Break off (barge-in): every queue is emptied, and the mouth is at rest within two frames.

        The clock, the face's other motion and what is pushed from now on are not touched. Legal at any time.
        """
        if self._core is not None and not self._outlet.closed:
            self._core.interrupt()

    def set(self, **controls: float) -> Controls:
        """Steer the face; it gets there smoothly in about 0.3 s.

        Args:
            controls: Values by the names of ``engine.controls.Controls``; others stay as they are.

        Returns:
            The controls as they now are.

        Raises:
            ConfigError: There is no such control, or a value leaves its range.
            SessionError: The session has not begun or has ended.
        """
        core = self._running()
        core.controls = core.controls.changed(**controls)
        return core.controls

    def blink(self) -> None:
        """Blink once, from the next frame on.

        Raises:
            SessionError: The session has not begun or has ended.
        """
        self.set(blinks=self._running().controls.blinks + 1)

    async def change_avatar(self, avatar: Avatar) -> None:
        """Go on as another person, whose picture takes over within a quarter of a second. No frame is missed for it.

        Raises:
            MienError: The avatar cannot be drawn; the session goes on as it was.
            SessionError: The session has not begun or has ended.
        """
        self._running()
        pipeline, renderer = await self._adopt(avatar)
        assert self._setup is not None and self._core is not None
        if self._outlet.closed or self._closing:
            await self._setup.run(renderer.close)
            raise SessionError("The session ended while its avatar was being changed.")
        before = await self._core.become(avatar, pipeline, renderer)
        if before in self._core.renderers:  # unless the session has ended meanwhile, and closed it
            self._core.renderers.remove(before)
            await self._setup.run(before.close)

    async def change_style(
        self,
        style: Style | Path | None,
        intensity: float | None = None,
        *,
        second: Style | Path | None = None,
        part: float = 0.5,
    ) -> None:
        """Go over to another style, to none, or to a mix of two, within a quarter of a second.

        No frame is missed for opening it. A style costs two more network calls a motion frame, two styles and that
        quarter of a second four: a session that begins in a style was measured with it, one that puts it on later was
        not.

        Args:
            style: The style, or where it lies; None for none.
            intensity: 0 to 1.5; by default it stays as it is. Later ``set(intensity=...)`` changes it.
            second: A style to mix with the first.
            part: What the second one has of the mix, 0 to 1.

        Raises:
            ArtefactError: A style cannot be read or belongs to another bundle; the session goes on as it was.
            ConfigError: The intensity or the part leaves its range, or there is a second style and no first.
            SessionError: The session has not begun or has ended.
        """
        core = self._running()
        if second is not None and (style is None or not 0 <= part <= 1):
            raise ConfigError(f"A mix takes two styles and a part of 0 to 1, not {style} and {part}.")
        changes = {} if intensity is None else {"intensity": intensity}
        core.controls.changed(**changes)
        async with self._dressing:
            opened = await self._dress(style)
            beside = None if second is None else await self._dress(second)
            self._running().wear(opened, beside, part)
            self.set(**changes)

    def stats(self) -> SessionStats:
        """What happened so far; legal before the start and after the end."""
        return SessionStats() if self._core is None else self._core.stats()

    async def close(self) -> None:
        """End the session, whatever it is doing. Legal twice, from two tasks at once, and before the start."""
        self._closing = True
        if self._main is None:
            self._outlet.close()
        else:
            # Only once: what it then does is to end its processes.
            if not self._main.cancelling():
                self._main.cancel()
            await asyncio.wait([self._main])

    async def _live(self, core: Core, setup: Lane) -> None:
        """The session's one task. Processes take a while to end, for which no other session may wait."""
        try:
            await core.run()
        finally:
            while core.renderers:
                await setup.run(core.renderers.pop().close)

    def _ended(self, main: asyncio.Task[None]) -> None:
        """The session's one task is done, if it ever began: nothing of the session may be left."""
        error = None if main.cancelled() else main.exception()
        assert self._core is not None
        # One failure cancels the rest; of several at once the first stands for all.
        self._outlet.close(_first(error) if error is not None else None)
        self._core.wake()
        for renderer in self._core.renderers:  # the task was cancelled before its first step
            renderer.close()
        self._release()

    def _started(self) -> Core:
        if self._core is None:
            raise SessionError("The session has not begun: use `async with session`.")
        return self._core

    def _running(self) -> Core:
        core = self._started()
        if self._outlet.closed or self._closing:
            raise SessionError("The session has ended: ask the engine for a new one.")
        return core


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
