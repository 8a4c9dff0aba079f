"""The styles that ship, on the bundle that ships: they fit it, and are put on and off without a jump."""

from pathlib import Path

import numpy as np
import pytest

import models.spec
from engine.artefacts.bundle import Bundle, load_bundle
from engine.artefacts.style import load_style
from engine.backend_onnx import open_networks
from engine.pipeline import MotionFrame, Pipeline
from engine.portrait.geometry import canonical68
from engine.stages.style_mix import NO_STYLE, OpenStyle, Steering
from engine.styles import open_style
from models.spec import MOTION_HZ, SAMPLE_HZ
from streaming.media_in import SpeechFile

PRETRAINED = Path(models.spec.__file__).parent / "pretrained"
NAMES = ("ballad", "neutral", "opera", "rap")
SECONDS = 5
MOST = 3.0
"""Times the largest step of ordinary speech."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(None)


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Pipeline:
    return Pipeline(bundle, canonical68(), 6, networks=open_networks(bundle))


@pytest.fixture(scope="module")
def styles(bundle: Bundle) -> dict[str, OpenStyle]:
    return {name: open_style(load_style(PRETRAINED / "styles" / f"{name}.style"), bundle) for name in NAMES}


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    with SpeechFile(PRETRAINED / "demo" / "hello.flac") as file:
        return np.concatenate([block.speech for block in file.blocks()])[: SECONDS * SAMPLE_HZ]


def move(pipeline: Pipeline, speech: np.ndarray, changes: dict[int, OpenStyle | None]) -> np.ndarray:
    """Landmarks float32 (frames, 68, 3) of speech in which the style changes at given blocks of 50 ms."""
    state, steering, frames = pipeline.init_state(), NO_STYLE, list[MotionFrame]()
    block = SAMPLE_HZ // 20
    for number in range(len(speech) // block):
        if number in changes:
            steering = Steering.wearing(steering, changes[number])
        made, state = pipeline.step(speech[number * block : (number + 1) * block], state, steering)
        frames += made
    return np.stack([frame.landmarks for frame in frames])


def largest_step(landmarks: np.ndarray) -> float:
    """The farthest that any point goes from one frame to the next, fu."""
    return float(np.linalg.norm(np.diff(landmarks, axis=0), axis=-1).max())


def test_changing_styles_in_speech_takes_no_larger_steps_than_thrice_ordinary_ones(pipeline, styles, speech) -> None:
    # The first second is a stream's fading in.
    ordinary = largest_step(move(pipeline, speech, {})[MOTION_HZ:])
    order = [styles["ballad"], styles["rap"], None, styles["opera"], styles["neutral"], styles["rap"], styles["opera"]]
    every = 14
    changes = {every * (number + 1) + number % 3: style for number, style in enumerate(order)}
    changed = move(pipeline, speech, changes)
    fading = np.zeros(len(changed) - 1, bool)
    for number in changes:
        fading[3 * number - 12 : 3 * number + MOTION_HZ // 2] = True
    steps = np.linalg.norm(np.diff(changed, axis=0), axis=-1).max(axis=1)
    assert steps[fading].max() <= MOST * ordinary


@pytest.mark.parametrize("name", NAMES)
def test_a_style_says_where_it_comes_from(name: str) -> None:
    style = load_style(PRETRAINED / "styles" / f"{name}.style")
    assert style.name == name and style.manifest.provenance
