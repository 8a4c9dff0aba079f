"""Mouth to glass through a real browser: the server in its probe mode, and a headless Chromium that calls it.

The microphone gives bursts of voice between silences. The page finds each one's onset in what it sends, in the sound
that comes back, and in the time blocks of the picture (``streaming/serve/probe.py`` describes them, ``page/probe.js``
reads them), all on its own clock. Nothing is told by the server but its budget.
"""

import json
import wave
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.browser import browser
from benchmarks.machine import fingerprint
from benchmarks.recording import at_48k
from benchmarks.scenarios import Report, Settings
from benchmarks.served import served
from benchmarks.timing import percentiles
from engine.errors import SessionError
from models.spec import MEDIA_HZ

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSER_LOOKAHEAD: Final = 6
"""What the page begins with, in motion frames."""
WARMUP_S: Final = 5.0
"""After connecting, in which the player's buffers find their size."""
_LIVE_S: Final = 60
_FEWEST: Final = 3
_SILENCE_S: Final = 1.3
_BURST_S: Final = 0.35
_ATTACK: Final = 0.3
"""A burst begins with this much of full scale, so that its onset is where it is in all three places."""
_PREFERENCES: Final = """([quality, avatar]) => {
  localStorage.setItem("mien.quality", JSON.stringify(quality));
  localStorage.setItem("mien.avatar", JSON.stringify(avatar));
  localStorage.setItem("mien.clean", "false");
  localStorage.setItem("mien.hears", "true");
}"""
_SENDING: Final = ("show", "encode", "picture_out", "sound_out")
"""The server's stages between a frame's due time and the network."""
_PROBE: Final = "async () => (await import('/probe.js')).probe"


def webrtc(settings: Settings, *, avatar: str = "ada", codec: str = "VP8", bundle: Path | None = None) -> Report:
    """Call the avatar from a browser, and measure.

    Args:
        settings: What is measured.
        avatar: A shipped one's name.
        codec: Of the picture, VP8 or H264.
        bundle: Networks to serve instead of the shipped ones.

    Returns:
        The report: ``budget_ms``, ``fps_received``, ``freezes``, ``mouth_to_glass_ms`` and ``av_offset_ms`` (positive
        where the picture is late) with percentiles; ``stages``, what the server takes from a frame's due time until it
        is sent, and ``way_ms``, what the browser adds; how they were measured, and on what.

    Raises:
        MissingExtraError: There is no Chromium, or nothing to steer it with.
        SessionError: The server did not start, the call failed, or too little came back to tell.
    """
    quality = {"fps": settings.fps, "lookahead": settings.lookahead, "latency": settings.latency}
    options = ["--probe", "--codec", codec, *(["--bundle", str(bundle)] if bundle else [])]
    with TemporaryDirectory() as folder, served(*options) as address:
        microphone = Path(folder) / "microphone.wav"
        write_wav(microphone, knocks(at_48k(settings.speech), 2 * settings.seconds + _LIVE_S))
        with browser(microphone) as context:
            page = context.new_page()
            page.goto(f"{address}/#probe=1")
            page.evaluate(_PREFERENCES, [quality, avatar])
            page.reload()
            page.wait_for_selector(f"#gallery input[value={json.dumps(avatar)}]:checked", state="attached")
            call(page)
            page.wait_for_timeout(1000 * WARMUP_S)
            page.evaluate(f"async () => (await ({_PROBE})()).clear()")
            page.wait_for_timeout(1000 * settings.seconds)
            seen = page.evaluate(f"async () => (await ({_PROBE})()).report()")
            page.click("#start")
    return _report(seen, {**quality, "seconds": settings.seconds, "codec": codec, "avatar": avatar})


def _report(seen: Report, settings: Report) -> Report:
    told, glass, offset = seen["told"], np.array(seen["mouth_to_glass_ms"]), np.array(seen["av_offset_ms"])
    if min(len(glass), len(offset)) < _FEWEST:
        raise SessionError(
            f"Of the bursts of {settings['seconds']:g} s, {len(glass)} were seen and {len(offset)} heard and seen: "
            "measure for longer, or on a machine that has less to do."
        )
    stages = {name: told["stages"][name] for name in _SENDING if name in told["stages"]}
    return {
        "scenario": "webrtc",
        "machine": fingerprint(),
        "settings": settings,
        "budget_ms": round(told["budget"]["total_ms"], 3),
        "budget": told["budget"],
        "fps_received": round(seen["fps_received"], 3),
        "frames_received": seen["frames_received"],
        "frames_dropped": seen["frames_dropped"],
        "missed_frames": int(seen["frames_missed"]),
        "stages": stages,
        "way_ms": {name: round(value, 3) for name, value in seen["way_ms"].items() if value is not None},
        "freezes": seen["freezes"],
        "longest_interval_ms": round(seen["longest_interval_ms"], 3),
        "bursts": len(glass),
        "mouth_to_glass_ms": percentiles(glass, with_max=True),
        "mouth_to_ear_ms": percentiles(np.array(seen["mouth_to_ear_ms"]), with_max=True),
        "av_offset_ms": {"p5": round(float(np.percentile(offset, 5)), 3), **percentiles(offset, with_max=True)},
    }


def knocks(speech: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    """Bursts of voice that begin at once, after silences.

    Args:
        speech: float32 (n,) at 48 kHz, not silent; its loudest third of a second is the burst.
        seconds: How much sound there should be, about.

    Returns:
        float32 (m,) at 48 kHz. Seven bursts in a row begin at as many places of a frame.
    """
    length = round(_BURST_S * MEDIA_HZ)
    energy = np.convolve(np.square(speech, dtype=np.float64), np.ones(min(length, len(speech))), "valid")
    burst = speech[int(np.argmax(energy)) :][:length]
    burst = burst * np.float32(0.5 / np.abs(burst).max())
    burst = burst[int(np.argmax(np.abs(burst) > _ATTACK)) :]
    parts = []
    for number in range(max(1, round(seconds / (_SILENCE_S + _BURST_S)))):
        parts += [np.zeros(round((_SILENCE_S + 0.0073 * (number % 7)) * MEDIA_HZ), np.float32), burst]
    return np.concatenate(parts)


def call(page: "Page", within_s: float = _LIVE_S) -> None:
    """Press Start, and wait until the avatar is live.

    Raises:
        SessionError: The page says that it failed.
    """
    page.click("#start")
    page.wait_for_selector('#stage[data-state="live"], #stage[data-state="error"]', timeout=1000 * within_s)
    if page.get_attribute("#stage", "data-state") == "error":
        raise SessionError(f"The call failed: {page.inner_text('#problem-text')}")


def write_wav(path: Path, speech: NDArray[np.float32]) -> None:
    """Write float32 (n,) at 48 kHz as a WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MEDIA_HZ)
        file.writeframes((np.clip(speech, -1, 1) * 32767).astype("<i2").tobytes())
