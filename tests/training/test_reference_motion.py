"""Clips of a made-up performer, with pictures and a face model that are not there."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("scipy")

from engine.errors import AudioError, InputError
from engine.portrait.geometry import canonical68
from engine.rotation import rotation_matrix
from engine.stages.geometry import LOWER_LIDS, UPPER_LIDS
from models.spec import SAMPLE_HZ
from training import reference_motion
from training.reference_motion import ReferenceMotion, read_reference

FPS, UNIT = 25, 150.0


class Performer:
    """Speaks from the first second on with a nod, blinks now and then, looks about."""

    def __init__(self, seconds: float = 8.0, unit: float = UNIT) -> None:
        self.times = np.arange(round(seconds * FPS)) / FPS
        self.unit, self.missing, self.audio = unit, set[int](), None
        speaking = self.times > 1
        self.opening = np.where(speaking, 0.08 - 0.08 * np.cos(2 * np.pi * 2 * self.times), 0.0)
        self.nod = np.where(speaking, -0.08 + 0.04 * np.sin(2 * np.pi * 0.6 * self.times), 0.0)
        self.closure = np.zeros(len(self.times))
        for start in range(40, len(self.times) - 6, 50):
            self.closure[start : start + 5] = 1

    def mesh(self, number: int) -> np.ndarray:
        points = np.array(canonical68(), np.float64)
        points[[56, 57, 58, 65, 66, 67], 1] += self.opening[number]
        gap = points[LOWER_LIDS] - points[UPPER_LIDS]
        points[UPPER_LIDS] += 0.9 * self.closure[number] * gap
        points = points @ rotation_matrix(np.array([self.nod[number], 0, 0])).T
        mesh = np.zeros((478, 3))
        mesh[:68] = points * self.unit + [256, 300, 0]
        mesh[68:] = mesh[27]
        mesh[468:473], mesh[473:] = mesh[36:42].mean(0), mesh[42:48].mean(0)
        return mesh

    def video(self, path: Path):
        for number, time in enumerate(self.times):
            yield float(time), np.full((512, 512, 3), number % 256, np.uint8)

    def track(self, picture: np.ndarray):
        number = self.count = getattr(self, "count", -1) + 1
        return None if number in self.missing else SimpleNamespace(mesh=self.mesh(number))

    def sound(self, path: Path) -> np.ndarray:
        if self.audio is None:
            raise AudioError("no sound")
        return self.audio


def read(monkeypatch, performer: Performer) -> ReferenceMotion:
    monkeypatch.setattr(reference_motion, "FaceTracker", lambda: performer)
    monkeypatch.setattr(reference_motion, "read_video", performer.video)
    monkeypatch.setattr(reference_motion, "read_audio", performer.sound)
    monkeypatch.setattr(reference_motion, "ibug68", lambda mesh: mesh[:68])
    return read_reference(Path("clip.mp4"))


def talking(seconds: float) -> np.ndarray:
    """Silence for a second, then noise in syllables."""
    samples = round(seconds * SAMPLE_HZ)
    level = np.where(np.arange(samples) > SAMPLE_HZ, 0.1, 0.0) * (1 + np.sin(np.arange(samples) / 1200))
    return (level * np.random.default_rng(0).standard_normal(samples)).astype(np.float32).clip(-1, 1)


def test_a_clip_becomes_motion_against_the_person_at_rest(monkeypatch):
    performer = Performer()
    performer.audio = talking(8.0)
    motion = read(monkeypatch, performer)
    frames = np.arange(len(motion.pose)) / 60
    wanted = np.interp(frames, performer.times, performer.opening)
    assert np.corrcoef(motion.opening, wanted)[0, 1] > 0.98
    assert motion.opening[20:50].max() < 0.01 and np.ptp(motion.opening) == pytest.approx(0.16, abs=0.03)
    assert abs(np.median(motion.pose[10:50, 0])) < 0.02, "the head's zero is how it is held in silence"
    assert np.median(motion.pose[70:, 0]) == pytest.approx(-0.08, abs=0.02)
    assert np.abs(motion.pose[:, 1:3]).max() < 0.02
    assert motion.audio is not None and len(motion.audio) == round(len(motion.pose) * SAMPLE_HZ / 60)
    assert motion.measured and motion.notes == ()


def test_lids_are_measured_against_the_clip_s_own_open_eyes(monkeypatch):
    performer = Performer()
    motion = read(monkeypatch, performer)
    wanted = np.interp(np.arange(len(motion.pose)) / 60, performer.times, performer.closure)
    assert motion.closure[wanted > 0.99].min() > 0.8
    assert np.median(motion.closure[wanted == 0]) < 0.1
    performer = Performer()
    performer.closure[25:] = 1
    performer.closure[100:106] = 0
    assert (read(monkeypatch, performer).closure > 0.55).mean() > 0.75, "eyes that are shut most of the time"


def test_reference_images_are_cut_to_the_face(monkeypatch):
    found = read(monkeypatch, Performer()).references
    assert found is not None and found.images.shape == (4, 256, 256, 3) and len(set(found.frames.tolist())) == 4
    # The pictures' grey tells their numbers: frame k at 60 Hz is the picture nearest in time.
    shown = found.images[:, 128, 128, 0]
    assert np.abs(shown - found.frames / 60 * FPS).max() <= 1


def test_without_sound_it_says_so(monkeypatch):
    motion = read(monkeypatch, Performer())
    assert motion.audio is None and "without sound" in motion.notes[0]
    silent = Performer()
    silent.audio = np.zeros(8 * SAMPLE_HZ, np.float32)
    assert "silent" in read(monkeypatch, silent).notes[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: setattr(p, "times", p.times[:50]), "lasts 2.0 s"),
        (lambda p: setattr(p, "missing", set(range(0, 100, 2))), "a face in 150 of 200 pictures"),
        (lambda p: setattr(p, "missing", set(range(60, 90))), "no face for 1.2 s"),
        (lambda p: setattr(p, "unit", 20.0), "pixels high"),
        (lambda p: setattr(p, "times", p.times * 100), "longer than 600 s"),
    ],
)
def test_clips_that_show_too_little_are_refused(monkeypatch, change, words):
    performer = Performer()
    change(performer)
    with pytest.raises(InputError, match=words):
        read(monkeypatch, performer)


def test_exact_motion_needs_arrays_of_one_clip():
    zero = np.zeros((300, 68, 3))
    motion = ReferenceMotion.from_arrays("made", zero, np.zeros((300, 6)), np.zeros(300))
    assert motion.seconds == 5 and not motion.measured and motion.landmarks.shape == (300, 68, 3)
    with pytest.raises(InputError, match="do not fit"):
        ReferenceMotion.from_arrays("made", zero, np.zeros((299, 6)), np.zeros(300))
    with pytest.raises(InputError, match=r"lasts 1\.0 s"):
        ReferenceMotion.from_arrays("made", zero[:60], np.zeros((60, 6)), np.zeros(60))
