"""Live mode under a virtual clock: what comes out, and exactly when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS_PER_MS, ticks_to_ns
from engine.pacing import FRAME_RATES
from engine.session import Session
from engine.stages.voice_gate import VoiceGateSettings
from tests.engine.session_fakes import AVATAR, Log, Stage, fake_avatar, speak


def assert_on_time(log: Log) -> None:
    """Every item came at origin + ticks + L, to the nanosecond, in order."""
    latency, origin = log.session.budget.total_ticks, log.session.origin_ns
    for arrived, item in (*log.frames, *log.blocks):
        assert arrived == origin + ticks_to_ns(item.ticks + latency)
    assert [block.ticks for _, block in log.blocks] == [960 * n for n in range(len(log.blocks))]
    assert [frame.index for _, frame in log.frames] == list(range(len(log.frames)))


@pytest.mark.parametrize("fps", FRAME_RATES)
@pytest.mark.parametrize("lookahead", [0, 18])
def test_frames_and_sound_come_at_a_constant_latency(fps: int, lookahead: int) -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 1500)

    log = Stage().play(script, fps=fps, lookahead=lookahead)
    assert_on_time(log)
    assert [frame.ticks for _, frame in log.frames] == [n * 48_000 // fps for n in range(len(log.frames))]
    stats = log.session.stats()
    assert stats.missed == stats.skipped == stats.gaps == stats.dropped_frames == 0
    assert stats.latency_ms == pytest.approx(
        lookahead * 1000 / 60 + 25.02 + 23 + 16 + (640 / 48 if fps == 25 else 0), abs=0.05
    )


@pytest.mark.parametrize("latency", [100.0, 137.0, 500.0])
def test_a_latency_asked_for_is_kept_to_the_tick(latency: float) -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 800)

    log = Stage().play(script, lookahead=0, latency=latency)
    assert log.session.budget.total_ticks == round(latency * 48)
    assert_on_time(log)


def test_the_mouth_moves_with_its_own_sound() -> None:
    """A burst after silence: the first frame whose lips move is that of the sound's media time."""

    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 400, level=0.0)
        await speak(session, log.clock, 200, level=0.5)
        await speak(session, log.clock, 400, level=0.0)

    log = Stage().play(script, fps=60, lookahead=6)
    heard = {block.ticks: int(np.abs(block.samples.astype(int)).max()) for _, block in log.blocks}
    loud = [ticks for ticks, peak in heard.items() if peak > 8000]
    seen = [ticks for ticks, opening in log.openings().items() if opening > 25]
    assert abs(loud[0] - seen[0]) <= 960 and abs(loud[-1] - seen[-1]) <= 960
    assert loud[0] == pytest.approx(400 * 48, abs=1920)


def test_silence_and_idle_motion_before_and_after_speech() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(500)
        await speak(session, log.clock, 300)
        await log.wait(500)

    log = Stage().play(script, lookahead=0)
    assert_on_time(log)
    openings = log.openings()
    assert openings[0] == 0 and max(openings.values()) == 50 and list(openings.values())[-1] == 0
    assert log.session.stats().missed == 0


