from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ConfigError
from models.spec import SAMPLE_HZ
from training.corpus import flite
from training.corpus.face_basis import load_face_basis
from training.corpus.manner_voice import LEAD_IN_S
from training.corpus.manners import MANNERS, act, manner_named
from training.corpus.phones import PHONES

FPS = 30
SECONDS = 8.0

pytestmark = pytest.mark.skipif(not flite.flite_available(), reason="flite is not installed")


@pytest.fixture(scope="module")
def clips():
    shapes = tuple(load_face_basis().shapes)
    return {
        name: act(manner, shapes, "slt", SECONDS, FPS, np.random.default_rng(5)) for name, manner in MANNERS.items()
    }


@pytest.mark.parametrize("name", MANNERS)
def test_a_clip_is_as_long_as_its_sound_and_tiled_by_phones(clips, name):
    clip = clips[name]
    assert len(clip) == SECONDS * FPS and len(clip.audio) == SECONDS * SAMPLE_HZ
    assert np.isfinite(clip.weights).all() and np.isfinite(clip.pose).all()
    assert [p.start_s for p in clip.phones[1:]] == pytest.approx([p.end_s for p in clip.phones[:-1]])
    assert clip.phones[-1].end_s == pytest.approx(SECONDS)


@pytest.mark.parametrize("name", MANNERS)
def test_everybody_is_seen_at_rest_first(clips, name):
    rest = slice(0, int(0.4 * LEAD_IN_S * FPS))
    assert clips[name].gap[rest].max() < 0.02
    assert np.abs(clips[name].pose[rest]).max() < 0.02


@pytest.mark.parametrize("name", MANNERS)
def test_lips_meet_on_their_contacts(clips, name):
    clip = clips[name]
    meets = [p for p in clip.phones if PHONES[p.symbol].place == "bilabial" and p.symbol in "PBM"]
    assert meets
    for phone in meets:
        nearby = slice(int(phone.start_s * FPS), int(phone.end_s * FPS) + 3)
        assert clip.gap[nearby].mean(1).min() < 0.03


def test_each_manner_looks_as_the_paper_describes_it(clips):
    closed = {name: float((clip.closure > 0.8).mean()) for name, clip in clips.items()}
    assert min(closed["ballad"], closed["opera"]) > 0.4 and max(closed["rap"], closed["neutral"]) < 0.15
    opening = {name: float(np.percentile(clip.gap.mean(1), 90)) for name, clip in clips.items()}
    assert opening["opera"] > 1.1 * max(opening[name] for name in ("neutral", "ballad", "rap"))
    turning = {name: float(np.abs(np.diff(clip.pose[FPS:, :2], axis=0)).mean()) for name, clip in clips.items()}
    assert turning["rap"] > 3 * max(turning[name] for name in ("neutral", "ballad", "opera"))
    lips = {name: float(np.abs(np.diff(clip.gap[FPS:].mean(1))).mean() / opening[name]) for name, clip in clips.items()}
    assert lips["rap"] > 1.5 * max(lips["ballad"], lips["opera"])


def test_sound_and_lips_of_song_are_in_sync(clips):
    clip = clips["ballad"]
    vowels = [p for p in clip.phones if p.symbol in ("AA", "A", "AE", "AO", "AH") and p.end_s - p.start_s > 0.3]
    assert vowels
    for phone in vowels:
        inside = slice(int(phone.start_s * FPS) + 3, int(phone.end_s * FPS) - 2)
        assert clip.gap[inside].mean() > 0.06
        sound = clip.audio[int(phone.start_s * SAMPLE_HZ) : int(phone.end_s * SAMPLE_HZ)]
        assert np.sqrt((sound**2).mean()) > 0.02


def test_the_same_draw_gives_the_same_clip(clips):
    shapes = tuple(load_face_basis().shapes)
    again = act(MANNERS["rap"], shapes, "slt", SECONDS, FPS, np.random.default_rng(5))
    assert np.array_equal(again.audio, clips["rap"].audio) and np.array_equal(again.weights, clips["rap"].weights)


def test_an_unknown_manner_is_refused():
    with pytest.raises(ConfigError, match="ballad"):
        manner_named("polka")


def test_a_neutral_speaker_faces_the_camera_and_moves_the_head(clips):
    shapes = tuple(load_face_basis().shapes)
    turned = clips["neutral"].pose[FPS:, :3]
    assert np.abs(turned.mean(0)).max() < 0.03
    assert np.linalg.norm(turned - turned.mean(0), axis=1).mean() > 0.03
    astray = replace(MANNERS["neutral"], head=replace(MANNERS["neutral"].head, faces_s=0.0))
    wandering = act(astray, shapes, "slt", SECONDS, FPS, np.random.default_rng(5)).pose[FPS:, :3]
    assert np.abs(wandering.mean(0)).max() > 2 * np.abs(turned.mean(0)).max()
