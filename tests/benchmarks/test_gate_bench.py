"""What moves the mouth and what does not, on the networks that ship."""

import numpy as np
import pytest
from rich.console import Console

from benchmarks import gate_sounds as sounds
from benchmarks.gate_bench import NOISES, GateRun, gate, gate_table
from benchmarks.recording import load_speech
from tests.test_readme import ROOT

HELLO = ROOT / "models" / "pretrained" / "demo" / "hello.flac"


@pytest.fixture(scope="module")
def report() -> dict:
    return gate(GateRun(load_speech(HELLO)[:44_000], noise_s=1.5, more=False))


@pytest.mark.parametrize("name", list(NOISES))
def test_noise_under_the_gate_leaves_the_mouth_closed(report: dict, name: str) -> None:
    (found,) = (found for sound, found in report["sounds"].items() if sound.startswith(name))
    assert found["closed"] >= 0.99 and found["opening_p99"] < 0.02
    assert found["loudest_db"] > -55, "it is no silence that is tried"


@pytest.mark.parametrize(("voice", "least", "like"), [("whisper", 0.4, 0.5), ("shout", 0.6, 0.85)])
def test_after_calibration_a_whisper_and_a_shout_move_it_well(
    report: dict, voice: str, least: float, like: float
) -> None:
    usual, found = report["sounds"]["voice"], report["sounds"][voice]
    assert usual["opening_p95"] > 0.5 and usual["closed"] < 0.5
    assert found["opening_p95"] > least and found["as_usual"] > like
    assert found["closed"] < 0.6


def test_it_is_told_in_a_table(report: dict) -> None:
    console = Console(width=140)
    with console.capture() as told:
        console.print(gate_table(report))
    assert "whisper" in told.get() and "gate opens at" in told.get()


def test_a_whisper_has_no_pitch_and_a_shout_is_louder() -> None:
    voice = sounds.at_speaking_level(load_speech(HELLO)[:40_000], -30)
    whisper, shout = sounds.whispered(voice), sounds.shouted(voice)
    assert sounds.speaking_db(whisper) == pytest.approx(-47, abs=0.1)
    assert sounds.speaking_db(shout) == pytest.approx(-20, abs=0.1)

    def pitched(sound: np.ndarray) -> float:
        """How much like itself a 30 ms stretch is after one period of 70 to 250 Hz, mean of the louder stretches."""
        found = []
        for begin in range(0, len(sound) - 960, 480):
            part = sound[begin : begin + 960].astype(float)
            own = np.correlate(part, part, "full")[959:]
            found.append((own[0], own[64:228].max() / max(own[0], 1e-12)))
        loud = sorted(found)[len(found) // 2 :]
        return float(np.mean([like for _, like in loud]))

    assert pitched(voice) > 0.5 and pitched(whisper) < 0.3


def test_noises_are_as_loud_as_they_are_asked_to_be() -> None:
    for make in NOISES.values():
        assert sounds.loudest_db(sounds.at_level(make(1.5), -40)) == pytest.approx(-40, abs=0.01)
    np.testing.assert_array_equal(sounds.music(1.0), sounds.music(1.0))