@settings(max_examples=10)
@given(st.lists(st.integers(0, 60), min_size=10, max_size=30), st.randoms(use_true_random=False))
def test_jitter_bursts_and_losses_never_move_the_clock(delays_ms: list[int], random: "object") -> None:
    """Chunks come late, at once, or never: what is given keeps its time, and the sound has no hole."""

    async def script(session: Session, log: Log) -> None:
        begin = log.clock.now_ns()
        chunk = np.full(320, 0.3, np.float32)
        for number, delay in enumerate(delays_ms):
            due = begin + (20 * (number + 1) + delay) * NS_PER_MS
            if due > log.clock.now_ns():
                await log.clock.sleep_until(due)
            if delay != 13:
                await session.push(chunk, 16_000)
        await log.wait(200)

    log = Stage().play(script, lookahead=0)
    assert_on_time(log)
    assert log.session.stats().missed == 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_any_rate_and_type_of_sound(rate: int) -> None:
    async def script(session: Session, log: Log) -> None:
        for _ in range(40):
            await log.wait(20)
            await session.push(np.full(rate // 50, 16_384, np.int16), rate)

    log = Stage().play(script, lookahead=0)
    assert_on_time(log)
    assert list(log.openings().values())[-1] == pytest.approx(50, abs=1)


def test_a_slow_renderer_repeats_frames_and_moves_nothing() -> None:
    stage = Stage()

    async def script(session: Session, log: Log) -> None:
        stage.renderers[0].slow = lambda number: 50.0 if number % 20 == 19 else 5.0
        await speak(session, log.clock, 2000)

    log = stage.play(script, lookahead=0)
    assert_on_time(log)
    stats = log.session.stats()
    repeated = [frame for _, frame in log.frames if frame.repeated]
    assert stats.missed == len(repeated) == 2 and stats.ladder_steps == 0


def test_overload_steps_down_and_climbs_back() -> None:
    stage = Stage()

    async def script(session: Session, log: Log) -> None:
        renderer = stage.renderers[0]
        renderer.workers = 2
        renderer.slow = lambda _: 60.0
        await speak(session, log.clock, 4000)
        assert session.stats().fps == 20 and session.stats().economy and renderer.economies > 0
        renderer.slow = None
        await speak(session, log.clock, 19_000)

    log = stage.play(script, fps=60, lookahead=0)
    assert_on_time(log)
    stats = log.session.stats()
    assert stats.fps == 60 and (stats.ladder_down, stats.ladder_up) == (3, 3) and stats.missed > 0
    assert not stats.economy
    gaps = np.diff([frame.ticks for _, frame in log.frames])
    assert {800, 1600, 2400} <= set(gaps) and gaps.max() == 2400
    heard = stage.pipelines[0].heard
    assert heard == list(range(len(heard))), "motion is never skipped"


def test_slow_motion_is_caught_up() -> None:
    stage = Stage()

    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 500)
        stage.lane.ms = 120.0
        await speak(session, log.clock, 500)
        stage.lane.ms = 0.0
        await speak(session, log.clock, 500)

    log = stage.play(script, lookahead=0)
    assert_on_time(log)
    heard = stage.pipelines[0].heard
    assert heard == list(range(len(heard)))
    assert log.session.stats().missed > 5 and not log.frames[-1][1].repeated


def test_a_stalled_process_skips_frames_and_no_sound() -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 500)
        log.clock.jump(1000 * NS_PER_MS)
        await speak(session, log.clock, 500)

    log = Stage().play(script, lookahead=0)
    stats = log.session.stats()
    assert 25 <= stats.skipped <= 32
    assert [block.ticks for _, block in log.blocks] == [960 * n for n in range(len(log.blocks))]
    late = [
        arrived - log.session.origin_ns - ticks_to_ns(f.ticks + log.session.budget.total_ticks)
        for arrived, f in log.frames
    ]
    assert max(late) < 34 * NS_PER_MS and late[-1] == 0, "no frame is late by a whole one, and the clock has not moved"


def test_interrupt_empties_queues_and_rests_the_mouth() -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 1000)
        log.cut = len(log.frames), len(log.blocks), log.clock.now_ns()
        await session.interrupt()
        await log.wait(200)
        await speak(session, log.clock, 600)

    log = Stage().play(script, lookahead=18)
    assert_on_time(log)
    frames, blocks, _ = log.cut
    openings = [int(frame.picture[0, 0, 0]) for _, frame in log.frames if frame.picture.shape[0] == 1]
    assert openings[frames - 1] == 50 and openings[frames + 2 : frames + 12] == [0] * 10
    assert openings[-1] == 50, "what is said afterwards is shown"
    sound = np.concatenate([block.samples for _, block in log.blocks[blocks:]])
    assert np.abs(np.diff(sound[:480].astype(int))).max() < 33_000 and not sound[240 : 48 * 300].any()
    assert log.session.stats().missed == 0


def test_controls_steer_a_running_session() -> None:
    stage = Stage()

    async def script(session: Session, log: Log) -> None:
        await log.wait(300)
        assert session.set(head_yaw=0.2).head_yaw == 0.2
        await log.wait(1500)

    stage.play(script, lookahead=0)
    yaws = [float(face.pose[1]) for face in stage.renderers[0].faces]
    assert yaws[0] == 0 and yaws[-1] == np.float32(0.2) and np.diff(yaws).max() < 0.06


def test_another_avatar_takes_over_smoothly() -> None:
    stage = Stage()

    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 500)
        await session.change_avatar(fake_avatar("bob", shade=207))
        await speak(session, log.clock, 800)

    log = stage.play(script, lookahead=0)
    assert_on_time(log)
    shades = [int(frame.picture[0, 0, 1]) for _, frame in log.frames if frame.picture.shape[0] == 1]
    assert shades[0] == 7 and shades[-1] == 207 and np.abs(np.diff(shades)).max() < 40
    assert [renderer.closes for renderer in stage.renderers] == [1, 1]
    assert log.session.stats().missed == 0


def test_a_gate_keeps_noise_from_the_mouth_and_leaves_it_in_the_sound() -> None:
    async def script(session: Session, log: Log) -> None:
        await speak(session, log.clock, 600, level=0.005)
        await speak(session, log.clock, 400, level=0.5)

    log = Stage().play(script, lookahead=0, gate=VoiceGateSettings())
    assert_on_time(log)
    openings = list(log.openings().values())
    assert max(openings[:12]) == 0 and openings[-1] == 50
    assert np.abs(log.blocks[20][1].samples).max() > 100


def test_sound_of_other_threads_and_a_flush() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(20)
        session.push_threadsafe(np.full(320, 0.5, np.float32), 16_000)
        began = log.clock.now_ns()
        await session.flush()
        assert log.clock.now_ns() - began >= round(session.budget.total_ms * NS_PER_MS)

    log = Stage().play(script, lookahead=0, avatar=AVATAR)
    assert max(log.openings().values()) == 50
