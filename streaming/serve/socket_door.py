"""A voice over a WebSocket: PCM16 in, events out.

::

    client                                   server
    {"type": "start", "rate_hz": 24000}  ->
                                         <-  {"type": "started", "rate_hz": 24000, "latency_ms": 160.0}
    <binary: PCM16 little-endian mono>   ->  ... any number, any size up to 192 KB
    {"type": "flush"}                    ->
                                         <-  {"type": "flushed"}          all of it was spoken
    {"type": "interrupt"}                ->
                                         <-  {"type": "interrupted"}
    {"type": "set", "controls": {...}}   ->
                                         <-  {"type": "controls", ...}   and so on: see ``commands``
                                         <-  {"type": "stats", ...}       once a second
                                         <-  {"type": "error", "message"} and the socket goes on

In a pushed session sound may come faster than it is spoken, up to 120 s ahead. In a live one it must come in real time.
Reading never waits for speaking, so an interruption is met at once.
"""

import asyncio
import dataclasses
import json
import logging
from collections import deque
from typing import Any, Final

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect
from numpy.typing import NDArray
from pydantic import ValidationError

from engine.clock import NS_PER_S, Clock
from engine.errors import MienError, SessionError
from streaming.serve.commands import COMMAND, Flush, Interrupt, Start, Watch
from streaming.serve.room import Room
from streaming.serve.steering import Steering
from streaming.serve.throttle import Rate, Throttle

logger = logging.getLogger(__name__)

MAX_AUDIO_BYTES: Final = 192 << 10
MAX_TEXT_BYTES: Final = 4 << 10
AHEAD_S: Final = 120.0
_MISTAKES: Final = 20
"""So many, and the socket is closed."""
_STATS_S: Final = 1.0
_COMMANDS: Final = Rate(20, 60)
_LIVE: Final = Rate(1.5, 3.0)
"""Seconds of live sound a second."""
_POLICY: Final = 1008


class SocketDoor:
    """One socket of one room."""

    def __init__(self, socket: WebSocket, room: Room, steering: Steering, clock: Clock) -> None:
        self._socket, self._room, self._steering, self._clock = socket, room, steering, clock
        self._rate_hz: int | None = None
        self._waiting: deque[tuple[NDArray[np.int16], int] | None] = deque()
        """Sound and its rate; None where an utterance ends."""
        self._waiting_s = 0.0
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._pushing: asyncio.Task[None] | None = None
        self._mistakes = 0
        self._watch_hz, self._watching = 0.0, asyncio.Event()
        self._commands, self._live = Throttle(_COMMANDS), Throttle(_LIVE)

    async def run(self) -> None:
        """Serve the socket until either side has ended."""
        await self._socket.accept()
        work = [self._read(), self._speak(), self._tell(), self._show_desk(), self._until_ended()]
        tasks = [asyncio.create_task(part, name="mien-socket") for part in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.forget()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect | SessionError | RuntimeError):
                raise error

    def forget(self) -> None:
        """Leave out all sound that waits, also what is being pushed."""
        self._waiting.clear()
        self._waiting_s = 0.0
        if self._pushing is not None:
            self._pushing.cancel()

    async def _read(self) -> None:
        """What the client sends; returns when it has gone or made too many mistakes."""
        while self._mistakes < _MISTAKES:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if message.get("bytes") is not None:
                    self._hear(message["bytes"])
                else:
                    await self._obey(message.get("text") or "")
            except SessionError:
                return
            except MienError as error:
                await self._complain(str(error))
            except ValidationError as error:
                await self._complain(_what_is_wrong(error))
        await self._socket.close(_POLICY, "Too many messages that could not be used.")

    def _hear(self, data: bytes) -> None:
        if self._rate_hz is None:
            raise SocketError('Begin with {"type": "start", "rate_hz": ...}; then send sound.')
        if len(data) > MAX_AUDIO_BYTES or len(data) % 2:
            raise SocketError(f"A binary message is PCM16 of whole samples, at most {MAX_AUDIO_BYTES >> 10} KB.")
        seconds = len(data) / 2 / self._rate_hz
        live = self._room.asked.mode == "live"
        if live and self._live.take("", self._clock.now_ns() / NS_PER_S, seconds):
            raise SocketError("Live sound comes in real time, and this came faster: it was left out.")
        if self._waiting_s + seconds > AHEAD_S:
            raise SocketError(f"{AHEAD_S:.0f} s of speech wait already: send more when some of it was spoken.")
        self._waiting.append((np.frombuffer(data, "<i2").astype(np.int16, copy=False), self._rate_hz))
        self._waiting_s += seconds
        self._news.set()

    async def _obey(self, text: str) -> None:
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise SocketError(f"A text message has at most {MAX_TEXT_BYTES >> 10} KB.")
        if self._commands.take("", self._clock.now_ns() / NS_PER_S):
            raise SocketError("Too many messages: slow down.")
        command = COMMAND.validate_json(text)
        match command:
            case Start():
                self._rate_hz = command.rate_hz
                self._room.take_floor(self)
                budget = self._room.budget()
                await self._send("started", rate_hz=command.rate_hz, latency_ms=round(budget.total_ms, 3))
            case Flush():
                self._waiting.append(None)
                self._news.set()
            case Interrupt():
                await self._room.interrupt()
                await self._send("interrupted")
            case Watch():
                await self._send(**self._steering.desk_view())
                self._watch_hz = command.hz
                self._watching.set()
            case _:
                await self._send(**await self._steering.obey(command))

    async def _speak(self) -> None:
        """Push what waits, in order; a pushed session holds this up, and nothing else."""
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            first = self._waiting.popleft()
            try:
                if first is None:
                    await self._room.session.flush()
                    await self._send("flushed")
                    continue
                samples, rate_hz = first
                self._waiting_s = max(0.0, self._waiting_s - len(samples) / rate_hz)
                self._pushing = asyncio.create_task(self._room.hear(self, samples, rate_hz), name="mien-push")
                await asyncio.wait([self._pushing])
                if not self._pushing.cancelled():
                    self._pushing.result()
            except SessionError:
                return
            except MienError as error:
                await self._complain(str(error))

    async def _tell(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + round(_STATS_S * NS_PER_S))
            stats = dataclasses.asdict(self._room.session.stats())
            await self._send("stats", waiting_ms=round(1000 * self._waiting_s), **stats)

    async def _until_ended(self) -> None:
        await self._room.ended.wait()
        await self._send("ended")
        await self._socket.close(1001, "The session has ended.")

    async def _complain(self, message: str) -> None:
        self._mistakes += 1
        await self._send("error", message=message)

    async def _show_desk(self) -> None:
        """Tell of the desk as often as was asked for."""
        while True:
            if not self._watch_hz:
                self._watching.clear()
                await self._watching.wait()
                continue
            await self._clock.sleep_until(self._clock.now_ns() + round(NS_PER_S / self._watch_hz))
            await self._send(**self._steering.desk_view())

    async def _send(self, type: str, **fields: Any) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps({"type": type, **fields}))


class SocketError(MienError):
    """A message that cannot be used; the socket goes on."""


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}." if place else f"{first['msg']}."
