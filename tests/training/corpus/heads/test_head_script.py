import numpy as np
import pytest

from training.corpus.heads.assets import Assets
from training.corpus.heads.moods import MOODS, MOUTHS, RESTING, TIRED
from training.corpus.heads.script import STILL, TALKING, join, stills, talk
from training.corpus.heads.speech_pool import RecordedSpeech
from training.corpus.heads.targets import Targets
from training.corpus.heads.tongue import tongue_motion
from training.corpus.utterance import Phone


@pytest.fixture(scope="module")
def shapes(makehuman):
    targets = Targets(Assets(makehuman))
    units = [f"unit-{name.rsplit('/', 1)[1]}" for name in targets.names("expression/units/caucasian")]
    return (*(name.split("/")[1] for name in targets.names("arkit")), *units)


@pytest.fixture(scope="module")
def pool(makehuman_pack):
    return RecordedSpeech(Assets(makehuman_pack))


def test_a_clip_is_as_long_as_its_sound_and_closes_on_m_and_p(shapes, pool):
    clip = talk(shapes, pool, 0, 2.0, 60, np.random.default_rng(4))
    assert len(clip) == 120
    assert len(clip.audio) == 32000
    assert clip.phones[0].start_s == 0
    assert clip.phones[-1].end_s == pytest.approx(2.0)
    assert (clip.gap >= 0).all()
    times = np.arange(120) / 60
    for symbol, wide in (("M", False), ("P", False), ("AA", True)):
        phone = next(p for p in clip.phones if p.symbol == symbol)
        middle = np.abs(times - (phone.start_s + phone.end_s) / 2).argmin()
        assert (clip.gap[middle].mean() > 0.04) == wide
        assert (clip.gap[middle].max() < 0.02) == (not wide)
    assert clip.closure.max() > 0.9, "nobody talks for two seconds of this seed without a blink"


def test_fewer_frames_are_every_other_one(shapes, pool):
    full = talk(shapes, pool, 0, 1.0, 60, np.random.default_rng(5))
    half = talk(shapes, pool, 0, 1.0, 30, np.random.default_rng(5))
    for name in ("weights", "gap", "closure", "tongue", "gaze", "pose", "torso"):
        assert (getattr(full, name)[::2] == getattr(half, name)).all()


def test_stills_show_every_mouth_and_stay_within_a_neck(shapes):
    script = stills(shapes, 3 * len(MOUTHS), np.random.default_rng(0))
    assert (script.kind == STILL).all()
    jaw = script.weights[:, shapes.index("jawOpen")]
    assert jaw.max() > 0.6
    sealed = ~np.isnan(script.gap).any(1)
    assert sealed.sum() == 3 * sum(mouth.sealed for mouth in MOUTHS.values())
    assert np.degrees(np.abs(script.pose[:, 1]).max()) > 20
    assert np.degrees(np.abs(script.pose[:, :3]).max()) < 30
    assert (script.closure == 1).any()
    assert script.closure.max() <= 1


def test_a_clip_and_stills_are_joined(shapes, pool):
    rng = np.random.default_rng(0)
    both = join(talk(shapes, pool, 0, 0.5, 10, rng), stills(shapes, 3, rng))
    assert both.kind.tolist() == [TALKING] * 5 + [STILL] * 3
    assert len(both.audio) == 8000


def test_the_tongue_follows_the_phones():
    phones = [Phone("sil", 0, 0.2), Phone("L", 0.2, 0.4), Phone("TH", 0.4, 0.6), Phone("K", 0.6, 0.8)]
    curve = tongue_motion(phones, 48, 0.0)
    assert curve[0].max() < 0.05
    for frame, move in ((18, 0), (30, 1), (42, 2)):
        assert curve[frame].argmax() == move
        assert curve[frame, move] > 0.8


def test_expressions_name_shapes_of_the_standard_sets():
    names = set(RESTING) | set(TIRED) | {name for mood in MOODS.values() for name in mood}
    names |= {name for mouth in MOUTHS.values() for name in mouth.shapes}
    assert not [name for name in names if name.endswith("*")]
