"""One engine, many sessions: the weights and the threads that they share, and who may come in.

Networks are opened once. A session has its own state, its own renderer, and a place: it is admitted only when it was
measured, beside those that run, to fit in without breaking their budgets.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.artefacts.avatar import Avatar, load_avatar
from engine.artefacts.bundle import Bundle
from engine.artefacts.picture_network import PictureNetwork
from engine.artefacts.style import Style, load_style
from engine.budget import Budget, Measurement, fit_budget
from engine.calibration import CHUNK_TICKS, calibrate
from engine.clock import Clock, MonotonicClock
from engine.drawing import Drawing, in_style
from engine.errors import CapacityError, ConfigError, SessionError
from engine.hearing import MotionPipeline
from engine.instruments import Instruments
from engine.ladder import LADDERS
from engine.lanes import FrameRenderer, Lane, RendererFactory, ThreadLane
from engine.motion_lane import MotionLane, WorkLane
from engine.pacing import retiming_ticks
from engine.pipeline import Observer
from engine.process_renderer import ProcessRenderer
from engine.scheduling import Role, leave_role, take_role
from engine.session import Session
from engine.session_parts import Equipment, SessionOptions
from engine.session_sound import Mode
from engine.shared_networks import SharedNetworks
from engine.stages.voice_gate import VoiceGate, VoiceGateSettings
from engine.styles import Styled
from engine.telemetry import Telemetry
from engine.trace_events import CAPACITY
from models.spec import MAX_LOOKAHEAD, MEDIA_HZ, TICKS_PER_MOTION

logger = logging.getLogger(__name__)

PUSHED_LOOKAHEAD = 4
"""Of pushed speech, unless another is asked for: the speech that must be there before an utterance begins."""
ARRIVAL_MS = 3.0
"""Part of the chunk's row: what the resampling filter holds back and what a chunk's arrival may be late by."""
_FULL = 0.9
"""Of the cores, what all sessions together may use."""
_TRIES = 3
"""Times that a machine is measured which now and then does something else."""
_FEW = 2
"""Missed frames beside a measurement that may be chance."""

PipelineFactory = Callable[[Avatar, int, int], MotionPipeline]
"""Of an avatar, a lookahead in frames and a seed."""
Measure = Callable[[MotionPipeline, FrameRenderer, int, Mode], Awaitable[Measurement]]
"""Measures what frames take on this machine at a frame rate, for about two seconds."""


class Engine:
    """Opens sessions. Closing it closes them."""

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        clock: Clock | None = None,
        workers: int | None = None,
        renderer: str | None = None,
        device: str = "cpu",
        styles: Sequence[Style | Path] = (),
        renderer_factory: RendererFactory | None = None,
        pipeline_factory: PipelineFactory | None = None,
        measure: Measure | None = None,
        lane: WorkLane | None = None,
        setup: Lane | None = None,
        cores: int | None = None,
        beside: float = 0.0,
    ) -> None:
        """Prepare; networks are opened by the first session, away from the event loop.

        Args:
            bundle: The trained networks; by default those that ship.
            clock: The time; by default the machine's.
            workers: Processes in which one session draws; by default as many as cores, at most 2.
            renderer: What draws where a session does not say; see ``session``.
            device: What networks run and frames are drawn on; see ``engine.backends.devices``.
            styles: Kept ready from the first session on, so that putting one on opens nothing while sessions run.
            renderer_factory: Gives what draws an avatar; by default such processes.
            pipeline_factory: Gives what makes motion of sound; by default the bundle's signal path, stages timed.
            measure: Measures the machine; by default two seconds of ``engine.calibration.calibrate``.
            lane: Where motion is computed, of all sessions together; by default a thread named ``mien-motion``.
            setup: Where avatars and networks are opened; by default a thread named ``mien-setup``.
            cores: What sessions may use together; by default those this process may run on.
            beside: Cores that are used for each session beside it, as by encoding its pictures: not measured, counted.

        Raises:
            ConfigError: There is less than one worker or core.
        """
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
        self._cores = available if cores is None else cores
        self._beside = beside
        self._workers = min(2, available) if workers is None else workers
        if self._cores < 1 or self._workers < 1:
            raise ConfigError(f"An engine needs at least one core and one worker, not {self._cores}, {self._workers}.")
        self._networks, self._renderer = SharedNetworks(bundle, device, styles), renderer
        self._clock: Clock = clock or MonotonicClock()
        self._renderer_factory, self._pipeline_factory = renderer_factory, pipeline_factory
        self._measure = measure or self._calibrate
        self._lane: WorkLane = lane or MotionLane()
        self._setup: Lane = setup or ThreadLane("mien-setup", role=Role.PREPARES)
        self._admission = asyncio.Lock()
        self._loads: dict[Session, tuple[float, int]] = {}
        """Cores that a session was measured to use, and at how many frames a second."""
        self._telemetry = Telemetry()
        self._closed = False

    async def __aenter__(self) -> Self:
        """The engine."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    @property
    def load(self) -> float:
        """Cores that the running sessions use, as measured when they were admitted."""
        return sum(share for share, _ in self._loads.values())

    @property
    def sessions(self) -> int:
        """Sessions that run."""
        return len(self._loads)

    def session(
        self,
        *,
        avatar: Avatar | Path,
        style: Style | Path | None = None,
        intensity: float = 1.0,
        fps: int = 30,
        lookahead: int | None = None,
        latency: float | str = "auto",
        mode: Mode = "live",
        seed: int = 0,
        gate: VoiceGateSettings | None = None,
        chunk_ms: float = 20.0,
        queue_ms: int = 500,
        transparent: bool = False,
        sound_ahead_ms: float = 0.0,
        renderer: str | None = None,
        label: str | None = None,
    ) -> Session:
        """A session, to be begun with ``async with``, which measures the machine and may refuse.

        Args:
            avatar: The portrait, or where it lies.
            style: How to move, or where that lies; by default as the bundle was taught.
            intensity: Of the style, 0 (none of it) to 1.5.
            fps: 60, 30, 25 or 20.
            lookahead: 0 to 18 motion frames (1/60 s) that the mouth hears ahead; by default 18 live, 4 pushed.
            latency: L in ms, or ``auto`` for the smallest that this machine holds.
            mode: ``live`` or ``pushed``.
            seed: Of the head's motion.
            gate: The voice gate of a live microphone; none by default.
            chunk_ms: Sound that a live source hands over at once.
            queue_ms: Bound of what waits for the consumer.
            transparent: Draw the person alone: pictures are then premultiplied RGBA, uint8 (512, 512, 4).
            sound_ahead_ms: See ``SessionOptions``; 0 to 200.
            renderer: ``warp``, ``lite`` or ``paper``; by default the engine's, and if that does not say either, what
                the bundle says is best, or ``warp`` where this machine has no room for that.
            label: What the session is called in metrics and trace, unlike any that runs; by default a number.

        Raises:
            ConfigError: An option leaves its range.
            ArtefactError: The avatar or the style cannot be read.
            SessionError: The engine is closed.
        """
        if self._closed:
            raise SessionError("The engine is closed: make a new one.")
        if isinstance(latency, str) and latency != "auto":
            raise ConfigError(f"The latency is a number of ms or 'auto', not {latency!r}.")
        frames = (MAX_LOOKAHEAD if mode == "live" else PUSHED_LOOKAHEAD) if lookahead is None else lookahead
        if not 0 <= frames <= MAX_LOOKAHEAD:
            raise ConfigError(f"The lookahead is 0 to {MAX_LOOKAHEAD} frames of 1/60 s, not {frames}.")
        options = SessionOptions(
            avatar=avatar if isinstance(avatar, Avatar) else load_avatar(avatar),
            fps=fps,
            mode=mode,
            chunk_ms=chunk_ms,
            queue_ms=queue_ms,
            transparent=transparent,
            gate=None if gate is None else VoiceGate(gate),
            style=load_style(style) if isinstance(style, Path) else style,
            intensity=intensity,
            sound_ahead_ms=sound_ahead_ms,
            renderer=renderer or self._renderer,
        )
        wanted = None if isinstance(latency, str) else float(latency)
        instruments = Instruments(self._telemetry.label(label), self._clock.now_ns, self._telemetry.trace)
        session: Session
        network: PictureNetwork | None = None

        async def equip() -> Equipment:
            nonlocal network
            equipment = await self._admit(session, options, frames, wanted, seed)
            network = equipment.network
            return equipment

        async def adopt(person: Avatar) -> tuple[MotionPipeline, FrameRenderer]:
            drawing = await self._setup.run(in_style, person, network, options.style)
            return await self._outfit(drawing, frames, seed, instruments.observe, transparent)

        session = Session(
            options,
            equip=equip,
            adopt=adopt,
            dress=lambda worn: self._setup.run(self._networks.style, worn),
            release=lambda: self._release(session),
            instruments=instruments,
        )
        return session

    def prometheus(self) -> str:
        """What the engine and its running sessions measure, in Prometheus's text format (version 0.0.4)."""
        return self._telemetry.prometheus(self.load, self._cores)

    def start_trace(self, capacity: int = CAPACITY) -> None:
        """Record every stage of every frame from now on, in bounded memory; an earlier recording is forgotten.

        Args:
            capacity: Events that are kept, about 200 bytes each: the last ones.

        Raises:
            ConfigError: The capacity is out of range.
        """
        self._telemetry.trace.start(capacity)

    def stop_trace(self) -> None:
        """Record no more; ``trace`` still gives what was recorded."""
        self._telemetry.trace.stop()

    def trace(self) -> str:
        """What was recorded, as JSON in the Chrome trace-event format, for ui.perfetto.dev: empty if nothing was.

        Long traces take a second: with ``asyncio.to_thread`` no frame of a running session waits for it.
        """
        return self._telemetry.trace.to_json()

    async def close(self) -> None:
        """Close all sessions and end the threads; closing twice is legal."""
        self._closed = True
        # Whoever is being admitted comes in first, and is then closed with the others.
        async with self._admission:
            await asyncio.gather(*(session.close() for session in list(self._loads)))
            self._lane.close()
            self._setup.close()
            self._networks.close()
        leave_role()
        gc.unfreeze()

    async def _admit(
        self, session: Session, options: SessionOptions, lookahead: int, latency_ms: float | None, seed: int
    ) -> Equipment:
        """Equip a session and measure it beside the others; one at a time."""
        async with self._admission:
            if self._closed:
                raise SessionError("The engine is closed: make a new one.")
            self._telemetry.check_free(session.label)
            try:
                self._check_room(options.fps)
            except CapacityError:
                self._telemetry.refuse("capacity")
                raise
            self._keep_time()
            try:
                equipment = await self._equip(session, options, lookahead, latency_ms, seed)
            except (CapacityError, ConfigError) as error:
                self._telemetry.refuse("capacity" if isinstance(error, CapacityError) else "latency")
                raise
            self._loads[session] = equipment.measured.busy_share + self._beside, options.fps
            self._telemetry.enter(session, equipment.budget)
        logger.info("a session at %d fps, %s\n%s", options.fps, options.mode, equipment.budget.table())
        return equipment

    async def _equip(
        self, session: Session, options: SessionOptions, lookahead: int, latency_ms: float | None, seed: int
    ) -> Equipment:
        """Open what a session runs on, and measure it; without the network where there is no room for one by default.

        Raises:
            CapacityError: There is no room.
            ConfigError: The latency cannot be held, or the renderer cannot be had.
        """
        network = await self._setup.run(self._network, options.renderer)
        try:
            equipment = await self._measured(session, options, network, lookahead, latency_ms, seed)
            if network is None or options.renderer is not None or self._has_room(equipment.measured.busy_share):
                return equipment
            await self._setup.run(equipment.renderer.close)
        except (CapacityError, ConfigError):
            if network is None or options.renderer is not None:
                raise
        logger.info("no room for the renderer %s on this machine: drawing without it", network.name)
        return await self._measured(session, options, None, lookahead, latency_ms, seed)

    async def _measured(
        self,
        session: Session,
        options: SessionOptions,
        network: PictureNetwork | None,
        lookahead: int,
        latency_ms: float | None,
        seed: int,
    ) -> Equipment:
        """Open what a session runs on, drawn by ``network``, and measure it."""
        drawing = await self._setup.run(in_style, options.avatar, network, options.style)
        observe = session.instruments.observe
        pipeline, renderer = await self._outfit(drawing, lookahead, seed, observe, options.transparent)
        try:
            style = await self._setup.run(self._networks.style, options.style)
            worn = Styled(pipeline, style) if style else pipeline
            measured = await self._measure_beside(worn, renderer, options.fps, options.mode)
            budget = self._budget(pipeline, options, latency_ms, measured)
        except BaseException:
            await self._setup.run(renderer.close)
            raise
        return Equipment(
            clock=self._clock,
            lane=self._lane,
            setup=self._setup,
            pipeline=pipeline,
            renderer=renderer,
            budget=budget,
            measured=measured,
            style=style,
            network=network,
        )

    def _keep_time(self) -> None:
        """The event loop's thread keeps time for all sessions, from the first on."""
        take_role(Role.KEEPS_TIME)
        if not self._loads:
            # A collection that looks at all that lives stops every thread for some 30 ms: what is there by now stays.
            gc.collect()
            gc.freeze()

    async def _outfit(
        self, drawing: Drawing, lookahead: int, seed: int, observe: Observer, transparent: bool
    ) -> tuple[MotionPipeline, FrameRenderer]:
        """Pipeline and renderer of a person, opened away from the event loop."""
        pipeline: MotionPipeline
        if self._pipeline_factory is not None:
            pipeline = await self._setup.run(self._pipeline_factory, drawing.avatar, lookahead, seed)
        else:
            pipeline = await self._setup.run(self._networks.pipeline, drawing.avatar, lookahead, seed, observe)
        return pipeline, await self._setup.run(self._make_renderer, drawing, transparent)

    async def _measure_beside(
        self, pipeline: MotionPipeline, renderer: FrameRenderer, fps: int, mode: Mode
    ) -> Measurement:
        """Measure beside the sessions that run; what happened by chance alone does not count, but all that repeats.

        Raises:
            CapacityError: There is no room.
        """
        tried: list[tuple[int, float, Measurement]] = []
        while True:
            before = self._missed()
            measured = await self._measure(pipeline, renderer, fps, mode)
            missed = self._missed() - before
            tried.append((missed, measured.needed_ms, measured))
            if len(tried) == _TRIES or not (missed <= _FEW if missed else measured.straggles):
                break
        missed, _, best = min(tried, key=lambda each: each[:2])
        self._check_capacity(best, fps, missed)
        return best

    def _make_renderer(self, drawing: Drawing, transparent: bool) -> FrameRenderer:
        if self._renderer_factory is not None:
            return self._renderer_factory(drawing.avatar)
        card = self._networks.on_card
        return card(drawing, transparent) or ProcessRenderer(drawing, self._workers, transparent=transparent)

    def _network(self, renderer: str | None) -> PictureNetwork | None:
        """What draws a session's pictures beside the geometric renderer; called on the setup thread alone.

        Raises:
            ConfigError: The bundle does not hold it.
        """
        if self._renderer_factory is not None:
            return None
        return self._networks.renderer(renderer)

    def _has_room(self, share: float) -> bool:
        return share + self._beside <= _FULL * self._cores - self.load

    def _check_room(self, fps: int) -> None:
        """Refuse what needs more than is left even if it is the least of those that run: measuring would disturb them.

        Raises:
            CapacityError: There is no room.
        """
        least = min((share * min(1.0, fps / at) for share, at in self._loads.values()), default=0.0)
        self._check_share(least, fps)

    def _check_share(self, share: float, fps: int) -> None:
        room = _FULL * self._cores - self.load
        if self._loads and share > room:
            raise CapacityError(
                f"{self.sessions} sessions run, and another at {fps} fps needs {share:.2f} cores where "
                f"{max(0.0, room):.2f} are free: end one, or ask for fewer frames a second."
            )

    def _check_capacity(self, measured: Measurement, fps: int, others_missed: int) -> None:
        """Refuse what would break the budgets of those that run."""
        self._check_share(measured.busy_share + self._beside, fps)
        if self._loads and others_missed:
            raise CapacityError(
                f"{self.sessions} sessions run, and beside another at {fps} fps they missed {others_missed} frames: "
                "end one, or ask for fewer frames a second."
            )

    def _budget(
        self, pipeline: MotionPipeline, options: SessionOptions, latency_ms: float | None, measured: Measurement
    ) -> Budget:
        """L of a session: what the stages and the source declare, and what was measured."""
        if options.mode == "pushed":
            return fit_budget(0.0, 0.0, latency_ms, measured)
        retiming = max(retiming_ticks(rung.fps) for rung in LADDERS[options.fps])
        gate = options.gate.lookahead_ticks if options.gate else 0
        lookahead_ms = (pipeline.latency_ticks + retiming + gate) * 1000 / MEDIA_HZ
        return fit_budget(lookahead_ms, options.chunk_ms + ARRIVAL_MS, latency_ms, measured)

    def _release(self, session: Session) -> None:
        if self._loads.pop(session, None) is not None:
            self._telemetry.leave(session)

    def _missed(self) -> int:
        return sum(session.stats().missed for session in self._loads)

    async def _calibrate(self, pipeline: MotionPipeline, renderer: FrameRenderer, fps: int, mode: Mode) -> Measurement:
        chunk = TICKS_PER_MOTION if mode == "pushed" else CHUNK_TICKS
        return await calibrate(self._clock, self._lane, pipeline, renderer, fps, chunk_ticks=chunk)
