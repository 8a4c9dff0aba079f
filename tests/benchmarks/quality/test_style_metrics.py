import numpy as np
import pytest

from benchmarks.quality import landmark_metrics as landmarks
from benchmarks.quality import style_metrics as style


def walk(frames, seed):
    """A face-sized cloud that wanders."""
    rng = np.random.default_rng(seed)
    points = np.random.default_rng(99).uniform(0, 200, (68, 2))
    points[0], points[16] = (0, 100), (200, 100)
    moves = np.cumsum(rng.normal(0, 2, (frames, 1, 2)), axis=0)
    return points + moves + rng.normal(0, 1, (frames, 68, 2))


def by_definition(distance, ours, theirs, windows, strides):
    """Equations 14 to 16 word by word."""
    cells = []
    for length in windows:
        for v in strides:
            cut = [[clip[i : i + length] for i in range(0, len(clip) - length + 1, v)] for clip in (ours, theirs)]
            cells.append(np.mean([min(distance(s, a) for a in cut[1]) for s in cut[0]]))
    return np.mean(cells)


def test_the_grid_is_that_of_the_equations():
    ours, theirs = walk(17, 1), walk(23, 2)
    width = landmarks.face_width(ours)

    def distance(s, a):
        return 100 * np.linalg.norm(s - a, axis=-1).mean() / width

    def velocity(s, a):
        return 100 * np.linalg.norm(np.diff(s, axis=0) - np.diff(a, axis=0), axis=-1).mean() / width

    windows, strides = (1, 2, 5, 12), (1, 3, 4)
    found = style.style_scores(ours, theirs, windows, strides)
    assert found.sld == pytest.approx(by_definition(distance, ours, theirs, windows, strides), rel=1e-5)
    assert found.smd == pytest.approx(by_definition(landmarks.lmd, ours, theirs, windows, strides), rel=1e-5)
    # Velocities of a window's own frames, each window cut at the stride in steps.
    steps = by_definition(velocity, ours, theirs, windows[1:], strides)
    assert found.slv == pytest.approx(steps, rel=1e-5)


def test_the_minimum_is_over_whole_windows():
    # By hand: reference frames 0 0, generated 9 0 | 0 9 | 9 9 as distances: no window of two is nearer than 4.5,
    # though each frame alone finds a 0 and a running mean would as well.
    distances = np.array([[9.0, 0, 9], [9.0, 0, 9]])
    assert style.grid_mean(distances, [1], [1]) == 0
    assert style.grid_mean(distances, [2], [1]) == pytest.approx(4.5)
    assert style.grid_mean(distances, [1], [2]) == 9
    assert style.grid_mean(distances, [1, 2], [1]) == pytest.approx(2.25)


def test_one_window_of_the_whole_clip_is_the_plain_metric():
    ours, theirs = walk(12, 1), walk(12, 2)
    found = style.style_scores(ours, theirs, windows=[12], strides=[1])
    assert found.sld == pytest.approx(landmarks.dl_percent(ours, theirs), rel=1e-5)
    assert found.slv == pytest.approx(landmarks.dv_percent(ours, theirs), rel=1e-5)
    assert found.smd == pytest.approx(landmarks.lmd(ours, theirs), rel=1e-5)


def test_a_delay_costs_style_nothing_within_the_windows():
    clip = walk(150, 3)
    same, late = style.style_scores(clip, clip), style.style_scores(clip[5:], clip[:-5])
    other = style.style_scores(clip, walk(150, 4))
    assert max(same.sld, same.slv, same.smd) < 1e-5
    assert late.sld < other.sld and landmarks.dl_percent(clip[5:], clip[:-5]) > late.sld


def test_framing_is_registered_once_a_clip():
    clip = walk(40, 5)
    assert style.register_framing(clip, 1.7 * clip + (30, -12)) == pytest.approx(clip)
    jump = clip.copy()
    jump[20:] += 10
    moved = style.register_framing(clip, jump)
    assert np.ptp((moved - clip)[:, 0, 0]) == pytest.approx(10)


def test_windows_longer_than_a_clip_do_not_exist():
    short = walk(6, 1)
    assert style.style_scores(short, walk(9, 2)).sld > 0
    with pytest.raises(ValueError, match="two frames"):
        style.style_scores(short[:1], short)
    with pytest.raises(ValueError, match="no window"):
        style.style_scores(short, short, windows=[7])
