r"""The inside of a running session: what is heard, drawn and shown, and when.

::

    push --> intake --> _produce: motion (lane) --> _draw: picture (renderer) --> _pace --> outlet --> consumer
                 \________________________ the sound that came in _____________/  at origin + ticks + L

``_pace`` alone knows what is due, and waits for nothing else: what is not ready at its deadline is replaced and
counted. ``_produce`` steps the pipeline through all sound, and orders pictures only for frames that can still be
shown. In *live* mode a frame of media time m shows the sound captured at m and is drawn as soon as the sound that it
depends on has come; in *pushed* mode it is drawn when the clock reaches m, with the speech that is there by then.

All runs on the event loop but ``_shape``, which runs on the lane; ``_hearing`` and ``_shaper`` belong to it, and
others leave it orders.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.batching import Work
from engine.budget import catch_up_ms
from engine.clock import NS_PER_MS, Alarm, ms_to_ticks, ns_to_ticks, ticks_to_ns
from engine.controls import REST_TICKS, Controls, Face, FaceShaper, between
from engine.crossfade import fade_share, mix
from engine.errors import SessionError
from engine.hearing import Hearing, MotionPipeline
from engine.instruments import Instruments
from engine.intake import Intake
from engine.ladder import LadderWalk
from engine.lanes import FrameRenderer, Picture
from engine.outlet import AudioBlock, Outlet, VideoFrame
from engine.pacing import SOUND_BLOCK_TICKS, Action, deadline_ns, decide, motion_index, sound_ahead
from engine.schedule import Schedule
from engine.session_parts import Equipment, SessionOptions, SessionStats, first_picture
from engine.session_sound import LiveSound, Order, PushedSound
from engine.stages.style_mix import OpenStyle
from models.spec import MEDIA_HZ, TICKS_PER_MOTION, TICKS_PER_SAMPLE

logger = logging.getLogger(__name__)

LONGEST_STALL_NS = 10_000 * NS_PER_MS
_CLOCK_GRAIN_NS = 50 * NS_PER_MS
"""A clock that goes back by more than this is no clock."""
_INTAKE_MS = {"live": 2000.0, "pushed": 30_000.0}


class Core:
    """One session from its first tick on."""

    def __init__(self, options: SessionOptions, equipment: Equipment, outlet: Outlet, instruments: Instruments) -> None:
        self._options, self._outlet, self._instruments = options, outlet, instruments
        self._clock, self._lane, self._renderer = equipment.clock, equipment.lane, equipment.renderer
        self.renderers = [equipment.renderer]
        """All that must be closed in the end."""
        self.budget = equipment.budget
        self.origin_ns = self._seen_ns = self._clock.now_ns()
        self.controls = Controls(intensity=options.intensity)
        self._latency = equipment.budget.total_ticks
        self._allowance_ns = round((equipment.budget.compute_ms + equipment.budget.output_ms) * NS_PER_MS)
        self.sound_ahead_ticks = sound_ahead(options.sound_ahead_ms, self.budget.lookahead_ms + self.budget.compute_ms)
        gate = options.gate
        self._lookahead = equipment.pipeline.latency_ticks + (gate.lookahead_ticks if gate else 0)
        intake = Intake(options.mode, chunk_ms=options.chunk_ms, queue_ms=_INTAKE_MS[options.mode])
        pushed = options.mode == "pushed"
        self._sound = PushedSound(intake, self._lookahead) if pushed else LiveSound(intake)
        self._hearing = Hearing(equipment.pipeline, assumes_silence=pushed, gate=gate)
        self._hearing.wear(equipment.style)
        self._shaper = FaceShaper(options.avatar.template, self.controls)
        self._typical_ns = round(equipment.measured.typical_ms * NS_PER_MS)
        self._catch_up = ms_to_ticks(catch_up_ms(equipment.measured, self.budget, self._lookahead / TICKS_PER_MOTION))
        self._orders: list[Order] = []
        self._attended = 0
        """Media time up to which the pipeline was given all sound; of pushed sound, the motion frame that was heard."""
        self._heard, self._due, self._drained = Alarm(self._clock), Alarm(self._clock), asyncio.Event()
        self._pushing = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None

        self._schedule = Schedule(options.fps)
        self._ladder = LadderWalk(options.fps, self._renderer.workers, refined=equipment.network is not None)
        self._room = asyncio.Semaphore(self._renderer.workers)
        self._next, self._shown = 0, 0
        """The first frame that is not being produced, and the first that was not shown."""
        self._ready: dict[int, Picture] = {}
        self._latest: tuple[int, Picture] = (-1, first_picture(options))
        self._draws: set[asyncio.Task[None]] = set()
        self._generation, self._forgiven = 0, 0
        """Interruptions so far, and the first frame that none of them took the picture from."""
        self._again: int | None = None
        """The frame with which production goes on after an interruption."""
        self._shaping = False
        self._eager = -1
        """Media time of a frame that waits for no clock: the first of an utterance, or of the rest after it."""
        self._fade: tuple[Picture, int] | None = None
        self._busy_ns, self._missed, self._skipped, self._blocks = 0, 0, 0, 0
        self._repeated = 0
        self._skipping_since: int | None = None

    def arrival_ns(self) -> int:
        """The session's clock, for any thread."""
        return self._clock.now_ns()

    def now_ns(self) -> int:
        """The session's clock, for the event loop; where it has gone back, the session ends."""
        now = self._clock.now_ns()
        if now < self._seen_ns - _CLOCK_GRAIN_NS and self._group is not None:
            self._group.create_task(self._fail(f"The clock went back by {(self._seen_ns - now) / 1e9:.3f} s"))
        self._seen_ns = max(self._seen_ns, now)
        return now

    def now_ticks(self) -> int:
        """Media time."""
        return ns_to_ticks(self.now_ns() - self.origin_ns)

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            BaseExceptionGroup: A part of it failed.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._produce(), name="mien-produce")
            group.create_task(self._pace(), name="mien-pace")

    async def push(self, samples: NDArray[Any], rate_hz: int, arrived_ns: int) -> None:
        """Take a chunk in; wait while the queue of pushed speech is full. Chunks keep the order of their calls."""
        async with self._pushing:
            while self._sound.intake.full and not self._outlet.closed:
                self._drained.clear()
                await self._drained.wait()
            if self._outlet.closed:
                raise SessionError("The session ended while sound waited to be pushed.")
            self._sound.push(samples, rate_hz, ns_to_ticks(arrived_ns - self.origin_ns))
            self._heard.ring()

    async def flush(self) -> None:
        """End the utterance and wait until what was pushed has left."""
        end = self.now_ticks() + self._latency
        if isinstance(self._sound, PushedSound):
            self._sound.finish()
            self._heard.ring()
        while not self._outlet.closed and (
            self._sound.unsaid if isinstance(self._sound, PushedSound) else self.now_ticks() < end
        ):
            await self._clock.sleep_until(self._clock.now_ns() + ticks_to_ns(SOUND_BLOCK_TICKS))

    def interrupt(self) -> None:
        """Empty every queue and close the mouth."""
        now = self.now_ticks()
        self._generation += 1
        self._instruments.mark("interruption")
        first = self._first_to_draw()
        # One that is drawn anew has less time than it was promised: if it is late, that is no miss.
        self._forgiven = first + (first < self._next)
        self._next = self._again = first
        self._ready.clear()
        self._outlet.clear()
        shown = self._schedule.at(self._shown - 1) if self._shown else 0
        pushed = isinstance(self._sound, PushedSound)
        if pushed and first >= self._shown and not self._shaping:
            # Idle frames may lie anywhere: this one as early as it can be drawn, and the mouth is shut in it.
            self._eager = self._schedule.start_at(first, now + ns_to_ticks(self._typical_ns) - self._latency)
            shown = min(shown, self._eager - REST_TICKS) if self._schedule.period > TICKS_PER_MOTION else shown
            self._due.ring()
        self._order(lambda _: self._shaper.rest(shown))
        if isinstance(self._sound, PushedSound):
            self._sound.drop(self._schedule.at(max(self._next, self._shown)))
        else:
            self._sound.drop()
            self._order(lambda _: self._shaper.resume(now))
        self._drained.set()
        self._heard.ring()

    def _first_to_draw(self) -> int:
        """The first frame that can show what is ordered now: the last one produced, if it can still be drawn anew."""
        last = self._next - 1
        if last < self._shown or self._shaping:
            return self._next  # a frame whose motion is being computed is begun anew in any case
        left = self._deadline(self._schedule.at(last)) - self._clock.now_ns()
        return last if left >= self._typical_ns else self._next

    async def become(self, avatar: Avatar, pipeline: MotionPipeline, renderer: FrameRenderer) -> FrameRenderer:
        """Draw another person from the next frame on; gives back the renderer that is no longer used."""
        before, self._renderer = self._renderer, renderer
        self.renderers.append(renderer)
        self._fade = (self._latest[1], self._schedule.at(max(self._next, self._shown)))
        self._order(lambda hearing: self._exchange(hearing, avatar, pipeline))
        if self._draws:
            await asyncio.wait(set(self._draws))
        return before

    def wear(self, style: OpenStyle | None, second: OpenStyle | None = None, part: float = 0.0) -> None:
        """Move in another style, in none, or in a mix of two, from the next frame on."""
        self._order(lambda hearing: hearing.wear(style, second, part))

    def wake(self) -> None:
        """Let those who wait to push see that the session has ended."""
        self._drained.set()

    def stats(self) -> SessionStats:
        """What happened so far."""
        intake = self._sound.intake.stats()
        underruns = self._sound.underruns if isinstance(self._sound, PushedSound) else 0
        return SessionStats(
            latency_ms=self.budget.total_ms,
            fps=MEDIA_HZ // self._schedule.period,
            frames=self._shown,
            missed=self._missed,
            skipped=self._skipped,
            repeated=self._repeated,
            ladder_down=self._ladder.down,
            ladder_up=self._ladder.up,
            economy=self._ladder.rung.economy,
            interruptions=self._generation,
            audio_blocks=self._blocks,
            gaps=intake.gaps + underruns,
            gap_ms=intake.gap_ms,
            late_ms=intake.late_ms,
            drift_ppm=intake.drift_ppm,
            dropped_frames=self._outlet.dropped_frames,
            dropped_blocks=self._outlet.dropped_blocks,
            **{f"{queue}_ms": depth for queue, depth in self._queues_ms().items()},
        )

    def _queues_ms(self) -> dict[str, float]:
        """What waits where, in ms."""
        return {
            "intake": self._sound.intake.queued_ticks * 1000 / MEDIA_HZ,
            "ready": len(self._ready) * self._schedule.period * 1000 / MEDIA_HZ,
            "output": self._outlet.queue_ms,
        }

    # Production.

    async def _produce(self) -> None:
        """Motion for every frame in order, and pictures for those that can still be shown."""
        number = 0
        while True:
            if self._again is not None:
                number, self._again = self._again, None
            slot = self._schedule.at(number)
            need = motion_index(slot) * TICKS_PER_MOTION + self._lookahead + TICKS_PER_SAMPLE
            if not await self._until_heard(slot, need) or self._again is not None:
                continue
            self._next = number + 1
            face, generation = await self._face(number, slot, need)
            await self._room.acquire()
            if self._clock.now_ns() - self._deadline(slot) >= ticks_to_ns(self._schedule.period):
                self._room.release()  # the next frame is due: nobody would see this one
            else:
                assert self._group is not None
                draw = self._group.create_task(self._draw(number, slot, face, generation))
                self._draws.add(draw)
                draw.add_done_callback(self._draws.discard)
            number += 1
            self._schedule.forget(min(number, self._shown) - 1)

    async def _until_heard(self, slot: int, need: int) -> bool:
        """Wait until the motion of the frame at ``slot`` can be computed; False if it may have been planned anew."""
        if isinstance(self._sound, PushedSound):
            return await self._until_reached(self._sound, slot, need)
        start_by = self._deadline(slot) - self._allowance_ns
        while self._sound.known_ticks < need:
            self._sound.advance(need, self.now_ticks())
            if self._sound.known_ticks < need:
                if self._clock.now_ns() >= start_by:
                    self._sound.force(need)
                    break
                if self._again is not None:
                    return False
                if self._attended < self._sound.known_ticks:
                    self._attended = self._sound.known_ticks
                    await self._lane.work(self._listen(self._take_orders(), self.controls))
                else:
                    await self._heard.wait(start_by)
        return True

    async def _until_reached(self, sound: PushedSound, slot: int, need: int) -> bool:
        now = self.now_ticks()
        if sound.may_begin(now):
            place = self._eager = self._schedule.start_at(max(self._next, self._shown), now + self._catch_up)
            sound.begin(place)
            self._order(lambda _: self._shaper.resume(place))
            self._due.ring()
            return False
        # The pipeline hears whole motion frames: what it would hear of assumed silence must be there, if it is.
        if slot == self._eager or now >= slot:
            sound.advance(need + TICKS_PER_MOTION, now)
            self._attended = slot - slot % TICKS_PER_MOTION
            self._drained.set()
            return True
        ahead = self._attended + TICKS_PER_MOTION
        if ahead <= now and ahead < slot:
            sound.advance(ahead + self._lookahead + TICKS_PER_SAMPLE + TICKS_PER_MOTION, now)
            self._attended = ahead
            await self._lane.work(self._listen(self._take_orders(), self.controls, ahead // TICKS_PER_MOTION))
            return False
        hold = slot if sound.hold_until is None else sound.hold_until
        await self._heard.wait(self.origin_ns + ticks_to_ns(min(slot, ahead, hold)))
        return False

    async def _face(self, number: int, slot: int, need: int) -> tuple[Face, int]:
        """The face to draw, and after how many interruptions; an interruption while it is computed starts it anew."""
        while True:
            generation, self._again = self._generation, None
            orders = self._take_orders()
            began = self._clock.now_ns()
            self._instruments.frame = number
            self._shaping = True
            try:
                face = await self._lane.work(self._shape(orders, slot, self.controls))
            finally:
                self._shaping = False
            self._note("pipeline", number, began)
            if generation == self._generation:
                return face, generation

    def _take_orders(self) -> list[Order]:
        orders, self._orders = [*self._sound.orders(), *self._orders], []
        return orders

    def _obey(self, orders: list[Order], controls: Controls) -> None:
        """On the lane: carry out orders."""
        for order in orders:
            if order(self._hearing):
                self._shaper.blend()
        self._hearing.intensify(controls.intensity)

    def _listen(self, orders: list[Order], controls: Controls, index: int | None = None) -> Work[None]:
        """On the lane: carry out orders, and hear what has come, or motion frame ``index``, ahead of the picture."""
        self._obey(orders, controls)
        yield from self._hearing.listen() if index is None else self._hearing.work(index)

    def _shape(self, orders: list[Order], slot: int, controls: Controls) -> Work[Face]:
        """On the lane: carry out orders, step the pipeline to the frame at ``slot``, and shape the face."""
        self._obey(orders, controls)
        index, beyond = motion_index(slot), slot % TICKS_PER_MOTION
        before = (yield from self._hearing.work(index - 1)) if beyond else None
        motion = yield from self._hearing.work(index)
        if motion is None:
            raise SessionError("The pipeline asks for more sound than its stages declare; its lookahead is wrong.")
        if before is not None:
            motion = between(before, motion, beyond / TICKS_PER_MOTION)
        return self._shaper.step(motion, slot, controls)

    def _order(self, order: Callable[[Hearing], object]) -> None:
        """Leave something to be done on the lane before the next frame."""
        self._orders.append(lambda hearing: bool(order(hearing)))

    def _exchange(self, hearing: Hearing, avatar: Avatar, pipeline: MotionPipeline) -> bool:
        hearing.pipeline, self._shaper.template = pipeline, avatar.template
        return False

    async def _draw(self, number: int, slot: int, face: Face, generation: int) -> None:
        """Draw a frame and put it where ``_pace`` looks."""
        began = self._clock.now_ns()
        try:
            picture = await self._renderer.render(face, self._ladder.rung.care)
            if self._fade is not None:
                picture = await self._faded(picture, slot)
            self._busy_ns += self._note("render", number, began)
        finally:
            self._room.release()
        if generation != self._generation:
            return
        if number >= self._shown:
            self._ready[number] = picture
        elif number > self._latest[0]:
            self._latest = (number, picture)

    async def _faded(self, picture: Picture, slot: int) -> Picture:
        """A picture in which the avatar before is still seen for a while."""
        assert self._fade is not None
        before, begun = self._fade
        share = fade_share(slot, begun)
        if share >= 1:
            self._fade = None
            return picture
        return await self._lane.run(mix, before, picture, share)

    # Pacing.

    async def _pace(self) -> None:
        """Give out frames and sound at their deadlines."""
        while True:
            number, slot, block = self._shown, self._schedule.at(self._shown), self._sound.track.next_ticks
            due_ns = self._deadline(min(slot, block - self.sound_ahead_ticks))
            await self._due.wait(due_ns)
            now_ns = self.now_ns()
            if now_ns - due_ns > LONGEST_STALL_NS:
                await self._fail(f"The clock is {(now_ns - due_ns) / 1e9:.1f} s beyond what was due")
            if now_ns < due_ns or self._schedule.at(number) != slot:
                continue
            if block - self.sound_ahead_ticks <= slot:
                self._sound.force(block + SOUND_BLOCK_TICKS)
                self._outlet.put(AudioBlock(block, self._sound.track.take()))
                self._blocks += 1
            else:
                self._show(number, slot, now_ns)

    def _show(self, number: int, slot: int, now_ns: int) -> None:
        """Decide about a frame that is due, and give it out."""
        period_ns = ticks_to_ns(self._schedule.period)
        skipping_ns = 0 if self._skipping_since is None else now_ns - self._skipping_since
        action = decide(now_ns, self._deadline(slot), number in self._ready, period_ns, skipping_ns)
        picture = self._ready.pop(number, None)
        if picture is not None:
            self._latest = (number, picture)
        self._shown = number + 1
        missed = action is Action.REPEAT and number >= self._forgiven
        if action is Action.SKIP:
            self._skipped += 1
            self._skipping_since = now_ns - skipping_ns
            self._instruments.mark("skip", number)
            return
        self._skipping_since = None
        self._missed += missed
        self._repeated += action is Action.REPEAT
        if missed:
            self._instruments.mark("miss", number)
        self._instruments.levels(self._queues_ms)
        self._outlet.put(VideoFrame(number, slot, self._latest[1], action is Action.REPEAT))
        self._note("show", number, self._deadline(slot))
        self._step_ladder(slot, missed)

    def _step_ladder(self, slot: int, missed: bool) -> None:
        step = self._ladder.step(slot, missed=missed, busy_ticks=ns_to_ticks(self._busy_ns))
        self._busy_ns = 0
        if step:
            self._schedule.change_rate(self._ladder.rung.fps)
            self._instruments.mark(step)
            logger.warning("session %s: the machine is %s", self._instruments.label, step)

    async def _fail(self, what: str) -> None:
        """End the session where no deadline can be kept any more."""
        raise SessionError(f"{what}: the clock jumped, or the process stood still; start a new session.")

    def _deadline(self, slot: int) -> int:
        return deadline_ns(self.origin_ns, slot, self._latency)

    def _note(self, stage: str, number: int, began_ns: int) -> int:
        """Tell the instruments; gives back how long it took, in ns."""
        now = self._clock.now_ns()
        self._instruments.add(stage, began_ns, now, number)
        return now - began_ns
