from collections.abc import Callable

import numpy as np
import pytest

from engine.errors import MissingExtraError
from streaming.live import doctor
from streaming.live.devices import Device
from streaming.live.doctor import Finding, examine
from streaming.live.live_config import LiveConfig
from tests.streaming.live.live_fakes import CABLE, MICROPHONE, FakeHost, FakeStream

CONFIG = LiveConfig.model_validate({"output": {"voice": "cable"}})


class Talking(FakeHost):
    """A microphone that gives its sound as soon as it is opened."""

    level = 0.1

    def open_input(self, device: Device, on_sound: Callable) -> FakeStream:
        stream = super().open_input(device, on_sound)
        for _ in range(200):
            on_sound(np.full((441, 2), self.level, np.float32), 44_100)
        return stream


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[float, float] | None]:
    """What the machine is said to hold, by frame rate."""
    held: dict[int, tuple[float, float] | None] = {60: None, 30: (180.0, 70.0), 25: (150.0, 40.0), 20: (150.0, 40.0)}

    async def measure(config: LiveConfig, fps: int) -> tuple[float, float] | None:
        return held[fps]

    monkeypatch.setattr(doctor, "_measure", measure)
    return held


def found(host: FakeHost, config: LiveConfig = CONFIG) -> dict[str, Finding]:
    return {finding.about: finding for finding in examine(config, lambda: host)}


def test_what_is_well_is_said_in_plain_words(quick: dict) -> None:
    findings = found(Talking(MICROPHONE, CABLE))
    assert findings["microphone"].well and "-20 dB" in findings["microphone"].words
    assert findings["voice output"].well and "Virtual Cable" in findings["voice output"].words
    assert findings["speed"].well
    assert "60 fps: not held" in findings["speed"].words and "--fps 25" in findings["speed"].words
    assert findings["GPU"].words


def test_what_is_missing_is_named_with_a_remedy(quick: dict) -> None:
    quick.update(dict.fromkeys(quick))
    findings = found(Talking())
    assert findings["microphone"].well is False and "plug one in" in findings["microphone"].words
    assert findings["voice output"].well is False
    assert findings["speed"].well is False and "close what else runs" in findings["speed"].words


def test_a_silent_microphone_and_no_cable_are_notes(quick: dict) -> None:
    host = Talking(MICROPHONE)
    host.level = 0.0
    findings = found(host, LiveConfig())
    assert findings["microphone"].well is None and "muted" in findings["microphone"].words
    assert findings["virtual cable"].well is None and "VB-CABLE" in findings["virtual cable"].words


def test_without_portaudio_the_rest_is_still_looked_at(quick: dict) -> None:
    def nothing() -> FakeHost:
        raise MissingExtraError("The PortAudio library is not installed.")

    findings = {finding.about: finding for finding in examine(CONFIG, nothing)}
    assert findings["sound"].well is False and "speed" in findings
