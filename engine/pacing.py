"""When what is due: absolute deadlines on the media clock, and what to do at each.

Video and sound lie on one 48 kHz media clock that starts with the session. What carries media time m is due at
m + L, for ever: no decision here, and no lateness, moves a deadline.

::

    fps        60      30      25      20      sound
    ticks     800    1600    1920    2400        960   between two deadlines, from tick 0 on
"""

from enum import Enum

from engine.clock import NS_PER_MS, ms_to_ticks, ticks_to_ns
from engine.errors import ConfigError
from models.spec import MEDIA_HZ, TICKS_PER_MOTION

FRAME_RATES = (60, 30, 25, 20)
SOUND_BLOCK_TICKS = MEDIA_HZ // 50
"""20 ms of sound."""
LONGEST_SKIP_NS = 250 * NS_PER_MS
"""After so long without a picture even a late one is better than none."""


class Action(Enum):
    """What becomes of a frame at its deadline."""

    SHOW = "show"
    REPEAT = "repeat"
    SKIP = "skip"


def decide(now_ns: int, deadline_ns: int, ready: bool, period_ns: int, skipping_ns: int = 0) -> Action:
    """What to do about a frame whose deadline has come.

    Args:
        now_ns: The time.
        deadline_ns: When the frame was to be shown.
        ready: Whether its picture is there.
        period_ns: Time between two frames.
        skipping_ns: For how long by the clock nothing but skipping was done.

    Returns:
        ``SKIP`` when the next frame is due as well (the process had stalled), so that the stream is never late by
        a whole frame, but not for longer than ``LONGEST_SKIP_NS``: a process that always comes too late still shows
        something; else ``SHOW`` or, without a picture, ``REPEAT`` of the one before.
    """
    if now_ns - deadline_ns >= period_ns and skipping_ns < LONGEST_SKIP_NS:
        return Action.SKIP
    return Action.SHOW if ready else Action.REPEAT


def period_ticks(fps: int) -> int:
    """Ticks between two frames.

    Raises:
        ConfigError: The rate is not one of ``FRAME_RATES``.
    """
    if fps not in FRAME_RATES:
        raise ConfigError(f"The frame rate is {', '.join(map(str, FRAME_RATES))} fps, not {fps}.")
    return MEDIA_HZ // fps


def next_slot(after_ticks: int, period: int) -> int:
    """Media time of the first frame after ``after_ticks`` on the grid of ``period`` ticks from tick 0."""
    return (after_ticks // period + 1) * period


def deadline_ns(origin_ns: int, media_ticks: int, latency_ticks: int) -> int:
    """When what carries ``media_ticks`` is due, in a session that began at ``origin_ns`` with latency L."""
    return origin_ns + ticks_to_ns(media_ticks + latency_ticks)


def sound_ahead(wanted_ms: float, spare_ms: float) -> int:
    """By how many ticks sound leaves before the picture of its time: what is wanted, or as much as there is room for.

    Args:
        wanted_ms: What a player holds sound back for longer than pictures.
        spare_ms: Of the latency, what comes after a chunk's arrival: lookahead and compute. A block of sound leaves
            when all of it can have come, and its end may lie in the chunk after.
    """
    return ms_to_ticks(max(0.0, min(wanted_ms, spare_ms - SOUND_BLOCK_TICKS * 1000 / MEDIA_HZ)))


def motion_index(media_ticks: int) -> int:
    """The motion frame (60 Hz) that a picture of ``media_ticks`` needs: its own, or the next where it lies between."""
    return -(-media_ticks // TICKS_PER_MOTION)


def retiming_ticks(fps: int) -> int:
    """Lookahead that a frame rate costs: how far beyond a frame the motion it is interpolated from can lie.

    0 where the rate divides 60; 640 ticks (13.3 ms) at 25 fps.
    """
    period = period_ticks(fps)
    return max(-(slot * period) % TICKS_PER_MOTION for slot in range(TICKS_PER_MOTION))
