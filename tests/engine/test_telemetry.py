"""What an engine tells of its sessions, on virtual time."""

import asyncio
import json
import re
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import CapacityError, ConfigError
from tests.engine.session_fakes import AVATAR, Log, Stage, speak

SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?P<labels>\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?=[a-zA-Z_])|(?=\})))+\})? (?P<value>[-+0-9.e]+)'
)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Prometheus's text format 0.0.4, read strictly: one head for a metric, then its samples, none of them twice."""
    assert text.endswith("\n")
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    kinds: dict[str, str] = {}
    metric = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            metric = line.split()[2]
            assert metric not in kinds and len(line.split(maxsplit=3)) == 4
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == metric and kind in ("counter", "gauge", "summary")
            kinds[name] = kind
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            base = re.sub("_(sum|count)$", "", sample["name"]) if kinds[metric] == "summary" else sample["name"]
            assert base == metric, line
            assert (kinds[metric] == "counter") == metric.endswith("_total")
            key = sample["name"], frozenset(LABEL.findall(sample["labels"] or ""))
            assert key not in found, line
            found[key] = float(sample["value"])
    return found


def value(engine: Engine, name: str, **labels: str) -> float | None:
    return parse(engine.prometheus()).get((name, frozenset(labels.items())))


def test_sessions_are_told_by_label_and_stay_in_the_sums() -> None:
    stage = Stage(render_ms=7.0)

    async def main() -> None:
        async with stage.engine() as engine:
            names = ['a "quoted"\\name', None]
            lengths = []
            for label in names:
                async with engine.session(avatar=AVATAR, lookahead=0, fps=60, label=label) as session:
                    log = Log(session, stage.clock)
                    reading = asyncio.create_task(log.consume())
                    await speak(session, stage.clock, 500)
                    own = session.label.replace("\\", "\\\\").replace('"', '\\"')
                    assert value(engine, "mien_frames_total", session=own) == session.stats().frames > 20
                    p50 = value(engine, "mien_stage_seconds", session=own, stage="render", quantile="0.5")
                    assert p50 == pytest.approx(0.007, rel=0.011)
                    assert value(engine, "mien_stage_seconds_count", session=own, stage="show") == len(log.frames)
                    assert value(engine, "mien_latency_milliseconds", session=own) == session.budget.total_ms
                    assert value(engine, "mien_budget_milliseconds", session=own, part="chunk") == 23
                    for queue in ("intake", "ready", "output"):
                        assert value(engine, "mien_queue_milliseconds", session=own, queue=queue) is not None
                    assert value(engine, "mien_sessions") == 1
                    lengths.append(len(engine.prometheus().splitlines()))
                    await session.close()
                    await reading
            assert lengths[0] == lengths[1], "an ended session's series are gone"
            assert session.label == "1" and value(engine, "mien_sessions") == 0
            assert not any("session=" in line for line in engine.prometheus().splitlines())
            assert value(engine, "mien_sessions_admitted_total") == 2
            frames = value(engine, "mien_engine_frames_total")
            assert frames is not None and frames > 2 * 25
            assert value(engine, "mien_engine_stage_seconds_count", stage="show") == frames

    stage.clock.run(main())


def test_misses_and_steps_are_counted_and_interruptions_too() -> None:
    stage = Stage()

    async def main() -> None:
        async with stage.engine() as engine, engine.session(avatar=AVATAR, lookahead=0, fps=30) as session:
            log = Log(session, stage.clock)
            reading = asyncio.create_task(log.consume())
            stage.renderers[0].slow = lambda _: 60.0
            await speak(session, stage.clock, 1500)
            await session.interrupt()
            stats = session.stats()
            assert value(engine, "mien_misses_total", session="1") == stats.missed > 10
            assert value(engine, "mien_repeats_total", session="1") == stats.repeated >= stats.missed
            assert value(engine, "mien_ladder_down_total", session="1") == 1
            assert value(engine, "mien_fps", session="1") == 20 and value(engine, "mien_economy", session="1") == 0
            assert value(engine, "mien_engine_interruptions_total") == 1
            await session.close()
            await reading

    stage.clock.run(main())


def test_refusals_are_counted_by_their_reason() -> None:
    stage = Stage(busy=5.0, compute_ms=40.0)

    async def main() -> None:
        async with stage.engine() as engine:
            with pytest.raises(ConfigError):
                await engine.session(avatar=AVATAR, lookahead=0, latency=60).__aenter__()
            async with engine.session(avatar=AVATAR):
                with pytest.raises(CapacityError):
                    await engine.session(avatar=AVATAR).__aenter__()
            assert value(engine, "mien_sessions_refused_total", reason="latency") == 1
            assert value(engine, "mien_sessions_refused_total", reason="capacity") == 1

    stage.clock.run(main())


def test_labels_that_cannot_be_are_refused() -> None:
    stage = Stage()

    async def main() -> None:
        async with stage.engine() as engine:
            for label in ("", "a\nb", "x" * 101):
                with pytest.raises(ConfigError, match="label"):
                    engine.session(avatar=AVATAR, label=label)
            twin = engine.session(avatar=AVATAR, label="1")
            async with engine.session(avatar=AVATAR, label="1"):
                with pytest.raises(ConfigError, match="'1' runs"):
                    engine.session(avatar=AVATAR, label="1")
                with pytest.raises(ConfigError, match="'1' runs"):
                    await twin.__aenter__()
                # Numbers that are taken are passed over.
                assert engine.session(avatar=AVATAR).label == "2"

    stage.clock.run(main())


def test_the_trace_shows_every_stage_of_every_frame() -> None:
    stage = Stage()

    async def main() -> None:
        async with stage.engine() as engine:
            engine.start_trace()
            async with engine.session(avatar=AVATAR, lookahead=0, label="ada") as session:
                log = Log(session, stage.clock)
                reading = asyncio.create_task(log.consume())
                await speak(session, stage.clock, 1000)
                await session.interrupt()
                await session.close()
                await reading
            engine.stop_trace()
            events: list[dict[str, Any]] = json.loads(engine.trace())["traceEvents"]
            numbers = {frame.index for _, frame in log.frames}
            for name in ("pipeline", "render", "show"):
                seen = {event["args"]["frame"] for event in events if event["name"] == name and event["ph"] == "X"}
                assert numbers - {max(numbers)} <= seen, name
            assert "interruption" in {event["name"] for event in events}
            assert {event["name"] for event in events if event["ph"] == "C"} == {
                "intake queue, ms",
                "ready queue, ms",
                "output queue, ms",
            }

    stage.clock.run(main())
